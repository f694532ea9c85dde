"""Messages: all that can be read."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, func, select

from inboxsync.model import Page
from inboxsync.store.reading.scope import CONVERSATIONS_AT_ONCE, Scope, iter_rows
from inboxsync.store.tables import messages, messenger_conversations

_COLUMNS = (
    messenger_conversations.c.conversation_id,
    messenger_conversations.c.sender_id,
    messenger_conversations.c.sender_name,
    messages.c.message_id,
    messages.c.sent_at,
    messages.c.is_from_page,
    messages.c.sender_id,
    messages.c.sender_name,
    messages.c.text,
    messages.c.attachments,
    messages.c.shares,
    messages.c.sticker,
    messages.c.reactions,
    messages.c.story,
    messages.c.reply_to_message_id,
    messages.c.source,
)


class MessageRow(NamedTuple):
    """One message; ids are Graph's, `attachments`, `shares`, `reactions` and `story` JSON as served."""

    page: Page
    conversation_id: str
    contact_id: str | None
    contact_name: str | None
    message_id: str
    sent_at: datetime | None
    is_from_page: bool
    sender_id: str | None
    sender_name: str | None
    text: str | None
    attachments: str | None
    shares: str | None
    sticker: str | None
    reactions: str | None
    story: str | None
    reply_to_message_id: str | None
    source: str


def count_messages(connection: Connection, scope: Scope) -> int:
    """How many `iter_messages` brings."""
    query = select(func.count()).select_from(messages.join(messenger_conversations))
    of_pages = messenger_conversations.c.page_id.in_(scope.page_ids)
    return int(connection.execute(query.where(of_pages, *_wanted(scope))).scalar_one())


def iter_messages(connection: Connection, scope: Scope) -> Iterator[MessageRow]:
    """The messages, by Page and conversation (Graph's id), oldest first, those without a time last.

    A few conversations at a time, so that no database has to sort everything at once.
    """
    for page in scope.pages:
        for after, last in _spans(connection, page):
            for row in iter_rows(connection, _between(page, after, last, scope)):
                yield MessageRow._make((page, *row))


def _spans(connection: Connection, page: Page) -> Iterator[tuple[str, str]]:
    """Ranges of Graph's ids, a few conversations each: above the first, up to and with the second."""
    column = messenger_conversations.c.conversation_id
    query = (
        select(column)
        .where(messenger_conversations.c.page_id == page.id)
        .order_by(column)
        .limit(CONVERSATIONS_AT_ONCE)
    )
    after = ""
    while found := connection.execute(query.where(column > after)).scalars().all():
        yield after, found[-1]
        after = found[-1]


def _between(page: Page, after: str, last: str, scope: Scope) -> Select[Any]:
    graph_id = messenger_conversations.c.conversation_id
    return (
        select(*_COLUMNS)
        .select_from(messenger_conversations.join(messages))
        .where(
            messenger_conversations.c.page_id == page.id,
            graph_id > after,
            graph_id <= last,
            *_wanted(scope),
        )
        .order_by(graph_id, messages.c.sent_at.nulls_last(), messages.c.is_from_page, messages.c.message_id)
    )


def _wanted(scope: Scope) -> list[ColumnElement[bool]]:
    readable: list[ColumnElement[bool]] = [messages.c.is_readable]
    return [*readable, messages.c.sent_at >= scope.since] if scope.since is not None else readable
