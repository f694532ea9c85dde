"""`/`: all Pages, some at a time."""

from datetime import datetime

from sqlalchemy import Connection
from starlette.responses import Response

from inboxsync.model import Page
from inboxsync.store.reading import list_overviews
from inboxsync.store.state.runs import list_open_runs
from inboxsync.store.state.schedules import list_schedules
from inboxsync.web.page_list import PageList, page_list
from inboxsync.web.page_rows import PageRow, page_row
from inboxsync.web.request_context import RequestContext
from inboxsync.web.wording import some


def list_all(context: RequestContext) -> Response:
    """The table of all Pages."""
    with context.service.engine.store.read() as connection:
        listed = page_list(connection, context, "/")
        rows = page_rows(connection, listed.pages, context.now)
    is_busy = any(row.active_run for row in rows)
    return context.show(
        "pages.html",
        here="pages",
        list=listed,
        pages=rows,
        totals=_totals(listed, rows),
        refresh_seconds=10 if is_busy else None,
    )


def page_rows(connection: Connection, pages: list[Page], now: datetime) -> list[PageRow]:
    """These Pages with their figures, their schedules and their runs, in a few statements."""
    ids = [page.id for page in pages]
    schedules, active = list_schedules(connection, ids), list_open_runs(connection, ids)
    return [
        page_row(each, schedule=schedules[each.page.id], active=active.get(each.page.id), now=now)
        for each in list_overviews(connection, pages)
    ]


def _totals(listed: PageList, rows: list[PageRow]) -> str:
    if not listed.total:
        return "Whose conversations are kept here"
    if not listed.is_whole:
        # What all of them have would have to be counted Page by Page.
        return some(listed.total, "Page")
    return (
        f"{some(len(rows), 'Page')}, {some(sum(row.conversations for row in rows), 'conversation')}, "
        f"{some(sum(row.messages for row in rows), 'message')}"
    )
