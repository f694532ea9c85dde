"""Conversations: pages of a list, one, and all of them as a stream."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from functools import cache, lru_cache
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import ColumnElement, Connection, Select, false, func, select, true

from inboxsync.model import REPLY_WINDOW, Page
from inboxsync.store.connection.statements import Among, select_among
from inboxsync.store.derived import facts_of, has_notes
from inboxsync.store.reading.gaps import GAP_COLUMNS, IS_GAP, Gap, gap_of
from inboxsync.store.reading.lists import Key, KeyedList, Listed, part_of
from inboxsync.store.reading.names import People, find_people
from inboxsync.store.reading.scope import Scope, iter_id_chunks, iter_rows
from inboxsync.store.tables import (
    BESIDE_INBOX,
    UNREAD,
    backlog,
    conversation_facts,
    facebook_pages,
    page_totals,
)
from inboxsync.store.tables import messenger_conversations as table

_INBOX: Final = "inbox"
# What is derived from a conversation's messages.
_FACTS: Final = (
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


class ConversationOrder(StrEnum):
    """What comes first: the newest, or the one that was quiet for longest."""

    NEWEST = "newest"
    OLDEST = "oldest"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationFilter:
    """What is looked for; None is everything. `sender_id` is the contact.

    `named`: each of its words begins a word of the contact's name. `people` are those who have that name,
    where that is known already.
    """

    page_id: str | None = None
    named: str | None = None
    people: People | None = None
    folder: str | None = None
    updated_since: datetime | None = None
    sender_id: str | None = None
    is_unread: bool | None = None
    is_unanswered: bool | None = None
    has_phone: bool | None = None
    has_email: bool | None = None


class ConversationRecord(msgspec.Struct, frozen=True):
    """One conversation.

    `id` is ours, `conversation_id` Graph's; `message_count` and `unread_count` are Meta's estimates. What is
    derived from the messages begins with `first_message_at`: in a list it is as the last derive pass left it,
    and None before the first pass; in a stream it is as of now. `listed_at` is its time in the list.
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
    listed_at: datetime | None

    @property
    def key(self) -> Key:
        """Where it stands in the list."""
        return self.listed_at, self.id

    @property
    def reply_window_closes_at(self) -> datetime | None:
        """Until when the Page may reply freely; it may be in the past."""
        at = self.last_contact_message_at
        return at + REPLY_WINDOW if at is not None else None

    @property
    def is_gone(self) -> bool:
        """Whether the source no longer has it."""
        return self.conversation_status == "gone"


class Thread(NamedTuple):
    """A conversation and its gap, if it has one."""

    conversation: ConversationRecord
    gap: Gap | None


def list_conversations(
    connection: Connection,
    wanted: ConversationFilter,
    *,
    after: Key | None = None,
    limit: int = 50,
    order: ConversationOrder = ConversationOrder.NEWEST,
) -> Listed[ConversationRecord]:
    """Conversations by the time of their newest message, those that are gone among them.

    Of a name, the conversations of no more than `MOST_PEOPLE` people are looked through.
    """
    is_rising = order is ConversationOrder.OLDEST
    if wanted.named:
        few = _named(connection, wanted)
        return part_of(few, lambda each: each.key, after=after, limit=limit, is_rising=is_rising)
    listed = _listed(replace(wanted, page_id=None), is_rising=is_rising)
    return listed.read(connection, wanted.page_id, after=after, limit=limit)


def count_listed_conversations(connection: Connection, wanted: ConversationFilter) -> int:
    """How many conversations match; `MOST_COUNTED` + 1 where there are more, if anything is filtered by."""
    if wanted.named:
        return len(_named(connection, wanted))
    page_ids = _page_ids(connection, wanted)
    if replace(wanted, page_id=None) == ConversationFilter():
        counted = select(func.sum(page_totals.c.conversations)).where(page_totals.c.page_id.in_(page_ids))
        return int(connection.execute(counted).scalar_one() or 0)
    return _counted(replace(wanted, page_id=None)).count(connection, page_ids)


@lru_cache(maxsize=200)
def _counted(wanted: ConversationFilter) -> KeyedList[ConversationRecord]:
    """The same list to be counted: without the table where the facts alone tell what matches."""
    listed, facts = _listed(wanted), conversation_facts.c
    flags = dict.fromkeys(("is_unanswered", "has_phone", "has_email"))
    if (
        replace(wanted, **flags, updated_since=None) != ConversationFilter()
        or listed.at is not facts.listed_at
    ):
        return listed
    query = _filtered(select(facts.conversation_id), wanted)
    if wanted.updated_since is not None:
        query = query.where(facts.listed_at >= wanted.updated_since)
    return replace(listed, of_page=lambda page_id: query.where(facts.page_id == page_id))


def _named(connection: Connection, wanted: ConversationFilter) -> list[ConversationRecord]:
    known = wanted.people or find_people(connection, wanted.named or "", _page_ids(connection, wanted))
    people = known.found
    rows = select_among(connection, _among_contacts, {sender_id for _, sender_id in people})
    since, folder, sender_id = wanted.updated_since, wanted.folder, wanted.sender_id
    return [
        each
        for each in (_record(row) for row in rows)
        if (each.page_id, each.sender_id) in people
        and folder in (None, each.folder)
        and sender_id in (None, each.sender_id)
        and (since is None or (each.listed_at is not None and each.listed_at >= since))
        and wanted.is_unread in (None, (each.unread_count or 0) > 0)
        and wanted.is_unanswered in (None, each.unanswered_since_at is not None)
        and wanted.has_phone in (None, each.has_phone)
        and wanted.has_email in (None, each.has_email)
    ]


