"""The people of a Page's conversations, as the last pass left them."""

from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, select, true

from inboxsync.model import REPLY_WINDOW
from inboxsync.store.reading.lists import Key, KeyedList, Listed
from inboxsync.store.tables import contact_details, conversation_facts
from inboxsync.store.tables import contacts as table


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactFilter:
    """What is looked for; None is everything."""

    page_id: str | None = None
    updated_since: datetime | None = None
    is_unanswered: bool | None = None
    has_phone: bool | None = None
    has_email: bool | None = None


class ContactRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One contact of one Page; `name_source` tells where the name came from: participants or none."""

    page_id: str
    sender_id: str
    name: str | None
    name_source: str
    listed_at: datetime
    first_message_at: datetime | None
    last_message_at: datetime | None
    last_contact_message_at: datetime | None
    unanswered_since_at: datetime | None
    conversations: int
    messages_from_contact: int
    messages_from_page: int
    has_phone: bool
    has_email: bool

    @property
    def reply_window_closes_at(self) -> datetime | None:
        """Until when the Page may reply freely; it may lie in the past."""
        at = self.last_contact_message_at
        return at + REPLY_WINDOW if at is not None else None

    @property
    def key(self) -> Key:
        """Where it stands in the list."""
        return self.listed_at, self.sender_id


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactDetail:
    """A phone number (E.164) or e-mail address that a contact wrote; `message_id` is the newest evidence."""

    kind: str
    value: str
    message_id: str
    conversation_id: str
    sent_at: datetime | None


def list_contacts(
    connection: Connection, wanted: ContactFilter, *, after: Key | None = None, limit: int = 50
) -> Listed[ContactRecord]:
    """Contacts by the time of their newest conversation, newest first."""
    listed = _listed(replace(wanted, page_id=None))
    return listed.read(connection, wanted.page_id, after=after, limit=limit)


@lru_cache(maxsize=200)
def _listed(wanted: ContactFilter) -> KeyedList[ContactRecord]:
    query = select(table)
    if wanted.updated_since is not None:
        query = query.where(table.c.listed_at >= wanted.updated_since)
    if wanted.is_unanswered is not None:
        since = table.c.unanswered_since_at
        query = query.where(since.is_not(None) if wanted.is_unanswered else since.is_(None))
    for column, asked in ((table.c.has_phone, wanted.has_phone), (table.c.has_email, wanted.has_email)):
        if asked is not None:
            query = query.where(column.is_(true()) if asked else column.is_not(true()))
    return KeyedList(
        of_page=lambda page_id: query.where(table.c.page_id == page_id),
        at=table.c.listed_at,
        row_id=table.c.sender_id,
        record=_contact,
        key_of=lambda each: each.key,
    )


def get_contact(connection: Connection, page_id: str, sender_id: str) -> ContactRecord | None:
    """One contact; None where the Page has no such."""
    found = select(table).where(table.c.page_id == page_id, table.c.sender_id == sender_id)
    row = connection.execute(found).one_or_none()
    return _contact(row) if row else None


def list_contact_details(connection: Connection, page_id: str, sender_id: str) -> list[ContactDetail]:
    """What a contact wrote of itself, each once, with the newest message that says so."""
    details, facts = contact_details, conversation_facts
    rows = connection.execute(
        select(
            details.c.kind,
            details.c.value,
            details.c.message_id,
            details.c.conversation_id,
            details.c.sent_at,
        )
        .join(facts, facts.c.conversation_id == details.c.conversation_id)
        .where(facts.c.page_id == page_id, facts.c.sender_id == sender_id)
        .order_by(
            details.c.kind, details.c.value, details.c.sent_at.desc().nulls_last(), details.c.message_id
        )
    )
    found: dict[tuple[str, str], ContactDetail] = {}
    for row in rows:
        found.setdefault((row.kind, row.value), ContactDetail(**row._asdict()))
    return list(found.values())


def _contact(row: Row[Any]) -> ContactRecord:
    return ContactRecord(**row._asdict())
