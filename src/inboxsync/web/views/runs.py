"""`/runs` and `/runs/{id}`: every execution, and how it ended."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from starlette.responses import Response

from inboxsync.errors import RunUnknown
from inboxsync.model import RunEvent
from inboxsync.store.state.run_events import list_run_events
from inboxsync.store.state.runs import get_run, list_runs
from inboxsync.web.charts import SpeedLine, speed_line, thinned
from inboxsync.web.page_list import called, page_choice
from inboxsync.web.request_context import RequestContext
from inboxsync.web.run_rows import run_row, said, speeds_of
from inboxsync.web.views.page import EVENTS, live_of

_LIMIT: Final = 50
_SHOWN_EVENTS: Final = 60
_MOST_POINTS: Final = 120
_FEWEST_POINTS: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRow:
    """One line of what a run told."""

    at: datetime
    status: str
    said: str
    fetched: str


def list_some(context: RequestContext) -> Response:
    """The newest runs, of one Page or of all."""
    page_id, before = context.asked("page"), context.asked("before")
    with context.service.engine.store.read() as connection:
        choice = page_choice(connection, page_id)
        found = list_runs(connection, page_id=page_id or None, before=before or None, limit=_LIMIT + 1)
        names = called(connection, (run.page_id for run in found))
    rows = [run_row(run, names, now=context.now) for run in found[:_LIMIT]]
    return context.show(
        "runs.html",
        here="runs",
        choice=choice,
        runs=rows,
        newest=context.here_with("/runs", before=None) if before else None,
        older=context.here_with("/runs", before=rows[-1].id) if len(found) > _LIMIT else None,
    )


def show(context: RequestContext) -> Response:
    """One run: live while it goes on, its figures and its words when it has ended."""
    with context.service.engine.store.read() as connection:
        run = get_run(connection, context.part("id"))
        if run is None:
            raise RunUnknown("There is no such run in the database.", hint="Old runs are removed in time.")
        events = list_run_events(connection, run.id, limit=EVENTS)
        active = live_of(connection, run) if run.status.is_open else None
        names = called(connection, [run.page_id])
    return context.show(
        "run.html",
        here="runs",
        run=run_row(run, names, now=context.now),
        active=active,
        chart=_chart(events),
        events=[_line(event) for event in reversed(events[-_SHOWN_EVENTS:])],
        refresh_seconds=5 if active else None,
    )


def _chart(events: list[RunEvent]) -> SpeedLine | None:
    speeds = speeds_of(events)
    return speed_line(thinned(speeds, most=_MOST_POINTS)) if len(speeds) >= _FEWEST_POINTS else None


def _line(event: RunEvent) -> EventRow:
    fetched = event.data.get("fetched")
    return EventRow(
        at=event.at,
        status=event.status.replace("_", " "),
        said=said(event),
        fetched=f"{fetched:,}" if isinstance(fetched, int) else "",
    )
