"""From Graph's JSON to records.

Tolerant: every field but an id may be missing, null or of another type than the one
documented, and becomes `None`. What has no id cannot be kept and is reported. Fields
that no record has a place for are kept as JSON in `extra`, so that nothing served is
lost.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from inboxsync.graph.body import replace_lone_surrogates
from inboxsync.model import Conversation, Dropped, Message, Participant

Json = dict[str, Any]

# What both databases hold in an integer column.
LARGEST_INTEGER = 2**31 - 1
_LONGEST_NUMBER = 20
# Of an Instagram conversation's messages only so many have details (graph-facts 1.6-2).
_READABLE_ON_INSTAGRAM = 20
# The longest ids have about 180 characters (graph-facts 1.10); past 4,300 digits Python refuses to write.
_LONGEST_ID_BITS = 1024
_JSON_INTEGER_BITS = 63
# Graph nests a handful deep. Python and JSON libraries give up at some hundreds, each elsewhere.
_DEEPEST = 60
_TOKEN_PARAMETER = re.compile(r"access_token(=|%3D)[^&\s\"]*", re.IGNORECASE)
# A number that may be past 64 bits, looked for as one of noughts: takes a tenth of what a pattern takes.
_DIGITS = bytes.maketrans(b"123456789", b"000000000")
_LONG_NUMBER = b"0" * 19
_encode = msgspec.json.Encoder().encode
_CONVERSATION_FIELDS = frozenset(
    {
        "id",
        "updated_time",
        "message_count",
        "unread_count",
        "snippet",
        "link",
        "participants",
        "messages",
    },
)
_NAMED = frozenset({"id", "created_time"})
EMPTY: tuple[object, ...] = (None, "", [], {})
_PLAIN_MESSAGE = frozenset({"id", "created_time", "from", "message"})
_MESSAGE_FIELDS = frozenset(
    {
        "id",
        "created_time",
        "from",
        "message",
        "attachments",
        "shares",
        "sticker",
        "reactions",
        "story",
        "reply_to",
    },
)


def decode_conversations(
    data: object, *, own_ids: frozenset[str], is_instagram: bool = False
) -> tuple[tuple[Conversation, ...], tuple[Dropped, ...]]:
    """The `data` of a conversation list; never raises, whatever JSON it is.

    `is_instagram` marks messages of which nothing but id and time is served as unreadable. Not
    to be said of an answer that was asked for no more than that.
    """
    dropped: list[Dropped] = []
    found = []
    for entry in entries_of(data, "conversation list", dropped):
        conversation = decode_conversation(entry, own_ids=own_ids, dropped=dropped, is_instagram=is_instagram)
        if conversation is not None:
            found.append(conversation)
    return tuple(found), tuple(dropped)


def decode_conversation(
    entry: Json, *, own_ids: frozenset[str], dropped: list[Dropped], is_instagram: bool = False
) -> Conversation | None:
    """One conversation with the messages nested in it; None, and a word in `dropped`, without an id."""
    conversation_id = identifier(entry.get("id"))
    if conversation_id is None:
        dropped.append(Dropped(what="conversation", why="it has no id"))
        return None
    edge = entry.get("messages")
    nested = edge if isinstance(edge, dict) else {}
    messages = decode_messages(
        nested.get("data"), own_ids=own_ids, dropped=dropped, is_instagram=is_instagram
    )
    participants = _decode_participants(entry.get("participants"))
    paging = nested.get("paging")
    return Conversation(
        conversation_id=conversation_id,
        source_updated_at=timestamp(entry.get("updated_time")),
        contact=contact_of(participants, messages, own_ids),
        participants=participants,
        snippet=_text(entry.get("snippet")),
        message_count=_integer(entry.get("message_count")),
        unread_count=_integer(entry.get("unread_count")),
        link=_text(entry.get("link")),
        messages=messages,
        has_older_messages=(isinstance(paging, dict) and bool(paging.get("next")))
        or may_lack_older(messages, is_instagram=is_instagram),
        extra=_extra(entry, _CONVERSATION_FIELDS),
    )


def may_lack_older(messages: Sequence[Message], *, is_instagram: bool) -> bool:
    """Whether there may be older ones though nothing says so.

    What Instagram does with those beyond its 20 is not confirmed: it may leave them out unsaid.
    """
    return is_instagram and len(messages) == _READABLE_ON_INSTAGRAM


def decode_messages(
    data: object, *, own_ids: frozenset[str], dropped: list[Dropped], is_instagram: bool = False
) -> tuple[Message, ...]:
    """The `data` of a messages edge, in the order served; `is_instagram` as in `decode_conversations`."""
    found = []
    for entry in entries_of(data, "message list", dropped):
        message_id = identifier(entry.get("id"))
        if message_id is None:
            dropped.append(Dropped(what="message", why="it has no id"))
        else:
            found.append(_decode_message(entry, message_id, own_ids, is_instagram=is_instagram))
    return tuple(found)


def _decode_message(entry: Json, message_id: str, own_ids: frozenset[str], *, is_instagram: bool) -> Message:
    sender_id, sender_name = _sender(entry.get("from"))
    text = entry.get("message")
    # Nearly all messages are text alone, and there are tens of thousands a second.
    rest: dict[str, Any] = {} if _PLAIN_MESSAGE.issuperset(entry) else _decode_rest(entry)
    return Message(
        message_id=message_id,
        sent_at=timestamp(entry.get("created_time")),
        is_from_page=sender_id in own_ids,
        sender_id=sender_id,
        sender_name=sender_name,
        text=text if isinstance(text, str) else None,
        is_readable=not (is_instagram and _tells_nothing(entry)),
        **rest,
    )


def _tells_nothing(entry: Json) -> bool:
    """Whether a message has been named and no more: id and time alone (graph-facts 1.6)."""
    return all(key in _NAMED or value in EMPTY for key, value in entry.items())


def _decode_rest(entry: Json) -> dict[str, str | None]:
    """All of a message but its text, time and sender."""
    reply_to = entry.get("reply_to")
    return {
        "attachments": json_list(entry.get("attachments")),
        "shares": json_list(entry.get("shares")),
        "sticker": _text(entry.get("sticker")),
        "reactions": json_list(entry.get("reactions")),
        "story": json_text(entry.get("story")),
        "reply_to_message_id": identifier(reply_to.get("mid")) if isinstance(reply_to, dict) else None,
        "extra": _extra(entry, _MESSAGE_FIELDS),
    }


def _sender(entry: object) -> tuple[str | None, str | None]:
    """Id and name of who sent a message; without an id there is no name either."""
    person = _decode_participant(entry) if entry is not None else None
    return (person.id, person.name or person.username) if person else (None, None)


def _decode_participants(edge: object) -> tuple[Participant, ...]:
    people = edge.get("data") if isinstance(edge, dict) else edge
    found = (_decode_participant(entry) for entry in people) if isinstance(people, list) else ()
    return tuple(person for person in found if person is not None)


def _decode_participant(entry: object) -> Participant | None:
    if not isinstance(entry, dict):
        return None
    # Instagram has been seen with the id under either key (graph-facts 1.4).
    person_id = identifier(entry.get("id")) or identifier(entry.get("user_id"))
    if person_id is None:
        return None
    return Participant(
        id=person_id,
        name=_text(entry.get("name")),
        username=_text(entry.get("username")),
        email=_text(entry.get("email")),
    )


def contact_of(
    participants: Iterable[Participant], messages: Iterable[Message], own_ids: frozenset[str]
) -> Participant | None:
    """Whoever is not the Page: the participants' order means nothing, and a gone account is not there."""
    for person in participants:
        if person.id not in own_ids:
            return person
    for message in messages:
        if message.sender_id is not None and not message.is_from_page:
            return Participant(id=message.sender_id, name=message.sender_name)
    return None


