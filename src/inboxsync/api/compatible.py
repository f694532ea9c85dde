"""The compatible endpoints that answer once: `/api/conversations/sync` and `/sync-optimized`.

Existing applications call them, so their shapes are fixed; only `runId`, `complete` and `next` were added.
A call enqueues a run and waits for it. `success` is true only for a run that left nothing missing.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Header, Response
from fastapi.responses import JSONResponse
from pydantic import AliasChoices, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from sqlalchemy import Connection

from inboxsync.api.auth import requires
from inboxsync.api.problems import AnswerTooLate, problem, status_of_code
from inboxsync.api.runs import location_of
from inboxsync.api.schemas import PAGE_PATTERN, WHOLE, Shape, example
from inboxsync.api.service import Service, ServiceDependency
from inboxsync.api.strict import refuse_misread
from inboxsync.errors import StoreError
from inboxsync.model import Mode, Run, RunRequest, RunStatus, Scope
from inboxsync.store.state.leases import get_lease
from inboxsync.store.state.runs import list_run_events, newest_event_seq
from inboxsync.store.state.tasks import list_workers
from inboxsync.sync.events import WAITING

router = APIRouter(prefix="/api/conversations", tags=["compatible endpoints"])

# Longer than a busy worker is silent, or than clocks differ.
_DEAD: Final = timedelta(seconds=60)
# The worker of `inboxsync serve` needs a second or two to start.
NO_WORKER: Final = (
    "No worker is running yet to execute it. If that does not change, start `inboxsync worker`, or "
    "`inboxsync serve` without --no-worker."
)
EXAMPLE_PAGE: Final = {"pageId": "01978b2e-4a10-7cc3-9f6d-3a2b1c0d9e8f", "facebookPageId": "104567890123456"}
_RUN = "01978b2e-5b21-7dd4-8a7e-4b3c2d1e0f9a"
_ENDED = {"runId": _RUN, "complete": True, "next": None}
_SUCCESS = Field(description="The same as `complete`: a partial sync is no success.")
PageIdField = Annotated[
    str,
    Field(
        pattern=PAGE_PATTERN,
        validation_alias=AliasChoices("pageId", "page_id", "page"),
        description="`facebook_pages.id`. Meta's id and a name that no other Page has are understood too.",
        examples=[EXAMPLE_PAGE["pageId"]],
    ),
]
MetaIdField = Annotated[
    str,
    Field(
        pattern=r"^[0-9]{1,32}$",
        description="Meta's id of that Page.",
        examples=[EXAMPLE_PAGE["facebookPageId"]],
    ),
]
MaxConversations = (
    Annotated[
        int,
        Field(ge=1, le=2**31, description="Stop after so many; the next call continues.", examples=[10_000]),
        WHOLE,
    ]
    | None
)
Prefer = Annotated[
    str | None,
    Header(max_length=200, description="`respond-async`: answer 202 at once.", examples=["respond-async"]),
]


class PageAsked(BaseModel):
    """Which Page to sync. Unknown fields are ignored, as they always were. `a_field` is `aField` too."""

    model_config = ConfigDict(
        alias_generator=to_camel, validate_by_alias=True, validate_by_name=True, strict=True, frozen=True
    )

    page_id: PageIdField
    facebook_page_id: MetaIdField


class SyncAsked(PageAsked):
    """A sync that reads what is new, or everything with `forceFull`."""

    model_config = example(**EXAMPLE_PAGE, forceFull=False)

    force_full: Annotated[bool, Field(description="Read everything again.")] = False


class OptimizedAsked(PageAsked):
    """A sync that may be limited to a number of conversations."""

    model_config = example(**EXAMPLE_PAGE, maxConversations=10_000)

    max_conversations: MaxConversations = None


class Going(Shape):
    """What was added to the shapes of all three endpoints."""

    run_id: str
    complete: bool = Field(description="Nothing that can be read is missing.")
    next: str | None = Field(description="How to continue; null: there is nothing left to do.")


class SyncAnswer(Going):
    """The result of a sync, or its counts so far."""

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

    success: bool = _SUCCESS
    synced: int = Field(description="Conversations that were new or had changed.")
    inserted: int
    updated: int
    skipped: int = Field(description="Conversations that had not changed.")
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
    """The result of an optimized sync, or its counts so far."""

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

    success: bool = _SUCCESS
    stats: Stats
    message: str


class Accepted(Going):
    """The run is enqueued; `Location` shows its status."""

    model_config = example(
        status="queued",
        location=f"/api/v1/runs/{_RUN}",
        runId=_RUN,
        complete=False,
        next=f"GET /api/v1/runs/{_RUN}",
    )

    status: RunStatus
    location: str


_ROUTE = requires(Scope.SYNC, 404, 409, 413, 502, strict=refuse_misread)
_ROUTE["responses"] |= {
    202: {
        "model": Accepted,
        "description": "With `Prefer: respond-async`.",
        "headers": {"Location": {"schema": {"type": "string"}, "description": "The address of the run."}},
    }
}


@router.post("/sync", summary="Sync a Page, and wait for it", response_model=SyncAnswer, **_ROUTE)
async def sync(service: ServiceDependency, asked: SyncAsked, prefer: Prefer = None) -> Response:
    """Answers when the run has ended, or after 270 s with `complete: false`: it continues, call again.

    Two calls for one Page at the same time share one run, and both get its result. With `forceFull` a call
    waits until a run that reads less has ended, and then starts its own. A run that failed is a problem, with
    `runId` and the counts as well.
    """
    request = RunRequest(mode=Mode.FULL if asked.force_full else Mode.AUTO)
    return await _sync_and_wait(service, asked, request, prefer, address="/api/conversations/sync")


@router.post(
    "/sync-optimized",
    summary="Sync a number of conversations of a Page, and wait for it",
    response_model=OptimizedAnswer,
    **_ROUTE,
)
async def sync_optimized(
    service: ServiceDependency, asked: OptimizedAsked, prefer: Prefer = None
) -> Response:
    """As `/sync`, in its own shape. With `maxConversations` the next call continues after them."""
    request = RunRequest(max_conversations=asked.max_conversations)
    return await _sync_and_wait(service, asked, request, prefer, address="/api/conversations/sync-optimized")


async def _sync_and_wait(
    service: Service, asked: PageAsked, request: RunRequest, prefer: str | None, *, address: str
) -> Response:
    settings = service.engine.settings
    loop = asyncio.get_running_loop()
    waits = not _wants_no_wait(prefer)
    # A caller that does not wait for the run does not wait for a busy Page either.
    ends_at = loop.time() + (settings.request_stop_seconds if waits else 0)
    try:
        async with asyncio.timeout(settings.request_limit_seconds):
            run = await service.submit_when_free(
                asked.page_id, request, meta_id=asked.facebook_page_id, ends_at=ends_at
            )
            if not waits:
                return _accepted(run)
            run = await service.event_streams.wait_for_end(run, seconds=ends_at - loop.time())
            view = await run_view_of(service, run, address=address)
    except TimeoutError:
        raise AnswerTooLate("The database took too long to take the run.") from None
    answer = _sync_answer(view) if isinstance(asked, SyncAsked) else _optimized_answer(view)
    members = answer.model_dump(mode="json", by_alias=True)
    return _failed(run, members) if run.status is RunStatus.FAILED else JSONResponse(members)


def _wants_no_wait(prefer: str | None) -> bool:
    """Whether `Prefer` says `respond-async` (RFC 7240)."""
    wanted = (each.partition(";")[0].strip().lower() for each in (prefer or "").split(","))
    return "respond-async" in wanted


def _sync_answer(view: "RunView") -> SyncAnswer:
    counts = view.run.counts
    synced = counts.inserted + counts.updated
    kind = "Full" if view.is_full else "Incremental"
    done = f"{synced} conversation(s) with {counts.events} events"
    return SyncAnswer(
        success=view.is_complete,
        synced=synced,
        inserted=counts.inserted,
        updated=counts.updated,
        skipped=counts.unchanged,
        total=counts.fetched,
        events_created=counts.events,
        sync_mode="full" if view.is_full else "incremental",
        duration=view.duration,
        speed=view.speed,
        message=f"{kind} sync: {done}"
        if view.is_complete
        else f"{kind} sync, not complete: {done} so far. {view.why_not}",
        **view.going,
    )


def _optimized_answer(view: "RunView") -> OptimizedAnswer:
    run, counts = view.run, view.run.counts
    done = f"{counts.fetched} conversations in {view.duration}"
    return OptimizedAnswer(
        success=view.is_complete,
        stats=Stats(
            fetched=counts.fetched,
            inserted=counts.inserted,
            updated=counts.updated,
            events=counts.events,
            batches=run.batches,
            duration=view.duration,
            speed=view.speed,
            errors=[each.message for each in run.problems],
        ),
        message=f"Successfully synced {done}"
        if view.is_complete
        else f"Not complete: {done} so far. {view.why_not}",
        **view.going,
    )


def _accepted(run: Run) -> Response:
    location = location_of(run)
    answer = Accepted(
        run_id=run.id, complete=False, next=f"GET {location}", status=run.status, location=location
    )
    return JSONResponse(
        answer.model_dump(mode="json", by_alias=True),
        status_code=202,
        headers={"Location": location, "Preference-Applied": "respond-async"},
    )


def _failed(run: Run, members: Mapping[str, Any]) -> Response:
    """A problem that also has the members of the fixed shape, with `success: false`."""
    first = run.problems[0] if run.problems else None
    code = first.code if first else "unexpected"
    return problem(
        status_of_code(code),
        code=code,
        detail=first.message if first else "The run failed.",
        hint=first.hint if first else "",
        more=members,
    )


@dataclass(frozen=True, slots=True)
class RunView:
    """A run as the compatible endpoints describe it. `held_up`: why an open run makes no progress."""

    run: Run
    seconds: float
    address: str
    held_up: str = ""

    @property
    def is_complete(self) -> bool:
        """Whether nothing that can be read is missing."""
        return self.run.status is RunStatus.COMPLETE

    @property
    def is_full(self) -> bool:
        """Whether it reads everything."""
        requested = self.run.request.mode if self.run.request else Mode.AUTO
        return Mode.FULL in (self.run.mode, requested) or self.run.mode is Mode.AUTO

    @property
    def duration(self) -> str:
        """`12.3s`."""
        return f"{self.seconds:.1f}s"

    @property
    def speed(self) -> str:
        """`85.0 conversations/sec`."""
        speed = self.run.counts.fetched / self.seconds if self.seconds > 0 else 0.0
        return f"{speed:.1f} conversations/sec"

    @property
    def why_not(self) -> str:
        """Why it is not complete, in one sentence or more."""
        if self.run.status.is_open:
            return self.held_up or "It continues."
        if self.run.problems:
            return " ".join(each.message for each in self.run.problems)
        return "It was cancelled." if self.run.status is RunStatus.CANCELLED else "It was stopped early."

    @property
    def going(self) -> dict[str, Any]:
        """The members of `Going`."""
        follow = f"POST {self.address} again: it continues. GET {location_of(self.run)} shows its status."
        if self.run.status is RunStatus.FAILED and self.run.problems:
            follow = f"{self.run.problems[0].hint} Then {follow}"
        return {
            "run_id": self.run.id,
            "complete": self.is_complete,
            "next": None if self.is_complete else follow,
        }


async def run_view_of(service: Service, run: Run, *, address: str) -> RunView:
    """A run as it is now."""
    now = service.engine.clock.now()
    seconds = run.duration_seconds
    if run.status.is_open and not seconds:
        seconds = max(0.0, (now - run.started_at).total_seconds())
    held_up = ""
    if run.status.is_open:
        try:
            held_up = await service.read(lambda connection: _what_holds_up(connection, run, now))
        except StoreError as failure:  # what was read last is still worth an answer
            held_up = failure.message
    return RunView(run, seconds, address, held_up)


def _what_holds_up(connection: Connection, run: Run, now: datetime) -> str:
    """Why an open run makes no progress, as a sentence; empty where it does."""
    lease = get_lease(connection, run.page_id)
    if lease is None or lease.expires_at <= now:
        has_worker = any(each.heartbeat_at > now - _DEAD for each in list_workers(connection))
        if not has_worker:
            return NO_WORKER
    newest = newest_event_seq(connection, run.id)
    for event in list_run_events(connection, run.id, after=newest - 1, limit=1):
        message = event.data.get("message")
        if event.status == WAITING and isinstance(message, str):
            return f"{message[:1].upper()}{message[1:].rstrip('.')}."
    return ""
