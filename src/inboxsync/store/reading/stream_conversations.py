"""Conversations, each with who waits for whom."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Row, func, select

from inboxsync.model import Exchange, Page
from inboxsync.store.reading.scope import CONVERSATIONS_AT_ONCE, Scope, iter_chunks, iter_rows
from inboxsync.store.reading.stream_exchanges import Summary, exchanges_of
from inboxsync.store.tables import messenger_conversations as table


class ConversationRow(NamedTuple):
    """One conversation with what its stored messages tell.

    `conversation_id` and `contact_id` are Graph's. `message_count` and `unread_count` are Meta's
    estimates, `messages_in` and `messages_out` counts of what is stored and can be read.
    """

    page: Page
    row_id: str
    conversation_id: str
    contact_id: str | None
    contact_name: str | None
    folder: str
    status: str
    link: str | None
    last_message: str | None
    last_message_at: datetime | None
    message_count: int | None
    unread_count: int | None
    has_older_messages: bool
    exchange: Exchange


def count_conversations(connection: Connection, scope: Scope) -> int:
    """How many `iter_conversations` brings."""
    of_pages = table.c.page_id.in_(scope.page_ids)
    query = select(func.count()).select_from(table).where(of_pages, *_since(scope))
    return int(connection.execute(query).scalar_one())


def iter_conversations(connection: Connection, scope: Scope) -> Iterator[ConversationRow]:
    """The conversations, by Page and Graph's id."""
    for page in scope.pages:
        query = (
            select(
                table.c.id,
                table.c.conversation_id,
                table.c.sender_id,
                table.c.sender_name,
                table.c.folder,
                table.c.conversation_status,
                table.c.link,
                table.c.last_message,
                table.c.last_message_time,
                table.c.message_count,
                table.c.unread_count,
                table.c.has_older_messages,
            )
            .where(table.c.page_id == page.id, *_since(scope))
            .order_by(table.c.conversation_id)
        )
        for chunk in iter_chunks(iter_rows(connection, query), CONVERSATIONS_AT_ONCE):
            exchanges = exchanges_of(connection, {row.id: Summary.of(row) for row in chunk})
            yield from (_conversation(page, row, exchanges[row.id]) for row in chunk)


def _since(scope: Scope) -> list[ColumnElement[bool]]:
    return [table.c.last_message_time >= scope.since] if scope.since is not None else []


def _conversation(page: Page, row: Row[Any], exchange: Exchange) -> ConversationRow:
    return ConversationRow._make((page, *row, exchange))
