"""What ends a run before its work is done, and what makes it wait.

A run stops at its next batch where it is asked to (`Stop`), where it has fetched enough
(`ConversationLimit`), or where its calls gain nothing (`StallGuard`). It waits where the database is away
(`with_retries`). `RunMonitor` looks every half second whether Meta allows no calls, or someone has cancelled
the run.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self, TypeVar

import structlog

from inboxsync.clock import Clock
from inboxsync.errors import SourceUnreachable, Stalled, StoreError, StoreUnreachable
from inboxsync.graph import Access, GraphClient, Waiting
from inboxsync.model import Run
from inboxsync.store import Store
from inboxsync.store.state.leases import get_lease
from inboxsync.store.state.runs import is_cancel_asked
from inboxsync.sync.events import (
    Listener,
    SourceAway,
    WaitEnded,
    WaitStarted,
    describe_waiting,
    ignore,
)

T = TypeVar("T")
log = structlog.get_logger(__name__)

# Half a minute in all: a server restarts in seconds, a managed one fails over in that time.
RETRY_PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0)
_LOOK_EVERY_SECONDS = 0.5
# While the source gives no answer.
_LONGEST_PAUSE_SECONDS = 30.0
# The database is asked less often: once in so many looks.
_LOOKS_PER_QUERY = 3
# It costs more to suspend a run than to wait for this long.
_SHORT_WAIT = timedelta(seconds=5)


class Stopped(Exception):
    """The run ends here; `reason` completes "stopped: ..."."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class EnoughFetched(Stopped):
    """The run, or this task of it, has fetched as many conversations as it may."""


class Stop:
    """Asks a run to end: by a signal, or when its time is up.

    Time counts from entering the context, waits included. A batch that is being stored is stored to its end;
    an answer that is not stored yet is dropped, which costs one call. `is_cancelled`: someone wants the run
    to end. `is_pause`: a worker suspends it and continues it later.
    """

    def __init__(self, *, clock: Clock, max_duration_seconds: float | None = None) -> None:
        self._clock = clock
        self._seconds = max_duration_seconds
        self._asked = asyncio.Event()
        self._timer: asyncio.Task[None] | None = None
        self._ends_at: datetime | None = None
        self.reason: str | None = None
        self.is_cancelled = False
        self.is_pause = False
        self.is_time_up = False

    async def __aenter__(self) -> Self:
        if self._seconds is not None:
            self._ends_at = self._clock.now() + timedelta(seconds=self._seconds)
            self._timer = asyncio.create_task(self._expire(self._seconds))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def ask(self, reason: str) -> None:
        """End the run at its next batch. The first reason counts."""
        self.reason = self.reason or reason
        self._asked.set()

    def pause(self, reason: str) -> None:
        """Suspend the run at its next batch."""
        if self.reason is None:
            self.is_pause = True
        self.ask(reason)

    def cancel(self) -> None:
        """Someone wants the run to end; this replaces any other reason."""
        self.is_cancelled, self.reason = True, "it was cancelled"
        self._asked.set()

    def comes_before(self, at: datetime) -> bool:
        """Whether the run's time is up before then."""
        return self._ends_at is not None and self._ends_at < at

    async def unless_asked(self, work: Awaitable[T]) -> T:
        """The result of `work`; where the stop comes first, cancels it and raises Stopped."""
        task = asyncio.ensure_future(work)
        asked = asyncio.ensure_future(self._asked.wait())
        try:
            await asyncio.wait({task, asked}, return_when=asyncio.FIRST_COMPLETED)
            # Looked at first: with a fast source the next answer is always there already.
            if self._asked.is_set():
                raise Stopped(self.reason or "it was asked to")
            return task.result()
        finally:
            asked.cancel()
            task.cancel()

    async def _expire(self, seconds: float) -> None:
        await self._clock.sleep(seconds)
        self.is_time_up = True
        self.pause(f"the time limit of {seconds:g} s is reached")


class ConversationLimit:
    """How many conversations a run may fetch, shared by all its calls under way; None: any number."""

    def __init__(self, most: int | None) -> None:
        self.most = most
        self._taken = 0

    @property
    def left(self) -> int | None:
        """How many more may be asked for; None: any number."""
        return None if self.most is None else max(0, self.most - self._taken)

    def reached(self) -> EnoughFetched:
        """What to raise where nothing is left."""
        return EnoughFetched(f"the limit of {self.most} conversations is reached")

    def take(self, asked: int) -> None:
        """Count conversations as asked for."""
        self._taken += asked

    def give_back(self, count: int) -> None:
        """Count those that were asked for and did not come; negative where more came."""
        self._taken -= count


class StallGuard:
    """Ends a run whose calls gain nothing. `calls_made` returns how many there were so far."""

    def __init__(self, calls_made: Callable[[], int], *, most: int) -> None:
        self._calls_made = calls_made
        self._most = most
        self._made_when_moved = calls_made()
        self._place = "the start"

    def moved(self, place: datetime | str | None) -> None:
        """Something was gained, at this place."""
        self._made_when_moved = self._calls_made()
        if place is not None:
            self._place = place if isinstance(place, str) else f"{place:%Y-%m-%d %H:%M:%S} UTC"

    def check(self) -> None:
        """Raise Stalled after too many calls without a gain."""
        if self._calls_made() - self._made_when_moved >= self._most:
            raise Stalled(f"{self._most} calls in a row brought the sync no further than {self._place}.")