def entries_of(data: object, what: str, dropped: list[Dropped], *, also: type | None = None) -> Iterable[Any]:
    """The objects of a list, and what is of the type `also`; a word in `dropped` for anything else."""
    if data is None:
        return
    if not isinstance(data, list):
        dropped.append(Dropped(what=what, why=f"it is {type(data).__name__}, not a list"))
        return
    for entry in data:
        if isinstance(entry, dict) or (also is not None and isinstance(entry, also)):
            yield entry
        else:
            dropped.append(
                Dropped(what=f"entry of a {what}", why=f"it is {type(entry).__name__}, not an object")
            )


def identifier(value: object) -> str | None:
    """An id as text. Old answers have numbers, some past 2^53; never a float (graph-facts 1.10)."""
    if isinstance(value, str):
        return value or None
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() <= _LONGEST_ID_BITS:
        return str(value)
    return None


def timestamp(value: object) -> datetime | None:
    """`2026-01-02T03:04:05+0000`, or seconds since the epoch as Meta's samples have it, as aware UTC."""
    try:
        if isinstance(value, str) and value.isdecimal() and len(value) < _LONGEST_NUMBER:
            value = int(value)
        if isinstance(value, str):
            at = datetime.fromisoformat(value)
            return at if at.tzinfo is UTC else _in_utc(at)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError):
        pass
    return None


