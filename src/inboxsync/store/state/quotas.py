"""Rows of `quotas`: what Meta still allows, kept for the next process."""

from datetime import datetime

from sqlalchemy import Connection, select

from inboxsync.model import Quota
from inboxsync.store.connection.statements import put_row
from inboxsync.store.tables import quotas as table


def put_quota(connection: Connection, quota: Quota, *, now: datetime) -> None:
    """Replace what is known of this allowance."""
    row = {
        "object_id": quota.object_id,
        "type": quota.type,
        "used_percent": quota.used_percent,
        "blocked_until_at": quota.blocked_until,
        "refusals": quota.refusals,
        "updated_at": now,
    }
    put_row(connection, table, row)


def list_quotas(connection: Connection, *, blocked_after: datetime | None = None) -> list[Quota]:
    """Every allowance that is known, or those that hold calls back beyond that time."""
    query = select(table).order_by(table.c.object_id, table.c.type)
    if blocked_after is not None:
        query = query.where(table.c.blocked_until_at > blocked_after)
    return [
        Quota(
            object_id=row.object_id,
            type=row.type,
            used_percent=row.used_percent,
            blocked_until=row.blocked_until_at,
            refusals=row.refusals,
        )
        for row in connection.execute(query)
    ]
