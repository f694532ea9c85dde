"""Contacts, once for each Page: pages of a list, one, and all of them as a stream."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from functools import cache, lru_cache
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, Connection, Select, func, select, true

from inboxsync.model import REPLY_WINDOW, Page
from inboxsync.store.connection.statements import Among, select_among
from inboxsync.store.derived import facts_of, has_notes, sum_contacts
from inboxsync.store.reading.lists import Key, KeyedList, Listed, part_of
from inboxsync.store.reading.names import People, find_people
from inboxsync.store.reading.scope import CONVERSATIONS_AT_ONCE, Scope, iter_chunks, iter_rows
from inboxsync.store.search import terms_of
from inboxsync.store.tables import (
    contact_details,
    facebook_pages,
    messenger_conversations,
    not_by_index,
    page_totals,
)
from inboxsync.store.tables import contacts as table

# So many contacts that match a filter are read and sorted; of more, the order's own index soon finds some.
_MOST_SORTED: Final = 1000


class ContactOrder(StrEnum):
    """What comes first: the newest, the longest ago, the name from A to Z, or who has the most messages."""

    NEWEST = "newest"
    OLDEST = "oldest"
    NAME = "name"
    MESSAGES = "messages"


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactFilter:
    """What is looked for; None is everything. `named`: each of its words begins a word of the name.

    `people` are those who have that name, where that is known already.
    """

    page_id: str | None = None
    named: str | None = None
    people: People | None = None
    updated_since: datetime | None = None
    is_unanswered: bool | None = None
    has_phone: bool | None = None
    has_email: bool | None = None


class ContactRecord(msgspec.Struct, frozen=True):
    """One contact of one Page; `name_source` says where the name came from: participants or none.

    In a list it is as the last derive pass left it, in a stream as of now.
    """

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
    has_older_messages: bool

    @property
    def reply_window_closes_at(self) -> datetime | None:
        """Until when the Page may reply freely; it may be in the past."""
        at = self.last_contact_message_at
        return at + REPLY_WINDOW if at is not None else None

    @property
    def key(self) -> Key:
        """Where it stands in the list."""
        return self.listed_at, self.sender_id


class ContactDetail(msgspec.Struct, frozen=True):
    """A phone number (E.164) or e-mail address that a contact wrote.

    `message_id` is the newest message that contains it, `conversation_id` is ours.
    """

    kind: str
    value: str
    message_id: str
    conversation_id: str
    sent_at: datetime | None


def list_contacts(
    connection: Connection,
    wanted: ContactFilter,
    *,
    after: Key | None = None,
    limit: int = 50,
    order: ContactOrder = ContactOrder.NEWEST,
) -> Listed[ContactRecord]:
    """Contacts in this order; of a name, no more than `MOST_PEOPLE` are looked through."""
    key_of, is_rising = _ORDERS[order]
    if (few := _few(connection, wanted, order)) is not None:
        return part_of(few, key_of, after=after, limit=limit, is_rising=is_rising)
    listed = _listed(replace(wanted, page_id=None), order)
    return listed.read(connection, wanted.page_id, after=after, limit=limit)


def count_listed_contacts(connection: Connection, wanted: ContactFilter) -> int:
    """How many contacts match; `MOST_COUNTED` + 1 where there are more, if anything is filtered by."""
    page_ids = _page_ids(connection, wanted)
    if wanted.named:
        return len(_named(connection, wanted))
    if replace(wanted, page_id=None) == ContactFilter():
        counted = select(func.sum(page_totals.c.contacts)).where(page_totals.c.page_id.in_(page_ids))
        return int(connection.execute(counted).scalar_one() or 0)
    return _listed(replace(wanted, page_id=None), ContactOrder.NEWEST).count(connection, page_ids)


def _few(connection: Connection, wanted: ContactFilter, order: ContactOrder) -> list[ContactRecord] | None:
    """All that match, where they are few and no index has them in this order; None otherwise."""
    if wanted.named:
        return _named(connection, wanted)
    is_by_time = order in (ContactOrder.NEWEST, ContactOrder.OLDEST)
    if is_by_time or not (wanted.is_unanswered or wanted.has_phone or wanted.has_email):
        return None
    newest = _listed(replace(wanted, page_id=None), ContactOrder.NEWEST)
    if newest.count(connection, _page_ids(connection, wanted), most=_MOST_SORTED) > _MOST_SORTED:
        return None
    return list(newest.read(connection, wanted.page_id, after=None, limit=_MOST_SORTED).records)


def _named(connection: Connection, wanted: ContactFilter) -> list[ContactRecord]:
    known = wanted.people or find_people(connection, wanted.named or "", _page_ids(connection, wanted))
    people = known.found
    rows = select_among(connection, _among_contacts, {sender_id for _, sender_id in people})
    records = (_record(row) for row in rows)
    return [
        each
        for each in records
        if (each.page_id, each.sender_id) in people
        and (wanted.updated_since is None or each.listed_at >= wanted.updated_since)
        and wanted.is_unanswered in (None, each.unanswered_since_at is not None)
        and wanted.has_phone in (None, each.has_phone)
        and wanted.has_email in (None, each.has_email)
    ]


def _among_contacts(among: Among) -> Select[Any]:
    return _contacts().where(among(table.c.sender_id))


def _page_ids(connection: Connection, wanted: ContactFilter) -> list[str]:
    if wanted.page_id is not None:
        return [wanted.page_id]
    return list(connection.execute(select(facebook_pages.c.id)).scalars())


@lru_cache(maxsize=200)
def _listed(wanted: ContactFilter, order: ContactOrder) -> KeyedList[ContactRecord]:
    query = _contacts()
    if wanted.updated_since is not None:
        query = query.where(table.c.listed_at >= wanted.updated_since)
    if wanted.is_unanswered is not None:
        since = table.c.unanswered_since_at
        query = query.where(since.is_not(None) if wanted.is_unanswered else since.is_(None))
    for column, asked in ((table.c.has_phone, wanted.has_phone), (table.c.has_email, wanted.has_email)):
        if asked is not None:
            query = query.where(column.is_(true()) if asked else column.is_not(true()))
    key_of, is_rising = _ORDERS[order]
    return KeyedList(
        of_page=lambda page_id: query.where(table.c.page_id == page_id),
        at=_COLUMNS[order],
        row_id=table.c.sender_id,
        record=_record,
        key_of=key_of,
        is_rising=is_rising,
        has_timeless=order is ContactOrder.NAME,
    )


# By time, name or number of messages; and whether the least comes first.
_ORDERS: Final[dict[ContactOrder, tuple[Callable[[ContactRecord], Key], bool]]] = {
    ContactOrder.NEWEST: (lambda each: each.key, False),
    ContactOrder.OLDEST: (lambda each: each.key, True),
    ContactOrder.NAME: (lambda each: (terms_of(each.name) or None, each.sender_id), True),
    ContactOrder.MESSAGES: (
        lambda each: (each.messages_from_contact + each.messages_from_page, each.sender_id),
        False,
    ),
}
_COLUMNS: Final[dict[ContactOrder, ColumnElement[Any]]] = {
    ContactOrder.NEWEST: table.c.listed_at,
    ContactOrder.OLDEST: table.c.listed_at,
    ContactOrder.NAME: table.c.name_terms,
    ContactOrder.MESSAGES: table.c.messages,
}


def get_contact(connection: Connection, page_id: str, sender_id: str) -> ContactRecord | None:
    """One contact; None where the Page has no such contact."""
    found = _contacts().where(not_by_index(table.c.page_id) == page_id, table.c.sender_id == sender_id)
    row: Any = connection.execute(found).one_or_none()
    return _record(row) if row else None


def list_contact_details(connection: Connection, page_id: str, sender_id: str) -> list[ContactDetail]:
    """What a contact wrote of itself, each value once."""
    return details_of_contacts(connection, page_id, [sender_id]).get(sender_id, [])


def details_of_contacts(
    connection: Connection, page_id: str, sender_ids: Collection[str]
) -> dict[str, list[ContactDetail]]:
    """What these contacts wrote of themselves, by contact and in order, each value once."""
    details, conversations = contact_details.c, messenger_conversations.c
    # The newest message comes last, and stays.
    rows = connection.execute(
        select(conversations.sender_id, *(details[name] for name in ContactDetail.__struct_fields__))
        .join(messenger_conversations, conversations.id == details.conversation_id)
        .where(not_by_index(conversations.page_id) == page_id, conversations.sender_id.in_(list(sender_ids)))
        .order_by(details.kind, details.value, details.sent_at.nulls_first(), details.message_id.desc())
    )
    found: dict[str, dict[tuple[str, str], ContactDetail]] = {}
    for sender_id, *values in rows:
        detail = ContactDetail(*values)
        found.setdefault(sender_id, {})[detail.kind, detail.value] = detail
    return {sender_id: list(each.values()) for sender_id, each in found.items()}


def count_contacts(connection: Connection, scope: Scope) -> int:
    """How many `iter_contacts` yields."""
    query = _contact_ids if has_notes(connection) else _stored_contacts
    return sum(
        int(connection.execute(select(func.count()).select_from(query(page, scope).subquery())).scalar_one())
        for page in scope.pages
    )


def iter_contacts(connection: Connection, scope: Scope) -> Iterator[ContactRecord]:
    """The contacts, by Page and Meta's id, as of now."""
    is_behind = has_notes(connection)
    for page in scope.pages:
        if is_behind:
            ids = iter_rows(
                connection, _contact_ids(page, scope).order_by(messenger_conversations.c.sender_id)
            )
            for chunk in iter_chunks(ids, CONVERSATIONS_AT_ONCE):
                yield from _derived_now(connection, page, [sender_id for (sender_id,) in chunk])
        else:
            query = _stored_contacts(page, scope).order_by(table.c.sender_id)
            yield from (_record(row) for row in iter_rows(connection, query))


