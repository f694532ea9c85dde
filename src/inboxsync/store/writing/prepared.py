"""A conversation with the rows it becomes, made before the transaction begins.

To make them takes as long as to write them. A scan has them made in a thread of their own, while the batch
before is written: then the database never waits for them.
"""

from collections.abc import Iterable
from datetime import datetime
from operator import attrgetter
from typing import Any, Final, NamedTuple

import msgspec

from inboxsync.model import Conversation, Message, Participant, SourceRecord
from inboxsync.model.records import CONVERSATION_FIELDS, MESSAGE_FIELDS
from inboxsync.store.connection.nul import conversation_without_nul
from inboxsync.store.connection.types import format_utc, new_id
from inboxsync.store.writing.bulk import BulkRow, Value

_encode = msgspec.json.Encoder().encode
_id_of = attrgetter("id")
_OTHERS = tuple(field for field in MESSAGE_FIELDS if not field.is_usual)
_other_values = attrgetter(*(field.name for field in _OTHERS))
_NO_OTHERS: Final = tuple(field.default for field in _OTHERS)
_DEFAULTS: Final = tuple(None if each is None else int(each) for each in _NO_OTHERS)
# Nearly all messages are words and nothing else: to write a NULL costs as much as to write a word.
USUAL_COLUMNS: Final = (
    *("conversation_id", "message_id"),
    *(field.name for field in MESSAGE_FIELDS if field.is_usual),
)
ALL_COLUMNS: Final = (*USUAL_COLUMNS, *(field.name for field in _OTHERS))
# What the batch tells of a conversation, and not the conversation itself.
OF_BATCH: Final = ("folder",)
CONVERSATION_COLUMNS: Final = tuple(field.name for field in CONVERSATION_FIELDS if field.name not in OF_BATCH)


class MessageRows(NamedTuple):
    """Rows of messages: of `USUAL_COLUMNS`, and of `ALL_COLUMNS` where there is more."""

    usual: list[BulkRow]
    others: list[BulkRow]


class PreparedConversation:
    """A source record, and what is to be written of it.

    `row_id` is the id of ours that it gets if it is new. Later answers may bring `newest` messages of it,
    where this one brings more: then it is recognised in them too.
    """

    __slots__ = ("_fingerprints", "_newest", "_record", "_rows", "row_id")

    def __init__(self, record: SourceRecord, *, newest: int | None = None) -> None:
        self.row_id = new_id()
        self._record = record
        self._newest = newest
        self._fingerprints: str | None = None
        self._rows: tuple[BulkRow, MessageRows] | None = None

    @property
    def conversation_id(self) -> str:
        """Graph's id."""
        return self._record.conversation_id

    @property
    def source_updated_at(self) -> datetime | None:
        """Graph's `updated_time`."""
        return self._record.source_updated_at

    def fingerprint(self, newest: int | None = None) -> str | None:
        """See `SourceRecord`."""
        return self._record.fingerprint(newest)

    def whole(self) -> Conversation:
        """All of it, decoded."""
        return self._record.whole()

    def may_hold_nul(self) -> bool:
        """Whether U+0000 may be in one of its texts."""
        return self._record.may_hold_nul()

    def fingerprints(self) -> str | None:
        """What is stored as its fingerprint: of all of it, and if that differs of its newest messages."""
        if self._fingerprints is None:
            whole = self.fingerprint()
            newest = whole if self._newest is None else self.fingerprint(self._newest)
            self._fingerprints = whole if newest == whole else f"{whole} {newest}"
        return self._fingerprints

    def rows(self) -> tuple[BulkRow, MessageRows]:
        """Values of `CONVERSATION_COLUMNS`, and its messages, where it is new."""
        if self._rows is None:
            whole = self.whole()
            row = conversation_row(whole, has_older=whole.has_older_messages)
            self._rows = row, message_rows(self.row_id, whole.messages)
        return self._rows


def prepare(record: SourceRecord, *, newest: int | None = None) -> PreparedConversation:
    """The same with its rows to come, unless it is prepared already."""
    return record if isinstance(record, PreparedConversation) else PreparedConversation(record, newest=newest)


def prepared_without_nul(prepared: PreparedConversation) -> PreparedConversation:
    """The same without U+0000."""
    whole = prepared.whole()
    clean = conversation_without_nul(whole)
    return prepared if clean is whole else PreparedConversation(clean)


def conversation_row(conversation: Conversation, *, has_older: bool) -> BulkRow:
    """Values of `CONVERSATION_COLUMNS`. The flag is whether there are older messages than will be stored."""
    contact = conversation.contact
    newest = next((message for message in conversation.messages if message.sent_at), None)
    newest_at = (newest.sent_at if newest else None) or conversation.source_updated_at
    # In the order of the fields: a test holds it to that.
    return (
        contact.id if contact else None,
        (contact.name or contact.username) if contact else None,
        _participants(conversation.participants),
        conversation.snippet or (newest.text or "" if newest else None),
        format_utc(newest_at) if newest_at else None,
        conversation.message_count,
        conversation.unread_count,
        "active",
        conversation.link,
        int(has_older),
        format_utc(conversation.source_updated_at) if conversation.source_updated_at else None,
        conversation.extra,
    )


def message_rows(row_id: str, messages: Iterable[Message]) -> MessageRows:
    """Rows of messages of a conversation (our id), one of each message."""
    usual: list[BulkRow] = []
    others: list[BulkRow] = []
    for message in {message.message_id: message for message in messages}.values():
        at = message.sent_at
        # Attribute by attribute, which is faster, and an integer: the driver looks for an adapter for True.
        row = (
            row_id,
            message.message_id,
            None if at is None else format_utc(at),
            1 if message.is_from_page else 0,
            message.sender_id,
            message.sender_name,
            message.text,
        )
        rest = _other_values(message)
        if rest == _NO_OTHERS:
            usual.append(row)
        else:
            others.append((*row, *map(_held, rest)))
    return MessageRows(usual, others)


def whole_rows(rows: MessageRows) -> list[BulkRow]:
    """All of them as rows of `ALL_COLUMNS`."""
    return [*((*row, *_DEFAULTS) for row in rows.usual), *rows.others]


def _held(value: Any) -> Value:  # noqa: ANN401 - of any field
    if isinstance(value, bool):
        return int(value)
    return format_utc(value) if isinstance(value, datetime) else value


def _participants(people: tuple[Participant, ...]) -> str | None:
    """As JSON, in the order of their ids: the source's own order means nothing and changes."""
    if not people:
        return None
    return _encode(sorted(people, key=_id_of)).decode()
