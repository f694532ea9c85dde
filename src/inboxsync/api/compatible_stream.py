"""The given endpoint that tells while a sync goes: `/api/conversations/sync-stream`."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.sse import EventSourceResponse, ServerSentEvent

from inboxsync.api import queueing
from inboxsync.api.compatible import StreamAsked, StreamQuery, StreamQueryParameters
from inboxsync.api.errors import NothingToFollow, PageMismatch
from inboxsync.api.event_stream import as_sent
from inboxsync.api.run_status import NO_WORKER, run_view_of
from inboxsync.api.runs import LastEventId, event_id, opens_stream
from inboxsync.api.service import Service, ServiceDependency
from inboxsync.errors import RunUnknown
from inboxsync.model import Mode, Run, RunEvent, RunRequest, Scope
from inboxsync.sync.events import TIMEOUT_WARNING, WAITING, counters

router = APIRouter(prefix="/api/conversations", tags=["given endpoints"])

_ADDRESS = "/api/conversations/sync-stream"


@dataclass(frozen=True, slots=True)
class Followed:
    """A run, the number of the event behind which its listener goes on, and when this answer ends."""

    run: Run
    after: int
    ends_at: float


async def _from_body(
    service: ServiceDependency, asked: StreamAsked, last_event_id: LastEventId = None
) -> Followed:
    return await _begin(service, asked, last_event_id)


async def _from_query(
    service: ServiceDependency, asked: StreamQueryParameters, last_event_id: LastEventId = None
) -> Followed:
    return await _begin(service, asked, last_event_id)


@router.post(
    "/sync-stream",
    summary="Sync a Page, and follow it",
    response_class=EventSourceResponse,
    **opens_stream(Scope.SYNC, 409, 413),
)
async def sync_stream(
    service: ServiceDependency, followed: Annotated[Followed, Depends(_from_body)]
) -> AsyncIterator[ServerSentEvent]:
    """Server-sent events to the run's last word, or to `timeout_warning` after 270 s: it goes on, call again.

    Closing the connection stops nothing. `Last-Event-ID` goes on where an earlier connection ended.
    """
    async for sent in _tell(service, followed):
        yield sent


@router.get(
    "/sync-stream",
    summary="The same, for a browser's EventSource",
    response_class=EventSourceResponse,
    **opens_stream(Scope.SYNC, 409, 413),
)
async def get_sync_stream(
    service: ServiceDependency, followed: Annotated[Followed, Depends(_from_query)]
) -> AsyncIterator[ServerSentEvent]:
    """With the same fields in the query."""
    async for sent in _tell(service, followed):
        yield sent


async def _begin(service: Service, asked: StreamAsked | StreamQuery, last_event_id: str | None) -> Followed:
    """A new run, or the one that goes on; where `Last-Event-ID` names one, that one and no other.

    A browser comes back by itself when a stream ends: that must not begin a sync.
    """
    ends_at = asyncio.get_running_loop().time() + service.engine.settings.request_stop_seconds
    if last_event_id is not None:
        try:
            run = await queueing.find_run(service, last_event_id.rpartition(".")[0])
        except RunUnknown:
            raise NothingToFollow from None
        if (run.page_id, run.facebook_page_id) != (asked.page_id, asked.facebook_page_id):
            raise PageMismatch("Last-Event-ID names a run of another Page.")
        return Followed(run, await queueing.begin_after(service, run, last_event_id), ends_at)
    request = RunRequest(
        mode=Mode.FULL if asked.force_full else Mode.AUTO, max_conversations=asked.max_conversations
    )
    run = await queueing.submit_when_free(
        service, asked.page_id, request, meta_id=asked.facebook_page_id, ends_at=ends_at
    )
    return Followed(run, 0, ends_at)


async def _tell(service: Service, followed: Followed) -> AsyncIterator[ServerSentEvent]:
    run = followed.run
    run_view = await run_view_of(service, run, address=_ADDRESS)
    next_step = run_view.going["next"]
    last: RunEvent | None = None
    if run_view.held_up == NO_WORKER:
        yield _aside(run, WAITING, counters(run), next_step=next_step, message=NO_WORKER)
    async with aclosing(service.event_streams.follow(run, after=followed.after)) as events:
        while True:
            try:
                async with asyncio.timeout_at(followed.ends_at):
                    last = await anext(events)
            except StopAsyncIteration:
                return
            except TimeoutError:
                break
            yield ServerSentEvent(id=event_id(last), data=as_sent(last, next_step=next_step))
    run_view = await run_view_of(service, run, address=_ADDRESS)
    message = f"This answer ends here, the run does not: ask again to follow it. {run_view.why_not}"
    told = last.data if last is not None else counters(run)
    yield _aside(run, TIMEOUT_WARNING, told, next_step=next_step, message=message)


def _aside(
    run: Run, status: str, told: Mapping[str, object], *, next_step: str | None, message: str
) -> ServerSentEvent:
    """Said to this listener alone.

    Without an id: whoever comes back goes on behind the last event that has one.
    """
    data = {**told, "status": status, "runId": run.id, "complete": False, "next": next_step}
    return ServerSentEvent(data={**data, "message": message})
