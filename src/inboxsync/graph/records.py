"""From Graph's shape to the records that the store keeps, built only when they are needed.

A record of a list also has a fingerprint of everything in it that would be stored. If it is the
stored one, nothing has to be built or written.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from operator import attrgetter
from typing import Any

import msgspec
import structlog

from inboxsync.clock import Clock
from inboxsync.graph.access import Access
from inboxsync.graph.body import json_text, read_list, read_paging
from inboxsync.graph.decode import (
    EMPTY,
    LONGEST_NUMBER,
    GraphConversation,
    GraphEdge,
    GraphMessage,
    GraphPeople,
    GraphPerson,
    GraphReply,
    Json,
    epoch_time,
    normalise_conversation,
    normalise_messages,
)
from inboxsync.graph.errors import Fault, FaultError
from inboxsync.graph.requests import Answer
from inboxsync.model import Batch, Conversation, Dropped, Message, MessageBatch, Participant, SourceRecord
from inboxsync.model.records import MESSAGE_FIELDS, Kind, Merge

log = structlog.get_logger(__name__)

# Counted up when the same answer leads to other records than before.
_EDITION = 3
_FINGERPRINT_DIGITS = 32
_CHUNK_BYTES = 2047
# Of an Instagram conversation's messages only so many have details (graph-facts 1.6-2).
_READABLE_ON_INSTAGRAM = 20
_BUSINESS = "17841"
_encode = msgspec.json.Encoder().encode


class GraphRecord(msgspec.Struct, kw_only=True):
    """A conversation of a list, built when it is needed; see `model.SourceRecord`."""

    conversation_id: str
    source_updated_at: datetime | None
    entry: GraphConversation
    own_ids: frozenset[str]
    is_instagram: bool
    is_normalised: bool
    _fingerprint: str | None = None
    _whole: Conversation | None = None

    def fingerprint(self, newest: int | None = None) -> str:
        """A hash of everything in it that would be stored; see `model.SourceRecord`."""
        if newest is not None and self.entry.messages is not None and len(self.entry.messages.data) > newest:
            return _fingerprint(self.entry, self.own_ids, is_instagram=self.is_instagram, newest=newest)
        if self._fingerprint is None:
            self._fingerprint = _fingerprint(self.entry, self.own_ids, is_instagram=self.is_instagram)
        return self._fingerprint

    def whole(self) -> Conversation:
        """All of it."""
        if self._whole is None:
            self._whole = _conversation(self.entry, self.own_ids, is_instagram=self.is_instagram)
        return self._whole

    def may_hold_nul(self) -> bool:
        """False for what the fast decoder took: it leaves entries with U+0000 to `decode`."""
        return self.is_normalised


def read_batch(
    answer: Answer, *, access: Access, sent: str | None, asked_for_details: bool, clock: Clock
) -> Batch:
    """A list's answer; `sent` is the cursor that it was asked with.

    Raises FaultError for an answer without a list. Without a `Date` header, an answer has the time of
    its newest conversation, which is not our clock's.
    """
    conversations, dropped = decode_list(
        read_list(answer.body),
        own_ids=access.own_ids,
        # Only an answer that was asked for details shows that a message has none.
        is_instagram=access.is_instagram and asked_for_details,
    )
    _warn(dropped)
    after, has_next = read_paging(answer.body, sent=sent)
    times = [each.source_updated_at for each in conversations if each.source_updated_at is not None]
    return Batch(
        conversations=conversations,
        answered_at=answer.dated_at or min(clock.now(), max(times, default=clock.now())),
        after=after,
        has_next=has_next,
        dropped=dropped,
    )


def read_conversation(answer: Answer, *, access: Access) -> Conversation:
    """A conversation's answer. Raises FaultError for one that has no id."""
    dropped: list[Dropped] = []
    entry = normalise_conversation(answer.body, dropped)
    _warn(dropped)
    if entry is None:
        raise FaultError(Fault(message="The answer holds no conversation."))
    return _conversation(entry, access.own_ids, is_instagram=access.is_instagram)


def read_messages(
    answer: Answer, *, access: Access, sent: str | None, asked_for_details: bool
) -> MessageBatch:
    """A messages edge's answer; the rest as in `read_batch`."""
    dropped: list[Dropped] = []
    messages = decode_messages(
        read_list(answer.body),
        dropped,
        own_ids=access.own_ids,
        is_instagram=access.is_instagram and asked_for_details,
    )
    _warn(dropped)
    after, has_next = read_paging(answer.body, sent=sent)
    return MessageBatch(messages=messages, after=after, has_next=has_next, dropped=tuple(dropped))