def _record(row: Any) -> ContactRecord:  # noqa: ANN401 - a row of `_contacts`
    return ContactRecord(*row)


@cache
def _contacts() -> Select[Any]:
    return select(*(table.c[name] for name in ContactRecord.__struct_fields__))


def _stored_contacts(page: Page, scope: Scope) -> Select[Any]:
    query = _contacts().where(table.c.page_id == page.id)
    return query.where(table.c.listed_at >= scope.since) if scope.since is not None else query


def _contact_ids(page: Page, scope: Scope) -> Select[Any]:
    """Everyone who has a conversation, whether or not a derive pass has seen it."""
    conversations = messenger_conversations.c
    query = (
        select(conversations.sender_id)
        .where(conversations.page_id == page.id, conversations.sender_id.is_not(None))
        .group_by(conversations.sender_id)
    )
    newest = func.max(conversations.last_message_time, type_=conversations.last_message_time.type)
    return query.having(newest >= scope.since) if scope.since is not None else query


def _derived_now(connection: Connection, page: Page, sender_ids: Collection[str]) -> Iterator[ContactRecord]:
    """These contacts, summed up from the messages: the last derive pass may have been before some of them."""
    conversations = messenger_conversations.c
    of_contacts: ColumnElement[bool] = conversations.sender_id.in_(list(sender_ids))
    query = select(conversations.id).where(not_by_index(conversations.page_id) == page.id, of_contacts)
    rows = sum_contacts(facts_of(connection, connection.execute(query).scalars().all()))
    for sender_id in sender_ids:
        yield ContactRecord(**rows[page.id, sender_id])
