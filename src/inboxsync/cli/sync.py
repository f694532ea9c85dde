"""`inboxsync sync`, and how `demo` and `verify` work through Pages."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Annotated, TypeVar

import typer

from inboxsync.cli.options import AsJsonPerPage, PageIds, Wait, pages_named
from inboxsync.cli.output import page_name, print_command, print_json, stdout
from inboxsync.cli.process import open_engine, set_for_syncing, stop_on_signals
from inboxsync.cli.progress import derive_after_sync, listening
from inboxsync.cli.run_output import exit_code_of_runs, outcome_as_json, print_outcome, run_as_json
from inboxsync.engine import Engine
from inboxsync.errors import InboxsyncError, PageBusy, PageUnknown, SettingsInvalid
from inboxsync.graph import GraphClient
from inboxsync.model import History, Mode, Page, Problem, Run, RunKind, RunRequest, RunStatus
from inboxsync.sync import Outcome, Stop, Stopped, SyncOptions, Unfinished
from inboxsync.workers import RunQueue

LONGEST_SECONDS = 366 * 86_400

T = TypeVar("T")


def sync(
    page_ids: PageIds = None,
    *,
    as_json: AsJsonPerPage = False,
    mode: Annotated[
        Mode, typer.Option(help="auto continues, then reads what is new; full reads everything again.")
    ] = Mode.AUTO,
    messages: Annotated[
        int, typer.Option(min=1, max=100, help="How many of the newest messages of each conversation.")
    ] = 10,
    max_conversations: Annotated[
        int | None, typer.Option(min=1, help="Stop after so many conversations; the next run continues.")
    ] = None,
    max_duration: Annotated[
        float | None,
        typer.Option(
            min=1,
            max=LONGEST_SECONDS,
            metavar="SECONDS",
            help="Stop after so many seconds; the next run continues.",
        ),
    ] = None,
    history: Annotated[
        History | None,
        typer.Option(
            help="all: from now on keep every message of every conversation; newest (default): the newest "
            "messages of each and all that come later."
        ),
    ] = None,
    all_pages: Annotated[
        bool, typer.Option("--all", help="All Pages. The same as no PAGE_ID, but clearer in a script.")
    ] = False,
    parallel: Annotated[
        int, typer.Option(min=1, max=1000, help="How many Pages to sync at the same time.")
    ] = 8,
    enqueue: Annotated[
        bool,
        typer.Option(
            "--enqueue", help="Let the workers execute the runs; they continue until a run is complete."
        ),
    ] = False,
    wait: Wait = False,
) -> None:
    """Copy what is new: the first time everything, later what has changed since.

    You can stop it at any time with Ctrl-C: what was fetched is stored, and the next run continues.
    A Page that another process syncs or verifies is left to it (exit code 0), unless --wait.
    Exit codes: 0 complete, 3 partial (run again to continue), 4 a person must act on the
    token or a permission, 1 failed, 2 usage.
    """
    if max_duration is not None and math.isnan(max_duration):
        raise SettingsInvalid("--max-duration is not a number of seconds.", hint="Write it as 270.")
    if all_pages and page_ids:
        raise SettingsInvalid("--all and a PAGE_ID exclude each other.", hint="Give one of them.")
    with open_engine() as engine:
        pages = pages_named(engine, page_ids)
        if enqueue:
            request = RunRequest(
                mode=mode,
                messages=messages,
                max_conversations=max_conversations,
                max_duration_seconds=max_duration,
                history=history,
            )
            _enqueue(engine, pages, request, as_json=as_json)
            return
        set_for_syncing()
        options = engine.sync_options(
            mode=mode, messages=messages, max_conversations=max_conversations, history=history, wait=wait
        )
        ended = sync_pages(
            engine, pages, options=options, max_duration_seconds=max_duration, parallel=parallel
        )
        for outcome in ended:
            if as_json:
                print_json(outcome_as_json(outcome))
            else:
                print_outcome(outcome)
        derive_after_sync(engine)
    raise typer.Exit(exit_code_of_runs(outcome.run for outcome in ended))


def sync_pages(
    engine: Engine,
    pages: Sequence[Page],
    *,
    options: SyncOptions,
    max_duration_seconds: float | None,
    parallel: int = 1,
    expected: int | None = None,
) -> list[Outcome]:
    """Sync these Pages, `parallel` at the same time, and show how they get on.

    SIGINT and SIGTERM end the runs at their next batch; a second one ends the process at once.
    """
    options = replace(options, expected=expected)
    shown = listening(pages=len(pages), parallel=parallel, zone=engine.clock.zone)
    with shown as new_listener:

        async def work(source: GraphClient, stop: Stop, page: Page) -> Outcome:
            one = engine.page_sync(source, page, options=options, stop=stop, listener=new_listener())
            try:
                return await one.run()
            except InboxsyncError as failure:  # the other Pages are still synced
                return _not_run(engine, page, failure)
            except Stopped as stopped:
                return replace(_not_run(engine, page, None), reason=stopped.reason)

        return for_each_page(
            engine, pages, work, max_duration_seconds=max_duration_seconds, parallel=parallel
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

    async def work_on_all() -> list[T]:
        slots = asyncio.Semaphore(parallel)
        async with engine.source() as source, engine.stop(max_duration_seconds=max_duration_seconds) as stop:
            stop_on_signals(stop)

            async def work_on(page: Page) -> T:
                async with slots:
                    return await work(source, stop, page)

            return await asyncio.gather(*(work_on(page) for page in pages))

    return asyncio.run(work_on_all())


def _not_run(engine: Engine, page: Page, failure: InboxsyncError | None) -> Outcome:
    """The result of a sync that did not begin: another process has the Page, or the wait was stopped."""
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


def _enqueue(engine: Engine, pages: Sequence[Page], request: RunRequest, *, as_json: bool) -> None:
    queue = RunQueue(engine)
    for page in pages:
        run = queue.enqueue(page, request)
        if as_json:
            print_json(run_as_json(run))
            continue
        stdout().print(f"{_enqueued(run)}: {page_name(page)} ({page.platform}).")
        if run.kind is RunKind.SYNC and run.request != request:
            stdout().print("  That run was requested with other options. Enqueue yours when it has ended.")
        print_command(stdout(), f"Next: inboxsync runs show {run.id} --follow")


def _enqueued(run: Run) -> str:
    if run.kind is RunKind.VERIFY:
        return "Due after the verification that the workers execute"
    return "Queued" if run.status is RunStatus.QUEUED else "Running already"
