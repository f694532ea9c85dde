"""Rows of `messages`: by far the most, so they are written as plain tuples."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from operator import attrgetter

from sqlalchemy import Connection, Update, and_, bindparam, func, or_, select, update

from inboxsync.model import Conversation, Message
from inboxsync.store.tables import messages as table
from inboxsync.store.types import format_utc

# What may change once a message is stored (edits, reactions).
_CHANGING = ("text", "reactions")
# Filled in where they were missing, and never replaced: media URLs are signed anew for every answer
# (graph-facts 1.6), so comparing them would rewrite the table at each sync.
_FILLED = ("sent_at", "sender_id", "sender_name", "attachments", "shares", "sticker", "story", "extra")
_SERVED = (
    "is_from_page",
    "sender_id",
    "sender_name",
    "text",
    "attachments",
    "shares",
    "sticker",
    "reactions",
    "story",
    "reply_to_message_id",
    "extra",
)
_COLUMNS = ("conversation_id", "message_id", "sent_at", *_SERVED, "source", "created_at")
_INSERT = f"INSERT INTO messages ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"  # noqa: S608
_served_values = attrgetter(*_SERVED)

Known = Mapping[str, frozenset[str]]


def known_message_ids(connection: Connection, conversations: Mapping[str, Conversation]) -> Known:
    """Which of the messages that these conversations bring are stored: Graph ids, by our conversation id."""
    message_ids = [message.message_id for served in conversations.values() for message in served.messages]
    if not message_ids:
        return {}
    rows = connection.execute(
        select(table.c.conversation_id, table.c.message_id).where(
            and_(table.c.conversation_id.in_(list(conversations)), table.c.message_id.in_(message_ids))
        )
    )
    found: dict[str, set[str]] = {}
    for row_id, message_id in rows:
        found.setdefault(row_id, set()).add(message_id)
    return {row_id: frozenset(ids) for row_id, ids in found.items()}


def upsert_messages(
    connection: Connection,
    conversations: Sequence[tuple[str, Sequence[Message]]],
    known: Known,
    *,
    source: str,
    now: datetime,
) -> int:
    """Insert messages that are new and bring the known ones up to date; returns how many were new."""
    stamp = format_utc(now)
    new, stored = [], []
    for row_id, served in conversations:
        have = known.get(row_id, frozenset())
        for message in {message.message_id: message for message in served}.values():
            if message.message_id in have:
                stored.append((row_id, message))
            else:
                sent_at = format_utc(message.sent_at) if message.sent_at else None
                new.append((row_id, message.message_id, sent_at, *_served_values(message), source, stamp))
    if new:
        connection.exec_driver_sql(_INSERT, new)
    if stored:
        connection.execute(_update(), [_changes(row_id, message) for row_id, message in stored])
    return len(new)


def _changes(row_id: str, message: Message) -> dict[str, object]:
    # An empty text is an absent one here: Instagram blanks what it no longer lets anyone read.
    served = {f"new_{name}": getattr(message, name) or None for name in (*_CHANGING, *_FILLED)}
    return {"row_id": row_id, "graph_id": message.message_id, **served}


@cache
def _update() -> Update:
    given = {name: bindparam(f"new_{name}", type_=table.c[name].type) for name in (*_CHANGING, *_FILLED)}
    new = {name: func.coalesce(given[name], table.c[name]) for name in _CHANGING}
    new |= {name: func.coalesce(table.c[name], given[name]) for name in _FILLED}
    return (
        update(table)
        .where(table.c.conversation_id == bindparam("row_id"), table.c.message_id == bindparam("graph_id"))
        .where(or_(*(table.c[name].is_distinct_from(value) for name, value in new.items())))
        .values(**new)
    )
