"""Shows long work on a terminal: one bar, whatever the work is. Elsewhere it writes log lines, or nothing."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from types import TracebackType
from typing import Self

from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn

from inboxsync.cli.output import print_problem, stderr
from inboxsync.cli.process import interruptible
from inboxsync.engine import Engine
from inboxsync.errors import StoreError
from inboxsync.model import Run
from inboxsync.store import Store
from inboxsync.sync import (
    BatchStored,
    Event,
    Listener,
    RunEnded,
    RunStarted,
    Stage,
    WaitEnded,
    WaitStarted,
    describe_waiting,
    log_event,
)

_CALLS_A_PERSON = 200
_STAGES = {
    Stage.CATCH_UP: "reading what changed during the scan",
    Stage.CONVERSATION: "fetching again what failed",
    Stage.GAP: "filling gaps inside conversations",
    Stage.HISTORY: "fetching older messages",
}
_ASKING = "asking the source ..."
# A sync derives for so long; the next search or export does the rest, and waits for it.
_AFTER_A_SYNC_SECONDS = 20.0
_QUIET_SECONDS = 1.0
_DERIVING = "Preparing new messages for search and contacts ..."
_LATER = "What was synced is stored; the next search or export continues with it."

# Called with what is counted, how many are done, and of how many.
Count = Callable[[str, int, int], None]


class Bar:
    """Draws bars with text beside them, one below the other. Those that `stays` remain after the end.

    On a terminal of 80 columns a line of text may have 53 characters: the rest would be cut.
    """

    def __init__(self, *, stays: bool) -> None:
        self._progress = Progress(
            SpinnerColumn(),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[text]}", markup=False),
            console=stderr(),
            transient=not stays,
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def add(self, text: str, *, total: int | None = None) -> TaskID:
        """A new bar; without a `total` it only moves."""
        return self._progress.add_task("", total=total, text=text)

    def show(self, task: TaskID, text: str, *, done: int | None = None, total: int | None = None) -> None:
        """Draw one again; None leaves a number as it is."""
        self._progress.update(task, text=text, completed=done, total=total)

    def seconds_left(self, task: TaskID) -> float | None:
        """How long it will take at its speed; None where that is unknown."""
        return self._progress.tasks[task].time_remaining


@contextmanager
def counting(*, stays: bool = False, draws: bool = True) -> Iterator[Count]:
    """Yields a function that draws how many are done. It raises Interrupted where a signal asks to stop."""
    with interruptible() as check, Bar(stays=stays) if draws else nullcontext() as bar:
        tasks: dict[str, TaskID] = {}

        def count(what: str, done: int, total: int) -> None:
            if bar is not None:
                if what not in tasks:
                    tasks[what] = bar.add(what, total=total)
                task = tasks[what]
                seconds = bar.seconds_left(task)
                left = f" · {_clock(seconds)} left" if seconds else ""
                bar.show(task, f"{what} · {done:,} of {total:,}{left}", done=done)
            check()

        yield count


@contextmanager
def listening(*, pages: int, parallel: int, expected: int | None) -> Iterator[Callable[[], Listener]]:
    """Yields a function that makes a listener for each Page's run: a bar on a terminal, else log lines.

    Pages that are synced side by side share one bar. `expected` is the number of conversations, where it is
    known: Meta does not say.
    """
    if not sys.stderr.isatty():
        yield lambda: log_event
    elif min(parallel, pages) > 1:
        with Bar(stays=False) as bar:
            shown = _PagesShown(bar, pages)
            yield lambda: shown.on_event
    else:
        with Bar(stays=True) as bar:
            yield lambda: _PageShown(bar, expected).on_event


class _PageShown:
    """One Page's run on a bar: what is stored, how fast, the quota that is left, and the time."""

    def __init__(self, bar: Bar, expected: int | None) -> None:
        self._bar = bar
        self._expected = expected
        self._run: Run | None = None
        self._quota = _QuotaLeft()
        self._task = bar.add(_ASKING, total=expected)

    def on_event(self, event: Event) -> None:
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
                done = run.counts.fetched
                text = f"{done:,} conversations · {run.counts.events:,} messages · {run.status.value}"
                self._bar.show(self._task, text, done=done or 1, total=max(done, self._expected or 0, 1))
            case _:
                pass

    def _show_batch(self, event: BatchStored) -> None:
        self._run = event.run
        done = event.run.counts.fetched
        if self._expected is not None:
            self._expected = max(done, self._expected)
        self._quota.note(event.run.calls, event.quota_used_percent, people=max(done, self._expected or 0))
        text = (
            f"{_of(done, self._expected)} conversations · {event.run.counts.events:,} messages\n"
            f"{event.run.conversations_per_second:,.0f}/s · {self._quota}\n"
            f"{self._time_left(event)}"
        )
        self._bar.show(self._task, text, done=done, total=self._expected)

    def _show_wait(self, why: str) -> None:
        done = self._run.counts.fetched if self._run else 0
        self._bar.show(self._task, f"{_of(done, self._expected)} conversations\n{why}")

    def _time_left(self, event: BatchStored) -> str:
        if event.stage in _STAGES:
            return _STAGES[event.stage]
        speed = event.run.conversations_per_second
        if self._expected is None or speed <= 0:
            return f"reached {event.position:%Y-%m-%d}" if event.position else "reached the newest"
        return f"{_clock((self._expected - event.run.counts.fetched) / speed)} left"


