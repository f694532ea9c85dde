"""`/api/v1/reports`: how soon people are answered, and when they write, as `inboxsync report` shows it."""

from collections.abc import Callable
from dataclasses import asdict
from datetime import date, datetime
from typing import Annotated, TypeVar

from anyio import to_thread
from fastapi import APIRouter, Query
from pydantic import Field
from sqlalchemy import Connection

from inboxsync.api.auth import requires
from inboxsync.api.schemas import Shape, example
from inboxsync.api.selection import OfPages, SinceText, ZoneText, since_of, zone_of
from inboxsync.api.service import Service, ServiceDependency
from inboxsync.model import Scope
from inboxsync.reports import activity, response_times
from inboxsync.store.reading import Scope as Part
from inboxsync.store.state.pages import find_pages, list_pages

T = TypeVar("T")

router = APIRouter(prefix="/api/v1/reports", tags=["reports"])

_SPEED = {"responses": 412, "medianSeconds": 540.0, "p90Seconds": 10_920.0}
_PAGE = "01978b2e-4a10-7cc3-9f6d-3a2b1c0d9e8f"


class SpeedShape(Shape):
    """How long responses took: the median, and the time within which 9 of 10 came. Null without responses."""

    model_config = example(**_SPEED)

    responses: int
    median_seconds: float | None
    p90_seconds: float | None


class DaySpeedShape(Shape):
    """The responses to the questions of one day, in the report's time zone."""

    model_config = example(day="2026-06-01", speed=_SPEED)

    day: date
    speed: SpeedShape


class UnansweredShape(Shape):
    """The conversations in which the contact wrote last."""

    model_config = example(conversations=7, inWindow=3, oldestSince="2026-05-12T08:14:55Z")

    conversations: int
    in_window: int = Field(description="So many of them may still be answered freely.")
    oldest_since: datetime | None


class AutomaticShape(Shape):
    """What a Page sent by itself."""

    model_config = example(pageId=_PAGE, text="Hello ..., we answer soon.", conversations=380)

    page_id: str
    text: str = Field(description="An ellipsis stands for the contact's name.")
    conversations: int


class ResponseTimesShape(Shape):
    """How soon contacts are answered, and who waits now."""

    model_config = example(
        zone="Europe/Berlin",
        since=None,
        overall=_SPEED,
        byDay=[{"day": "2026-06-01", "speed": _SPEED}],
        byHour=[_SPEED],
        unanswered={"conversations": 7, "inWindow": 3, "oldestSince": "2026-05-12T08:14:55Z"},
        incomplete=0,
        automatic=[],
        automaticCounted=False,
    )

    zone: str
    since: datetime | None
    overall: SpeedShape
    by_day: list[DaySpeedShape]
    by_hour: list[SpeedShape] = Field(description="24 entries, from midnight on.")
    unanswered: UnansweredShape
    incomplete: int = Field(description="In so many conversations older messages are not stored.")
    automatic: list[AutomaticShape]
    automatic_counted: bool


class DayCountShape(Shape):
    """Messages from contacts and from the Page on one day, in the report's time zone."""

    model_config = example(day="2026-06-01", messagesIn=120, messagesOut=98)

    day: date
    messages_in: int
    messages_out: int


class BusyHourShape(Shape):
    """An hour of the week, Monday being 0."""

    model_config = example(weekday=0, hour=20, messagesIn=84)

    weekday: int
    hour: int
    messages_in: int


class ActivityShape(Shape):
    """When people write."""

    model_config = example(
        zone="Europe/Berlin",
        since=None,
        messagesIn=120,
        messagesOut=98,
        byDay=[{"day": "2026-06-01", "messagesIn": 120, "messagesOut": 98}],
        weekIn=[[0] * 24] * 7,
        weekOut=[[0] * 24] * 7,
        busiest=[{"weekday": 0, "hour": 20, "messagesIn": 84}],
        undated=0,
    )

    zone: str
    since: datetime | None
    messages_in: int
    messages_out: int
    by_day: list[DayCountShape]
    week_in: list[list[int]] = Field(description="Seven rows, from Monday on, of 24 hours.")
    week_out: list[list[int]]
    busiest: list[BusyHourShape]
    undated: int = Field(description="Messages without a known time.")


@router.get("/response-times", summary="How soon contacts are answered", **requires(Scope.READ, 404, 409))
async def show_response_times(
    *,
    service: ServiceDependency,
    page: OfPages = None,
    since: SinceText = None,
    zone: ZoneText = None,
    count_automatic: Annotated[
        bool, Query(alias="countAutomatic", description="Count automatic greetings as answers.")
    ] = False,
) -> ResponseTimesShape:
    """A response time is counted from the contact's first unanswered message to the Page's next message."""
    in_zone, now = zone_of(service, zone), service.engine.clock.now()
    began = since_of(service, since, in_zone)

    def report(connection: Connection) -> ResponseTimesShape:
        made = response_times(
            connection, _part(connection, page, began), in_zone, now=now, count_automatic=count_automatic
        )
        return ResponseTimesShape.model_validate(asdict(made))

    return await _compute(service, report)


@router.get("/activity", summary="When people write", **requires(Scope.READ, 404, 409))
async def show_activity(
    *,
    service: ServiceDependency,
    page: OfPages = None,
    since: SinceText = None,
    zone: ZoneText = None,
) -> ActivityShape:
    """Messages a day, the week's hours, and the busiest of them."""
    in_zone = zone_of(service, zone)
    began = since_of(service, since, in_zone)

    def report(connection: Connection) -> ActivityShape:
        made = activity(connection, _part(connection, page, began), in_zone)
        return ActivityShape.model_validate(asdict(made))

    return await _compute(service, report)


async def _compute(service: Service, report: Callable[[Connection], T]) -> T:
    """What a report says. It may read everything, so it takes no thread from the lists."""

    def read() -> T:
        with service.engine.store.read() as connection:
            return report(connection)

    return await to_thread.run_sync(read, limiter=service.reporters)


def _part(connection: Connection, pages: list[str] | None, since: datetime | None) -> Part:
    found = find_pages(connection, pages) if pages else list_pages(connection)
    return Part(pages=tuple(found), since=since)
