"""What is stored, in outline, for holding it against the source."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select

from inboxsync.model import Page
from inboxsync.store.tables import messages, messenger_conversations

_ROWS_A_BATCH = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredOutline:
    """One stored conversation; `message_count` is Meta's estimate, `stored_messages` a count."""

    conversation_id: str
    source_updated_at: datetime | None
    message_count: int | None
    has_older_messages: bool
    status: str
    stored_messages: int


def iter_conversations(connection: Connection, page: Page, *, folder: str) -> Iterator[StoredOutline]:
    """Every stored conversation of a folder in the order of Graph's ids, gone ones too.

    A thousand at a time, so that a Page of any size fits in memory.
    """
    table = messenger_conversations
    stored = (
        select(func.count())
        .select_from(messages)
        .where(messages.c.conversation_id == table.c.id)
        .scalar_subquery()
    )
    query = (
        select(
            table.c.conversation_id,
            table.c.source_updated_at,
            table.c.message_count,
            table.c.has_older_messages,
            table.c.conversation_status.label("status"),
            stored.label("stored_messages"),
        )
        .where(table.c.page_id == page.id, table.c.folder == folder)
        .order_by(table.c.conversation_id)
        .limit(_ROWS_A_BATCH)
    )
    rows = connection.execute(query).all()
    while rows:
        for row in rows:
            yield StoredOutline(**row._asdict())
        rows = connection.execute(query.where(table.c.conversation_id > rows[-1].conversation_id)).all()


def message_ids(connection: Connection, page: Page, conversation_id: str) -> list[str]:
    """Graph's ids of what is stored of a conversation (Graph's id), newest first."""
    return list(
        connection.execute(
            select(messages.c.message_id)
            .join(messenger_conversations)
            .where(
                messenger_conversations.c.page_id == page.id,
                messenger_conversations.c.conversation_id == conversation_id,
            )
            .order_by(messages.c.sent_at.desc().nulls_last(), messages.c.message_id)
        ).scalars()
    )
