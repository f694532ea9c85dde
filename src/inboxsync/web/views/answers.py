"""`/pages/{id}/answers`: how fast the Page answers. The report is computed on request."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from starlette.responses import Response

from inboxsync.reports import response_times
from inboxsync.store.reading import Scope
from inboxsync.store.state.pages import get_page
from inboxsync.web.page_rows import page_label
from inboxsync.web.request_context import RequestContext
from inboxsync.web.wording import duration

_DAYS: Final = 90


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeedRow:
    """One line of a table: how many responses, and how long the contacts waited."""

    label: str
    responses: int
    median: str
    most: str


def show(context: RequestContext) -> Response:
    """The last months: in total, by hour and by day."""
    now, zone = context.now, context.zone
    with context.service.engine.store.read() as connection:
        page = get_page(connection, context.path_param("id"))
        scope = Scope(pages=(page,), since=now - timedelta(days=_DAYS))
        counts = context.param("automatic") == "count"
        report = response_times(connection, scope, zone, now=now, count_automatic=counts)
    overall, waiting = report.overall, report.unanswered
    figures = [
        ("Responses", f"{overall.responses:,}"),
        ("Half answered within", _time(overall.median_seconds)),
        ("9 of 10 answered within", _time(overall.p90_seconds)),
        ("Unanswered now", f"{waiting.conversations:,}"),
        ("Of these, within 24 h", f"{waiting.in_window:,}"),
    ]
    hours = [
        SpeedRow(
            label=f"{hour:02}:00",
            responses=speed.responses,
            median=_time(speed.median_seconds),
            most=_time(speed.p90_seconds),
        )
        for hour, speed in enumerate(report.by_hour)
    ]
    days = [
        SpeedRow(
            label=f"{each.day:%-d %b %Y}",
            responses=each.speed.responses,
            median=_time(each.speed.median_seconds),
            most=_time(each.speed.p90_seconds),
        )
        for each in reversed(report.by_day)
    ]
    return context.show(
        "answers.html",
        here="pages",
        page_id=page.id,
        label=page_label(page),
        report_days=_DAYS,
        figures=figures,
        hours=hours,
        days=days,
        incomplete=report.incomplete,
        automatic=report.automatic,
        automatic_counted=report.automatic_counted,
    )


def _time(seconds: float | None) -> str:
    return duration(seconds) if seconds is not None else "none yet"
