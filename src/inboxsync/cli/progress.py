"""Shows a run while it goes: a bar on a terminal."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

from inboxsync.model import Run
from inboxsync.sync import (
    BatchStored,
    Event,
    RunEnded,
    RunStarted,
    Stage,
    WaitEnded,
    WaitStarted,
    describe_waiting,
)

_CALLS_A_PERSON = 200
_DOING = {
    Stage.CATCH_UP: "looking for what moved meanwhile",
    Stage.CONVERSATION: "trying again what failed",
    Stage.GAP: "filling gaps inside conversations",
    Stage.HISTORY: "reading older messages",
}


class Bar:
    """A live bar on a terminal: what is stored, how fast, what Meta still allows, how long it takes yet.

    Each of its lines fits beside the bar at 80 columns: what is cut there is what matters most.

    `expected` is how many conversations there are, where that is known: Meta does not say.
    """

    def __init__(self, *, console: Console, expected: int | None = None) -> None:
        self._expected = expected
        self._progress = Progress(
            SpinnerColumn(),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[line]}", markup=False),
            console=console,
            transient=False,
            refresh_per_second=10,
        )
        self._task = self._progress.add_task("", total=expected, line="asking the source ...")
        self._run: Run | None = None
        self._quota = _Quota()

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def on_event(self, event: Event) -> None:
        """Show what has happened."""
        match event:
            case RunStarted(run=run):
                self._run = run
            case BatchStored():
                self._show_batch(event)
            case WaitStarted(waiting=waiting):
                self._show_wait(describe_waiting(waiting))
            case WaitEnded():
                self._show_wait("continuing")
            case RunEnded(run=run):
                self._show_end(run)
            case _:
                pass

    def _show_batch(self, event: BatchStored) -> None:
        self._run = event.run
        done = event.run.counts.fetched
        people = max(done, self._expected or 0)
        self._quota.note(event.run.calls, event.quota_used_percent, people=people)
        if self._expected is not None and done > self._expected:
            self._expected = done
        line = (
            f"{_of(done, self._expected)} conversations · {event.run.counts.events:,} messages\n"
            f"{event.run.conversations_per_second:,.0f}/s · {self._quota}\n"
            f"{self._time_left(event)}"
        )
        self._progress.update(self._task, completed=done, total=self._expected, line=line)

    def _show_end(self, run: Run) -> None:
        line = f"{run.counts.fetched:,} conversations · {run.counts.events:,} messages · {run.status.value}"
        done = run.counts.fetched or 1
        self._progress.update(self._task, completed=done, total=max(done, self._expected or 0), line=line)

    def _show_wait(self, why: str) -> None:
        done = self._run.counts.fetched if self._run else 0
        line = f"{_of(done, self._expected)} conversations\n{why}"
        self._progress.update(self._task, line=line)

    def _time_left(self, event: BatchStored) -> str:
        if event.stage in _DOING:
            return _DOING[event.stage]
        speed = event.run.conversations_per_second
        if self._expected is None or speed <= 0:
            reached = f"{event.position:%Y-%m-%d}" if event.position else "the newest"
            return f"reached {reached}"
        seconds = round((self._expected - event.run.counts.fetched) / speed)
        return f"{seconds // 60}:{seconds % 60:02d} left"


class _Quota:
    """How many calls are left: Meta tells only per cent.

    From how fast the used share grows; until it does, from what Meta allows: 200 calls a day for
    each person that the Page can write to (graph-facts 2-2).
    """

    def __init__(self) -> None:
        self._first: tuple[int, int] | None = None
        self._last: tuple[int, int] | None = None
        self._people = 0

    def note(self, calls: int, percent: int | None, *, people: int) -> None:
        """What the last answer told, after so many calls, of a Page with at least so many people."""
        self._people = max(self._people, people)
        if percent is not None:
            self._last = (calls, percent)
            self._first = self._first or self._last

    def __str__(self) -> str:
        if self._first is None or self._last is None:
            return "allowance not told"
        left = 100 - self._last[1]
        grown = self._last[1] - self._first[1]
        if grown > 0:
            calls_left = left * (self._last[0] - self._first[0]) / grown
        else:
            calls_left = left / 100 * _CALLS_A_PERSON * self._people
        return f"allowance {left} % left, about {_rounded(calls_left):,} calls"


def _rounded(number: float) -> int:
    """To two digits that mean something: it is an estimate."""
    return int(round(number, 2 - len(str(int(number)))))


def _of(done: int, expected: int | None) -> str:
    return f"{done:,}" if expected is None else f"{done:,} of {expected:,}"
