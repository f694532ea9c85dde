"""What a sync learns about stored conversations beside what is served of them."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Connection, update

from inboxsync.model import Page
from inboxsync.store.tables import messenger_conversations as table

# Far below what a statement takes: 32,766 parameters on SQLite.
_IDS_A_STATEMENT = 1000


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
            table.c.page_id == page.id,
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
    ids = list(graph_ids)
    marked = 0
    for start in range(0, len(ids), _IDS_A_STATEMENT):
        some = ids[start : start + _IDS_A_STATEMENT]
        marked += connection.execute(
            update(table)
            .where(table.c.page_id == page.id, table.c.conversation_id.in_(some))
            .where(table.c.conversation_status != status)
            .values(conversation_status=status, updated_at=now)
        ).rowcount
    return marked
