"""Messages: pages of one conversation's, and all as a stream."""

from collections.abc import Collection, Iterator
from datetime import datetime
from functools import cache
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, Connection, Select, case, func, literal, select, tuple_

from inboxsync.model.automatic import Said
from inboxsync.model.exchange import Sent
from inboxsync.store.connection.types import NO_TIME
from inboxsync.store.reading.conversations import ConversationRecord, iter_conversation_chunks
from inboxsync.store.reading.lists import Key, Listed
from inboxsync.store.reading.scope import Scope, iter_id_chunks, iter_rows
from inboxsync.store.tables import messages as table
from inboxsync.store.tables import messenger_conversations

# Oldest first, those without a time last. Within one second the contact's come before the Page's.
_IN_ORDER: Final = (table.c.sent_at.nulls_last(), table.c.is_from_page, table.c.message_id)


class MessageRecord(msgspec.Struct, frozen=True):
    """One message. `conversation_id` is ours; `attachments`, `shares`, `reactions` and `story` are JSON.

    `is_readable` is false where the source gives only its time.
    """

    conversation_id: str
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
    is_readable: bool

    @property
    def key(self) -> Key:
        """Where it stands among its conversation's messages."""
        return self.sent_at, self.message_id


class StreamedMessage(MessageRecord, frozen=True):
    """A message with what a stream says of its conversation; `graph_conversation_id` is Graph's id."""

    graph_conversation_id: str
    contact_id: str | None
    contact_name: str | None


@cache
def _messages() -> Select[Any]:
    return select(*(table.c[name] for name in MessageRecord.__struct_fields__))


def list_messages(
    connection: Connection,
    conversation_id: str,
    *,
    before: Key | None = None,
    after: Key | None = None,
    limit: int = 50,
) -> Listed[MessageRecord]:
    """Messages of a conversation (our id), newest first; those without a time last.

    `before` a key: older messages, and `next` is the key to continue before. `after` a key: the `limit` next
    newer ones, and `next` is the key to continue after.
    """
    # A conversation's messages lie side by side; an index by time too would slow down every write.
    place = (func.coalesce(table.c.sent_at, literal(NO_TIME, table.c.sent_at.type)), table.c.message_id)
    query = _messages().where(table.c.conversation_id == conversation_id)
    for key, comes in ((before, tuple_(*place).__lt__), (after, tuple_(*place).__gt__)):
        if key is not None:
            at = literal(key[0] or NO_TIME, table.c.sent_at.type)
            query = query.where(comes(tuple_(at, key[1])))
    order = [each.asc() if after is not None else each.desc() for each in place]
    rows: Any = connection.execute(query.order_by(*order).limit(limit + 1)).all()
    found = [MessageRecord(*row) for row in rows]
    kept = found[:limit]
    following = kept[-1].key if len(found) > limit and kept else None
    return Listed(records=tuple(reversed(kept) if after is not None else kept), next=following)


def messages_of_ids(
    connection: Connection, conversation_id: str, message_ids: Collection[str]
) -> dict[str, MessageRecord]:
    """Those of these messages (Graph's ids) of a conversation (our id) that are stored, by their ids."""
    if not message_ids:
        return {}
    query = _messages().where(
        table.c.conversation_id == conversation_id, table.c.message_id.in_(sorted(message_ids))
    )
    rows: Any = connection.execute(query)
    return {row.message_id: MessageRecord(*row) for row in rows}


def iter_messages_of(connection: Connection, conversation_id: str) -> Iterator[MessageRecord]:
    """All messages of a conversation (our id), oldest first; those without a time last."""
    query = _messages().where(table.c.conversation_id == conversation_id).order_by(*_IN_ORDER)
    return (MessageRecord(*row) for row in iter_rows(connection, query))


def count_messages(connection: Connection, scope: Scope) -> int:
    """How many `iter_messages` yields."""
    query = select(func.count()).select_from(table.join(messenger_conversations))
    of_pages = messenger_conversations.c.page_id.in_(scope.page_ids)
    return int(connection.execute(query.where(of_pages, *_wanted(scope))).scalar_one())


def iter_messages(connection: Connection, scope: Scope) -> Iterator[StreamedMessage]:
    """Every readable message, by Page and conversation (Graph's id), oldest first, those without a time last.

    A few conversations at a time, so that no database has to sort everything at once.
    """
    conversation = messenger_conversations.c
    graph_id = conversation.conversation_id
    joined = _messages().add_columns(
        graph_id.label("graph_id"), conversation.sender_id, conversation.sender_name
    )
    joined = joined.select_from(messenger_conversations.join(table))
    for page in scope.pages:
        for ids in iter_id_chunks(connection, page):
            query = joined.where(conversation.id.in_(ids), *_wanted(scope)).order_by(graph_id, *_IN_ORDER)
            for row in iter_rows(connection, query):
                yield StreamedMessage(*row)


def iter_sent(connection: Connection, scope: Scope) -> Iterator[tuple[ConversationRecord, Iterator[Sent]]]:
    """Every conversation of these Pages that has readable messages, and when these were sent, at any time."""
    for conversation, said in _iter_said(connection, scope, literal(None, table.c.text.type)):
        yield conversation, ((at, is_from_page) for at, is_from_page, _ in said)


def iter_said(connection: Connection, scope: Scope) -> Iterator[tuple[ConversationRecord, Iterator[Said]]]:
    """The same, with the texts of the Page's messages."""
    return _iter_said(connection, scope, case((table.c.is_from_page, table.c.text)))


def _iter_said(
    connection: Connection, scope: Scope, text: ColumnElement[Any]
) -> Iterator[tuple[ConversationRecord, Iterator[Said]]]:
    for page in scope.pages:
        for chunk in iter_conversation_chunks(connection, page):
            record_of = {record.id: record for record in chunk}
            query = (
                select(table.c.conversation_id, table.c.sent_at, table.c.is_from_page, text)
                .where(table.c.conversation_id.in_(list(record_of)), table.c.is_readable)
                .order_by(table.c.conversation_id, table.c.sent_at, table.c.is_from_page)
            )
            for row_id, rows in groupby(iter_rows(connection, query), key=itemgetter(0)):
                yield record_of[row_id], ((at, is_from_page, text) for _, at, is_from_page, text in rows)


def _wanted(scope: Scope) -> list[ColumnElement[bool]]:
    readable: list[ColumnElement[bool]] = [table.c.is_readable]
    return [*readable, table.c.sent_at >= scope.since] if scope.since is not None else readable
