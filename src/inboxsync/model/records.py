"""The records that the source serves and the store keeps.

They are msgspec structs because a sync makes tens of thousands of them a second.
JSON that is kept as served is text.
"""

from datetime import datetime
from typing import Protocol

import msgspec


class SourceRecord(Protocol):
    """A conversation as a list served it, decoded or not.

    What takes long to know of it is asked for, once it is wanted.
    """

    @property
    def conversation_id(self) -> str:
        """Graph's id."""

    @property
    def source_updated_at(self) -> datetime | None:
        """Graph's `updated_time`: when the last message was added."""

    def fingerprint(self) -> str | None:
        """Stands for everything in it that would be stored: two that are alike are stored alike.

        None where that is not known.
        """

    def whole(self) -> "Conversation":
        """All of it, decoded."""

    def may_hold_nul(self) -> bool:
        """Whether U+0000 may be in one of its texts, which not every database holds."""


class Participant(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """Someone in a conversation, the Page included. Kept as JSON without what is absent, as it is served.

    `id` is Page-scoped (PSID) or app-scoped (IGSID), never a person's own id
    (graph-facts 1.10). Any of the rest may be missing: accounts go, names are withheld.
    """

    id: str
    name: str | None = None
    username: str | None = None
    email: str | None = None


class Message(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One message of a conversation; `message_id` is Graph's, case-sensitive text.

    `attachments`, `shares`, `reactions` and `story` are JSON as served; `extra` is a
    JSON object of every field we have no column for. `None` means not served.
    `is_readable` is False where the source names a message and tells no more than its time:
    Instagram, beyond the 20 newest (graph-facts 1.6).
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

    def fingerprint(self) -> None:
        """None: whether it is as it was stored takes a look at all of it."""

    def whole(self) -> "Conversation":
        """Itself."""
        return self

    def may_hold_nul(self) -> bool:
        """True: nobody has looked."""
        return True
