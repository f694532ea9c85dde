"""`/contacts`: people who wrote to a Page, with the phone numbers and e-mail addresses they gave."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection
from starlette.responses import Response

from inboxsync.api.problems import CursorInvalid
from inboxsync.api.schemas import decode_cursor, encode_key
from inboxsync.store.reading import (
    ContactDetail,
    ContactFilter,
    ContactOrder,
    ContactRecord,
    Key,
    count_listed_contacts,
    details_of_contacts,
    list_contacts,
)
from inboxsync.web.lists import counted, cut_words, key_in, order_in, page_choice, page_labels, people_named
from inboxsync.web.rendering import query
from inboxsync.web.request_context import RequestContext
from inboxsync.web.views.conversations import NO_NAME

_KIND: Final = "contacts-view"
_LIMIT: Final = 50
_SWITCHES: Final = (
    ("unanswered", "unanswered"),
    ("phone", "with a phone number"),
    ("email", "with an e-mail address"),
)
ORDERS: Final = {
    ContactOrder.NEWEST: "Newest message first",
    ContactOrder.OLDEST: "Oldest message first",
    ContactOrder.NAME: "By name, from A to Z",
    ContactOrder.MESSAGES: "Most messages first",
}
# What the heading of a column sorts by, first of all and when it is pressed again.
_HEADINGS: Final = (
    ("Contact", (ContactOrder.NAME,)),
    ("Messages", (ContactOrder.MESSAGES,)),
    ("Last message", (ContactOrder.NEWEST, ContactOrder.OLDEST)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Heading:
    """The heading of a column that can be sorted by."""

    href: str
    aria_sort: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactRow:
    """One line of the table."""

    href: str
    label: str
    page_label: str
    phones: tuple[str, ...]
    emails: tuple[str, ...]
    messages: int
    last_message_at: datetime | None


def list_some(context: RequestContext) -> Response:
    """Some contacts that match, and the link to others."""
    named, order = context.param("named"), order_in(ContactOrder, context.param("sort"))
    switched = {name: context.param(name) == "1" for name, _ in _SWITCHES}
    after = _key_in(order, context.param("after"), mark=context.mark)
    with context.service.engine.store.read() as connection:
        choice = page_choice(connection, context.param("page"))
        page_id = choice.chosen
        people = people_named(connection, named, page_id)
        wanted = ContactFilter(
            page_id=page_id or None,
            named=named or None,
            people=people,
            is_unanswered=switched["unanswered"] or None,
            has_phone=switched["phone"] or None,
            has_email=switched["email"] or None,
        )
        found = list_contacts(connection, wanted, after=after, limit=_LIMIT, order=order)
        count = count_listed_contacts(connection, wanted)
        names = page_labels(connection, (record.page_id for record in found.records))
        details = _details(connection, found.records)
    rows = [
        _row(record, details.get((record.page_id, record.sender_id), ()), names) for record in found.records
    ]
    return context.show(
        "contacts.html",
        here="contacts",
        choice=choice,
        chosen={"page": page_id, "named": named, "sort": order.value} | switched,
        switches=_SWITCHES,
        orders=[(each.value, label) for each, label in ORDERS.items()],
        headings={label: _heading(context, order, orders) for label, orders in _HEADINGS},
        summary=f"{counted(count, 'contact')}, {ORDERS[order][:1].lower()}{ORDERS[order][1:]}",
        cut=cut_words(people),
        is_filtered=bool(page_id or named) or any(switched.values()),
        contacts=rows,
        show_page=choice.total > 1 and not page_id,
        newest=context.url_with("/contacts", after=None) if after else None,
        older=context.url_with("/contacts", after=encode_key(_kind(order), found.next, mark=context.mark))
        if found.next
        else None,
    )


def _heading(context: RequestContext, order: ContactOrder, orders: tuple[ContactOrder, ...]) -> Heading:
    """The link that sorts by a column; that of the sorted one turns it round, where that is possible."""
    place = (orders.index(order) + 1) % len(orders) if order in orders else 0
    is_rising = order in (ContactOrder.NAME, ContactOrder.OLDEST)
    aria_sort = ("ascending" if is_rising else "descending") if order in orders else "none"
    return Heading(
        href=context.url_with("/contacts", sort=orders[place].value, after=None), aria_sort=aria_sort
    )


def _kind(order: ContactOrder) -> str:
    return _KIND if order is ContactOrder.NEWEST else f"{_KIND}-{order}"


def _key_in(order: ContactOrder, text: str, *, mark: str) -> Key | None:
    """Where the list continues. Raises CursorInvalid, also for a place in a list of another order."""
    if not text or order in (ContactOrder.NEWEST, ContactOrder.OLDEST):
        return key_in(_kind(order), text, mark=mark)
    said, row_id = decode_cursor(_kind(order), text, parts=2, mark=mark)
    if order is ContactOrder.NAME:
        return said or None, row_id
    if not (said.isascii() and said.isdecimal() and len(said) < 10):  # noqa: PLR2004 - an Integer
        raise CursorInvalid("This is not one of our cursors.")
    return int(said), row_id


def _details(
    connection: Connection, records: Sequence[ContactRecord]
) -> dict[tuple[str, str], list[ContactDetail]]:
    """What these contacts wrote of themselves, by Page and contact; one statement for each Page."""
    of_page: dict[str, list[str]] = {}
    for record in records:
        if record.has_phone or record.has_email:
            of_page.setdefault(record.page_id, []).append(record.sender_id)
    return {
        (page_id, sender_id): details
        for page_id, sender_ids in of_page.items()
        for sender_id, details in details_of_contacts(connection, page_id, sender_ids).items()
    }


def _row(record: ContactRecord, details: Sequence[ContactDetail], names: Mapping[str, str]) -> ContactRow:
    return ContactRow(
        href=f"/conversations?{query({'page': record.page_id, 'contact': record.sender_id})}",
        label=record.name or NO_NAME,
        page_label=names.get(record.page_id, ""),
        phones=tuple(each.value for each in details if each.kind == "phone"),
        emails=tuple(each.value for each in details if each.kind == "email"),
        messages=record.messages_from_contact + record.messages_from_page,
        last_message_at=record.last_message_at,
    )
