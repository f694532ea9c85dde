"""Shows an export while it goes, and ends it well when somebody asks it to stop."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from inboxsync.cli.output import stderr


class ExportStopped(Exception):
    """Somebody asked it to stop."""


class Watcher(Protocol):
    """Told how many rows have been written."""

    def on_progress(self, rows: int) -> None:
        """Raises ExportStopped where it was asked to stop."""


class _Watching:
    def __init__(self) -> None:
        self.is_stopped = False

    def on_progress(self, rows: int) -> None:  # noqa: ARG002 - nobody watches
        if self.is_stopped:
            raise ExportStopped


class _Bar(_Watching):
    def __init__(self, progress: Progress, what: str, total: int) -> None:
        super().__init__()
        self._progress = progress
        self._task = progress.add_task(what, total=total)

    def on_progress(self, rows: int) -> None:
        self._progress.update(self._task, completed=rows)
        super().on_progress(rows)


@contextmanager
def watching(what: str, total: int, *, to_terminal: bool) -> Iterator[Watcher]:
    """A bar where stderr is a terminal, unless the rows themselves go to one."""
    if to_terminal or not sys.stderr.isatty():
        watcher = _Watching()
        with _stopped_by_signals(watcher):
            yield watcher
        return
    with _progress(stderr()) as progress:
        bar = _Bar(progress, what, total)
        with _stopped_by_signals(bar):
            yield bar


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        TextColumn("{task.completed:,.0f} of {task.total:,.0f}", markup=False),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )


@contextmanager
def _stopped_by_signals(watcher: _Watching) -> Iterator[None]:
    """SIGINT and SIGTERM end the export at its next batch; a second SIGINT at once, also without a file."""

    def ask(number: int, _frame: object) -> None:
        watcher.is_stopped = True
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
