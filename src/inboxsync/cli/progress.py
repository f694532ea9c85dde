"""Shows long work on a terminal: one bar, whatever the work is. Elsewhere it writes log lines, or nothing."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import tzinfo
from types import TracebackType
from typing import Self

from rich.console import RenderableType
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TaskID, TextColumn
from rich.text import Text

from inboxsync.cli.output import print_problem, some, stderr
from inboxsync.cli.process import interruptible
from inboxsync.clock import SystemClock
from inboxsync.engine import Engine
from inboxsync.errors import StoreError
from inboxsync.model import Run, RunStatus
from inboxsync.store import Store
from inboxsync.sync import (
    UNKNOWN,
    BatchStored,
    CallRetried,
    Compared,
    Event,
    Listener,
    RunEnded,
    RunStarted,
    SourceAway,
    Speed,
    Stage,
    WaitEnded,
    WaitStarted,
    describe_waiting,
    log_event,
)
from inboxsync.sync import Progress as RunProgress

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
_HOUR = 3600
_WIDTH = 24
# What moves along a bar whose end is not known.
_PIECE = 6
_PIECES_A_SECOND = 12
_LONGEST_LINE = 53
_DERIVING = "Preparing new messages for search and contacts ..."
_LATER = "What was synced is stored; the next search or export continues with it."

# Called with what is counted, how many are done, and of how many.
Count = Callable[[str, int, int], None]


class _Share(ProgressColumn):
    """A bar that is as full as the share that is done. Where that is unknown, a piece moves along it."""

    _full = BarColumn(bar_width=_WIDTH)

    def render(self, task: Task) -> RenderableType:
        """One bar, as of now."""
        if task.total is not None:
            return self._full.render(task)
        room = _WIDTH - _PIECE
        place = int(task.get_time() * _PIECES_A_SECOND) % (2 * room)
        before = place if place <= room else 2 * room - place
        return Text(" " * before + "━" * _PIECE + " " * (room - before), style="bar.pulse")


class Bar:
    """Draws bars with text beside them, one below the other. Those that `stays` remain after the end.

    On a terminal of 80 columns a line of text may have 53 characters: the rest would be cut.
    """

    def __init__(self, *, stays: bool) -> None:
        self._progress = Progress(
            SpinnerColumn(),
            _Share(),
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

    def add(self, text: str, *, total: float | None = None) -> TaskID:
        """A new bar; without a `total` a piece moves along it."""
        return self._progress.add_task("", total=total, text=text)

    def show(self, task: TaskID, text: str, *, done: float | None = None, total: float | None = None) -> None:
        """Draw one again; None leaves a number as it is."""
        self._progress.update(task, text=text, completed=done, total=total)

    def show_share(self, task: TaskID, text: str, share: float | None) -> None:
        """Draw one again, as full as this share; None: that is not known."""
        drawn = self._progress.tasks[task]
        drawn.total, drawn.completed = (1.0, share) if share is not None else (None, 0.0)
        self._progress.update(task, text=text)

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
def listening(*, pages: int, parallel: int, zone: tzinfo) -> Iterator[Callable[[], Listener]]:
    """Yields a function that makes a listener for each Page's run: a bar on a terminal, else log lines.

    Pages that are synced side by side share one bar. Times are shown in `zone`.
    """
    if not sys.stderr.isatty():
        yield lambda: log_event
    elif min(parallel, pages) > 1:
        with Bar(stays=False) as bar:
            shown = _PagesShown(bar, pages)
            yield lambda: shown.on_event
    else:
        with Bar(stays=True) as bar:
            yield lambda: _PageShown(bar, zone).on_event


@contextmanager
def comparing(name: str) -> Iterator[tuple[Callable[[Compared], None], Listener]]:
    """Yields what draws the verification of the Page `name`: how far it has come, and its waits."""
    with Bar(stays=False) as bar:
        shown = _ComparedShown(bar, name)
        yield shown.on_batch, shown.on_event


class _PageShown:
    """One Page's run on a bar: what is stored, how fast, the quota that is left, and the time."""

    def __init__(self, bar: Bar, zone: tzinfo) -> None:
        self._bar = bar
        self._zone = zone
        self._run: Run | None = None
        self._quota = _QuotaLeft()
        self._now = UNKNOWN
        self._task = bar.add(_ASKING)

    def on_event(self, event: Event) -> None:
        match event:
            case RunStarted(run=run):
                self._run = run
            case BatchStored():
                self._show_batch(event)
            case WaitEnded():
                self._show_wait("continuing")
            case RunEnded(run=run):
                self._show_end(run)
            case _:
                if (why := _wait_of(event)) is not None:
                    self._show_wait(why)

    def _show_batch(self, event: BatchStored) -> None:
        self._run, self._now = event.run, event.progress
        done = event.run.counts.fetched
        self._quota.note(event.run.calls, event.quota_used_percent, people=max(done, self._now.expected or 0))
        text = (
            f"{_of(done, self._now.expected)} conversations · {event.run.counts.events:,} messages\n"
            f"{event.run.conversations_per_second:,.0f}/s · {self._quota}\n"
            f"{self._how_far(event)}"
        )
        self._bar.show_share(self._task, text, self._now.share)

    def _show_wait(self, why: str) -> None:
        done = self._run.counts.fetched if self._run else 0
        text = f"{_of(done, self._now.expected)} conversations\n{why}"
        self._bar.show_share(self._task, text, self._now.share)

    def _show_end(self, run: Run) -> None:
        text = f"{run.counts.fetched:,} conversations · {run.counts.events:,} messages · {run.status.value}"
        # A run that has not done everything is not drawn as if it had.
        share = 1.0 if run.status is RunStatus.COMPLETE else self._now.share or 0.0
        self._bar.show_share(self._task, text, share)

    def _how_far(self, event: BatchStored) -> str:
        if event.stage in _STAGES:
            return _parts(_share_and_time(self._now), _STAGES[event.stage])
        position = event.position
        reached = f"reached {position.astimezone(self._zone):%Y-%m-%d}" if position else "reached the newest"
        return _parts(_share_and_time(self._now), reached)