class _PagesShown:
    """The runs of several Pages on one bar: how many are done, and what is stored of all of them."""

    def __init__(self, bar: Bar, pages: int) -> None:
        self._bar = bar
        self._pages = pages
        self._runs: dict[str, Run] = {}
        self._done = 0
        self._task = bar.add(_ASKING, total=pages)

    def on_event(self, event: Event) -> None:
        match event:
            case RunStarted(run=run) | BatchStored(run=run):
                self._show(run)
            case WaitStarted(waiting=waiting):
                if len(self._runs) - self._done <= 1:  # otherwise other Pages continue
                    self._bar.show(self._task, describe_waiting(waiting))
            case RunEnded(run=run):
                self._done += 1
                self._show(run)
            case _:
                pass

    def _show(self, run: Run) -> None:
        self._runs[run.id] = run
        fetched = sum(each.counts.fetched for each in self._runs.values())
        messages = sum(each.counts.events for each in self._runs.values())
        text = f"{self._done:,} of {self._pages:,} Pages · {fetched:,} conversations\n{messages:,} messages"
        self._bar.show(self._task, text, done=self._done)


class _QuotaLeft:
    """How many calls are left: an estimate, because Meta only gives per cent.

    It follows from how fast the used share grows. Until it grows: from Meta's rule of 200 calls a day for
    each person that the Page can write to (graph-facts 2-2).
    """

    def __init__(self) -> None:
        self._first: tuple[int, int] | None = None
        self._last: tuple[int, int] | None = None
        self._people = 0

    def note(self, calls: int, percent: int | None, *, people: int) -> None:
        """What the last answer said, after so many calls, of a Page with at least so many people."""
        self._people = max(self._people, people)
        if percent is not None:
            self._last = (calls, percent)
            self._first = self._first or self._last

    def __str__(self) -> str:
        if self._first is None or self._last is None:
            return "quota unknown"
        left = 100 - self._last[1]
        grown = self._last[1] - self._first[1]
        if grown > 0:
            calls_left = left * (self._last[0] - self._first[0]) / grown
        else:
            calls_left = left / 100 * _CALLS_A_PERSON * self._people
        # Two digits are enough for an estimate.
        calls = int(round(calls_left, 2 - len(str(int(calls_left)))))
        return f"quota {left} % left, about {calls:,} calls"


def derive_all(engine: Engine, store: Store | None = None) -> None:
    """Derive everything before an answer needs it, and say so where it takes a while."""
    if engine.derive(store, max_seconds=_QUIET_SECONDS).is_current:
        return
    console = stderr()
    if sys.stderr.isatty():
        with console.status(_DERIVING):
            engine.derive(store)
    else:
        console.print(_DERIVING)
        engine.derive(store)


def derive_before_answer(engine: Engine) -> None:
    """The same where the answer may be given without: the database may be one that can only be read."""
    store = engine.store
    try:
        derive_all(engine, store)
    except StoreError as error:
        print_problem(error.message, "What is new since the last sync or search may be missing below.")


def derive_after_sync(engine: Engine) -> None:
    """Derive for a moment. The run has ended: its result stands, whatever happens here."""
    try:
        engine.derive(max_seconds=_AFTER_A_SYNC_SECONDS)
    except StoreError as error:
        print_problem(error.message, _LATER)
    except KeyboardInterrupt:
        print_problem("Stopped.", _LATER)


def _clock(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole // 60}:{whole % 60:02d}"


def _of(done: int, expected: int | None) -> str:
    return f"{done:,}" if expected is None else f"{done:,} of {expected:,}"
