"""`/api/v1/runs`: what syncs and verifications did, do, and are to do."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Header, Query, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import Field

from inboxsync.api import queueing
from inboxsync.api.answers import as_json
from inboxsync.api.auth import opens
from inboxsync.api.cursors import decode_cursor, encode_cursor
from inboxsync.api.errors import CursorInvalid, VerificationUnknown
from inboxsync.api.event_stream import as_sent
from inboxsync.api.pages import get_own_page
from inboxsync.api.schemas import (
    ID_PATTERN,
    WHOLE,
    Asked,
    CursorText,
    Limit,
    Listed,
    PageId,
    RunId,
    Shape,
    example,
)
from inboxsync.api.service import Service, ServiceDependency
from inboxsync.model import History, Mode, Run, RunEvent, RunKind, RunRequest, RunStatus, Scope
from inboxsync.store.state.run_events import list_run_events
from inboxsync.store.state.runs import list_runs
from inboxsync.store.state.verifications import newest_verification

router = APIRouter(prefix="/api/v1", tags=["runs"])

_RUN = {
    "id": "01978b2e-5b21-7dd4-8a7e-4b3c2d1e0f9a",
    "pageId": "01978b2e-4a10-7cc3-9f6d-3a2b1c0d9e8f",
    "facebookPageId": "104567890123456",
    "platform": "messenger",
    "kind": "sync",
    "mode": "full",
    "status": "complete",
    "complete": True,
    "fetched": 10_000,
    "inserted": 10_000,
    "updated": 0,
    "unchanged": 0,
    "events": 85_000,
    "batches": 101,
    "calls": 103,
    "refusedCalls": 0,
    "startedAt": "2026-06-01T12:00:00Z",
    "finishedAt": "2026-06-01T12:00:52Z",
    "durationSeconds": 52.1,
    "cancelAskedAt": None,
    "problems": [],
    "next": None,
}
_EVENT = {
    "id": "01978b2e-5b21-7dd4-8a7e-4b3c2d1e0f9a.7",
    "seq": 7,
    "at": "2026-06-01T12:00:31Z",
    "status": "processing",
    "data": {"total": 5900, "inserted": 5900, "updated": 0, "skipped": 0, "eventsCreated": 50_100},
}
_STREAM = (
    'data: {"status": "processing", "total": 5900, "inserted": 5900, "updated": 0, "fetched": 5900, '
    '"skipped": 0, "failedBatches": 0, "eventsCreated": 50100, "speed": 191.2, "runId": "0197...", '
    '"complete": false, "next": "..."}\nid: 0197....7\n\n'
)
# Far above what a run tells.
_MOST_EVENTS = 1_000_000_000
LastEventId = Annotated[
    str | None,
    Header(
        alias="Last-Event-ID",
        max_length=80,
        pattern=r"^[A-Za-z0-9_-]{1,64}\.[0-9]{1,9}$",
        description="The `id` of the last event that was seen: what follows it is sent.",
    ),
]


class ProblemShape(Shape):
    """What went wrong in a run."""

    code: str
    message: str
    hint: str


class RunShape(Shape):
    """A run: one execution, from being asked for to its end."""

    model_config = example(**_RUN)

    id: str
    page_id: str
    facebook_page_id: str
    platform: str
    kind: RunKind
    mode: Mode
    status: RunStatus
    complete: bool = Field(description="It ended, and nothing that can be read is missing.")
    fetched: int
    inserted: int
    updated: int
    unchanged: int
    events: int = Field(description="Messages that were new.")
    batches: int
    calls: int
    refused_calls: int
    started_at: datetime
    finished_at: datetime | None
    duration_seconds: float
    cancel_asked_at: datetime | None
    problems: list[ProblemShape]
    next: str | None = Field(description="How to go on; null where nothing is left to do.")


class EventShape(Shape):
    """What a run told at one moment."""

    model_config = example(**_EVENT)

    id: str = Field(description="For `Last-Event-ID`.")
    seq: int
    at: datetime
    status: str
    data: dict[str, Any]


class SyncRequest(Asked):
    """What a sync is to do; all of it has a usual value."""

    model_config = example(mode="auto", maxConversations=None, history=None)

    mode: Annotated[Mode, Field(strict=False, description="auto continues, full reads all again.")] = (
        Mode.AUTO
    )
    messages: Annotated[int, Field(ge=1, le=100, description="Newest ones of each conversation."), WHOLE] = 10
    max_conversations: Annotated[int, Field(ge=1, le=2**31), WHOLE] | None = None
    history: Annotated[History | None, Field(strict=False, description="newest or all.")] = None


class VerificationShape(Shape):
    """What the last verification found."""

    model_config = example(
        id="01978b2e-6c32-7ee5-9b8f-5c4d3e2f1a0b",
        checkedAt="2026-06-01T03:00:12Z",
        isComplete=True,
        summary={"folders": []},
    )

    id: str
    checked_at: datetime
    is_complete: bool = Field(description="Nothing that can be read is missing.")
    summary: dict[str, Any] = Field(description="What was found, list by list.")


def opens_stream(scope: Scope, *problems: int) -> dict[str, Any]:
    """As `opens`, for a route that answers with run events."""
    made = opens(scope, 404, 422, *problems)
    told = {"description": "An event a change.", "content": {"text/event-stream": {"example": _STREAM}}}
    over = {"description": "The last word of this run was heard already (`Last-Event-ID`): stay away."}
    return made | {"responses": made["responses"] | {200: told, 204: over}}


_ACCEPTED: dict[str, Any] = {
    "status_code": 202,
    "response_description": "It is handed over; `Location` tells where it stands.",
}


@router.post(
    "/pages/{page_id}/runs",
    summary="Start a sync",
    **_ACCEPTED,
    **opens(Scope.SYNC, 404, 409, 413, 422),
)
async def start_sync(
    service: ServiceDependency, page_id: PageId, response: Response, asked: SyncRequest | None = None
) -> RunShape:
    """Answers at once. While a sync of this Page has not ended, that one is returned, and none is added.

    Where all is to be read again and that one reads less, it is 409.
    """
    wanted = asked or SyncRequest()
    request = RunRequest(
        mode=wanted.mode,
        messages=wanted.messages,
        max_conversations=wanted.max_conversations,
        history=wanted.history,
    )
    return await _started(service, page_id, request, response)


@router.post(
    "/pages/{page_id}/verify",
    summary="Compare a Page with the source",
    **_ACCEPTED,
    **opens(Scope.SYNC, 404, 409, 422),
)
async def start_verify(service: ServiceDependency, page_id: PageId, response: Response) -> RunShape:
    """Answers at once; once the run has ended, the Page's certificate tells what was found."""
    return await _started(service, page_id, RunRequest(kind=RunKind.VERIFY), response)


