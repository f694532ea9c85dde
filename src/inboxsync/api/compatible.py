"""The two given endpoints that answer once: `/api/conversations/sync` and `/sync-optimized`.

Their shapes are those that people already call, and stay so; `runId`, `complete` and `next` were added.
A run is never executed here: it is handed over, and waited for. `success` is true only for a run that
left nothing missing.
"""

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from inboxsync.api import queueing
from inboxsync.api.auth import opens
from inboxsync.api.errors import AnswerTooLate
from inboxsync.api.problems import problem, status_of_code
from inboxsync.api.run_status import RunView, run_view_of
from inboxsync.api.runs import location_of
from inboxsync.api.schemas import ID_PATTERN, WHOLE, Shape, example
from inboxsync.api.service import Service, ServiceDependency
from inboxsync.model import Mode, Run, RunRequest, RunStatus, Scope

router = APIRouter(prefix="/api/conversations", tags=["given endpoints"])

_PAGE = "01978b2e-4a10-7cc3-9f6d-3a2b1c0d9e8f"
_META_PAGE = "104567890123456"
_RUN = "01978b2e-5b21-7dd4-8a7e-4b3c2d1e0f9a"
_ENDED = {"runId": _RUN, "complete": True, "next": None}
META_ID_PATTERN = r"^[0-9]{1,32}$"
PageIdField = Annotated[str, Field(pattern=ID_PATTERN, description="`facebook_pages.id`.", examples=[_PAGE])]
MetaIdField = Annotated[
    str, Field(pattern=META_ID_PATTERN, description="Meta's id of that Page.", examples=[_META_PAGE])
]
Most = (
    Annotated[
        int,
        Field(ge=1, le=2**31, description="Stop after so many; the next call goes on.", examples=[10_000]),
        WHOLE,
    ]
    | None
)
Prefer = Annotated[
    str | None,
    Header(max_length=200, description="`respond-async`: answer 202 at once.", examples=["respond-async"]),
]


class _Asked(BaseModel):
    """Whom to sync. Fields that are not known are passed over, as they always were."""

    model_config = ConfigDict(alias_generator=to_camel, validate_by_alias=True, strict=True, frozen=True)

    page_id: PageIdField
    facebook_page_id: MetaIdField


class SyncAsked(_Asked):
    """A sync that reads what is new, or all with `forceFull`."""

    model_config = example(pageId=_PAGE, facebookPageId=_META_PAGE, forceFull=False)

    force_full: Annotated[bool, Field(description="Read everything again.")] = False


class OptimizedAsked(_Asked):
    """A sync of so many conversations."""

    model_config = example(pageId=_PAGE, facebookPageId=_META_PAGE, maxConversations=10_000)

    max_conversations: Most = None


class Going(Shape):
    """What all three endpoints tell beside what they always told."""

    run_id: str
    complete: bool = Field(description="Nothing that can be read is missing.")
    next: str | None = Field(description="How to go on; null where nothing is left to do.")


class SyncAnswer(Going):
    """How a sync ended, or how far it has come."""

    model_config = example(
        success=True,
        synced=10_000,
        inserted=10_000,
        updated=0,
        skipped=0,
        total=10_000,
        eventsCreated=85_000,
        syncMode="full",
        duration="52.1s",
        speed="191.9 conversations/sec",
        message="Full sync: 10000 conversation(s) with 85000 events",
        **_ENDED,
    )

    success: bool = Field(description="The same as `complete`: half is no success.")
    synced: int = Field(description="Conversations that were new or had changed.")
    inserted: int
    updated: int
    skipped: int = Field(description="Conversations that were as before.")
    total: int = Field(description="Conversations fetched.")
    events_created: int
    sync_mode: Literal["full", "incremental"]
    duration: str
    speed: str
    message: str


class Stats(Shape):
    """The figures of an optimized sync."""

    fetched: int
    inserted: int
    updated: int
    events: int
    batches: int
    duration: str
    speed: str
    errors: list[str]


class OptimizedAnswer(Going):
    """How an optimized sync ended, or how far it has come."""

    model_config = example(
        success=True,
        stats={
            "fetched": 10_000,
            "inserted": 10_000,
            "updated": 0,
            "events": 85_000,
            "batches": 101,
            "duration": "52.1s",
            "speed": "191.9 conversations/sec",
            "errors": [],
        },
        message="Successfully synced 10000 conversations in 52.1s",
        **_ENDED,
    )

    success: bool = Field(description="The same as `complete`: half is no success.")
    stats: Stats
    message: str


class Accepted(Going):
    """It was handed over; `Location` tells where it stands."""

    model_config = example(
        status="queued",
        location=f"/api/v1/runs/{_RUN}",
        runId=_RUN,
        complete=False,
        next=f"GET /api/v1/runs/{_RUN}",
    )

    status: RunStatus
    location: str


def request_of(asked: SyncAsked | OptimizedAsked) -> RunRequest:
    """What the workers are asked for."""
    if isinstance(asked, OptimizedAsked):
        return RunRequest(max_conversations=asked.max_conversations)
    return RunRequest(mode=Mode.FULL if asked.force_full else Mode.AUTO)