def _warn(dropped: Sequence[Dropped]) -> None:
    if dropped:
        log.warning("parts of an answer could not be read", count=len(dropped), first=str(dropped[0]))


def decode_list(
    data: object, *, own_ids: frozenset[str], is_instagram: bool = False
) -> tuple[tuple[SourceRecord, ...], tuple[Dropped, ...]]:
    """The `data` of a conversation list, from the fast decoder or any JSON; never raises.

    With `is_instagram`, messages that have only an id and a time are marked as unreadable. Only for
    an answer that was asked for more than that.
    """
    dropped: list[Dropped] = []
    found: list[SourceRecord] = []
    for each in data if isinstance(data, list) else []:
        is_usual = isinstance(each, GraphConversation)
        entry = each if is_usual else normalise_conversation(each, dropped)
        if entry is not None:
            record = GraphRecord(
                conversation_id=entry.id,
                source_updated_at=timestamp(entry.updated_time),
                entry=entry,
                own_ids=own_ids,
                is_instagram=is_instagram,
                is_normalised=not is_usual,
            )
            found.append(record)
    return tuple(found), tuple(dropped)


def decode_messages(
    data: object, dropped: list[Dropped], *, own_ids: frozenset[str], is_instagram: bool = False
) -> tuple[Message, ...]:
    """The `data` of a messages edge, in its order; `is_instagram` as in `decode_list`."""
    return tuple(_messages(normalise_messages(data, dropped), own_ids, is_instagram=is_instagram))


def _fingerprint(
    entry: GraphConversation, own_ids: frozenset[str], *, is_instagram: bool, newest: int | None = None
) -> str:
    """A hash of everything that would be stored, of an answer with no more than `newest` messages.

    Of what the store fills in and never replaces, only whether it is there: each answer signs media
    URLs again (graph-facts 1.6). Cursors and the `next` of its messages are this answer's own too.
    """
    served = entry.messages.data if entry.messages is not None else []
    messages = served[:newest]
    people = entry.participants.data if entry.participants is not None else []
    content = (
        _EDITION,
        sorted(own_ids),
        is_instagram,
        _values_but_messages(entry),
        # The first is the contact; otherwise their order means nothing, and changes.
        next((known for each in people if (known := _known_id(each)) not in own_ids), None),
        sorted((_known_id(each), each.name or "", each.username or "", each.email or "") for each in people),
        _has_next(entry) or len(messages) < len(served),
        # Of text alone, everything is stored.
        [each if _all_but_text(each) == _TEXT_ALONE else _what_is_stored(each) for each in messages],
        json_text(entry.others.fields) if entry.others is not None else None,
    )
    return _hash(_encode(content))


def _hash(content: bytes) -> str:
    """In chunks that are hashed in one go: during longer ones Python lets other threads run."""
    fingerprint = sha256(usedforsecurity=False)
    for start in range(0, len(content), _CHUNK_BYTES):
        fingerprint.update(content[start : start + _CHUNK_BYTES])
    return fingerprint.hexdigest()[:_FINGERPRINT_DIGITS]


def _what_is_stored(message: GraphMessage) -> tuple[object, ...]:
    rest = [
        (value is not None and (_is_there(value) if is_filled else as_stored(value))) or None
        for (_, as_stored, is_filled), value in zip(_REST, _rest_values(message), strict=True)
    ]
    return _usual_values(message), rest, bool(_extra(message)), _has_details(message)


def _is_there(value: Any) -> bool:  # noqa: ANN401 - any JSON
    return (value.data if value.__class__ is GraphEdge else value) not in EMPTY


def _extra(message: GraphMessage) -> Json:
    """What the store has no column for."""
    others = message.others.fields if message.others is not None else {}
    return others if message.is_unsupported is None else {"is_unsupported": message.is_unsupported, **others}


def _has_details(message: GraphMessage) -> bool:
    """Whether there is more of a message than its id and time (graph-facts 1.6)."""
    if message.sender is not None or message.text:
        return True
    extra = (value for name, value in _extra(message).items() if name != "created_time")
    return any(value not in EMPTY for value in (*_rest_values(message), *extra))


def _has_next(entry: GraphConversation) -> bool:
    paging = entry.messages.paging if entry.messages is not None else None
    return paging is not None and bool(paging.next)


