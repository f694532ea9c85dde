"""`/api/v1/runs`: syncs and verifications, from the request to the result."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import Field

from inboxsync.api.auth import requires
from inboxsync.api.event_stream import LastEventId, event_id, requires_stream, server_sent
from inboxsync.api.pages import COMPLETENESS_EXAMPLE, CompletenessShape, completeness_shape
from inboxsync.api.problems import CursorInvalid, VerificationUnknown
from inboxsync.api.schemas import (
    WHOLE,
    Asked,
    CursorText,
    Limit,
    Listed,
    OfPage,
    PageId,
    RunId,
    Shape,
    as_json,
    decode_cursor,
    encode_cursor,
    example,
    filter_mark,
)
from inboxsync.api.service import ServiceDependency, page_id_of
from inboxsync.model import (
    CompletenessState,
    History,
    Mode,
    Run,
    RunEvent,
    RunKind,
    RunRequest,
    RunStatus,
    Scope,
)
from inboxsync.store.state.pages import find_page, newest_verification
from inboxsync.store.state.runs import list_run_events, list_runs
from inboxsync.sync import completeness_of

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
# No run has nearly as many.
_MOST_EVENTS = 1_000_000_000


class ProblemShape(Shape):
    """What went wrong in a run."""

    code: str
    message: str
    hint: str


class RunShape(Shape):
    """A run: one execution of a sync or a verification."""

    model_config = example(**_RUN)

    id: str
    page_id: str
    facebook_page_id: str
    platform: str
    kind: RunKind
    mode: Mode
    status: RunStatus
    complete: bool = Field(description="It has ended, and nothing that can be read is missing.")
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
    next: str | None = Field(description="How to continue; null: there is nothing left to do.")


class EventShape(Shape):
    """One event of a run."""

    model_config = example(**_EVENT)

    id: str = Field(description="For `Last-Event-ID`.")
    seq: int
    at: datetime
    status: str
    data: dict[str, Any]


class SyncRequest(Asked):
    """What a sync does. Every field has a default."""

    model_config = example(mode="auto", maxConversations=None, history=None)

    mode: Annotated[Mode, Field(strict=False, description="auto continues, full reads everything again.")] = (
        Mode.AUTO
    )
    messages: Annotated[
        int, Field(ge=1, le=100, description="Newest messages of each conversation."), WHOLE
    ] = 10
    max_conversations: Annotated[int, Field(ge=1, le=2**31), WHOLE] | None = None
    history: Annotated[History | None, Field(strict=False, description="newest or all.")] = None


class VerificationShape(Shape):
    """The verification report: what the last verification found."""

    model_config = example(
        id="01978b2e-6c32-7ee5-9b8f-5c4d3e2f1a0b",
        checkedAt="2026-06-01T03:00:12Z",
        isComplete=True,
        wasComplete=True,
        completeness=COMPLETENESS_EXAMPLE,
        summary={"folders": []},
    )

    id: str
    checked_at: datetime
    is_complete: bool = Field(description="Nothing is missing now: what was found is stored since.")
    was_complete: bool = Field(description="Nothing was missing when the lists were compared.")
    completeness: CompletenessShape
    summary: dict[str, Any] = Field(description="What was found in each list.")


_ACCEPTED: dict[str, Any] = {
    "status_code": 202,
    "response_description": "Enqueued; `Location` shows its status.",
}


@router.post(
    "/pages/{page_id}/runs",
    summary="Start a sync",
    **_ACCEPTED,
    **requires(Scope.SYNC, 404, 409, 413),
)
async def start_sync(
    service: ServiceDependency, page_id: PageId, response: Response, asked: SyncRequest | None = None
) -> RunShape:
    """Answers at once. While a sync of this Page has not ended, that one is returned and none is started.

    409: a full sync is requested, and the sync that has not ended reads less.
    """
    asked = asked or SyncRequest()
    request = RunRequest(
        mode=asked.mode,
        messages=asked.messages,
        max_conversations=asked.max_conversations,
        history=asked.history,
    )
    run = await service.submit(page_id, request)
    response.headers["Location"] = location_of(run)
    return _run_shape(run)


@router.post(
    "/pages/{page_id}/verify",
    summary="Compare a Page with the source",
    **_ACCEPTED,
    **requires(Scope.SYNC, 404, 409),
)
async def start_verify(service: ServiceDependency, page_id: PageId, response: Response) -> RunShape:
    """Answers at once. When the run has ended, `/verification` has the report."""
    run = await service.submit(page_id, RunRequest(kind=RunKind.VERIFY))
    response.headers["Location"] = location_of(run)
    return _run_shape(run)


@router.get(
    "/pages/{page_id}/verification",
    summary="The verification report",
    **requires(Scope.READ, 404, 409),
)
@as_json
def show_verification(service: ServiceDependency, page_id: PageId) -> VerificationShape:
    """What the Page's last verification found, and whether the Page is complete now."""
    with service.engine.store.read() as connection:
        page = find_page(connection, page_id)
        found = newest_verification(connection, page)
        complete = completeness_of(connection, [page])[page.id]
    if found is None:
        raise VerificationUnknown("No verification of this Page was ever completed.")
    return VerificationShape.model_validate(
        {
            "id": found.id,
            "checkedAt": found.checked_at,
            "isComplete": complete.state is CompletenessState.COMPLETE,
            "wasComplete": found.is_complete,
            "completeness": completeness_shape(complete),
            "summary": msgspec.json.decode(found.summary),
        }
    )


