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


_PAGE: Final = (
    Column("page_id", "Page ID", Kind.TEXT, "Meta's id of the Page", rank=9, width=20),
    Column("page_name", "Page", Kind.TEXT, "the Page's name", rank=6, width=22),
    Column("platform", "Platform", Kind.TEXT, "messenger or instagram", rank=7),
)
_CONTACT: Final = (
    Column(
        "contact_id",
        "Contact ID",
        Kind.TEXT,
        "Meta's id of the contact, valid for this Page or app only",
        rank=9,
        width=20,
    ),
    Column(
        "contact_name",
        "Contact",
        Kind.TEXT,
        "the contact's name as Meta sent it; empty if withheld",
        rank=0,
        width=24,
    ),
)
_FIRST_AT: Final = Column(
    "first_message_at", "First message at", Kind.TIME, "the oldest stored message", width=20
)
_LAST_AT: Final = Column(
    "last_message_at", "Last message at", Kind.TIME, "the newest message", rank=2, width=20
)
_UNANSWERED: Final = Column(
    "unanswered_since",
    "Unanswered since",
    Kind.TIME,
    "when the contact first wrote after the Page's last message",
    rank=3,
    width=20,
)
_WINDOW: Final = Column(
    "reply_window_closes_at",
    "Reply window closes at",
    Kind.TIME,
    "24 hours after the contact's last message",
    rank=3,
    width=20,
)
_IN: Final = Column(
    "messages_in", "Messages from the contact", Kind.INTEGER, "stored messages from the contact"
)
_OUT: Final = Column("messages_out", "Messages from the Page", Kind.INTEGER, "stored messages from the Page")
_OLDER: Final = Column(
    "has_older_messages", "Has older messages", Kind.BOOLEAN, "Meta has older messages than are stored"
)
_CONVERSATION_ID: Final = Column(
    "conversation_id", "Conversation ID", Kind.TEXT, "Graph's id of the conversation", rank=9, width=24
)

CONTACTS: Final = (
    *_PAGE,
    *_CONTACT,
    Column(
        "name_source",
        "Name from",
        Kind.TEXT,
        "where the name came from: profile, participants, none",
        rank=8,
    ),
    _FIRST_AT,
    _LAST_AT,
    Column("conversations", "Conversations", Kind.INTEGER, "conversations with this Page"),
    _IN,
    _OUT,
    _UNANSWERED,
    _WINDOW,
    _OLDER,
    Column(
        "phones",
        "Phone numbers",
        Kind.FOUND,
        "phone numbers (E.164) that the contact wrote, each with a message that contains it",
        rank=1,
        width=24,
    ),
    Column(
        "emails",
        "E-mail addresses",
        Kind.FOUND,
        "e-mail addresses that the contact wrote, each with a message that contains it",
        rank=1,
        width=28,
    ),
)

CONVERSATIONS: Final = (
    *_PAGE,
    _CONVERSATION_ID,
    *_CONTACT,
    Column("folder", "Folder", Kind.TEXT, "the folder of the inbox", rank=4),
    Column("status", "Status", Kind.TEXT, "active, or gone if Meta no longer has it", rank=4),
    _FIRST_AT,
    _LAST_AT,
    Column("last_message", "Last message", Kind.TEXT, "the newest message as text", rank=1, width=60),
    Column(
        "last_sender",
        "Last message from",
        Kind.TEXT,
        "who wrote last: contact, page, or nobody if no message is stored",
        rank=2,
    ),
    _UNANSWERED,
    _WINDOW,
    Column(
        "first_response_seconds",
        "First response after (seconds)",
        Kind.INTEGER,
        "from the contact's first message to the Page's answer; empty without an answer, or if older "
        "messages are not stored, so that it is unknown",
    ),
    _IN,
    _OUT,
    Column(
        "message_count",
        "Messages (Meta's estimate)",
        Kind.INTEGER,
        "Meta's estimate of the number of messages",
    ),
    Column("unread_count", "Unread (Meta's estimate)", Kind.INTEGER, "Meta's estimate of unread ones"),
    _OLDER,
    Column("link", "Link to Meta", Kind.TEXT, "the conversation in Meta's own inbox", rank=8, width=40),
)

MESSAGES: Final = (
    *_PAGE,
    _CONVERSATION_ID,
    *_CONTACT,
    Column("message_id", "Message ID", Kind.TEXT, "Graph's id of the message", rank=9, width=24),
    Column("sent_at", "Sent at", Kind.TIME, "when it was sent", rank=1, width=20),
    Column("direction", "Direction", Kind.TEXT, "in: from the contact, out: from the Page", rank=1, width=10),
    Column("sender_id", "Sender ID", Kind.TEXT, "who sent it; empty if Meta does not say", rank=9, width=20),
    Column(
        "sender_name",
        "Sender",
        Kind.TEXT,
        "the sender's name as Meta sent it with the message",
        rank=1,
        width=24,
    ),
    Column(
        "text",
        "Message",
        Kind.TEXT,
        "the text as Meta sent it; empty for a sticker or an attachment alone",
        rank=2,
        width=80,
    ),
    Column(
        "attachments",
        "Attachments",
        Kind.JSON,
        "as Meta sent it; the addresses in it expire",
        width=24,
    ),
    Column("shares", "Shared links", Kind.JSON, "shared links as Meta sent them", width=24),
    Column("sticker", "Sticker", Kind.TEXT, "address of a sticker", width=24),
    Column("reactions", "Reactions", Kind.JSON, "as Meta sent it", width=24),
    Column("story", "Story", Kind.JSON, "the Instagram story that it answers or mentions", width=24),
    Column(
        "reply_to_message_id",
        "Reply to message ID",
        Kind.TEXT,
        "Graph's id of the message it replies to",
        rank=9,
        width=24,
    ),
    Column(
        "source",
        "Stored by",
        Kind.TEXT,
        "how it was first stored: initial_sync, incremental_sync, ...",
        rank=8,
        width=18,
    ),
)


def _contacts(connection: Connection, scope: Scope) -> Iterator[Record]:
    for page in scope.pages:
        records = iter_contacts(connection, Scope(pages=(page,), since=scope.since))
        while chunk := list(islice(records, _CONTACTS_AT_ONCE)):
            left_any = [each.sender_id for each in chunk if each.has_phone or each.has_email]
            details = details_of_contacts(connection, page.id, left_any) if left_any else {}
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
