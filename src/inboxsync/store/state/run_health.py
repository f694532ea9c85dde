"""Whether the source has answered lately, as the runs tell it."""

from datetime import datetime

from sqlalchemy import Connection, or_, select

from inboxsync.errors import SourceUnreachable
from inboxsync.store.tables import sync_runs as table


def was_source_reached(connection: Connection, *, since: datetime) -> bool | None:
    """Whether it answered the newest run that has ended since then, or goes on.

    None where there was no such run, or it says nothing of the source.
    """
    row = connection.execute(
        select(table.c.batches, table.c.status, table.c.problems)
        .where(or_(table.c.finished_at >= since, table.c.finished_at.is_(None)), table.c.calls > 0)
        .order_by(table.c.id.desc())
        .limit(1)
    ).one_or_none()
    if row is None:
        return None
    if f'"{SourceUnreachable.code}"' in (row.problems or ""):
        return False
    return True if row.batches or row.status == "complete" else None
