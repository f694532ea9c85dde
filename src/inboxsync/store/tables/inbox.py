"""The inbox itself: Pages, their conversations, and the messages of these."""

from collections.abc import Iterable, Iterator
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    and_,
    literal_column,
    text,
    true,
)

from inboxsync.model.records import CONVERSATION_FIELDS, MESSAGE_FIELDS, Field, Kind
from inboxsync.store.connection.types import ID, JsonText, UtcDateTime
from inboxsync.store.tables.base import metadata

facebook_pages = Table(
    "facebook_pages",
    metadata,
    Column("id", ID, primary_key=True, comment="our id of the Page, UUIDv7"),
    Column("facebook_page_id", ID, nullable=False, comment="Meta's id of the Page"),
    Column("platform", Text, nullable=False, comment="whose inbox: messenger or instagram"),
    Column("account_id", ID, nullable=False, comment="the id under which the Page itself writes"),
    Column("user_id", Text, comment="the owner in your own application; inboxsync never sets it"),
    Column("name", Text, comment="the Page's name"),
    Column(
        "access_token_encrypted",
        Text,
        nullable=False,
        comment="the token, AES-256-GCM, base64; never in clear",
    ),
    Column(
        "token_state",
        Text,
        nullable=False,
        comment="what its last use showed: valid, invalid, not_permitted",
    ),
    Column("token_reason", Text, comment="why it is not valid, in one word: expired, app_removed, ..."),
    Column("token_problem", Text, comment="why the token is not valid, and what to do"),
    Column("token_expires_at", UtcDateTime, comment="when the token ends; NULL: never, or not known"),
    Column("source_url", Text, comment="the address it is read from, such as a sandbox's; NULL: Meta's"),
    Column("last_synced_at", UtcDateTime, comment="all up to here is stored; set it to NULL for a full sync"),
    Column(
        "history",
        Text,
        nullable=False,
        server_default=text("'newest'"),
        comment="how far back messages are kept: newest (the newest few and all since) or all",
    ),
    Column("batch_size", Integer, comment="conversations a call that the source was seen to manage"),
    Column("time_windows", Boolean, comment="whether lists can be asked for by time; NULL: not tried yet"),
    Column("created_at", UtcDateTime, nullable=False, comment="when the Page was added"),
    Column("updated_at", UtcDateTime, nullable=False, comment="when this row last changed"),
    UniqueConstraint("facebook_page_id", "platform"),
    comment="Pages that were added, one row for each platform",
)

_TYPES: dict[Kind, Any] = {
    Kind.TEXT: Text,
    Kind.ID: ID,
    Kind.JSON: JsonText,
    Kind.TIME: UtcDateTime,
    Kind.FLAG: Boolean,
    Kind.NUMBER: Integer,
}


def _columns(fields: Iterable[Field]) -> Iterator[Column[Any]]:
    """The columns that hold what the source serves."""
    for field in fields:
        yield Column(
            field.name,
            _TYPES[field.kind],
            nullable=not field.is_required,
            server_default=true() if field.default else None,
            comment=field.meaning,
        )


messenger_conversations = Table(
    "messenger_conversations",
    metadata,
    Column("id", ID, primary_key=True, comment="our id of the conversation, UUIDv7"),
    Column(
        "page_id",
        ID,
        ForeignKey("facebook_pages.id", ondelete="CASCADE"),
        nullable=False,
        comment="the Page",
    ),
    Column("conversation_id", ID, nullable=False, comment="Graph's id of the conversation"),
    Column("platform", Text, nullable=False, comment="messenger or instagram"),
    *_columns(CONVERSATION_FIELDS),
    Column("created_at", UtcDateTime, nullable=False, comment="when it was first stored"),
    Column("updated_at", UtcDateTime, nullable=False, comment="when this row last changed"),
    Column(
        "fingerprint",
        Text,
        comment="of what was last served, one or two: what is served so again is skipped; NULL: look at it",
    ),
    Column("fingerprint_messages", Integer, comment="how many messages were stored when it was served so"),
    # Graph's id leads: see `not_by_index`.
    UniqueConstraint("conversation_id", "page_id"),
    Index(None, "page_id", "last_message_time"),
    Index(None, "sender_id"),
    comment="Conversations of the inboxes",
)

# Both are short beside the inbox, so their indexes cost a sync next to nothing. Spelt without parameters, for
# SQLite takes such an index only where a query says the very same.
BESIDE_INBOX = messenger_conversations.c.folder != literal_column("'inbox'")
UNREAD = messenger_conversations.c.unread_count > literal_column("0")
Index(
    "ix_messenger_conversations_beside_inbox",
    messenger_conversations.c.page_id,
    messenger_conversations.c.folder,
    messenger_conversations.c.last_message_time,
    sqlite_where=BESIDE_INBOX,
    postgresql_where=BESIDE_INBOX,
)
Index(
    "ix_messenger_conversations_unread",
    messenger_conversations.c.page_id,
    messenger_conversations.c.last_message_time,
    sqlite_where=UNREAD,
    postgresql_where=UNREAD,
)

# What has messages that are not stored and can be. Spelt without parameters, so that an index may hold it and
# SQLite sees that it does.
HAS_OLDER = and_(
    messenger_conversations.c.has_older_messages,
    messenger_conversations.c.conversation_status != literal_column("'gone'"),
)
# Newest first, and their sum, without a look at the table. What its own condition says stands in it too:
# SQLite 3.40 looks that up, and without it takes the longer index on the time for as good.
Index(
    "ix_messenger_conversations_has_older_messages",  # by hand: PostgreSQL cuts at 63 letters
    messenger_conversations.c.page_id,
    messenger_conversations.c.has_older_messages,
    messenger_conversations.c.last_message_time,
    messenger_conversations.c.message_count,
    messenger_conversations.c.conversation_status,
    sqlite_where=HAS_OLDER,
    postgresql_where=HAS_OLDER,
)

messages = Table(
    "messages",
    metadata,
    Column(
        "conversation_id",
        ID,
        ForeignKey("messenger_conversations.id", ondelete="CASCADE"),
        nullable=False,
        comment="our id of the conversation",
    ),
    Column("message_id", ID, nullable=False, comment="Graph's id of the message"),
    *_columns(MESSAGE_FIELDS),
    Column(
        "source", Text, nullable=False, comment="how it first arrived: initial_sync, incremental_sync, ..."
    ),
    Column("created_at", UtcDateTime, nullable=False, comment="when it was first stored"),
    # The conversation leads, so that one conversation's messages lie side by side and new ones go at the end.
    PrimaryKeyConstraint("conversation_id", "message_id"),
    comment="Messages, one row each",
)
