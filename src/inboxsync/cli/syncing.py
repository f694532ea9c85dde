"""Runs syncs for a command: signals, the bar or the log lines, several Pages side by side."""

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import TypeVar

from inboxsync.cli.output import stderr
from inboxsync.cli.overview import Overview
from inboxsync.cli.progress import Bar
from inboxsync.engine import Engine
from inboxsync.errors import InboxsyncError, PageBusy, PageUnknown
from inboxsync.graph import GraphClient
from inboxsync.model import Mode, Page, Problem, Run, RunStatus
from inboxsync.sync import Listener, Outcome, Stop, Stopped, SyncOptions, Unfinished, log_event

T = TypeVar("T")


def sync_pages(
    engine: Engine,
    pages: Sequence[Page],
    *,
    options: SyncOptions,
    max_duration_seconds: float | None,
    parallel: int = 1,
    expected: int | None = None,
) -> list[Outcome]:
    """Sync these Pages, `parallel` at once, each at its own pace.

    SIGINT and SIGTERM end the runs at their next batch; a second one at once.
    """
    is_side_by_side = sys.stderr.isatty() and min(parallel, len(pages)) > 1
    overview = Overview(console=stderr(), pages=len(pages)) if is_side_by_side else None

    @contextmanager
    def listening() -> Iterator[Listener]:
        if overview is not None:
            yield overview.on_event
        elif sys.stderr.isatty():
            with Bar(console=stderr(), expected=expected) as bar:
                yield bar.on_event
        else:
            yield log_event

    async def sync(source: GraphClient, stop: Stop, page: Page) -> Outcome:
        with listening() as listener:
            one = engine.page_sync(source, page, options=options, stop=stop, listener=listener)
            try:
                return await one.run()
            except InboxsyncError as failure:  # the other Pages still have their turn
                return _not_run(engine, page, failure)
            except Stopped as stopped:
                return replace(_not_run(engine, page, None), reason=stopped.reason)

    with overview or nullcontext():
        return for_each_page(
            engine, pages, sync, max_duration_seconds=max_duration_seconds, parallel=parallel
        )


def for_each_page(
    engine: Engine,
    pages: Sequence[Page],
    work: Callable[[GraphClient, Stop, Page], Awaitable[T]],
    *,
    max_duration_seconds: float | None = None,
    parallel: int = 1,
) -> list[T]:
    """The results of `work` for each Page, in their order; signals and the time limit stop it."""

    async def go() -> list[T]:
        gate = asyncio.Semaphore(parallel)
        async with engine.source() as source, engine.stop(max_duration_seconds=max_duration_seconds) as stop:
            _ask_on_signals(stop)

            async def one(page: Page) -> T:
                async with gate:
                    return await work(source, stop, page)

            return await asyncio.gather(*(one(page) for page in pages))

    return asyncio.run(go())


def _not_run(engine: Engine, page: Page, failure: InboxsyncError | None) -> Outcome:
    """The result of a sync that did not begin: another process is at it, or the wait for it was cut short."""
    now = engine.clock.now()
    may_wait = failure is None or isinstance(failure, PageBusy)
    next_command = f"inboxsync sync {page.facebook_page_id}{' --wait' if may_wait else ''}"
    run = Run(
        id="",
        page_id=page.id,
        facebook_page_id=page.facebook_page_id,
        platform=page.platform.value,
        mode=Mode.INCREMENTAL if page.last_synced_at else Mode.FULL,
        status=RunStatus.PARTIAL if may_wait else RunStatus.FAILED,
        started_at=now,
        finished_at=now,
        problems=(Problem(code=failure.code, message=failure.message, hint=failure.hint),) if failure else (),
        next=None if isinstance(failure, PageUnknown) else next_command,
    )
    return Outcome(page=page, run=run, unfinished=Unfinished())


def _ask_on_signals(stop: Stop) -> None:
    loop = asyncio.get_running_loop()

    def ask(number: signal.Signals) -> None:
        stop.ask(f"{number.name} was received")
        loop.remove_signal_handler(number)  # the second one ends the process as usual

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, ask, number)
