"""Rows of `page_leases`: which process may write a Page right now.

Each function is one conditional statement, so that of two processes that want the same
thing at once the database lets one have it: SQLite by its one write lock, PostgreSQL by
the row's, where the second sees what the first has committed (READ COMMITTED).
"""

from datetime import datetime, timedelta
from functools import cache

from sqlalchemy import Connection, Update, bindparam, case, delete, or_, select, update

from inboxsync.errors import LeaseLost
from inboxsync.model import Lease, Page
from inboxsync.store.connection.statements import insert_into
from inboxsync.store.state.pages import get_page
from inboxsync.store.tables import page_leases as table

LEASE_SECONDS = 20.0


def acquire_lease(
    connection: Connection, page_id: str, owner: str, *, now: datetime, seconds: float = LEASE_SECONDS
) -> Lease | None:
    """Take the lease; returns None where it is this owner's now, else the lease of the one who has it.

    It can be taken where no one has it, where its owner let it expire, and again by its owner.
    """
    row = {
        "page_id": page_id,
        "owner": owner,
        "acquired_at": now,
        "heartbeat_at": now,
        "expires_at": now + timedelta(seconds=seconds),
    }
    statement = insert_into(connection, table).values(**row)
    is_ours = table.c.owner == statement.excluded.owner
    taken = {name: statement.excluded[name] for name in ("owner", "heartbeat_at", "expires_at")} | {
        "acquired_at": case((is_ours, table.c.acquired_at), else_=statement.excluded.acquired_at)
    }
    statement = statement.on_conflict_do_update(
        index_elements=[table.c.page_id],
        set_=taken,
        where=or_(is_ours, table.c.expires_at <= statement.excluded.heartbeat_at),
    )
    # Without the option SQLAlchemy keeps no count for an INSERT.
    if connection.execute(statement, execution_options={"preserve_rowcount": True}).rowcount:
        return None
    # Still there: the refused statement has locked the row until this transaction ends.
    return get_lease(connection, page_id)


def keep_lease(connection: Connection, page: Page, owner: str, *, now: datetime) -> None:
    """Renew the lease in the caller's transaction, before anything else is written in it (fencing).

    A frozen process that wakes up must not write over what another has done meanwhile. Raises
    LeaseLost, or PageUnknown where the Page was removed.
    """
    if not renew_lease(connection, page.id, owner, now=now):
        get_page(connection, page.id)  # raises where the lease was removed with its Page
        raise LeaseLost(f"Another process has taken over Page {page.facebook_page_id}.")


def renew_lease(
    connection: Connection, page_id: str, owner: str, *, now: datetime, seconds: float = LEASE_SECONDS
) -> bool:
    """Renew the lease; False where it is no longer this owner's.

    One that has expired is renewed too, as long as no one has taken it.
    """
    expires_at = now + timedelta(seconds=seconds)
    values = {"of_page": page_id, "of_owner": owner, "heartbeat_at": now, "expires_at": expires_at}
    return connection.execute(_renew(), values).rowcount == 1


def release_lease(connection: Connection, page_id: str, owner: str) -> None:
    """Give one's own lease back; another owner's stays."""
    break_lease(connection, page_id, owner)


def break_lease(connection: Connection, page_id: str, owner: str) -> bool:
    """Remove the lease of an owner that is known to be dead; False where it no longer has it."""
    broken = connection.execute(delete(table).where(table.c.page_id == page_id, table.c.owner == owner))
    return broken.rowcount == 1


def get_lease(connection: Connection, page_id: str) -> Lease | None:
    """The lease of a Page, even if it has expired; None where no one has it."""
    row = connection.execute(select(table).where(table.c.page_id == page_id)).one_or_none()
    if row is None:
        return None
    return Lease(
        owner=row.owner,
        acquired_at=row.acquired_at,
        heartbeat_at=row.heartbeat_at,
        expires_at=row.expires_at,
    )


@cache
def _renew() -> Update:
    """Built once: every batch renews its lease."""
    return update(table).where(
        table.c.page_id == bindparam("of_page"), table.c.owner == bindparam("of_owner")
    )