@router.get("/pages/{page_id}/verification", summary="The newest verification", **opens(Scope.READ, 404, 422))
@as_json
def show_verification(service: ServiceDependency, page_id: PageId) -> VerificationShape:
    """What the last verification of the Page found."""
    with service.engine.store.read() as connection:
        found = newest_verification(connection, get_own_page(connection, page_id))
    if found is None:
        raise VerificationUnknown("This Page was never verified to the end.")
    return VerificationShape.model_validate(
        {
            "id": found.id,
            "checkedAt": found.checked_at,
            "isComplete": found.is_complete,
            "summary": msgspec.json.decode(found.summary),
        }
    )


@router.get("/runs", summary="List runs", **opens(Scope.READ, 422))
@as_json
def show_runs(
    service: ServiceDependency,
    page: Annotated[str | None, Query(pattern=ID_PATTERN, description="Of this Page alone (our id).")] = None,
    cursor: CursorText = None,
    limit: Limit = 50,
) -> Listed[RunShape]:
    """Newest first."""
    before = decode_cursor("runs", cursor, parts=1)[0] if cursor else None
    with service.engine.store.read() as connection:
        found = list_runs(connection, page_id=page, before=before, limit=limit + 1)
    more = encode_cursor("runs", found[limit - 1].id) if len(found) > limit else None
    return Listed(items=[run_shape(run) for run in found[:limit]], next_cursor=more)


