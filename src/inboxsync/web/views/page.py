"""`/pages/{id}`: one Page: its run, its proof, its figures, its runs."""

from datetime import datetime, timedelta, tzinfo
from typing import Final

from sqlalchemy import Connection
from starlette.responses import Response

from inboxsync.model import Mode, Page, Run, RunKind
from inboxsync.store.reading import (
    ConversationFilter,
    get_overview,
    list_conversations,
    messages_by_day,
    messages_by_weekday_and_hour,
)
from inboxsync.store.state.backlog import count_backlog, count_older, list_failed_backlog
from inboxsync.store.state.pages import count_conversations, get_page
from inboxsync.store.state.run_events import list_run_events
from inboxsync.store.state.runs import list_runs
from inboxsync.store.state.schedules import get_schedule
from inboxsync.store.state.verifications import newest_verification
from inboxsync.web.charts import DayBars, HeatMap, day_bars, heat_map
from inboxsync.web.page_rows import PageRow, page_label, page_row
from inboxsync.web.request_context import RequestContext
from inboxsync.web.run_rows import LiveRun, live_run, run_row
from inboxsync.web.verification import Proof, proof_of

_DAYS: Final = 60
_HEAT: Final = timedelta(weeks=26)
_RUNS: Final = 10
_REASONS: Final = 3
# As many of each conversation as a sync stores where not all are asked for.
_NEWEST: Final = 10
EVENTS: Final = 2000


def show(context: RequestContext) -> Response:
    """Everything that is known of one Page."""
    now = context.now
    with context.service.engine.store.read() as connection:
        page = get_page(connection, context.part("id"))
        runs = list_runs(connection, page_id=page.id, limit=_RUNS)
        active = next((run for run in runs if run.status.is_open), None)
        row = _row(connection, page, active, now)
        live = live_of(connection, active) if active else None
        proof = _proof(connection, page, now)
        days, hours, span = _charts(connection, page, now, context.service.engine.settings.zone)
    called = {page.id: page_label(page)}
    return context.show(
        "page.html",
        here="pages",
        page=row,
        active=live,
        proof=proof,
        day_chart=days,
        heat_chart=hours,
        charts_span=span,
        runs=[run_row(run, called, now=now) for run in runs],
        refresh_seconds=5 if active else None,
    )


def live_of(connection: Connection, run: Run) -> LiveRun:
    """A run that goes on, as of now."""
    return live_run(
        run, list_run_events(connection, run.id, limit=EVENTS), total=expected_of(connection, run)
    )


def expected_of(connection: Connection, run: Run) -> int | None:
    """How many conversations a run will meet, where that is known: Meta tells it nowhere.

    Whoever reads all again meets about as many as are stored.
    """
    if run.request is not None and run.request.max_conversations is not None:
        return run.request.max_conversations
    if run.mode is not Mode.FULL and run.kind is not RunKind.VERIFY:
        return None
    return count_conversations(connection, run.page_id)


def _row(connection: Connection, page: Page, active: Run | None, now: datetime) -> PageRow:
    overview = get_overview(connection, page)
    return page_row(overview, schedule=get_schedule(connection, page.id), active=active, now=now)


def _proof(connection: Connection, page: Page, now: datetime) -> Proof:
    return proof_of(
        newest_verification(connection, page),
        backlog=count_backlog(connection, page),
        failed=list_failed_backlog(connection, page, limit=_REASONS),
        older=count_older(connection, page, messages=_NEWEST),
        now=now,
    )


def _charts(connection: Connection, page: Page, now: datetime, zone: tzinfo) -> tuple[DayBars, HeatMap, str]:
    """Both charts in the settings' time zone, and the days they tell of: the last that anybody wrote in."""
    newest = list_conversations(connection, ConversationFilter(page_id=page.id), limit=1).records
    last = newest[0].last_message_time if newest else None
    is_quiet = last is not None and last < now - timedelta(days=_DAYS)
    ends = last if last is not None and is_quiet else now
    midnight = ends.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
    days = {
        each.day: (each.from_contacts, each.from_page)
        for each in messages_by_day(
            connection, page.id, since=midnight - timedelta(days=_DAYS - 1), zone=zone
        )
    }
    hours = messages_by_weekday_and_hour(connection, page.id, since=midnight - _HEAT, zone=zone)
    return (
        day_bars(days, until=midnight.date(), days=_DAYS),
        heat_map({(each.weekday, each.hour): each.from_contacts for each in hours}),
        f"{_DAYS} days to {midnight:%-d %b %Y}" if is_quiet else f"last {_DAYS} days",
    )