def _among_contacts(among: Among) -> Select[Any]:
    return _conversations().where(among(table.c.sender_id))


def _page_ids(connection: Connection, wanted: ConversationFilter) -> list[str]:
    if wanted.page_id is not None:
        return [wanted.page_id]
    return list(connection.execute(select(facebook_pages.c.id)).scalars())


@lru_cache(maxsize=200)
def _listed(wanted: ConversationFilter, *, is_rising: bool = False) -> KeyedList[ConversationRecord]:
    if wanted.is_unanswered or wanted.has_phone or wanted.has_email:
        # Few conversations have this: they are found through the facts, which have an index for each.
        page_of: ColumnElement[str] = conversation_facts.c.page_id
        at, row_id = conversation_facts.c.listed_at, conversation_facts.c.conversation_id
    else:
        page_of, at, row_id = table.c.page_id, table.c.last_message_time, table.c.id
    # The facts may be a pass behind the conversation's own time, so the key is the time that orders the list.
    query = _filtered(_conversations(at), wanted)
    if wanted.updated_since is not None:
        query = query.where(at >= wanted.updated_since)
    if wanted.sender_id is not None and page_of is table.c.page_id:
        # A contact has few conversations: SQLite must not choose the Page's index for its order.
        page_of = func.coalesce(page_of, "")
    return KeyedList(
        of_page=lambda page_id: query.where(page_of == page_id),
        at=at,
        row_id=row_id,
        record=_record,
        key_of=lambda each: each.key,
        is_rising=is_rising,
    )


def get_conversation(connection: Connection, conversation_id: str) -> ConversationRecord | None:
    """One conversation by our id; None where it is not stored."""
    row: Any = connection.execute(_conversations().where(table.c.id == conversation_id)).one_or_none()
    return _record(row) if row else None


def count_conversations(connection: Connection, scope: Scope) -> int:
    """How many `iter_conversations` yields."""
    of_pages = table.c.page_id.in_(scope.page_ids)
    query = select(func.count()).select_from(table).where(of_pages, *_since(scope))
    return int(connection.execute(query).scalar_one())


def iter_conversations(connection: Connection, scope: Scope) -> Iterator[ConversationRecord]:
    """The conversations, by Page and Graph's id, each with what follows from its messages now."""
    is_behind = has_notes(connection)
    for page in scope.pages:
        for chunk in iter_conversation_chunks(connection, page, *_since(scope)):
            yield from _derived_now(connection, chunk) if is_behind else chunk


def iter_conversation_chunks(
    connection: Connection, page: Page, *conditions: ColumnElement[bool]
) -> Iterator[list[ConversationRecord]]:
    """The conversations of a Page by Graph's id, some at a time."""
    for ids in iter_id_chunks(connection, page, *conditions):
        rows: Any = select_among(connection, _among_ids, ids)
        yield [ConversationRecord(*row) for row in rows.all()]


def iter_threads(connection: Connection, page: Page) -> Iterator[Thread]:
    """The conversations of a Page to be read by a person: newest first, with their gaps."""
    query = (
        _conversations()
        .add_columns(*GAP_COLUMNS)
        .outerjoin(backlog, IS_GAP)
        .where(table.c.page_id == page.id)
        .order_by(table.c.last_message_time.desc().nulls_last(), table.c.conversation_id)
    )
    for *values, anchors, since, problem in iter_rows(connection, query):
        record = _record(values)
        gap = gap_of(connection, record.id, anchors, since, problem) if since is not None else None
        yield Thread(record, gap)


def _derived_now(connection: Connection, records: list[ConversationRecord]) -> Iterator[ConversationRecord]:
    """The same with what follows from their messages now: the last derive pass may have been before some."""
    facts = {each.conversation_id: each for each in facts_of(connection, [each.id for each in records])}
    for record in records:
        own = facts[record.id]
        yield msgspec.structs.replace(record, **{name: getattr(own, name) for name in _FACTS})


def _among_ids(among: Among) -> Select[Any]:
    return _conversations().where(among(table.c.id)).order_by(table.c.conversation_id)


def _since(scope: Scope) -> list[ColumnElement[bool]]:
    return [table.c.last_message_time >= scope.since] if scope.since is not None else []


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


def _record(row: Any) -> ConversationRecord:  # noqa: ANN401 - a row of `_conversations`
    return ConversationRecord(*row)


@cache
def _conversations(at: ColumnElement[datetime | None] = table.c.last_message_time) -> Select[Any]:
    """The columns of `ConversationRecord`; `at` is the time of the list."""
    facts = conversation_facts
    columns: dict[str, ColumnElement[Any]] = {name: facts.c[name] for name in _FACTS}
    columns |= {
        name: func.coalesce(facts.c[name], false()).label(name) for name in ("has_phone", "has_email")
    }
    columns["listed_at"] = at.label("listed_at")
    return select(
        *(
            columns[name] if name in columns else table.c[name]
            for name in ConversationRecord.__struct_fields__
        )
    ).select_from(table.outerjoin(facts, facts.c.conversation_id == table.c.id))
