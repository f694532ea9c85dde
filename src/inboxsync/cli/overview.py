"""Shows many Pages that are synced side by side: one bar for all of them."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from inboxsync.model import Run
from inboxsync.sync import BatchStored, Event, RunEnded, RunStarted, WaitStarted, describe_waiting


class Overview:
    """How many of the Pages are done, what is stored of all of them, and how fast."""

    def __init__(self, *, console: Console, pages: int) -> None:
        self._pages = pages
        self._runs: dict[str, Run] = {}
        self._done = 0
        self._progress = Progress(
            SpinnerColumn(),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[line]}", markup=False),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            refresh_per_second=5,
        )
        self._task = self._progress.add_task("", total=pages, line="asking the source ...")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def on_event(self, event: Event) -> None:
        """Show what has happened in the run of one of them."""
        match event:
            case RunStarted(run=run) | BatchStored(run=run):
                self._show(run)
            case WaitStarted(waiting=waiting):
                if len(self._runs) - self._done <= 1:  # else others continue
                    self._progress.update(self._task, line=describe_waiting(waiting))
            case RunEnded(run=run):
                self._done += 1
                self._show(run)
            case _:
                pass

    def _show(self, run: Run) -> None:
        self._runs[run.id] = run
        fetched = sum(each.counts.fetched for each in self._runs.values())
        messages = sum(each.counts.events for each in self._runs.values())
        line = f"{self._done:,} of {self._pages:,} Pages · {fetched:,} conversations · {messages:,} messages"
        self._progress.update(self._task, completed=self._done, line=line)