class SourceWait:
    """Waits while the source gives no answer at all: one for a run, shared by everything that calls it.

    `answered` returns how many answers there were so far. Failures in a row are counted over all lists.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        stop: Stop,
        answered: Callable[[], int],
        longest_seconds: float,
        listener: Listener = ignore,
    ) -> None:
        self._listener = listener
        self._clock = clock
        self._stop = stop
        self._answered = answered
        self._longest_seconds = longest_seconds
        self._answered_before = answered()
        self._failures = 0
        self._since = clock.monotonic()

    async def wait(self, failure: SourceUnreachable) -> None:
        """Wait before the source is called again, longer each time.

        Raises the failure, with how often it came, after `longest_seconds` without any answer; and Stopped
        where the run is asked to end meanwhile.
        """
        answered, now = self._answered(), self._clock.monotonic()
        if answered != self._answered_before or self._failures == 0:
            self._answered_before, self._failures, self._since = answered, 0, now
        self._failures += 1
        away_seconds = now - self._since
        if away_seconds >= self._longest_seconds:
            message = (
                f"Meta has given no usable answer for {away_seconds:.0f} seconds, {self._failures} times in "
                f"a row. The last failure: {failure.message}"
            )
            raise type(failure)(message, hint=failure.hint) from None
        pause = min(2.0 ** (self._failures - 1), _LONGEST_PAUSE_SECONDS)
        log.warning("the source is away, waiting", why=failure.message, pause_seconds=pause)
        wall = self._clock.now().astimezone(self._clock.zone)
        self._listener(
            SourceAway(
                since=wall - timedelta(seconds=away_seconds),
                until=wall + timedelta(seconds=pause),
                failures=self._failures,
                why=failure.message,
            )
        )
        await self._stop.unless_asked(self._clock.sleep(pause))


async def with_retries(work: Callable[[], T], *, clock: Clock, stop: Stop) -> T:
    """What `work` returns. It runs in a thread, and again after each pause while the database is away.

    `work` must be one transaction, or only read, so that it can be repeated as a whole. Raises Stopped where
    the run is asked to end in a pause, and StoreUnreachable where the last attempt fails too.
    """
    for pause in RETRY_PAUSES:
        try:
            return await asyncio.to_thread(work)
        except StoreUnreachable as error:
            log.warning("the database is away, trying again", why=error.message, pause_seconds=pause)
        await stop.unless_asked(clock.sleep(pause))
    return await asyncio.to_thread(work)


class WaitReport:
    """Reports when Meta allows no calls, and when it allows them again."""

    def __init__(self, source: GraphClient, access: Access, listener: Listener) -> None:
        self._source = source
        self._access = access
        self._listener = listener
        self._reported: Waiting | None = None

    def look(self) -> Waiting | None:
        """The wait as it is now; what has changed since the last look is reported."""
        waiting = self._source.rate_limiter.waiting(self._access)
        if waiting != self._reported:
            self._listener(WaitEnded() if waiting is None else WaitStarted(waiting=waiting))
            self._reported = waiting
        return waiting

    async def watch(self) -> None:
        """Look again and again, until this is cancelled."""
        while True:
            await asyncio.sleep(_LOOK_EVERY_SECONDS)
            self.look()


class RunMonitor:
    """Watches one run from beside: reports waits for Meta, ends a run that can only wait, or is cancelled.

    `task_owner` is set where a worker executes the run: the owner of the Page's lease. Then a longer wait for
    Meta suspends the run, so that another gets its slot; so does a lease that is no longer this owner's,
    because the worker was frozen or the Page was removed: nothing more could be stored.
    """

    def __init__(
        self,
        *,
        store: Store,
        source: GraphClient,
        clock: Clock,
        stop: Stop,
        listener: Listener,
        task_owner: str | None,
    ) -> None:
        self._store = store
        self._source = source
        self._clock = clock
        self._stop = stop
        self._listener = listener
        self._task_owner = task_owner

    async def watch(self, access: Access, run: Run) -> None:
        """Watch the run until this is cancelled."""
        waits = WaitReport(self._source, access, self._listener)
        looks = 0
        while True:
            await asyncio.sleep(_LOOK_EVERY_SECONDS)
            looks += 1
            if looks % _LOOKS_PER_QUERY == 0:
                await check_requests(self._store, run, stop=self._stop, owner=self._task_owner)
            if (waiting := waits.look()) is not None:
                self._end_waiting(waiting)

    def _end_waiting(self, waiting: Waiting) -> None:
        if self._task_owner is not None and waiting.until - self._clock.now() > _SHORT_WAIT:
            self._stop.pause(describe_waiting(waiting))
        elif self._stop.comes_before(waiting.until):
            self._stop.ask(f"{describe_waiting(waiting)}, which is beyond the time limit")


async def check_requests(store: Store, run: Run, *, stop: Stop, owner: str | None) -> None:
    """End a run that was cancelled; suspend one whose Page is no longer `owner`'s."""
    is_cancelled, is_lost = await asyncio.to_thread(_query_requests, store, run, owner)
    if is_cancelled:
        stop.cancel()
    if is_lost:
        stop.pause("its Page is no longer this worker's")


def _query_requests(store: Store, run: Run, owner: str | None) -> tuple[bool, bool]:
    try:
        with store.read() as connection:
            holder = get_lease(connection, run.page_id) if owner is not None else None
            is_lost = owner is not None and (holder is None or holder.owner != owner)
            return is_cancel_asked(connection, run.id), is_lost
    except StoreError:  # the next batch meets the same, and reports it
        return False, False
