"""The compatible endpoint that follows a sync while it runs: `/api/conversations/sync-stream`."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from inboxsync.api.compatible import (
    EXAMPLE_PAGE,
    NO_WORKER,
    MaxConversations,
    MetaIdField,
    PageIdField,
    SyncAsked,
    run_view_of,
)
from inboxsync.api.event_stream import LastEventId, requires_stream, server_sent
from inboxsync.api.problems import NothingToFollow, PageMismatch
from inboxsync.api.schemas import example
from inboxsync.api.service import Service, ServiceDependency
from inboxsync.api.strict import refuse_misread
from inboxsync.errors import RunUnknown
from inboxsync.model import Mode, Run, RunEvent, RunRequest, Scope
from inboxsync.store.state.pages import find_page, stored_id
from inboxsync.sync.events import TIMEOUT_WARNING, WAITING, counters

router = APIRouter(prefix="/api/conversations", tags=["compatible endpoints"])

_ADDRESS = "/api/conversations/sync-stream"


class StreamAsked(SyncAsked):
    """A sync that is followed while it runs."""

    model_config = example(**EXAMPLE_PAGE, forceFull=False)

    max_conversations: MaxConversations = None


class StreamQuery(BaseModel):
    """The same fields in a query, where every value is text."""

    model_config = ConfigDict(alias_generator=to_camel, validate_by_alias=True, frozen=True)

    page_id: PageIdField
    facebook_page_id: MetaIdField
    force_full: bool = False
    max_conversations: MaxConversations = None


@dataclass(frozen=True, slots=True)
class Followed:
    """A run, the number of the event after which its client continues, and when this answer ends."""

    run: Run
    after: int
    ends_at: float


async def _from_body(
    service: ServiceDependency, asked: StreamAsked, last_event_id: LastEventId = None
) -> Followed:
    return await _begin(service, asked, last_event_id)


async def _from_query(
    service: ServiceDependency, asked: Annotated[StreamQuery, Query()], last_event_id: LastEventId = None
) -> Followed:
    return await _begin(service, asked, last_event_id)


@router.post(
    "/sync-stream",
    summary="Sync a Page, and follow it",
    response_class=EventSourceResponse,
    **requires_stream(Scope.SYNC, 409, 413, strict=refuse_misread),
)
async def sync_stream(
    service: ServiceDependency, followed: Annotated[Followed, Depends(_from_body)]
) -> AsyncIterator[ServerSentEvent]:
    """Server-Sent Events until the last one, or `timeout_warning` after 270 s: the run continues, call again.

    Closing the connection does not stop the run. `Last-Event-ID` continues where an earlier connection ended.
    """
    async for sent in _events(service, followed):
        yield sent


@router.get(
    "/sync-stream",
    summary="The same, for a browser's EventSource",
    response_class=EventSourceResponse,
    **requires_stream(Scope.SYNC, 409, 413, strict=refuse_misread),
)
async def get_sync_stream(
    service: ServiceDependency, followed: Annotated[Followed, Depends(_from_query)]
) -> AsyncIterator[ServerSentEvent]:
    """With the same fields in the query."""
    async for sent in _events(service, followed):
        yield sent


async def _begin(service: Service, asked: StreamAsked | StreamQuery, last_event_id: str | None) -> Followed:
    """A new run, or the open one; where `Last-Event-ID` names a run, only that one.

    A browser reconnects automatically when a stream ends: that must not start a sync.
    """
    ends_at = asyncio.get_running_loop().time() + service.engine.settings.request_stop_seconds
    if last_event_id is not None:
        try:
            run = await service.find_run(stored_id(last_event_id.rpartition(".")[0]))
        except RunUnknown:
            raise NothingToFollow from None
        page = await service.read(lambda connection: find_page(connection, asked.page_id))
        if (run.page_id, run.facebook_page_id) != (page.id, asked.facebook_page_id):
            raise PageMismatch("Last-Event-ID names a run of another Page.")
        return Followed(run, await service.event_streams.position(run, last_event_id), ends_at)
    request = RunRequest(
        mode=Mode.FULL if asked.force_full else Mode.AUTO, max_conversations=asked.max_conversations
    )
    run = await service.submit_when_free(
        asked.page_id, request, meta_id=asked.facebook_page_id, ends_at=ends_at
    )
    return Followed(run, 0, ends_at)


async def _events(service: Service, followed: Followed) -> AsyncIterator[ServerSentEvent]:
    run = followed.run
    view = await run_view_of(service, run, address=_ADDRESS)
    next_step = view.going["next"]
    last: RunEvent | None = None
    if view.held_up == NO_WORKER:
        yield _note(run, WAITING, counters(run), next_step=next_step, message=NO_WORKER)
    async with aclosing(service.event_streams.follow(run, after=followed.after)) as events:
        while True:
            try:
                async with asyncio.timeout_at(followed.ends_at):
                    last = await anext(events)
            except StopAsyncIteration:
                return
            except TimeoutError:
                break
            yield server_sent(last, next_step=next_step)
    view = await run_view_of(service, run, address=_ADDRESS)
    message = f"This answer ends here, but the run continues: call again to follow it. {view.why_not}"
    data = last.data if last is not None else counters(run)
    yield _note(run, TIMEOUT_WARNING, data, next_step=next_step, message=message)


def _note(
    run: Run, status: str, data: Mapping[str, object], *, next_step: str | None, message: str
) -> ServerSentEvent:
    """A message for this client only.

    It has no id: a client that reconnects continues after the last event that has one.
    """
    about = {"status": status, "runId": run.id, "complete": False, "next": next_step, "message": message}
    return ServerSentEvent(data={**data, **about})
