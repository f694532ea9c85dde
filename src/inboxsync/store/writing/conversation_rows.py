"""Rows of `messenger_conversations`: read, inserted, updated a batch at a time."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from itertools import chain
from operator import attrgetter
from typing import Any

import msgspec
import uuid_utils
from sqlalchemy import Connection, Select, Update, bindparam, func, or_, select, update

from inboxsync.model import Conversation, Page, Participant
from inboxsync.store.connection.statements import Among, select_among
from inboxsync.store.connection.types import format_utc
from inboxsync.store.tables import messenger_conversations as table
from inboxsync.store.writing.bulk import in_pieces

_encode = msgspec.json.Encoder().encode
_id_of = attrgetter("id")
# What an answer tells, and may change. Absent values are left as they are.
_TOLD = (
    "sender_id",
    "sender_name",
    "participants",
    "last_message",
    "last_message_time",
    "message_count",
    "unread_count",
    "conversation_status",
    "link",
    "has_older_messages",
    "source_updated_at",
    "extra",
)
CHANGING = ("folder", *_TOLD)
# What is written of a row that is new.
INSERTED = (
    *("id", "page_id", "conversation_id", "platform", "created_at", "updated_at"),
    *("fingerprint", "fingerprint_messages", *CHANGING),
)
# Far below what a statement takes: 32,766 parameters on SQLite.
_IDS_A_STATEMENT = 1000


@dataclass(frozen=True, slots=True)
class StoredConversation:
    """What the store has of a conversation that a batch brings."""

    id: str
    source_updated_at: datetime | None
    has_older_messages: bool
    folder: str
    is_gone: bool
    fingerprint: str | None
    fingerprint_messages: int | None


def new_id() -> str:
    """An id of ours: UUIDv7 as text, so that rows are inserted in order."""
    return str(uuid_utils.uuid7())


def stored_conversations(
    connection: Connection, page: Page, graph_ids: Collection[str]
) -> dict[str, StoredConversation]:
    """Those of these conversations that are stored, by Graph's id."""
    rows = select_among(connection, _stored, graph_ids, of_page=page.id)
    return {graph_id: StoredConversation(*values) for graph_id, *values in rows}


def values_of(conversation: Conversation, *, has_older: bool | None, folder: str) -> dict[str, Any]:
    """What an answer tells of a conversation, in the order of `CHANGING`; None: nothing."""
    return dict(zip(CHANGING, (folder, *_values(conversation, has_older, lambda at: at)), strict=True))


def column_values(conversation: Conversation, *, has_older: bool | None) -> tuple[Any, ...]:
    """The same but for the folder; times are text, which both databases take."""
    return _values(conversation, has_older, format_utc)


def _values(
    conversation: Conversation,
    has_older: bool | None,  # noqa: FBT001 - of a row
    held: Callable[[datetime], object],
) -> tuple[Any, ...]:
    """In the order of `_TOLD`, with times as they are `held`."""
    contact = conversation.contact
    newest = next((message for message in conversation.messages if message.sent_at), None)
    newest_at = (newest.sent_at if newest else None) or conversation.source_updated_at
    return (
        contact.id if contact else None,
        (contact.name or contact.username) if contact else None,
        _participants(conversation.participants),
        # A newest message without words has none: the ones before it must not stand in for it.
        conversation.snippet or (newest.text or "" if newest else None),
        held(newest_at) if newest_at else None,
        conversation.message_count,
        conversation.unread_count,
        "active",
        conversation.link,
        has_older,
        held(conversation.source_updated_at) if conversation.source_updated_at else None,
        conversation.extra,
    )


def insert_conversations(connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert rows of `INSERTED` into SQLite, of conversations that are not stored.

    In its own words: SQLAlchemy's take longer than the database.
    """
    for some in in_pieces(rows):
        connection.exec_driver_sql(_insert(len(some)), tuple(chain.from_iterable(some)))


@cache
def _insert(rows: int) -> str:
    """An INSERT of so many rows."""
    marks = f"({', '.join('?' * len(INSERTED))})"
    values = ", ".join([marks] * rows)
    return f"INSERT INTO messenger_conversations ({', '.join(INSERTED)}) VALUES {values}"  # noqa: S608


def update_conversations(
    connection: Connection,
    conversations: Sequence[tuple[StoredConversation, tuple[Conversation, bool | None]]],
    *,
    folder: str,
    now: datetime,
) -> int:
    """Write what differs from the stored rows; returns how many rows did.

    The flag is whether there are older messages than will be stored; None where nothing new is known of it.
    """
    rows = []
    for have, (conversation, has_older) in conversations:
        values = values_of(conversation, has_older=has_older, folder=folder)
        rows.append(
            {f"new_{name}": value for name, value in values.items()} | {"row_id": have.id, "now": now}
        )
    return connection.execute(_update(), rows).rowcount if rows else 0


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
    """Note that the source no longer has these; what is stored of them stays. Returns how many were there."""
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


def _stored(among: Among) -> Select[Any]:
    return select(
        table.c.conversation_id,
        table.c.id,
        table.c.source_updated_at,
        table.c.has_older_messages,
        table.c.folder,
        (table.c.conversation_status == "gone").label("is_gone"),
        table.c.fingerprint,
        table.c.fingerprint_messages,
    ).where(table.c.page_id == bindparam("of_page"), among(table.c.conversation_id))


@cache
def _update() -> Update:
    new = {
        name: func.coalesce(bindparam(f"new_{name}", type_=table.c[name].type), table.c[name])
        for name in CHANGING
    }
    return (
        update(table)
        .where(table.c.id == bindparam("row_id"))
        .where(or_(*(table.c[name].is_distinct_from(value) for name, value in new.items())))
        .values(**new, updated_at=bindparam("now", type_=table.c.updated_at.type))
    )


def _participants(people: tuple[Participant, ...]) -> str | None:
    """As JSON, in the order of their ids: the source's own order means nothing and changes."""
    if not people:
        return None
    return _encode(sorted(people, key=_id_of)).decode()