class _ComparedShown:
    """One Page's verification on a bar: how many of how many are compared, and how many differ."""

    def __init__(self, bar: Bar, name: str) -> None:
        self._bar = bar
        self._name = name
        self._lines = ""
        self._share: float | None = None
        self._speed = Speed(SystemClock())
        self._task = bar.add(f"Comparing {name}\n{_ASKING}")

    def on_batch(self, compared: Compared) -> None:
        self._share = compared.share
        now = RunProgress(share=self._share, seconds_left=self._speed.seconds_left(self._share))
        about = f" of about {compared.expected:,}" if compared.expected else ""
        what = f"messages of {compared.done:,} of {compared.of:,} compared" if compared.of else ""
        self._lines = (
            f"Comparing {self._name}\n"
            f"{compared.listed:,}{about} conversations compared\n"
            f"{_parts(some(compared.differences, 'difference'), what, _share_and_time(now))}"
        )
        self._bar.show_share(self._task, self._lines, self._share)

    def on_event(self, event: Event) -> None:
        why = "continuing" if isinstance(event, WaitEnded) else _wait_of(event)
        if why is not None:
            first = self._lines.partition("\n")[0] or f"Comparing {self._name}"
            self._bar.show_share(self._task, f"{first}\n{why}", self._share)


class _PagesShown:
    """The runs of several Pages on one bar: how many are done, and what is stored of all of them."""

    def __init__(self, bar: Bar, pages: int) -> None:
        self._bar = bar
        self._pages = pages
        self._runs: dict[str, Run] = {}
        self._shares: dict[str, float] = {}
        self._done = 0
        self._speed = Speed(SystemClock())
        self._task = bar.add(_ASKING, total=pages)

    def on_event(self, event: Event) -> None:
        match event:
            case BatchStored(run=run, progress=progress):
                self._shares[run.id] = progress.share or 0.0
                self._show(run)
            case RunStarted(run=run):
                self._show(run)
            case RunEnded(run=run):
                self._done += 1
                self._shares[run.id] = 1.0
                self._show(run)
            case _:
                why = _wait_of(event)
                if why is not None and len(self._runs) - self._done <= 1:  # otherwise other Pages continue
                    self._bar.show(self._task, why)

    def _show(self, run: Run) -> None:
        self._runs[run.id] = run
        fetched = sum(each.counts.fetched for each in self._runs.values())
        messages = sum(each.counts.events for each in self._runs.values())
        share = sum(self._shares.values()) / self._pages
        left = self._speed.seconds_left(share)
        time_left = f"{_clock(left)} left" if left is not None else ""
        text = (
            f"{self._done:,} of {self._pages:,} Pages · {fetched:,} conversations\n"
            f"{_parts(f'{messages:,} messages', time_left)}"
        )
        self._bar.show(self._task, text, done=share * self._pages)


def _wait_of(event: Event) -> str | None:
    """Why nothing comes now, as the lines of a bar; None where the event is no wait."""
    match event:
        case WaitStarted(waiting=waiting):
            return describe_waiting(waiting)
        case SourceAway(since=since, until=until, failures=failures, why=why):
            return (
                f"waiting: no answer from Meta since {since:%H:%M:%S} ({failures:,} x),\n"
                f"trying again at {until:%H:%M:%S}\n{_cut(why)}"
            )
        case CallRetried(retry=retry):
            return f"call failed, trying again in {max(1, round(retry.pause_seconds))} s\n{_cut(retry.why)}"
    return None


def _share_and_time(now: RunProgress) -> str:
    share = f"{now.share:.0%}".replace("%", " %") if now.share is not None else ""
    left = f"{_clock(now.seconds_left)} left" if now.seconds_left is not None else ""
    return _parts(share, left)


def _parts(*parts: str) -> str:
    return " · ".join(part for part in parts if part)


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_LINE else f"{text[: _LONGEST_LINE - 1]}…"


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
    if whole >= _HOUR:
        return f"{whole // _HOUR} h {whole % _HOUR // 60} min"
    return f"{whole // 60}:{whole % 60:02d}"


def _of(done: int, expected: int | None) -> str:
    return f"{done:,}" if expected is None else f"{done:,} of {expected:,}"
