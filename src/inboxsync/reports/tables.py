"""The three tables that can be exported: contacts, conversations, messages."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import Final

from sqlalchemy import Connection

from inboxsync.model import Page
from inboxsync.reports.columns import Column, Found, Kind, Record
from inboxsync.store.connection.types import NO_TIME
from inboxsync.store.reading import (
    ContactDetail,
    ContactRecord,
    ConversationRecord,
    Scope,
    StreamedMessage,
    count_contacts,
    count_conversations,
    count_messages,
    details_of_contacts,
    iter_contacts,
    iter_conversations,
    iter_messages,
)

# Contacts whose phone numbers and e-mail addresses are read together.
_CONTACTS_AT_ONCE: Final = 200
# Meta sends a conversation's link as a path of its own inbox (graph-facts 1.4).
_META: Final = "https://www.facebook.com"


class What(StrEnum):
    """What is exported."""

    CONTACTS = "contacts"
    CONVERSATIONS = "conversations"
    MESSAGES = "messages"


@dataclass(frozen=True, slots=True)
class Table:
    """Its columns, how many rows it has, and the rows."""

    columns: tuple[Column, ...]
    count: Callable[[Connection, Scope], int]
    rows: Callable[[Connection, Scope], Iterator[Record]]


_PAGE = (
    Column("page_id", Kind.TEXT, "Meta's id of the Page"),
    Column("page_name", Kind.TEXT, "the Page's name"),
    Column("platform", Kind.TEXT, "messenger or instagram"),
)
_CONTACT = (
    Column("contact_id", Kind.TEXT, "Meta's id of the contact, valid for this Page or app only"),
    Column("contact_name", Kind.TEXT, "the contact's name as Meta sent it; empty if withheld"),
)

CONTACTS: Final = (
    *_PAGE,
    *_CONTACT,
    Column("name_source", Kind.TEXT, "where the name came from: profile, participants, none"),
    Column("first_message_at", Kind.TIME, "the oldest stored message"),
    Column("last_message_at", Kind.TIME, "the newest message"),
    Column("conversations", Kind.INTEGER, "conversations with this Page"),
    Column("messages_in", Kind.INTEGER, "stored messages from the contact"),
    Column("messages_out", Kind.INTEGER, "stored messages from the Page"),
    Column("unanswered_since", Kind.TIME, "when the contact first wrote after the Page's last message"),
    Column("reply_window_closes_at", Kind.TIME, "24 hours after the contact's last message"),
    Column("has_older_messages", Kind.BOOLEAN, "Meta has older messages than are stored"),
    Column(
        "phones",
        Kind.FOUND,
        "phone numbers (E.164) that the contact wrote, each with a message that contains it",
    ),
    Column(
        "emails", Kind.FOUND, "e-mail addresses that the contact wrote, each with a message that contains it"
    ),
)

CONVERSATIONS: Final = (
    *_PAGE,
    Column("conversation_id", Kind.TEXT, "Graph's id of the conversation"),
    *_CONTACT,
    Column("folder", Kind.TEXT, "the folder of the inbox"),
    Column("status", Kind.TEXT, "active, or gone if Meta no longer has it"),
    Column("first_message_at", Kind.TIME, "the oldest stored message"),
    Column("last_message_at", Kind.TIME, "the newest message"),
    Column("last_message", Kind.TEXT, "the newest message as text"),
    Column("last_sender", Kind.TEXT, "who wrote last: contact, page, or nobody if no message is stored"),
    Column("unanswered_since", Kind.TIME, "when the contact first wrote after the Page's last message"),
    Column("reply_window_closes_at", Kind.TIME, "24 hours after the contact's last message"),
    Column(
        "first_response_seconds",
        Kind.INTEGER,
        "from the contact's first message to the Page's answer; empty without an answer, or if older "
        "messages are not stored, so that it is unknown",
    ),
    Column("messages_in", Kind.INTEGER, "stored messages from the contact"),
    Column("messages_out", Kind.INTEGER, "stored messages from the Page"),
    Column("message_count", Kind.INTEGER, "Meta's estimate of the number of messages"),
    Column("unread_count", Kind.INTEGER, "Meta's estimate of unread ones"),
    Column("has_older_messages", Kind.BOOLEAN, "Meta has older messages than are stored"),
    Column("link", Kind.TEXT, "the conversation in Meta's own inbox"),
)

MESSAGES: Final = (
    *_PAGE,
    Column("conversation_id", Kind.TEXT, "Graph's id of the conversation"),
    *_CONTACT,
    Column("message_id", Kind.TEXT, "Graph's id of the message"),
    Column("sent_at", Kind.TIME, "when it was sent"),
    Column("direction", Kind.TEXT, "in: from the contact, out: from the Page"),
    Column("sender_id", Kind.TEXT, "who sent it; empty if Meta does not say"),
    Column("sender_name", Kind.TEXT, "the sender's name as Meta sent it with the message"),
    Column("text", Kind.TEXT, "the text as Meta sent it; empty for a sticker or an attachment alone"),
    Column("attachments", Kind.JSON, "as Meta sent it; the addresses in it expire"),
    Column("shares", Kind.JSON, "shared links as Meta sent them"),
    Column("sticker", Kind.TEXT, "address of a sticker"),
    Column("reactions", Kind.JSON, "as Meta sent it"),
    Column("story", Kind.JSON, "the Instagram story that it answers or mentions"),
    Column("reply_to_message_id", Kind.TEXT, "Graph's id of the message it replies to"),
    Column("source", Kind.TEXT, "how it was first stored: initial_sync, incremental_sync, ..."),
)


def _contacts(connection: Connection, scope: Scope) -> Iterator[Record]:
    for page in scope.pages:
        records = iter_contacts(connection, Scope(pages=(page,), since=scope.since))
        while chunk := list(islice(records, _CONTACTS_AT_ONCE)):
            details = details_of_contacts(connection, page.id, [each.sender_id for each in chunk])
            yield from (_contact(page, each, details.get(each.sender_id, [])) for each in chunk)


def _conversations(connection: Connection, scope: Scope) -> Iterator[Record]:
    pages = {page.id: page for page in scope.pages}
    return (_conversation(pages[each.page_id], each) for each in iter_conversations(connection, scope))


def _messages(connection: Connection, scope: Scope) -> Iterator[Record]:
    for page in scope.pages:
        of_page = (page.facebook_page_id, page.name, page.platform.value)
        for message in iter_messages(connection, Scope(pages=(page,), since=scope.since)):
            yield (*of_page, *_message(message))


TABLES: Final = {
    What.CONTACTS: Table(CONTACTS, count_contacts, _contacts),
    What.CONVERSATIONS: Table(CONVERSATIONS, count_conversations, _conversations),
    What.MESSAGES: Table(MESSAGES, count_messages, _messages),
}


def _contact(page: Page, record: ContactRecord, details: list[ContactDetail]) -> Record:
    return (
        page.facebook_page_id,
        page.name,
        page.platform.value,
        record.sender_id,
        record.name,
        record.name_source,
        record.first_message_at,
        record.listed_at if record.listed_at > NO_TIME else None,
        record.conversations,
        record.messages_from_contact,
        record.messages_from_page,
        record.unanswered_since_at,
        record.reply_window_closes_at,
        record.has_older_messages,
        _found(details, "phone"),
        _found(details, "email"),
    )


def _conversation(page: Page, record: ConversationRecord) -> Record:
    return (
        page.facebook_page_id,
        page.name,
        page.platform.value,
        record.conversation_id,
        record.sender_id,
        record.sender_name,
        record.folder,
        record.conversation_status,
        record.first_message_at,
        record.last_message_time,
        record.last_message,
        record.last_sender or "nobody",
        record.unanswered_since_at,
        record.reply_window_closes_at,
        record.first_response_seconds,
        record.messages_from_contact,
        record.messages_from_page,
        record.message_count,
        record.unread_count,
        record.has_older_messages,
        meta_link(record.link),
    )


def _message(message: StreamedMessage) -> Record:
    return (
        message.graph_conversation_id,
        message.contact_id,
        message.contact_name,
        message.message_id,
        message.sent_at,
        "out" if message.is_from_page else "in",
        message.sender_id,
        message.sender_name,
        message.text,
        message.attachments,
        message.shares,
        message.sticker,
        message.reactions,
        message.story,
        message.reply_to_message_id,
        message.source,
    )


def _found(details: Iterable[ContactDetail], kind: str) -> tuple[Found, ...]:
    return tuple(Found(each.value, each.message_id) for each in details if each.kind == kind)


def meta_link(link: str | None) -> str | None:
    """Where the conversation opens in Meta's own inbox."""
    return _META + link if link is not None and link.startswith("/") else link
