"""Runs syncs for a command: signals, the bar or the log lines, one Page after the other."""

import asyncio
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from inboxsync.cli.output import stderr
from inboxsync.cli.progress import Bar, LogLines
from inboxsync.engine import Engine
from inboxsync.model import Page, Run
from inboxsync.sync import PageSync, Stop, SyncOptions

_TICK_SECONDS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A run, and why it stopped early if it did."""

    page: Page
    run: Run
    reason: str | None


def sync_pages(
    engine: Engine,
    pages: Sequence[Page],
    *,
    options: SyncOptions,
    max_duration_seconds: float | None,
    expected: int | None = None,
) -> list[Ended]:
    """Sync these Pages. SIGINT and SIGTERM end the run at its next batch; a second one at once."""
    return asyncio.run(_sync_pages(engine, pages, options, max_duration_seconds, expected))


async def _sync_pages(
    engine: Engine,
    pages: Sequence[Page],
    options: SyncOptions,
    max_duration_seconds: float | None,
    expected: int | None,
) -> list[Ended]:
    ended = []
    async with engine.source() as source, engine.stop(max_duration_seconds=max_duration_seconds) as stop:
        _ask_on_signals(stop)
        for page in pages:
            bar = Bar(console=stderr(), expected=expected) if sys.stderr.isatty() else None
            with bar or LogLines() as watcher:
                sync = engine.page_sync(source, page, options=options, stop=stop, listener=watcher)
                run = await (_run_with_ticks(sync, bar) if bar else sync.run())
            ended.append(Ended(page=page, run=run, reason=sync.stop_reason))
    return ended


async def _run_with_ticks(sync: PageSync, bar: Bar) -> Run:
    """Run it, and tell the bar now and then whether the allowance holds calls back."""

    async def tick() -> None:
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            bar.waiting(sync.blocked_until)

    ticking = asyncio.create_task(tick())
    try:
        return await sync.run()
    finally:
        ticking.cancel()


def _ask_on_signals(stop: Stop) -> None:
    loop = asyncio.get_running_loop()

    def ask(number: signal.Signals) -> None:
        stop.ask(f"{number.name} was received")
        loop.remove_signal_handler(number)  # the second one ends the process as usual

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ask, number)
