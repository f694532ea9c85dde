"""Rows of `page_schedules`: when the workers start runs of a Page without being asked.

A Page without a row is due now, and then at the default interval. A Page that is paused, or whose token does
not work, is never due; a new token makes it due again.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, false, func, or_, select, update

from inboxsync.model import Page, RunKind, Schedule, TaskQueue, TokenState
from inboxsync.store.connection.statements import put_row
from inboxsync.store.state.pages import find_pages
from inboxsync.store.tables import facebook_pages, run_tasks, sync_runs
from inboxsync.store.tables import page_schedules as table


def get_schedule(connection: Connection, page_id: str) -> Schedule:
    """When a Page is due; the default if nothing was set."""
    return list_schedules(connection, [page_id])[page_id]


def list_schedules(connection: Connection, page_ids: Sequence[str]) -> dict[str, Schedule]:
    """When each of these Pages is due, by our ids; the default if nothing was set."""
    rows = connection.execute(select(table).where(table.c.page_id.in_(page_ids)))
    found = {page_id: Schedule(page_id=page_id) for page_id in page_ids}
    return found | {row.page_id: _schedule(row) for row in rows}


def put_schedule(connection: Connection, schedule: Schedule) -> None:
    """Set when a Page is due."""
    row = {
        "page_id": schedule.page_id,
        "every_seconds": schedule.every_seconds,
        "is_paused": schedule.is_paused,
        "next_sync_at": schedule.next_sync_at,
        "next_verify_at": schedule.next_verify_at,
    }
    put_row(connection, table, row)


def make_due(connection: Connection, page_id: str, *, now: datetime) -> None:
    """Make a Page due now; Pages that are due already come before it."""
    later = table.c.next_sync_at > now
    connection.execute(update(table).where(table.c.page_id == page_id, later).values(next_sync_at=now))


def list_due_for_sync(connection: Connection, *, now: datetime, limit: int) -> list[Page]:
    """Pages to sync: new ones first, then the longest due.

    A Page that is being verified stays due until that has ended.
    """
    is_due = or_(table.c.next_sync_at.is_(None), table.c.next_sync_at <= now)
    verified = select(run_tasks.c.page_id).where(run_tasks.c.queue == TaskQueue.VERIFY.value)
    found = _active().where(is_due, facebook_pages.c.id.not_in(verified))
    return _pages(connection, found.order_by(*_oldest(table.c.next_sync_at)).limit(limit))


def list_due_for_verify(connection: Connection, *, now: datetime, limit: int) -> list[Page]:
    """Pages to verify, the longest due first; none that was never synced or that has a run."""
    is_idle = facebook_pages.c.id.not_in(select(run_tasks.c.page_id))
    is_due = and_(table.c.next_verify_at <= now, facebook_pages.c.last_synced_at.is_not(None), is_idle)
    return _pages(connection, _active().where(is_due).order_by(table.c.next_verify_at).limit(limit))


def delete_idle_runs(connection: Connection, *, before: datetime) -> int:
    """Delete runs of schedules that ended before then and found nothing new; returns how many."""
    counts = [sync_runs.c[name] for name in ("inserted", "updated", "events")]
    is_idle = and_(*(count == 0 for count in counts), sync_runs.c.status == "complete")
    is_own = and_(sync_runs.c.queued_at.is_not(None), sync_runs.c.kind == RunKind.SYNC.value)
    old = sync_runs.delete().where(is_idle, is_own, sync_runs.c.finished_at < before)
    return connection.execute(old).rowcount


def _schedule(row: Row[Any]) -> Schedule:
    return Schedule(
        page_id=row.page_id,
        every_seconds=row.every_seconds,
        is_paused=row.is_paused,
        next_sync_at=row.next_sync_at,
        next_verify_at=row.next_verify_at,
    )


def _active() -> Select[Any]:
    joined = facebook_pages.outerjoin(table, table.c.page_id == facebook_pages.c.id)
    return (
        select(facebook_pages.c.id)
        .select_from(joined)
        .where(
            facebook_pages.c.token_state == TokenState.VALID.value,
            func.coalesce(table.c.is_paused, false()).is_(False),
        )
    )


def _oldest(column: ColumnElement[Any]) -> tuple[ColumnElement[Any], ...]:
    """NULL first on both databases."""
    return column.is_not(None), column, facebook_pages.c.id


def _pages(connection: Connection, query: Select[Any]) -> list[Page]:
    ids = list(connection.execute(query).scalars())
    return find_pages(connection, ids)
