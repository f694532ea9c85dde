"""`/api/v1/contacts`: the people in the conversations."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import Field
from sqlalchemy import Connection

from inboxsync.api.auth import requires
from inboxsync.api.problems import ContactUnknown
from inboxsync.api.schemas import (
    ID_PATTERN,
    CursorText,
    Limit,
    Listed,
    OfPage,
    PageId,
    Shape,
    Since,
    as_json,
    decode_key,
    encode_key,
    example,
    filter_mark,
)
from inboxsync.api.service import ServiceDependency, page_id_of
from inboxsync.model import Scope
from inboxsync.store.reading import (
    ContactFilter,
    ContactRecord,
    get_contact,
    list_contact_details,
    list_contacts,
)
from inboxsync.store.state.pages import find_page

router = APIRouter(prefix="/api/v1/contacts", tags=["contacts"])

_CONTACT = {
    "pageId": "01978b2e-4a10-7cc3-9f6d-3a2b1c0d9e8f",
    "senderId": "7654321098765432",
    "name": "Ann Example",
    "conversations": 1,
    "messagesFromContact": 9,
    "messagesFromPage": 5,
    "firstMessageAt": "2026-05-12T08:14:55Z",
    "lastMessageAt": "2026-06-01T11:58:03Z",
    "unansweredSince": "2026-06-01T11:58:03Z",
    "replyWindowClosesAt": "2026-06-02T11:58:03Z",
    "hasPhone": True,
    "hasEmail": False,
}
_DETAIL = {
    "kind": "phone",
    "value": "+4930123456",
    "messageId": "m_aBcDeF",
    "conversationId": "01978b2e-7d43-7ff6-ac9a-6d5e4f3a2b1c",
    "sentAt": "2026-05-12T08:14:55Z",
}


class ContactShape(Shape):
    """One contact of one Page."""

    model_config = example(**_CONTACT)

    page_id: str
    sender_id: str = Field(description="Meta's id, valid for this Page only.")
    name: str | None
    conversations: int
    messages_from_contact: int
    messages_from_page: int
    first_message_at: datetime | None
    last_message_at: datetime | None
    unanswered_since: datetime | None
    reply_window_closes_at: datetime | None = Field(description="Until when the Page may reply freely.")
    has_phone: bool
    has_email: bool


class DetailShape(Shape):
    """A phone number or an e-mail address that a contact wrote, and where."""

    model_config = example(**_DETAIL)

    kind: str = Field(description="phone (E.164) or email.")
    value: str
    message_id: str = Field(description="The newest message that contains it.")
    conversation_id: str
    sent_at: datetime | None


class ContactDetailShape(ContactShape):
    """One contact with its phone numbers and e-mail addresses."""

    model_config = example(**_CONTACT, details=[_DETAIL])

    details: list[DetailShape]


@router.get("", summary="List contacts", **requires(Scope.READ, 404, 409))
@as_json
def show_contacts(
    *,
    service: ServiceDependency,
    page: OfPage = None,
    updated_since: Annotated[Since, Query(alias="updatedSince")] = None,
    unanswered: Annotated[
        bool | None, Query(description="true: only those who wait for an answer; false: only the others.")
    ] = None,
    has_phone: Annotated[bool | None, Query(alias="hasPhone")] = None,
    has_email: Annotated[bool | None, Query(alias="hasEmail")] = None,
    cursor: CursorText = None,
    limit: Limit = 50,
) -> Listed[ContactShape]:
    """By the time of their newest conversation, newest first."""
    with service.engine.store.read() as connection:
        wanted = ContactFilter(
            page_id=page_id_of(connection, page),
            updated_since=updated_since,
            is_unanswered=unanswered,
            has_phone=has_phone,
            has_email=has_email,
        )
        mark = filter_mark(
            page=wanted.page_id,
            updatedSince=updated_since,
            unanswered=unanswered,
            hasPhone=has_phone,
            hasEmail=has_email,
        )
        after = decode_key("contacts", cursor, mark=mark) if cursor else None
        found = list_contacts(connection, wanted, after=after, limit=limit)
    return Listed(
        items=[_shape(each) for each in found.records],
        next_cursor=encode_key("contacts", found.next, mark=mark),
    )


@router.get("/{page_id}/{sender_id}", summary="A contact", **requires(Scope.READ, 404, 409))
@as_json
def show_contact(
    service: ServiceDependency,
    page_id: PageId,
    sender_id: Annotated[str, Path(pattern=ID_PATTERN, description="The contact's id.")],
) -> ContactDetailShape:
    """With the phone numbers and e-mail addresses from its messages."""
    with service.engine.store.read() as connection:
        return _detail(connection, find_page(connection, page_id).id, sender_id)


def _detail(connection: Connection, page_id: str, sender_id: str) -> ContactDetailShape:
    found = get_contact(connection, page_id, sender_id)
    if found is None:
        raise ContactUnknown("There is no such contact in the database.")
    details = [
        DetailShape(
            kind=each.kind,
            value=each.value,
            message_id=each.message_id,
            conversation_id=each.conversation_id,
            sent_at=each.sent_at,
        )
        for each in list_contact_details(connection, page_id, sender_id)
    ]
    return ContactDetailShape(**dict(_shape(found)), details=details)


def _shape(record: ContactRecord) -> ContactShape:
    return ContactShape(
        page_id=record.page_id,
        sender_id=record.sender_id,
        name=record.name,
        conversations=record.conversations,
        messages_from_contact=record.messages_from_contact,
        messages_from_page=record.messages_from_page,
        first_message_at=record.first_message_at,
        last_message_at=record.last_message_at,
        unanswered_since=record.unanswered_since_at,
        reply_window_closes_at=record.reply_window_closes_at,
        has_phone=record.has_phone,
        has_email=record.has_email,
    )