def _conversation(entry: GraphConversation, own_ids: frozenset[str], *, is_instagram: bool) -> Conversation:
    data = entry.messages.data if entry.messages is not None else []
    messages = tuple(_messages(data, own_ids, is_instagram=is_instagram))
    participants = tuple(_participants(entry.participants))
    # It is not confirmed what Instagram does with those beyond its 20: it may leave them out without a sign.
    may_have_older = is_instagram and len(messages) == _READABLE_ON_INSTAGRAM
    return Conversation(
        conversation_id=entry.id,
        source_updated_at=timestamp(entry.updated_time),
        contact=_contact(participants, messages, own_ids),
        participants=participants,
        snippet=entry.snippet or None,
        message_count=entry.message_count,
        unread_count=entry.unread_count,
        link=entry.link or None,
        messages=messages,
        has_older_messages=_has_next(entry) or may_have_older,
        extra=json_text(entry.others.fields) if entry.others is not None else None,
    )


def _known_id(person: GraphPerson) -> str:
    """Of a business account with two ids, the one under which it is known elsewhere (graph-facts 1.4-11)."""
    user_id = person.user_id
    return person.id if user_id is None or not user_id.startswith(_BUSINESS) else user_id


def _participants(people: GraphPeople | None) -> Iterable[Participant]:
    for each in people.data if people is not None else ():
        yield Participant(
            id=_known_id(each),
            name=each.name or None,
            username=each.username or None,
            email=each.email or None,
        )


def _contact(
    participants: Iterable[Participant], messages: Iterable[Message], own_ids: frozenset[str]
) -> Participant | None:
    """The one who is not the Page, whatever the order; a deleted account is only in the messages."""
    for person in participants:
        if person.id not in own_ids:
            return person
    for message in messages:
        if message.sender_id is not None and not message.is_from_page:
            return Participant(id=message.sender_id, name=message.sender_name)
    return None


def _messages(data: list[GraphMessage], own_ids: frozenset[str], *, is_instagram: bool) -> list[Message]:
    messages = []
    for each in data:
        sender, sender_id, sender_name = each.sender, None, None
        if sender is not None:
            sender_id, sender_name = _known_id(sender), sender.name or sender.username or None
        message = Message(
            message_id=each.id,
            sent_at=timestamp(each.sent_at),
            is_from_page=sender_id in own_ids,
            sender_id=sender_id,
            sender_name=sender_name,
            text=each.text,
            is_readable=not is_instagram or _has_details(each),
        )
        if _all_but_text(each) != _TEXT_ALONE:
            message = msgspec.structs.replace(message, **_rest(each))
        messages.append(message)
    return messages


def _rest(message: GraphMessage) -> dict[str, Any]:
    """What the store keeps of a message beside its text, time and sender."""
    values = zip(_REST, _rest_values(message), strict=True)
    rest = {name: as_stored(value) for (name, as_stored, _), value in values if value is not None}
    if extra := _extra(message):
        rest["extra"] = json_text(extra)
    return rest


def _json(value: Any) -> str | None:  # noqa: ANN401 - any JSON
    return json_text(value.data if value.__class__ is GraphEdge else value)


def _id(value: GraphReply) -> str | None:
    return value.mid or None


def _text(value: str) -> str | None:
    return value or None


def _flag(value: bool | str) -> bool | None:  # noqa: FBT001 - it is a value
    """True if Meta says so, in its own type or as text (graph-facts A-13); else it is not known."""
    return True if value in (True, "true") else None


def timestamp(value: str | None) -> datetime | None:
    """`2026-01-02T03:04:05+0000`, or a number since the epoch (see `epoch_time`), as aware UTC."""
    if value is None:
        return None
    try:
        if len(value) < LONGEST_NUMBER and value.isdecimal():
            return epoch_time(int(value))
        at = datetime.fromisoformat(value)
    except (ValueError, OverflowError, OSError):
        return None
    if at.tzinfo is UTC:
        return at
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


_usual_values = attrgetter("id", "sent_at", "sender", "text")
_values_but_messages = attrgetter("id", "updated_time", "message_count", "unread_count", "snippet", "link")

_AS_STORED: Mapping[Kind, Callable[[Any], Any]] = {
    Kind.JSON: _json,
    Kind.ID: _id,
    Kind.TEXT: _text,
    Kind.TIME: timestamp,
    Kind.FLAG: _flag,
}
# What most messages do not have, of what Graph serves: the field, how its value is stored, and whether the
# fingerprint has only that there is one.
_REST = [
    (field.name, _AS_STORED[field.kind], field.merge is Merge.FILL and field.kind is not Kind.FLAG)
    for field in MESSAGE_FIELDS
    if not field.is_usual and field.name in GraphMessage.__struct_fields__
]
_rest_values = attrgetter(*(name for name, _, _ in _REST))
# Nearly all messages are text alone, and there are tens of thousands a second: one comparison shows it.
_all_but_text = attrgetter(*(name for name, _, _ in _REST), "is_unsupported", "others")
_TEXT_ALONE = (*(None for _ in _REST), None, None)
