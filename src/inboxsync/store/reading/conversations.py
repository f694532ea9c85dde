"""Conversations, newest first, all or those that somebody looks for."""

from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache, lru_cache
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, Select, func, select, true

from inboxsync.store.reading.lists import Key, KeyedList, Listed
from inboxsync.store.tables import BESIDE_INBOX, UNREAD, conversation_facts
from inboxsync.store.tables import messenger_conversations as table

_INBOX = "inbox"
_TOLD = (
    "id",
    "page_id",
    "conversation_id",
    "platform",
    "folder",
    "sender_id",
    "sender_name",
    "last_message",
    "message_count",
    "unread_count",
    "conversation_status",
    "link",
    "has_older_messages",
    "created_at",
    "updated_at",
)
_FACTS = (
    "first_message_at",
    "last_message_at",
    "last_contact_message_at",
    "last_sender",
    "unanswered_since_at",
    "first_response_seconds",
    "messages_from_contact",
    "messages_from_page",
    "has_phone",
    "has_email",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationFilter:
    """What is looked for; None is everything. `sender_id` is the contact."""

    page_id: str | None = None
    folder: str | None = None
    updated_since: datetime | None = None
    sender_id: str | None = None
    is_unread: bool | None = None
    is_unanswered: bool | None = None
    has_phone: bool | None = None
    has_email: bool | None = None


class ConversationRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One conversation.

    `id` is ours, `conversation_id` Graph's; `message_count` and `unread_count` are Meta's estimates.
    What is derived (from `first_message_at` on) is as the last pass left it, and None before the first.
    """

    id: str
    page_id: str
    conversation_id: str
    platform: str
    folder: str
    sender_id: str | None
    sender_name: str | None
    last_message: str | None
    last_message_time: datetime | None
    message_count: int | None
    unread_count: int | None
    conversation_status: str
    link: str | None
    has_older_messages: bool
    created_at: datetime
    updated_at: datetime
    first_message_at: datetime | None
    last_message_at: datetime | None
    last_contact_message_at: datetime | None
    last_sender: str | None
    unanswered_since_at: datetime | None
    first_response_seconds: int | None
    messages_from_contact: int | None
    messages_from_page: int | None
    has_phone: bool
    has_email: bool
    key: Key

    @property
    def is_gone(self) -> bool:
        """Whether the source no longer has it."""
        return self.conversation_status == "gone"


def list_conversations(
    connection: Connection, wanted: ConversationFilter, *, after: Key | None = None, limit: int = 50
) -> Listed[ConversationRecord]:
    """Conversations by the time of their newest message, newest first, those that are gone among them."""
    listed = _listed(replace(wanted, page_id=None))
    return listed.read(connection, wanted.page_id, after=after, limit=limit)


@lru_cache(maxsize=200)
def _listed(wanted: ConversationFilter) -> KeyedList[ConversationRecord]:
    if wanted.is_unanswered or wanted.has_phone or wanted.has_email:
        # Few have this, so they are looked up in the facts, which have an index for each.
        page_of: ColumnElement[str] = conversation_facts.c.page_id
        at, row_id = conversation_facts.c.listed_at, conversation_facts.c.conversation_id
    else:
        page_of, at, row_id = table.c.page_id, table.c.last_message_time, table.c.id
    query = _filtered(_conversations(), wanted)
    if wanted.updated_since is not None:
        query = query.where(at >= wanted.updated_since)
    if wanted.sender_id is not None and page_of is table.c.page_id:
        # A contact has a few: SQLite must not prefer the Page's index, whose order is right.
        page_of = func.coalesce(page_of, "")
    return KeyedList(
        of_page=lambda page_id: query.where(page_of == page_id),
        at=at,
        row_id=row_id,
        # As the list was read: the facts may be a pass behind the conversation's own time.
        record=lambda row: _record(row, at=getattr(row, at.name)),
        key_of=lambda each: each.key,
    )


def get_conversation(connection: Connection, conversation_id: str) -> ConversationRecord | None:
    """One conversation by our id; None where it is not stored."""
    row = connection.execute(_conversations().where(table.c.id == conversation_id)).one_or_none()
    return _record(row, at=row.last_message_time) if row else None


def _filtered(query: Select[Any], wanted: ConversationFilter) -> Select[Any]:
    facts = conversation_facts.c
    if wanted.folder is not None:
        query = query.where(table.c.folder == wanted.folder)
        if wanted.folder != _INBOX:
            query = query.where(BESIDE_INBOX)
    if wanted.sender_id is not None:
        query = query.where(table.c.sender_id == wanted.sender_id)
    if wanted.is_unread is not None:
        query = query.where(UNREAD if wanted.is_unread else UNREAD.is_not(true()))
    if wanted.is_unanswered is not None:
        since = facts.unanswered_since_at
        query = query.where(since.is_not(None) if wanted.is_unanswered else since.is_(None))
    for column, asked in ((facts.has_phone, wanted.has_phone), (facts.has_email, wanted.has_email)):
        if asked is not None:
            query = query.where(column.is_(true()) if asked else column.is_not(true()))
    return query


@cache
def _conversations() -> Select[Any]:
    facts = conversation_facts
    return select(
        *(table.c[name] for name in _TOLD),
        table.c.last_message_time,
        facts.c.listed_at,
        *(facts.c[name] for name in _FACTS),
    ).select_from(table.outerjoin(facts, facts.c.conversation_id == table.c.id))


def _record(row: Row[Any], *, at: datetime | None) -> ConversationRecord:
    values = row._asdict()
    del values["listed_at"]
    for name in ("has_phone", "has_email"):
        values[name] = bool(values[name])
    return ConversationRecord(**values, key=(at, row.id))