@router.get("/runs/{run_id}", summary="Show a run", **opens(Scope.READ, 404, 422))
async def show_run(service: ServiceDependency, run_id: RunId) -> RunShape:
    """How it stands, or how it ended."""
    return run_shape(await queueing.find_run(service, run_id))


@router.post("/runs/{run_id}/cancel", summary="Cancel a run", **opens(Scope.SYNC, 404, 422))
async def cancel_run(service: ServiceDependency, run_id: RunId) -> RunShape:
    """It ends at its next batch; what was fetched stays stored. One that has ended stays as it is."""
    return run_shape(await queueing.cancel(service, run_id))


@router.get("/runs/{run_id}/events", summary="What a run told", **opens(Scope.READ, 404, 422))
async def show_events(
    service: ServiceDependency, run_id: RunId, cursor: CursorText = None, limit: Limit = 50
) -> Listed[EventShape]:
    """In its order. The same, live: `/stream`."""
    after = _seq(decode_cursor("events", cursor, parts=1)[0]) if cursor else 0
    run = await queueing.find_run(service, run_id)
    found = await queueing.in_thread(
        service, lambda connection: list_run_events(connection, run.id, after=after, limit=limit + 1)
    )
    more = encode_cursor("events", str(found[limit - 1].seq)) if len(found) > limit else None
    return Listed(items=[_event_shape(event) for event in found[:limit]], next_cursor=more)


async def _followed(
    service: ServiceDependency, run_id: RunId, last_event_id: LastEventId = None
) -> tuple[Run, int]:
    run = await queueing.find_followed(service, run_id)
    return run, await queueing.begin_after(service, run, last_event_id)


@router.get(
    "/runs/{run_id}/stream",
    summary="Follow a run",
    response_class=EventSourceResponse,
    **opens_stream(Scope.READ),
)
async def follow_run(
    service: ServiceDependency, followed: Annotated[tuple[Run, int], Depends(_followed)]
) -> AsyncIterator[ServerSentEvent]:
    """Server-sent events, from the beginning or behind `Last-Event-ID`, to the run's last word.

    Where there is nothing left to follow the answer is 204, so that an EventSource stays away.
    """
    run, after = followed
    async for event in service.event_streams.follow(run, after=after):
        yield ServerSentEvent(id=event_id(event), data=as_sent(event, next_step=next_step(run)))


def event_id(event: RunEvent) -> str:
    """What `Last-Event-ID` takes."""
    return f"{event.run_id}.{event.seq}"


def next_step(run: Run) -> str:
    """How a caller over HTTP goes on with a run that is not complete."""
    return f"GET /api/v1/runs/{run.id} tells how it stands; the next sync of the Page goes on."


def run_shape(run: Run) -> RunShape:
    """A run as it is told."""
    return RunShape(
        id=run.id,
        page_id=run.page_id,
        facebook_page_id=run.facebook_page_id,
        platform=run.platform,
        kind=run.kind,
        mode=run.mode,
        status=run.status,
        complete=run.status is RunStatus.COMPLETE,
        fetched=run.counts.fetched,
        inserted=run.counts.inserted,
        updated=run.counts.updated,
        unchanged=run.counts.unchanged,
        events=run.counts.events,
        batches=run.batches,
        calls=run.calls,
        refused_calls=run.refused_calls,
        started_at=run.started_at,
        finished_at=run.finished_at,
        duration_seconds=round(run.duration_seconds, 3),
        cancel_asked_at=run.cancel_asked_at,
        problems=[
            ProblemShape(code=each.code, message=each.message, hint=each.hint) for each in run.problems
        ],
        next=run.next,
    )


def location_of(run: Run) -> str:
    """Where a run tells how it stands."""
    return f"/api/v1/runs/{run.id}"


async def _started(service: Service, page_id: str, request: RunRequest, response: Response) -> RunShape:
    run = await queueing.submit(service, page_id, request)
    response.headers["Location"] = location_of(run)
    return run_shape(run)


def _event_shape(event: RunEvent) -> EventShape:
    return EventShape(
        id=event_id(event), seq=event.seq, at=event.at, status=event.status, data=dict(event.data)
    )


def _seq(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text) <= _MOST_EVENTS):
        raise CursorInvalid("This cursor is none of ours.")
    return int(text)