@router.get("/runs", summary="List runs", **requires(Scope.READ, 404, 409))
@as_json
def show_runs(
    service: ServiceDependency,
    page: OfPage = None,
    cursor: CursorText = None,
    limit: Limit = 50,
) -> Listed[RunShape]:
    """The newest first."""
    with service.engine.store.read() as connection:
        page_id = page_id_of(connection, page)
        mark = filter_mark(page=page_id)
        before = decode_cursor("runs", cursor, parts=1, mark=mark)[0] if cursor else None
        found = list_runs(connection, page_id=page_id, before=before, limit=limit + 1)
    more = encode_cursor("runs", found[limit - 1].id, mark=mark) if len(found) > limit else None
    return Listed(items=[_run_shape(run) for run in found[:limit]], next_cursor=more)


@router.get("/runs/{run_id}", summary="Show a run", **requires(Scope.READ, 404))
async def show_run(service: ServiceDependency, run_id: RunId) -> RunShape:
    """Its status, its counts and its problems."""
    return _run_shape(await service.find_run(run_id))


@router.post("/runs/{run_id}/cancel", summary="Cancel a run", **requires(Scope.SYNC, 404))
async def cancel_run(service: ServiceDependency, run_id: RunId) -> RunShape:
    """It ends at its next batch; what was fetched stays stored. A run that has ended does not change."""
    return _run_shape(await service.cancel(run_id))


@router.get("/runs/{run_id}/events", summary="The events of a run", **requires(Scope.READ, 404))
async def show_events(
    service: ServiceDependency, run_id: RunId, cursor: CursorText = None, limit: Limit = 50
) -> Listed[EventShape]:
    """In their order. `/stream` sends them live."""
    # The cursor names its run: another one's is refused.
    kind = f"events {run_id}"
    after = _seq(decode_cursor(kind, cursor, parts=1)[0]) if cursor else 0
    run = await service.find_run(run_id)
    found = await service.read(
        lambda connection: list_run_events(connection, run.id, after=after, limit=limit + 1)
    )
    more = encode_cursor(kind, str(found[limit - 1].seq)) if len(found) > limit else None
    return Listed(items=[_event_shape(event) for event in found[:limit]], next_cursor=more)


async def _followed(
    service: ServiceDependency, run_id: RunId, last_event_id: LastEventId = None
) -> tuple[Run, int]:
    run = await service.find_followed_run(run_id)
    return run, await service.event_streams.position(run, last_event_id)


@router.get(
    "/runs/{run_id}/stream",
    summary="Follow a run",
    response_class=EventSourceResponse,
    **requires_stream(Scope.READ),
)
async def follow_run(
    service: ServiceDependency, followed: Annotated[tuple[Run, int], Depends(_followed)]
) -> AsyncIterator[ServerSentEvent]:
    """Server-Sent Events, from the beginning or after `Last-Event-ID`, until the run's last event.

    204: there is nothing left to follow, so an EventSource must not reconnect.
    """
    run, after = followed
    next_step = f"GET {location_of(run)} shows its status; the next sync of the Page continues."
    async for event in service.event_streams.follow(run, after=after):
        yield server_sent(event, next_step=next_step)


def _run_shape(run: Run) -> RunShape:
    """A stored run in the API's shape."""
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
    """The address that shows a run's status."""
    return f"/api/v1/runs/{run.id}"


def _event_shape(event: RunEvent) -> EventShape:
    return EventShape(
        id=event_id(event), seq=event.seq, at=event.at, status=event.status, data=dict(event.data)
    )


def _seq(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text) <= _MOST_EVENTS):
        raise CursorInvalid("This is not one of our cursors.")
    return int(text)
