"""`/contacts`: people who wrote to a Page, with the phone numbers and e-mail addresses they gave."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection
from starlette.responses import Response

from inboxsync.api.schemas import encode_key
from inboxsync.store.reading import ContactFilter, ContactRecord, list_contact_details, list_contacts
from inboxsync.web.lists import key_in, page_choice, page_labels
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
    """The contacts with the newest messages, and the link to older ones."""
    switched = {name: context.param(name) == "1" for name, _ in _SWITCHES}
    after = key_in(_KIND, context.param("after"), mark=context.mark)
    with context.service.engine.store.read() as connection:
        choice = page_choice(connection, context.param("page"))
        page_id = choice.chosen
        wanted = ContactFilter(
            page_id=page_id or None,
            is_unanswered=switched["unanswered"] or None,
            has_phone=switched["phone"] or None,
            has_email=switched["email"] or None,
        )
        found = list_contacts(connection, wanted, after=after, limit=_LIMIT)
        names = page_labels(connection, (record.page_id for record in found.records))
        rows = [_row(connection, record, names) for record in found.records]
    return context.show(
        "contacts.html",
        here="contacts",
        choice=choice,
        chosen={"page": page_id} | switched,
        switches=_SWITCHES,
        is_filtered=bool(page_id) or any(switched.values()),
        contacts=rows,
        show_page=choice.total > 1 and not page_id,
        newest=context.url_with("/contacts", after=None) if after else None,
        older=context.url_with("/contacts", after=encode_key(_KIND, found.next, mark=context.mark))
        if found.next
        else None,
    )


def _row(connection: Connection, record: ContactRecord, names: Mapping[str, str]) -> ContactRow:
    has_details = record.has_phone or record.has_email
    details = list_contact_details(connection, record.page_id, record.sender_id) if has_details else []
    return ContactRow(
        href=f"/conversations?{query({'page': record.page_id, 'contact': record.sender_id})}",
        label=record.name or NO_NAME,
        page_label=names.get(record.page_id, ""),
        phones=tuple(each.value for each in details if each.kind == "phone"),
        emails=tuple(each.value for each in details if each.kind == "email"),
        messages=record.messages_from_contact + record.messages_from_page,
        last_message_at=record.last_message_at,
    )
