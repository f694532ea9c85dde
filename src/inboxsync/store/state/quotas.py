"""Rows of `rate_pools`: what Meta still allows, kept for the next process."""

from datetime import datetime

from sqlalchemy import Connection, select

from inboxsync.model import RatePool
from inboxsync.store.connection.statements import put_row
from inboxsync.store.tables import rate_pools as table


def put_rate_pool(connection: Connection, pool: RatePool, *, now: datetime) -> None:
    """Replace what is known of this allowance."""
    row = {
        "object_id": pool.object_id,
        "type": pool.type,
        "used_percent": pool.used_percent,
        "blocked_until_at": pool.blocked_until,
        "refusals": pool.refusals,
        "updated_at": now,
    }
    put_row(connection, table, row)


def list_rate_pools(connection: Connection, *, blocked_after: datetime | None = None) -> list[RatePool]:
    """Every allowance that is known, or those that hold calls back beyond that time."""
    query = select(table).order_by(table.c.object_id, table.c.type)
    if blocked_after is not None:
        query = query.where(table.c.blocked_until_at > blocked_after)
    return [
        RatePool(
            object_id=row.object_id,
            type=row.type,
            used_percent=row.used_percent,
            blocked_until=row.blocked_until_at,
            refusals=row.refusals,
        )
        for row in connection.execute(query)
    ]