def sync_answer(run_view: RunView) -> SyncAnswer:
    """In the shape of `/sync`."""
    counts = run_view.run.counts
    synced = counts.inserted + counts.updated
    kind = "Full" if run_view.is_full else "Incremental"
    said = f"{synced} conversation(s) with {counts.events} events"
    message = (
        f"{kind} sync: {said}"
        if run_view.is_complete
        else f"{kind} sync, not complete: {said} so far. {run_view.why_not}"
    )
    return SyncAnswer(
        success=run_view.is_complete,
        synced=synced,
        inserted=counts.inserted,
        updated=counts.updated,
        skipped=counts.unchanged,
        total=counts.fetched,
        events_created=counts.events,
        sync_mode="full" if run_view.is_full else "incremental",
        duration=run_view.duration,
        speed=run_view.speed,
        message=message,
        **run_view.going,
    )


def optimized_answer(run_view: RunView) -> OptimizedAnswer:
    """In the shape of `/sync-optimized`."""
    run, counts = run_view.run, run_view.run.counts
    said = f"{counts.fetched} conversations in {run_view.duration}"
    return OptimizedAnswer(
        success=run_view.is_complete,
        stats=Stats(
            fetched=counts.fetched,
            inserted=counts.inserted,
            updated=counts.updated,
            events=counts.events,
            batches=run.batches,
            duration=run_view.duration,
            speed=run_view.speed,
            errors=[each.message for each in run.problems],
        ),
        message=f"Successfully synced {said}"
        if run_view.is_complete
        else f"Not complete: {said} so far. {run_view.why_not}",
        **run_view.going,
    )


_ANSWERS: Mapping[int | str, dict[str, Any]] = {
    202: {
        "model": Accepted,
        "description": "With `Prefer: respond-async`.",
        "headers": {"Location": {"schema": {"type": "string"}, "description": "Where the run is."}},
    }
}


def _given() -> dict[str, Any]:
    made = opens(Scope.SYNC, 404, 409, 413, 422, 502)
    return made | {"responses": made["responses"] | dict(_ANSWERS)}


@router.post("/sync", summary="Sync a Page, and wait for it", response_model=SyncAnswer, **_given())
async def sync(service: ServiceDependency, asked: SyncAsked, prefer: Prefer = None) -> Response:
    """Answers when the run has ended, or after 270 s with `complete: false`: it goes on, call again.

    Two calls for one Page at once are one run, and both get its result; with `forceFull` a call waits for a
    run that reads less to end, and then begins its own. A run that failed is a problem, with `runId` and the
    figures beside it.
    """
    return await _answered(service, asked, prefer, address="/api/conversations/sync")


@router.post(
    "/sync-optimized",
    summary="Sync so many conversations of a Page, and wait for it",
    response_model=OptimizedAnswer,
    **_given(),
)
async def sync_optimized(
    service: ServiceDependency, asked: OptimizedAsked, prefer: Prefer = None
) -> Response:
    """As `/sync`, in its own shape. With `maxConversations` the next call goes on behind them."""
    return await _answered(service, asked, prefer, address="/api/conversations/sync-optimized")


async def _answered(
    service: Service, asked: SyncAsked | OptimizedAsked, prefer: str | None, *, address: str
) -> Response:
    settings = service.engine.settings
    loop = asyncio.get_running_loop()
    # Whoever asks for no wait is told at once that the Page is busy, too.
    ends_at = loop.time() + (0 if wants_no_wait(prefer) else settings.request_stop_seconds)
    try:
        async with asyncio.timeout(settings.request_limit_seconds):
            run = await queueing.submit_when_free(
                service, asked.page_id, request_of(asked), meta_id=asked.facebook_page_id, ends_at=ends_at
            )
            if wants_no_wait(prefer):
                return _accepted(run)
            run = await service.event_streams.wait_for_end(run, seconds=ends_at - loop.time())
            run_view = await run_view_of(service, run, address=address)
    except TimeoutError:
        raise AnswerTooLate("The database took too long to take the run.") from None
    made = sync_answer(run_view) if isinstance(asked, SyncAsked) else optimized_answer(run_view)
    told = made.model_dump(mode="json", by_alias=True)
    return _failed(run, told) if run.status is RunStatus.FAILED else JSONResponse(told)


def wants_no_wait(prefer: str | None) -> bool:
    """Whether `Prefer` says `respond-async` (RFC 7240)."""
    wanted = (each.partition(";")[0].strip().lower() for each in (prefer or "").split(","))
    return "respond-async" in wanted


def _accepted(run: Run) -> Response:
    told = Accepted(
        run_id=run.id,
        complete=False,
        next=f"GET {location_of(run)}",
        status=run.status,
        location=location_of(run),
    )
    return JSONResponse(
        told.model_dump(mode="json", by_alias=True),
        status_code=202,
        headers={"Location": location_of(run), "Preference-Applied": "respond-async"},
    )


def _failed(run: Run, told: Mapping[str, Any]) -> Response:
    """A problem that also has the members of the given shape, so that `success` is there to be false."""
    first = run.problems[0] if run.problems else None
    code = first.code if first else "unexpected"
    return problem(
        status_of_code(code),
        code=code,
        detail=first.message if first else "The run failed.",
        hint=first.hint if first else "",
        more=told,
    )


class StreamAsked(SyncAsked):
    """A sync that is followed while it goes."""

    model_config = example(pageId=_PAGE, facebookPageId=_META_PAGE, forceFull=False)

    max_conversations: Most = None


class StreamQuery(BaseModel):
    """The same fields in a query, where everything is text."""

    model_config = ConfigDict(alias_generator=to_camel, validate_by_alias=True, frozen=True)

    page_id: PageIdField
    facebook_page_id: MetaIdField
    force_full: bool = False
    max_conversations: Most = None


StreamQueryParameters = Annotated[StreamQuery, Query()]
