"""Shows a copy while it goes: a bar a table on a terminal, log lines elsewhere."""

from collections.abc import Sequence
from types import TracebackType
from typing import Self

import structlog
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn

from inboxsync.cli.output import print_problem, stdout, table
from inboxsync.store.copying import Copied, CopyProgress

log = structlog.get_logger("inboxsync.copy")


class CopyStopped(Exception):
    """Somebody asked it to stop."""


class LogLines:
    """A line for each tenth of a table."""

    def __init__(self) -> None:
        self.is_stopped = False
        self._told: tuple[str, str, int] = ("", "", 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def on_progress(self, progress: CopyProgress) -> None:
        """Raises CopyStopped where it was asked to stop."""
        tenth = 10 * progress.done // progress.total if progress.total else 10
        told = (progress.doing, progress.table, tenth)
        if told != self._told and progress.total:
            self._told = told
            event = f"{progress.doing} table"
            log.info(event, table=progress.table, done=progress.done, total=progress.total)
        if self.is_stopped:
            raise CopyStopped


class Bar:
    """A bar for each table, twice: while it is copied, and while it is compared."""

    def __init__(self, console: Console) -> None:
        self.is_stopped = False
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TextColumn("{task.completed:,.0f} of {task.total:,.0f}", markup=False),
            TimeRemainingColumn(),
            console=console,
        )
        self._tasks: dict[tuple[str, str], TaskID] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def on_progress(self, progress: CopyProgress) -> None:
        """Raises CopyStopped where it was asked to stop."""
        key = (progress.doing, progress.table)
        if key not in self._tasks:
            self._tasks[key] = self._progress.add_task(" ".join(key), total=progress.total)
        self._progress.update(self._tasks[key], completed=progress.done)
        if self.is_stopped:
            raise CopyStopped


def print_copied(copied: Sequence[Copied], where: str) -> None:
    """The comparison, table by table."""
    shown = table("Table", "Rows", "Rows there", "Checksum", "Checksum there", "")
    for each in copied:
        shown.add_row(
            each.table,
            f"{each.source_rows:,}",
            f"{each.target_rows:,}",
            each.source_checksum[:12],
            each.target_checksum[:12],
            "equal" if each.is_equal else "DIFFERENT",
        )
    console = stdout()
    console.print(shown)
    if replaced := sum(each.replaced for each in copied):
        console.print(
            f"In {replaced:,} rows U+0000, which PostgreSQL does not hold, became U+FFFD; `extra` says so."
        )
    different = [each.table for each in copied if not each.is_equal]
    if different:
        print_problem(
            f"{where} is not what the source is: {', '.join(different)} differ.",
            "See that nothing else writes to it, and begin anew with an empty database.",
        )
    else:
        console.print(f"{where} holds all that the source does.")
