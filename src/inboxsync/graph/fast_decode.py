"""Conversations as a list usually serves them: read by shape, and decoded only when somebody looks.

`decode` reads anything. Nearly all of what comes has the documented shape, though, and that is
read several times faster when it is said beforehand. Whatever differs in the least (another type,
an unknown field, no id) is left to `decode`, conversation by conversation, so both give the same
records; a test holds them to it.

A conversation read by shape also has a digest of everything in it that the store would keep, so
that one which was stored just so can be passed over before it is decoded.
"""

import re
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from hashlib import sha256
from operator import attrgetter
from typing import Annotated, Any

import msgspec

from inboxsync.graph.decode import (
    EMPTY,
    LARGEST_INTEGER,
    contact_of,
    decode_conversation,
    entries_of,
    json_list,
    json_text,
    may_lack_older,
    timestamp,
)
from inboxsync.model import Conversation, Dropped, Message, Participant, SourceRecord

# Counted up whenever an answer that is the same leads to other records.
_EDITION = 3
_FINGERPRINT_DIGITS = 32
_PIECE_BYTES = 2047
# As JSON has it; in half a megabyte a pattern finds it sooner than `in` does.
_find_nul = re.compile(rb"\\u0000").search
_Id = Annotated[str, msgspec.Meta(min_length=1)]
_Count = Annotated[int, msgspec.Meta(ge=-LARGEST_INTEGER, le=LARGEST_INTEGER)]


class _Person(msgspec.Struct, gc=False, omit_defaults=True):
    id: _Id
    name: str | None = None
    username: str | None = None
    email: str | None = None


class _People(msgspec.Struct, gc=False):
    data: list[_Person]


class _Entries(msgspec.Struct, gc=False):
    """A nested edge, without its paging."""

    data: list[Any]


class _Reply(msgspec.Struct, gc=False):
    mid: str


class _Message(msgspec.Struct, gc=False, forbid_unknown_fields=True, omit_defaults=True):
    id: _Id
    created_time: str | None = None
    sender: _Person | None = msgspec.field(default=None, name="from")
    message: str | None = None
    attachments: _Entries | None = None
    shares: _Entries | None = None
    sticker: str | None = None
    reactions: Any = None
    story: Any = None
    reply_to: _Reply | None = None
    is_unsupported: bool | None = None


class _Paging(msgspec.Struct, gc=False):
    next: str | None = None


class _Messages(msgspec.Struct, gc=False):
    data: list[_Message]
    paging: _Paging | None = None


