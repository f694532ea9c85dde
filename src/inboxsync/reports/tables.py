"""The three tables that can be taken away: contacts, conversations, messages."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sqlalchemy import Connection

from inboxsync.model import Exchange
from inboxsync.reports.columns import Column, Found, Kind, Record
from inboxsync.store.reading import (
    ContactRow,
    ConversationRow,
    Detail,
    MessageRow,
    Scope,
    count_contacts,
    count_conversations,
    count_messages,
    iter_contacts,
    iter_conversations,
    iter_messages,
)

# What Meta serves as a conversation's link is a path of its own inbox (graph-facts 1.4).
_META: Final = "https://www.facebook.com"


class What(StrEnum):
    """What is taken away."""

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
    Column("contact_id", Kind.TEXT, "Meta's id of the contact, scoped to the Page or app"),
    Column("contact_name", Kind.TEXT, "the contact's name as served; empty when withheld"),
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
    Column("has_older_messages", Kind.BOOLEAN, "the source has older messages than are stored"),
    Column(
        "phones", Kind.FOUND, "phone numbers (E.164) that the contact wrote, each with a message that says so"
    ),
    Column("emails", Kind.FOUND, "e-mail addresses that the contact wrote, likewise"),
)

CONVERSATIONS: Final = (
    *_PAGE,
    Column("conversation_id", Kind.TEXT, "Graph's id of the conversation"),
    *_CONTACT,
    Column("folder", Kind.TEXT, "the inbox folder it was listed in"),
    Column("status", Kind.TEXT, "active, or gone when the source no longer has it"),
    Column("first_message_at", Kind.TIME, "the oldest stored message"),
    Column("last_message_at", Kind.TIME, "the newest message"),
    Column("last_message", Kind.TEXT, "the newest message in words"),
    Column("last_sender", Kind.TEXT, "who wrote last: contact, page, or nobody where nothing is stored"),
    Column("unanswered_since", Kind.TIME, "when the contact first wrote after the Page's last message"),
    Column("reply_window_closes_at", Kind.TIME, "24 hours after the contact's last message"),
    Column(
        "first_response_seconds",
        Kind.INTEGER,
        "from the contact's first message to the Page's answer; empty without one, or where older messages "
        "are not stored, so that nobody knows",
    ),
    Column("messages_in", Kind.INTEGER, "stored messages from the contact"),
    Column("messages_out", Kind.INTEGER, "stored messages from the Page"),
    Column("message_count", Kind.INTEGER, "Meta's estimate of the number of messages"),
    Column("unread_count", Kind.INTEGER, "Meta's estimate of unread ones"),
    Column("has_older_messages", Kind.BOOLEAN, "the source has older messages than are stored"),
    Column("link", Kind.TEXT, "the conversation in Meta's own inbox"),
)

MESSAGES: Final = (
    *_PAGE,
    Column("conversation_id", Kind.TEXT, "Graph's id of the conversation"),
    *_CONTACT,
    Column("message_id", Kind.TEXT, "Graph's id of the message"),
    Column("sent_at", Kind.TIME, "when it was sent"),
    Column("direction", Kind.TEXT, "in: from the contact, out: from the Page"),
    Column("sender_id", Kind.TEXT, "who sent it; empty when the source does not say"),
    Column("sender_name", Kind.TEXT, "the sender's name as served with the message"),
    Column("text", Kind.TEXT, "the text as served; empty for a sticker or an attachment alone"),
    Column("attachments", Kind.JSON, "as served; the addresses in it expire"),
    Column("shares", Kind.JSON, "shared links as served"),
    Column("sticker", Kind.TEXT, "address of a sticker"),
    Column("reactions", Kind.JSON, "as served"),
    Column("story", Kind.JSON, "the Instagram story it answers or mentions"),
    Column("reply_to_message_id", Kind.TEXT, "Graph's id of the message it replies to"),
    Column("source", Kind.TEXT, "how it first arrived: initial_sync, incremental_sync, ..."),
)


def _contacts(connection: Connection, scope: Scope) -> Iterator[Record]:
    return map(_contact, iter_contacts(connection, scope))


def _conversations(connection: Connection, scope: Scope) -> Iterator[Record]:
    return map(_conversation, iter_conversations(connection, scope))


def _messages(connection: Connection, scope: Scope) -> Iterator[Record]:
    return map(_message, iter_messages(connection, scope))


TABLES: Final = {
    What.CONTACTS: Table(CONTACTS, count_contacts, _contacts),
    What.CONVERSATIONS: Table(CONVERSATIONS, count_conversations, _conversations),
    What.MESSAGES: Table(MESSAGES, count_messages, _messages),
}


def _contact(row: ContactRow) -> Record:
    page, exchange = row.page, row.exchange
    return (
        page.facebook_page_id,
        page.name,
        page.platform.value,
        row.contact_id,
        row.name,
        "participants" if row.name else "none",
        exchange.first_message_at,
        row.last_message_at,
        row.conversations,
        exchange.messages_in,
        exchange.messages_out,
        exchange.unanswered_since,
        exchange.reply_window_closes_at,
        row.has_older_messages,
        _found(row.details, "phone"),
        _found(row.details, "email"),
    )


def _conversation(row: ConversationRow) -> Record:
    page, exchange = row.page, row.exchange
    response = exchange.first_response
    return (
        page.facebook_page_id,
        page.name,
        page.platform.value,
        row.conversation_id,
        row.contact_id,
        row.contact_name,
        row.folder,
        row.status,
        exchange.first_message_at,
        row.last_message_at,
        row.last_message,
        last_sender(exchange),
        exchange.unanswered_since,
        exchange.reply_window_closes_at,
        round(response.seconds) if response is not None else None,
        exchange.messages_in,
        exchange.messages_out,
        row.message_count,
        row.unread_count,
        row.has_older_messages,
        meta_link(row.link),
    )


def _message(row: MessageRow) -> Record:
    page = row.page
    return (
        page.facebook_page_id,
        page.name,
        page.platform.value,
        row.conversation_id,
        row.contact_id,
        row.contact_name,
        row.message_id,
        row.sent_at,
        "out" if row.is_from_page else "in",
        *row[7:],
    )


def _found(details: Iterable[Detail], kind: str) -> tuple[Found, ...]:
    return tuple(Found(each.value, each.message_id) for each in details if each.kind == kind)


def last_sender(exchange: Exchange) -> str:
    """Who wrote last, in one word."""
    is_page = exchange.last_is_from_page
    return "nobody" if is_page is None else "page" if is_page else "contact"


def meta_link(link: str | None) -> str | None:
    """Where the conversation opens in Meta's own inbox."""
    return _META + link if link is not None and link.startswith("/") else link
