"""Short descriptions of what is stored, to compare it with the source."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select

from inboxsync.model import Page
from inboxsync.store.reading.scope import iter_rows
from inboxsync.store.tables import messages, not_by_index
from inboxsync.store.tables import messenger_conversations as table


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSummary:
    """One stored conversation; `message_count` is Meta's estimate, `stored_messages` a count."""

    conversation_id: str
    source_updated_at: datetime | None
    message_count: int | None
    has_older_messages: bool
    stored_messages: int
    is_gone: bool = False


def summaries_of(connection: Connection, page: Page, graph_ids: Collection[str]) -> dict[str, StoredSummary]:
    """Those of these conversations that are stored, by Graph's id."""
    stored = (
        select(func.count())
        .select_from(messages)
        .where(messages.c.conversation_id == table.c.id)
        .scalar_subquery()
    )
    rows = connection.execute(
        select(
            table.c.conversation_id,
            table.c.source_updated_at,
            table.c.message_count,
            table.c.has_older_messages,
            stored.label("stored_messages"),
            (table.c.conversation_status == "gone").label("is_gone"),
        ).where(not_by_index(table.c.page_id) == page.id, table.c.conversation_id.in_(list(graph_ids)))
    )
    return {row.conversation_id: StoredSummary(**row._asdict()) for row in rows}


def iter_conversation_ids(connection: Connection, page: Page) -> Iterator[str]:
    """Graph's ids of every stored conversation that is not marked gone, in any order."""
    query = select(table.c.conversation_id).where(
        table.c.page_id == page.id, table.c.conversation_status != "gone"
    )
    return (graph_id for (graph_id,) in iter_rows(connection, query))


def message_ids(connection: Connection, page: Page, conversation_id: str) -> list[str]:
    """Graph's ids of what is stored of a conversation (Graph's id), newest first."""
    return list(
        connection.execute(
            select(messages.c.message_id)
            .join(table)
            .where(not_by_index(table.c.page_id) == page.id, table.c.conversation_id == conversation_id)
            .order_by(messages.c.sent_at.desc().nulls_last(), messages.c.message_id)
        ).scalars()
    )


def oldest_stored_at(connection: Connection, page: Page, conversation_id: str) -> datetime | None:
    """When the oldest stored message of a conversation (Graph's id) was sent."""
    oldest: datetime | None = connection.execute(
        select(func.min(messages.c.sent_at))
        .select_from(messages.join(table))
        .where(not_by_index(table.c.page_id) == page.id, table.c.conversation_id == conversation_id)
    ).scalar_one()
    return oldest


def count_unreadable(connection: Connection, page: Page) -> int:
    """Messages of which the source gives only the id and the time."""
    query = select(func.count()).select_from(messages.join(table))
    return int(
        connection.execute(query.where(table.c.page_id == page.id, ~messages.c.is_readable)).scalar_one()
    )
