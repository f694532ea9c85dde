"""What runs tell, handed to whoever listens. However many listen, the database is asked once.

A listener begins behind any event: what it has missed comes from the database, what is new from memory.
Runs know nothing of listeners, so one that leaves stops nothing.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

import structlog
from starlette.concurrency import run_in_threadpool

from inboxsync.clock import Clock
from inboxsync.errors import PageUnknown, StoreError
from inboxsync.model import Problem, Run, RunEvent, RunStatus
from inboxsync.store import Store
from inboxsync.store.state.run_events import list_run_events
from inboxsync.store.state.run_totals import newest_event_seq
from inboxsync.store.state.runs import get_run
from inboxsync.sync.events import LAST, end_event

log = structlog.get_logger("inboxsync.api")

_POLL_SECONDS = 0.5
_HELD_EVENTS: Final = 1000
_BATCH: Final = 500


class _Channel:
    """One run that somebody listens to. `events` are all that were told after the event `begin`."""

    def __init__(self, run: Run, *, begin: int) -> None:
        self.run = run
        self.begin = self.last = begin
        self.events: deque[RunEvent] = deque()
        self.listeners = 0
        self.has_ended = False
        self.changed = asyncio.Event()

    def add(self, run: Run | None, events: list[RunEvent]) -> None:
        """What the last look brought; no run: it was removed."""
        self.events.extend(events)
        # Only the newest are held.
        while len(self.events) > _HELD_EVENTS:
            self.begin = self.events.popleft().seq
        self.last = events[-1].seq if events else self.last
        # With more events than one look takes, the end comes with a later one.
        self.has_ended = (run is None or not run.status.is_open) and len(events) < _BATCH
        self.run = run or _removed(self.run)
        if events or self.has_ended:
            self.wake()

    def wake(self) -> None:
        """Have every listener look again."""
        self.changed.set()
        self.changed = asyncio.Event()

    def held(self, after: int) -> list[RunEvent] | None:
        """The events after that one; None where some of them are no longer held."""
        return None if after < self.begin else [event for event in self.events if event.seq > after]


class EventStreams:
    """The runs that somebody listens to."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._channels: dict[str, _Channel] = {}
        self._polling: asyncio.Task[None] | None = None
        self._is_draining = False
        self.looks = 0

    @property
    def listeners(self) -> int:
        """How many listen or wait now."""
        return sum(channel.listeners for channel in self._channels.values())

    def running(self, run_id: str) -> Run | None:
        """A run that somebody listens to, as last seen; None where nobody does, or it has ended."""
        channel = self._channels.get(run_id)
        return channel.run if channel is not None and not channel.has_ended else None

    def drain(self) -> None:
        """Have every listener end now."""
        self._is_draining = True
        for channel in self._channels.values():
            channel.wake()

    async def follow(self, run: Run, *, after: int = 0) -> AsyncGenerator[RunEvent, None]:
        """What a run told after the event with that number, then what it tells, to its last word.

        Ends early where the service is ending: a listener then comes back with the last number it saw.
        """
        if after > 0:
            # A number that was never told must not hide from others what will be.
            after = min(after, await run_in_threadpool(self._newest, run.id))
        with self._channel(run, begin=after) as channel:
            while True:
                changed = channel.changed
                events = channel.held(after)
                if events is None:
                    events = await run_in_threadpool(self._list, run.id, after)
                    # What nobody has any more is passed over.
                    after = after if events else channel.begin
                    if not events:
                        continue
                for event in events:
                    yield event
                    after = event.seq
                    if event.status in LAST:
                        return
                if events:
                    continue
                if channel.has_ended:
                    yield _last_word(channel.run, after + 1)
                    return
                if self._is_draining:
                    return
                await changed.wait()

    async def wait_for_end(self, run: Run, *, seconds: float) -> Run:
        """The run as it ended, or as it stands after so long or when the service is ending."""
        ends_at = asyncio.get_running_loop().time() + seconds
        newest = await run_in_threadpool(self._newest, run.id)
        with self._channel(run, begin=newest) as channel:
            try:
                async with asyncio.timeout_at(ends_at):
                    while not channel.has_ended and not self._is_draining:
                        await channel.changed.wait()
            except TimeoutError:
                pass
            return channel.run

    @contextmanager
    def _channel(self, run: Run, *, begin: int) -> Iterator[_Channel]:
        channel = self._channels.setdefault(run.id, _Channel(run, begin=begin))
        channel.listeners += 1
        if self._polling is None:
            self._polling = asyncio.create_task(self._poll())
        try:
            yield channel
        finally:
            channel.listeners -= 1
            if not channel.listeners:
                self._channels.pop(run.id, None)

    async def _poll(self) -> None:
        try:
            while self._channels:
                wanted = {
                    run_id: channel.last
                    for run_id, channel in self._channels.items()
                    if not channel.has_ended
                }
                if wanted:
                    await self._look(wanted)
                await self._clock.sleep(_POLL_SECONDS)
        finally:
            self._polling = None

    async def _look(self, wanted: dict[str, int]) -> None:
        try:
            seen = await run_in_threadpool(self._read, wanted)
        except StoreError as failure:
            # Whoever listens goes on listening: the run may be well.
            log.warning("run events cannot be read", code=failure.code, problem=failure.message)
            return
        except Exception:
            # One run that cannot be read must not silence all others.
            log.exception("run events cannot be read")
            return
        for run_id, (run, events) in seen.items():
            if (channel := self._channels.get(run_id)) is not None and channel.last == wanted[run_id]:
                channel.add(run, events)

    def _read(self, wanted: dict[str, int]) -> dict[str, tuple[Run | None, list[RunEvent]]]:
        self.looks += 1
        with self._store.read() as connection:
            # The run first: where it has ended, its last word is there already.
            return {
                run_id: (
                    get_run(connection, run_id),
                    list_run_events(connection, run_id, after=last, limit=_BATCH),
                )
                for run_id, last in wanted.items()
            }

    def _newest(self, run_id: str) -> int:
        with self._store.read() as connection:
            return newest_event_seq(connection, run_id)

    def _list(self, run_id: str, after: int) -> list[RunEvent]:
        with self._store.read() as connection:
            return list_run_events(connection, run_id, after=after, limit=_BATCH)


def _removed(run: Run) -> Run:
    """A run that is in the database no more, and never will end there."""
    gone = PageUnknown("The Page was removed while the run was under way.")
    problem = Problem(code=gone.code, message=gone.message, hint=gone.hint)
    return replace(run, status=RunStatus.FAILED, problems=(problem,), next=None)


def _last_word(run: Run, seq: int) -> RunEvent:
    """For a run that ended without one: it was killed, or its events were removed."""
    word, data = end_event(run, reason=None)
    return RunEvent(run_id=run.id, seq=seq, at=run.finished_at or run.started_at, status=word, data=data)


def as_sent(event: RunEvent, *, next_step: str | None) -> dict[str, object]:
    """An event as its listeners are told it: the counters, and which run it is."""
    is_last = event.status in LAST
    complete = bool(is_last and event.data.get("complete", False))
    return {
        "status": event.status,
        **event.data,
        "runId": event.run_id,
        "complete": complete,
        "next": None if complete else next_step,
    }
