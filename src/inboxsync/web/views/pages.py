"""`/`: all Pages."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from sqlalchemy import Connection
from starlette.responses import Response

from inboxsync.model import Run
from inboxsync.store.reads import list_overviews
from inboxsync.store.runs import list_runs
from inboxsync.store.schedules import get_schedule
from inboxsync.web.page_rows import PageRow, page_row
from inboxsync.web.visit import Visit
from inboxsync.web.words import some

# As many runs as can be open at once and still be told on one page.
_RECENT_RUNS: Final = 200


def list_all(visit: Visit) -> Response:
    """The table of all Pages."""
    with visit.service.engine.store.read() as connection:
        rows = page_rows(connection, visit.now)
    totals = (
        f"{some(len(rows), 'Page')}, {some(sum(row.conversations for row in rows), 'conversation')}, "
        f"{some(sum(row.messages for row in rows), 'message')}"
    )
    is_busy = any(row.active_run for row in rows)
    return visit.show(
        "pages.html",
        here="pages",
        pages=rows,
        totals=totals if rows else "Whose conversations are kept here",
        refresh_seconds=10 if is_busy else None,
    )


def page_rows(connection: Connection, now: datetime) -> list[PageRow]:
    """Every Page with its figures, its schedule and its run."""
    active = _open_runs(connection)
    return [
        page_row(
            each, schedule=get_schedule(connection, each.page.id), active=active.get(each.page.id), now=now
        )
        for each in list_overviews(connection)
    ]


def _open_runs(connection: Connection) -> Mapping[str, Run]:
    recent = list_runs(connection, limit=_RECENT_RUNS)
    return {run.page_id: run for run in recent if run.status.is_open}