def _in_utc(at: datetime) -> datetime:
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def _text(value: object) -> str | None:
    return value or None if isinstance(value, str) else None


def _integer(value: object) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < _LONGEST_NUMBER:
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= LARGEST_INTEGER:
        return value
    return None


def json_list(edge: object) -> str | None:
    """A nested edge's entries as JSON, without its paging: an attachment list's `next` leads nowhere new."""
    if edge is None:
        return None
    return json_text(edge.get("data", edge) if isinstance(edge, dict) else edge)


def json_text(value: object) -> str | None:
    """JSON to be kept; None for what is empty."""
    if value in EMPTY:
        return None
    if (text := _as_it_is(value)) is not None:
        return text
    storable = _storable(value)
    try:
        return _encode(storable).decode()
    except UnicodeEncodeError:
        return _encode(replace_lone_surrogates(storable)).decode()


def _as_it_is(value: object) -> str | None:
    """The JSON of a value that `_storable` leaves as it is; None where that takes a closer look.

    Nearly all need none, and to write them takes less than to look at each of their values.
    """
    try:
        text = _encode(value)
    except (OverflowError, RecursionError, UnicodeEncodeError):
        return None
    is_touched = b'"paging"' in text or b"access_token" in text
    may_change = is_touched or _LONG_NUMBER in text.translate(_DIGITS)
    return None if may_change or text.count(b"{") + text.count(b"[") > _DEEPEST else text.decode()


def _storable(value: Any, depth: int = 0) -> Any:  # noqa: ANN401 - any JSON
    """The same JSON, such that it can be written and kept.

    Without its `paging`, at any depth: it leads nowhere new, and holds the token. What no JSON
    library would write (numbers past 64 bits, hundreds of levels) becomes text.
    """
    if depth > _DEEPEST and isinstance(value, dict | list):
        return "[nested too deeply]"
    if isinstance(value, dict):
        return {key: _storable(inner, depth + 1) for key, inner in value.items() if key != "paging"}
    if isinstance(value, list):
        return [_storable(inner, depth + 1) for inner in value]
    if isinstance(value, str) and "access_token" in value:
        return _TOKEN_PARAMETER.sub("access_token=[token]", value)
    if isinstance(value, int) and value.bit_length() > _JSON_INTEGER_BITS:
        return identifier(value) or "[number too long]"
    return value


def _extra(entry: Json, known: frozenset[str]) -> str | None:
    if known.issuperset(entry):
        return None
    return json_text({key: value for key, value in entry.items() if key not in known and value is not None})
