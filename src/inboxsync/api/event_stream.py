"""Polls run events once and sends them to all clients that follow a run (Server-Sent Events).

A client may begin after any event: what it has missed comes from the database, what is new from memory.
Runs do not know their clients, so a client that leaves stops nothing.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Annotated, Any, Final

import structlog
from fastapi import Header, Request
from fastapi.sse import ServerSentEvent
from starlette.concurrency import run_in_threadpool

from inboxsync.api.auth import requires
from inboxsync.api.problems import NothingToFollow
from inboxsync.api.strict import refuse_unknown
from inboxsync.clock import Clock
from inboxsync.errors import PageUnknown, StoreError
from inboxsync.model import Problem, Run, RunEvent, RunStatus, Scope
from inboxsync.store import Store
from inboxsync.store.state.pages import stored_id
from inboxsync.store.state.runs import get_run, list_run_events, newest_event_seq
from inboxsync.sync.events import LAST, end_event

log = structlog.get_logger("inboxsync.api")

_POLL_SECONDS = 0.5
_HELD_EVENTS: Final = 1000
_BATCH: Final = 500
_EXAMPLE = (
    'data: {"status": "processing", "total": 5900, "inserted": 5900, "updated": 0, "fetched": 5900, '
    '"skipped": 0, "failedBatches": 0, "eventsCreated": 50100, "speed": 191.2, "runId": "0197...", '
    '"complete": false, "next": "..."}\nid: 0197....7\n\n'
)
LastEventId = Annotated[
    str | None,
    Header(
        alias="Last-Event-ID",
        max_length=80,
        pattern=r"^[A-Za-z0-9_-]{1,64}\.[0-9]{1,9}$",
        description="The `id` of the last event that was received: the stream continues after it.",
    ),
]


def requires_stream(
    scope: Scope, *problems: int, strict: Callable[[Request], Awaitable[None]] = refuse_unknown
) -> dict[str, Any]:
    """As `requires`, for a route that answers with the events of a run."""
    made = requires(scope, 404, *problems, strict=strict)
    made["responses"] |= {
        200: {
            "description": "One message for each event.",
            "content": {"text/event-stream": {"example": _EXAMPLE}},
        },
        204: {"description": "The last event of this run was received (`Last-Event-ID`): do not reconnect."},
    }
    return made


def event_id(event: RunEvent) -> str:
    """The value for `Last-Event-ID`."""
    return f"{event.run_id}.{event.seq}"


def server_sent(event: RunEvent, *, next_step: str | None) -> ServerSentEvent:
    """An event as clients get it: the counters, and which run it belongs to."""
    complete = bool(event.status in LAST and event.data.get("complete", False))
    data = {
        "status": event.status,
        **event.data,
        "runId": event.run_id,
        "complete": complete,
        "next": None if complete else next_step,
    }
    return ServerSentEvent(id=event_id(event), data=data)


class _Channel:
    """One run that clients follow. `events` are all of its events after the event number `begin`."""

    def __init__(self, run: Run, *, begin: int) -> None:
        self.run = run
        self.begin = self.last = begin
        self.events: deque[RunEvent] = deque()
        self.clients = 0
        self.has_ended = False
        self.changed = asyncio.Event()

    def add(self, run: Run | None, events: list[RunEvent]) -> None:
        """Add what the last poll found; no run: it was removed."""
        self.events.extend(events)
        # Only the newest are kept.
        while len(self.events) > _HELD_EVENTS:
            self.begin = self.events.popleft().seq
        self.last = events[-1].seq if events else self.last
        # Where one poll cannot take all events, a later one finds the end.
        self.has_ended = (run is None or not run.status.is_open) and len(events) < _BATCH
        self.run = run or _removed(self.run)
        if events or self.has_ended:
            self.wake()

    def wake(self) -> None:
        """Let every client check for events."""
        self.changed.set()
        self.changed = asyncio.Event()

    def held(self, after: int) -> list[RunEvent] | None:
        """The events after that one; None where some of them are no longer kept."""
        return None if after < self.begin else [event for event in self.events if event.seq > after]


class EventStreams:
    """The runs that clients follow."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._channels: dict[str, _Channel] = {}
        self._polling: asyncio.Task[None] | None = None
        self._is_draining = False
        self.polls = 0

    @property
    def clients(self) -> int:
        """How many clients follow a run or wait for its end."""
        return sum(channel.clients for channel in self._channels.values())

    def running(self, run_id: str) -> Run | None:
        """A run that a client follows, as last read; None where no client does, or it has ended."""
        channel = self._channels.get(run_id)
        return channel.run if channel is not None and not channel.has_ended else None

    def drain(self) -> None:
        """End every stream now."""
        self._is_draining = True
        for channel in self._channels.values():
            channel.wake()

    async def follow(self, run: Run, *, after: int = 0) -> AsyncGenerator[RunEvent, None]:
        """The events of a run after that number, then new ones until the last.

        Ends early when the service ends: a client then reconnects with the last number that it received.
        """
        if after > 0:
            # A number that does not exist yet must not hide future events from other clients.
            after = min(after, await run_in_threadpool(self._newest, run.id))
        with self._channel(run, begin=after) as channel:
            while True:
                changed = channel.changed
                events = channel.held(after)
                if events is None:
                    events = await run_in_threadpool(self._list, run.id, after)
                    # Events that no longer exist are skipped.
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
                    yield _last_event(channel.run, after + 1)
                    return
                if self._is_draining:
                    return
                await changed.wait()

    async def wait_for_end(self, run: Run, *, seconds: float) -> Run:
        """The run as it ended, or as it is after that time or when the service ends."""
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

    async def position(self, run: Run, last_event_id: str | None) -> int:
        """The number of the event after which a client continues, from its `Last-Event-ID`.

        Raises NothingToFollow where the run has ended and its last event was received.
        """
        if last_event_id is None:
            return 0
        run_id, _, seq = last_event_id.rpartition(".")
        if stored_id(run_id) != run.id:
            return 0
        if not run.status.is_open and int(seq) >= await run_in_threadpool(self._newest, run.id):
            raise NothingToFollow
        return int(seq)

    @contextmanager
    def _channel(self, run: Run, *, begin: int) -> Iterator[_Channel]:
        channel = self._channels.setdefault(run.id, _Channel(run, begin=begin))
        channel.clients += 1
        if self._polling is None:
            self._polling = asyncio.create_task(self._poll())
        try:
            yield channel
        finally:
            channel.clients -= 1
            if not channel.clients:
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
            # Clients stay connected: the run itself may be fine.
            log.warning("run events cannot be read", code=failure.code, problem=failure.message)
            return
        except Exception:
            # One run that cannot be read must not stop the events of all others.
            log.exception("run events cannot be read")
            return
        for run_id, (run, events) in seen.items():
            if (channel := self._channels.get(run_id)) is not None and channel.last == wanted[run_id]:
                channel.add(run, events)

    def _read(self, wanted: dict[str, int]) -> dict[str, tuple[Run | None, list[RunEvent]]]:
        self.polls += 1
        with self._store.read() as connection:
            # The run first: where it has ended, its last event exists already.
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
    """A run that is no longer in the database, so it will never end there."""
    gone = PageUnknown("The Page was removed while the run was under way.")
    problem = Problem(code=gone.code, message=gone.message, hint=gone.hint)
    return replace(run, status=RunStatus.FAILED, problems=(problem,), next=None)


def _last_event(run: Run, seq: int) -> RunEvent:
    """For a run that has none: it was killed, or its events were removed."""
    word, data = end_event(run, reason=None)
    return RunEvent(run_id=run.id, seq=seq, at=run.finished_at or run.started_at, status=word, data=data)