class FastRecord(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """One entry of a list, in the documented shape."""

    id: _Id
    updated_time: str | None = None
    message_count: _Count | None = None
    unread_count: _Count | None = None
    snippet: str | None = None
    link: str | None = None
    participants: _People | None = None
    messages: _Messages | None = None


class Listed(msgspec.Struct, kw_only=True):
    """An entry of a list in the usual shape, decoded when somebody asks for it; see `model.Served`."""

    conversation_id: str
    source_updated_at: datetime | None
    entry: FastRecord
    own_ids: frozenset[str]
    is_instagram: bool
    _fingerprint: str | None = None
    _whole: Conversation | None = None

    def fingerprint(self) -> str:
        """Of all that the store would keep of it."""
        if self._fingerprint is None:
            self._fingerprint = _fingerprint(self.entry, self.own_ids, is_instagram=self.is_instagram)
        return self._fingerprint

    def whole(self) -> Conversation:
        """All of it."""
        if self._whole is None:
            self._whole = _conversation(self.entry, self.own_ids, is_instagram=self.is_instagram)
        return self._whole

    def may_hold_nul(self) -> bool:
        """False: what holds it is not of the usual shape."""
        return False


class _Answer(msgspec.Struct, forbid_unknown_fields=True):
    data: list[FastRecord]
    paging: Any = None


class _SplitAnswer(msgspec.Struct, forbid_unknown_fields=True):
    data: list[msgspec.Raw]
    paging: Any = None


_read_answer = msgspec.json.Decoder(_Answer).decode
_split_answer = msgspec.json.Decoder(_SplitAnswer).decode
_read_one = msgspec.json.Decoder(FastRecord).decode
_encode = msgspec.json.Encoder().encode
_plain_values = attrgetter("id", "created_time", "sender", "message", "is_unsupported")
_rest_values = attrgetter("attachments", "shares", "sticker", "reactions", "story", "reply_to")
_values_but_messages = attrgetter("id", "updated_time", "message_count", "unread_count", "snippet", "link")
_NO_REST = (None,) * 6


def decode_fast(body: bytes) -> dict[str, Any]:
    """A list answer whose entries are `UsualConversation` where they have its shape, else any JSON.

    Raises MsgspecError or UnicodeDecodeError for what is no list answer at all.
    """
    # In JSON, U+0000 can only be written so: one look at the whole saves one at each of its texts.
    if _find_nul(body) is None:
        with suppress(msgspec.ValidationError):
            answer = _read_answer(body)
            return {"data": answer.data, "paging": answer.paging}
    split = _split_answer(body)
    return {"data": [_fast_or_any(each) for each in split.data], "paging": split.paging}


def decode_listed(
    data: object, *, own_ids: frozenset[str], is_instagram: bool = False
) -> tuple[tuple[SourceRecord, ...], tuple[Dropped, ...]]:
    """The `data` of a conversation list, read by `read_usual` or as any JSON; never raises.

    `is_instagram` as in `decode_conversations`.
    """
    dropped: list[Dropped] = []
    found: list[SourceRecord] = []
    for entry in entries_of(data, "conversation list", dropped, also=FastRecord):
        if isinstance(entry, FastRecord):
            listed = Listed(
                conversation_id=entry.id,
                source_updated_at=timestamp(entry.updated_time),
                entry=entry,
                own_ids=own_ids,
                is_instagram=is_instagram,
            )
            found.append(listed)
            continue
        conversation = decode_conversation(entry, own_ids=own_ids, dropped=dropped, is_instagram=is_instagram)
        if conversation is not None:
            found.append(conversation)
    return tuple(found), tuple(dropped)


def _fast_or_any(raw: msgspec.Raw) -> Any:  # noqa: ANN401 - any JSON
    if _find_nul(raw) is None:
        with suppress(msgspec.ValidationError):
            return _read_one(raw)
    return msgspec.json.decode(raw)


def _fingerprint(entry: FastRecord, own_ids: frozenset[str], *, is_instagram: bool) -> str:
    """Of all that the store would keep of it.

    Of what is filled in and never replaced only whether it is there: media URLs are signed anew for
    each answer (graph-facts 1.6). Cursors and the `next` of its messages are this answer's own too.
    """
    messages = entry.messages.data if entry.messages is not None else []
    people = entry.participants.data if entry.participants is not None else []
    # Words alone, as nearly all messages are, hold nothing but what is stored.
    shown = [
        message if _rest_values(message) == _NO_REST else (_plain_values(message), _what_is_there(message))
        for message in messages
    ]
    content = (
        _EDITION,
        sorted(own_ids),
        is_instagram,
        _values_but_messages(entry),
        # The first is the contact; else their order means nothing, and changes.
        next((each.id for each in people if each.id not in own_ids), None),
        sorted((each.id, each.name or "", each.username or "", each.email or "") for each in people),
        _has_next(entry),
        shown,
    )
    return _hash(_encode(content))


def _hash(content: bytes) -> str:
    """In pieces that are hashed in one go: for longer ones Python lets other threads in between."""
    fingerprint = sha256(usedforsecurity=False)
    for start in range(0, len(content), _PIECE_BYTES):
        fingerprint.update(content[start : start + _PIECE_BYTES])
    return fingerprint.hexdigest()[:_FINGERPRINT_DIGITS]


def _what_is_there(message: _Message) -> tuple[object, ...]:
    return (
        bool(message.attachments and message.attachments.data),
        bool(message.shares and message.shares.data),
        bool(message.sticker),
        json_list(message.reactions),
        json_text(message.story) is not None,
        message.reply_to,
        _tells_more(message),
    )


def _tells_more(message: _Message) -> bool:
    return any(value not in EMPTY for value in _rest_values(message))


def _has_next(entry: FastRecord) -> bool:
    paging = entry.messages.paging if entry.messages is not None else None
    return paging is not None and bool(paging.next)


def _conversation(entry: FastRecord, own_ids: frozenset[str], *, is_instagram: bool) -> Conversation:
    served = entry.messages.data if entry.messages is not None else []
    messages = tuple(_messages(served, own_ids, is_instagram=is_instagram))
    participants = tuple(_participants(entry.participants))
    return Conversation(
        conversation_id=entry.id,
        source_updated_at=timestamp(entry.updated_time),
        contact=contact_of(participants, messages, own_ids),
        participants=participants,
        snippet=entry.snippet or None,
        message_count=entry.message_count,
        unread_count=entry.unread_count,
        link=entry.link or None,
        messages=messages,
        has_older_messages=_has_next(entry) or may_lack_older(messages, is_instagram=is_instagram),
    )


def _participants(people: _People | None) -> Iterable[Participant]:
    for each in people.data if people is not None else ():
        yield Participant(
            id=each.id,
            name=each.name or None,
            username=each.username or None,
            email=each.email or None,
        )


def _messages(served: list[_Message], own_ids: frozenset[str], *, is_instagram: bool) -> list[Message]:
    messages = []
    for each in served:
        sender, sender_id, sender_name = each.sender, None, None
        if sender is not None:
            sender_id, sender_name = sender.id, sender.name or sender.username or None
        message = Message(
            message_id=each.id,
            sent_at=timestamp(each.created_time),
            is_from_page=sender_id in own_ids,
            sender_id=sender_id,
            sender_name=sender_name,
            text=each.message,
            is_readable=not is_instagram or _tells_something(each),
        )
        # Nearly all are text alone, and there are tens of thousands a second.
        if each.is_unsupported is not None or _rest_values(each) != _NO_REST:
            message = msgspec.structs.replace(message, **_rest(each))
        messages.append(message)
    return messages


def _rest(served: _Message) -> dict[str, str | None]:
    """All of a message but its text, time and sender."""
    is_unsupported = served.is_unsupported
    return {
        "attachments": json_text(served.attachments.data) if served.attachments is not None else None,
        "shares": json_text(served.shares.data) if served.shares is not None else None,
        "sticker": served.sticker or None,
        "reactions": json_list(served.reactions),
        "story": json_text(served.story),
        "reply_to_message_id": (served.reply_to.mid or None) if served.reply_to is not None else None,
        "extra": json_text({"is_unsupported": is_unsupported}) if is_unsupported is not None else None,
    }


def _tells_something(served: _Message) -> bool:
    """Whether there is more of a message than its id and time (graph-facts 1.6)."""
    is_said = served.sender is not None or bool(served.message) or served.is_unsupported is not None
    return is_said or _tells_more(served)
