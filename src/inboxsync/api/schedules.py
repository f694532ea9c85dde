"""`/api/v1/schedules`: when workers sync and verify each Page, as `inboxsync pages set` sets it."""

from datetime import datetime
from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter
from pydantic import ConfigDict, Field

from inboxsync.api.auth import requires
from inboxsync.api.problems import RequestInvalid
from inboxsync.api.schemas import (
    WHOLE,
    Asked,
    CursorText,
    Limit,
    Listed,
    PageId,
    Shape,
    as_json,
    decode_cursor,
    encode_cursor,
    example,
)
from inboxsync.api.service import Service, ServiceDependency
from inboxsync.model import History, Page, Schedule, Scope
from inboxsync.store.state.pages import find_page, list_pages_after, set_history
from inboxsync.store.state.schedules import get_schedule, list_schedules
from inboxsync.workers import EVERY_SECONDS, LONGEST_SECONDS, SHORTEST_SECONDS, reset_schedule, set_schedule

router = APIRouter(prefix="/api/v1", tags=["schedules"])

_EXAMPLE = {
    "pageId": "01978b2e-4a10-7cc3-9f6d-3a2b1c0d9e8f",
    "facebookPageId": "104567890123456",
    "everySeconds": 300,
    "isDefault": True,
    "isPaused": False,
    "history": "newest",
    "nextSyncAt": "2026-06-01T12:05:00Z",
    "nextVerifyAt": "2026-06-02T02:11:47Z",
}


class ScheduleShape(Shape):
    """When workers sync and verify a Page. A Page whose token does not work waits for a new one."""

    model_config = example(**_EXAMPLE)

    page_id: str
    facebook_page_id: str
    every_seconds: int = Field(description="How often it is synced.")
    is_default: bool = Field(description="No interval was set: this is the default.")
    is_paused: bool
    history: History = Field(description="How far back messages are kept.")
    next_sync_at: datetime | None = Field(description="Null: as soon as a worker runs.")
    next_verify_at: datetime | None


class ScheduleChange(Asked):
    """What is left out, or null, stays as it is."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"everySeconds": 600, "isPaused": False}, "minProperties": 1}
    )

    every_seconds: (
        Annotated[int, Field(ge=SHORTEST_SECONDS, le=LONGEST_SECONDS, examples=[600]), WHOLE] | None
    ) = None
    is_paused: Annotated[
        bool | None, Field(description="true: stop the automatic syncs of the Page; false: restart them.")
    ] = None
    history: Annotated[
        History | None,
        Field(strict=False, description="all: keep every message; newest: the newest and all later ones."),
    ] = None


@router.get("/schedules", summary="List schedules", **requires(Scope.READ))
@as_json
def show_schedules(
    service: ServiceDependency, cursor: CursorText = None, limit: Limit = 50
) -> Listed[ScheduleShape]:
    """One for each Page, in the order in which the Pages were added."""
    (after,) = decode_cursor("schedules", cursor, parts=1) if cursor else ("",)
    with service.engine.store.read() as connection:
        pages = list_pages_after(connection, after, limit=limit + 1)
        schedules = list_schedules(connection, [page.id for page in pages])
    more = encode_cursor("schedules", pages[limit - 1].id) if len(pages) > limit else None
    return Listed(items=[_shape(page, schedules[page.id]) for page in pages[:limit]], next_cursor=more)


@router.get("/pages/{page_id}/schedule", summary="Show a schedule", **requires(Scope.READ, 404, 409))
@as_json
def show_schedule(service: ServiceDependency, page_id: PageId) -> ScheduleShape:
    """When workers sync and verify the Page."""
    with service.engine.store.read() as connection:
        page = find_page(connection, page_id)
        return _shape(page, get_schedule(connection, page.id))


@router.patch(
    "/pages/{page_id}/schedule", summary="Change a schedule", **requires(Scope.ADMIN, 404, 409, 413)
)
async def change_schedule(
    service: ServiceDependency, page_id: PageId, asked: ScheduleChange
) -> ScheduleShape:
    """How often workers sync the Page, whether they do, and how much history they keep."""
    if not asked.model_fields_set:
        raise RequestInvalid("There is nothing to set.", hint="Send everySeconds, isPaused or history.")
    return await to_thread.run_sync(_change, service, page_id, asked, limiter=service.writers)


@router.delete(
    "/pages/{page_id}/schedule", summary="Return to the default schedule", **requires(Scope.ADMIN, 404, 409)
)
async def remove_schedule(service: ServiceDependency, page_id: PageId) -> ScheduleShape:
    """The default interval, and not paused. How much history is kept does not change."""
    return await to_thread.run_sync(_reset, service, page_id, limiter=service.writers)


def _change(service: Service, page_id: str, asked: ScheduleChange) -> ScheduleShape:
    now = service.engine.clock.now()
    with service.engine.store.write() as connection:
        page = find_page(connection, page_id)
        if asked.history is not None:
            set_history(connection, page, asked.history, now=now)
        schedule = set_schedule(
            connection, page, every_seconds=asked.every_seconds, is_paused=asked.is_paused, now=now
        )
        return _shape(find_page(connection, page.id), schedule)


def _reset(service: Service, page_id: str) -> ScheduleShape:
    with service.engine.store.write() as connection:
        page = find_page(connection, page_id)
        return _shape(page, reset_schedule(connection, page, now=service.engine.clock.now()))


def _shape(page: Page, schedule: Schedule) -> ScheduleShape:
    return ScheduleShape(
        page_id=page.id,
        facebook_page_id=page.facebook_page_id,
        every_seconds=schedule.every_seconds or EVERY_SECONDS,
        is_default=schedule.every_seconds is None,
        is_paused=schedule.is_paused,
        history=page.history,
        next_sync_at=schedule.next_sync_at,
        next_verify_at=schedule.next_verify_at,
    )
