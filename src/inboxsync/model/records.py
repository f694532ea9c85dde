"""The records that the source serves and the store keeps, and what each of their fields is.

They are msgspec structs because a sync makes tens of thousands of them a second. JSON that is kept as
served is text. `MESSAGE_FIELDS` and `CONVERSATION_FIELDS` are the one place that says of a field what
it holds and what a newer answer may do to it: the columns, the statements that write them and the merge
rule are made from these tables.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, Protocol

import msgspec


class Kind(StrEnum):
    """What a field holds."""

    TEXT = "text"
    ID = "id"  # text of Meta's, compared character by character
    JSON = "json"  # text that is JSON
    TIME = "time"
    FLAG = "flag"
    NUMBER = "number"


class Merge(StrEnum):
    """What an answer may do to a stored field. A value that is absent never does anything.

    An empty text counts as absent, except where the field says otherwise.
    """

    KEEP = "keep"  # it stays as it was first stored
    FILL = "fill"  # it is stored once it is known, and then stays
    REPLACE = "replace"  # the newer value replaces it
    # False becomes True once, and then every field takes the newer value: before, no more than the time
    # of the message was known. It never goes back, and an answer that would take it back changes nothing.
    REVEAL = "reveal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field of a record, and of the column that holds it.

    `is_required`: it is never NULL. `default` is what a row has that does not name it. `is_usual`: nearly
    every message has it; messages with nothing else are written without the other columns.
    """

    name: str
    kind: Kind
    merge: Merge
    meaning: str
    is_required: bool = False
    is_usual: bool = False
    default: bool | None = None
    empty_is_a_value: bool = False


class SourceRecord(Protocol):
    """A conversation as an answer has it, decoded or not.

    Ask only for what you need: the fingerprint and the whole take long to make.
    """

    @property
    def conversation_id(self) -> str:
        """Graph's id."""

    @property
    def source_updated_at(self) -> datetime | None:
        """Graph's `updated_time`: when the last message was added."""

    def fingerprint(self, newest: int | None = None) -> str | None:
        """A hash of everything in it that would be stored: same fingerprint, same rows. None: not known.

        With `newest`, as if only that many of its newest messages had been requested.
        """

    def whole(self) -> "Conversation":
        """All of it, decoded."""

    def may_hold_nul(self) -> bool:
        """Whether one of its texts may have U+0000, which PostgreSQL cannot store."""


