"""What a sync learns about stored conversations beside what is served of them."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Connection, bindparam, update

from inboxsync.model import Page
from inboxsync.store.tables import messenger_conversations as table
from inboxsync.store.tables import not_by_index


def set_has_older_messages(
    connection: Connection,
    page: Page,
    conversation_id: str,
    value: bool,  # noqa: FBT001 - what is set
    *,
    now: datetime,
) -> None:
    """Note whether the source has older messages of this conversation than are stored."""
    connection.execute(
        update(table)
        .where(
            not_by_index(table.c.page_id) == page.id,
            table.c.conversation_id == conversation_id,
            table.c.has_older_messages != value,
        )
        .values(has_older_messages=value, updated_at=now)
    )


def mark_gone(connection: Connection, page: Page, graph_ids: Collection[str], *, now: datetime) -> int:
    """Note that the source no longer has these; what is stored stays. Returns how many were active."""
    return _mark(connection, page, graph_ids, status="gone", now=now)


def mark_active(connection: Connection, page: Page, graph_ids: Collection[str], *, now: datetime) -> int:
    """Note that the source serves these again. Returns how many were not active."""
    return _mark(connection, page, graph_ids, status="active", now=now)


def _mark(
    connection: Connection, page: Page, graph_ids: Collection[str], *, status: str, now: datetime
) -> int:
    if not graph_ids:
        return 0
    marked = (
        update(table)
        .where(not_by_index(table.c.page_id) == page.id, table.c.conversation_id == bindparam("graph_id"))
        .where(table.c.conversation_status != status)
        .values(conversation_status=status, updated_at=now)
    )
    return connection.execute(marked, [{"graph_id": each} for each in graph_ids]).rowcount