class Participant(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """Someone in a conversation, the Page included. Kept as JSON, without the fields that are absent.

    `id` is Page-scoped (PSID) or app-scoped (IGSID), never a person's own id (graph-facts 1.10).
    Every other field may be missing: accounts are deleted, names are withheld.
    """

    id: str
    name: str | None = None
    username: str | None = None
    email: str | None = None


class Message(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One message of a conversation. `message_id` is Graph's, case-sensitive text; None means not served.

    `MESSAGE_FIELDS` has what each field means. `is_readable` is False where the source gives only id and
    time: Instagram, beyond the 20 newest (graph-facts 1.6).
    """

    message_id: str
    sent_at: datetime | None = None
    is_from_page: bool = False
    sender_id: str | None = None
    sender_name: str | None = None
    text: str | None = None
    attachments: str | None = None
    shares: str | None = None
    sticker: str | None = None
    reactions: str | None = None
    story: str | None = None
    reply_to_message_id: str | None = None
    extra: str | None = None
    is_readable: bool = True
    is_deleted: bool | None = None
    edited_at: datetime | None = None


class Conversation(msgspec.Struct, frozen=True, kw_only=True):
    """One conversation with its newest messages, newest first.

    `source_updated_at` is Graph's `updated_time`: when the last message was added.
    `message_count` and `unread_count` are Meta's estimates (graph-facts 1.4).
    `has_older_messages` says that the source has more than it was asked for.
    """

    conversation_id: str
    source_updated_at: datetime | None = None
    contact: Participant | None = None
    participants: tuple[Participant, ...] = ()
    snippet: str | None = None
    message_count: int | None = None
    unread_count: int | None = None
    link: str | None = None
    messages: tuple[Message, ...] = ()
    has_older_messages: bool = False
    extra: str | None = None

    def fingerprint(self, newest: int | None = None) -> None:
        """None: nothing was made of it."""

    def whole(self) -> "Conversation":
        """Itself."""
        return self

    def may_hold_nul(self) -> bool:
        """True: it was not checked."""
        return True


# In the order of the columns.
MESSAGE_FIELDS: Final = (
    Field(name="sent_at", kind=Kind.TIME, merge=Merge.FILL, is_usual=True, meaning="when it was sent"),
    Field(
        name="is_from_page",
        kind=Kind.FLAG,
        merge=Merge.KEEP,
        is_required=True,
        is_usual=True,
        meaning="sent by the Page, not to it",
    ),
    Field(
        name="sender_id",
        kind=Kind.ID,
        merge=Merge.FILL,
        is_usual=True,
        meaning="who sent it; NULL when the source does not say",
    ),
    Field(
        name="sender_name",
        kind=Kind.TEXT,
        merge=Merge.FILL,
        is_usual=True,
        meaning="the sender's name as served with the message",
    ),
    Field(
        name="text",
        kind=Kind.TEXT,
        merge=Merge.REPLACE,  # edits
        is_usual=True,
        meaning="the text as served; empty for a sticker or an attachment alone",
    ),
    Field(
        name="is_readable",
        kind=Kind.FLAG,
        merge=Merge.REVEAL,
        is_required=True,
        default=True,
        meaning="false where the source gives only its id and time",
    ),
    # The URLs of media are signed again for every answer (graph-facts 1.6): to replace them would rewrite
    # the table at each sync.
    Field(
        name="attachments",
        kind=Kind.JSON,
        merge=Merge.FILL,
        meaning="as served: [{id, mime_type, name, image_data, ...}]; the URLs expire",
    ),
    Field(name="shares", kind=Kind.JSON, merge=Merge.FILL, meaning="shared links as served"),
    Field(name="sticker", kind=Kind.TEXT, merge=Merge.FILL, meaning="URL of a sticker"),
    Field(name="reactions", kind=Kind.JSON, merge=Merge.REPLACE, meaning="as served: [{reaction, users}]"),
    Field(
        name="story",
        kind=Kind.JSON,
        merge=Merge.FILL,
        meaning="the Instagram story it answers or mentions",
    ),
    Field(
        name="reply_to_message_id",
        kind=Kind.ID,
        merge=Merge.KEEP,
        meaning="Graph's id of the message it replies to",
    ),
    Field(
        name="is_deleted",
        kind=Kind.FLAG,
        merge=Merge.FILL,
        meaning="true: its sender has unsent it; NULL: that is not known",
    ),
    Field(
        name="edited_at",
        kind=Kind.TIME,
        merge=Merge.REPLACE,
        meaning="when it was last edited; NULL: that is not known",
    ),
    Field(name="extra", kind=Kind.JSON, merge=Merge.FILL, meaning="fields served that have no column here"),
)

# Of an answer that is older than what is stored, nothing is merged into the conversation.
CONVERSATION_FIELDS: Final = (
    Field(
        name="folder",
        kind=Kind.TEXT,
        merge=Merge.REPLACE,
        is_required=True,
        meaning="the inbox folder it was listed in",
    ),
    Field(
        name="sender_id",
        kind=Kind.ID,
        merge=Merge.REPLACE,
        meaning="the contact's id, scoped to the Page or app; NULL when no contact is left",
    ),
    Field(
        name="sender_name",
        kind=Kind.TEXT,
        merge=Merge.REPLACE,
        meaning="the contact's name as served; NULL when withheld, never a placeholder",
    ),
    Field(
        name="participants",
        kind=Kind.JSON,
        merge=Merge.REPLACE,
        meaning="everyone in it as served, the Page included: [{id, name, ...}]",
    ),
    Field(
        name="last_message",
        kind=Kind.TEXT,
        merge=Merge.REPLACE,
        # A newest message without words has none: the ones before it must not stand in for it.
        empty_is_a_value=True,
        meaning="the newest message in words, as Meta's snippet or its text",
    ),
    Field(
        name="last_message_time",
        kind=Kind.TIME,
        merge=Merge.REPLACE,
        meaning="when the newest message was sent",
    ),
    Field(
        name="message_count",
        kind=Kind.NUMBER,
        merge=Merge.REPLACE,
        meaning="Meta's estimate of the number of messages",
    ),
    Field(
        name="unread_count",
        kind=Kind.NUMBER,
        merge=Merge.REPLACE,
        meaning="Meta's estimate of unread ones in the Page's inbox",
    ),
    Field(
        name="conversation_status",
        kind=Kind.TEXT,
        merge=Merge.REPLACE,
        is_required=True,
        meaning="active, or gone when the source no longer has it",
    ),
    Field(
        name="link",
        kind=Kind.TEXT,
        merge=Merge.REPLACE,
        meaning="path of the conversation in Meta's own inbox",
    ),
    Field(
        name="has_older_messages",
        kind=Kind.FLAG,
        merge=Merge.REPLACE,
        is_required=True,
        meaning="the source has older messages than are stored",
    ),
    Field(
        name="source_updated_at",
        kind=Kind.TIME,
        merge=Merge.REPLACE,
        meaning="Graph's updated_time; an older answer changes nothing",
    ),
    Field(
        name="extra", kind=Kind.JSON, merge=Merge.REPLACE, meaning="fields served that have no column here"
    ),
)
