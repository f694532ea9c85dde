"""The usual shape of Graph's answers, and odd answers brought into it.

The fast decoder in `body` decodes the usual shape straight from the bytes. Everything else is
normalised here: any field but an id may be missing, null, or of another type than documented. An
entry without an id cannot be kept and is reported. What the shape has no place for is kept in
`others`, so that nothing is lost.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec

from inboxsync.model import Dropped

Json = dict[str, Any]
# For each of Graph's fields: our name, and how any JSON becomes its usual shape; None if it does not fit.
Shape = Mapping[str, tuple[str, Callable[[Any], object]]]

# What both databases can hold in an integer column.
LARGEST_INTEGER = 2**31 - 1
# As long as a number in a text may be: longer ones are no count and no time.
LONGEST_NUMBER = 20
# The longest ids have about 180 characters (graph-facts 1.10); past 4,300 digits Python refuses to write.
_LONGEST_ID_BITS = 1024
# Of the year 5138; the same number of milliseconds is of 1973.
_LARGEST_SECONDS = 1e11
EMPTY: tuple[object, ...] = (None, "", [], {})

Id = Annotated[str, msgspec.Meta(min_length=1)]
Count = Annotated[int, msgspec.Meta(ge=-LARGEST_INTEGER, le=LARGEST_INTEGER)]


class Others:
    """What the shape has no place for. No JSON is decoded into it: an answer's own `others` is odd."""

    def __init__(self, fields: Json) -> None:
        self.fields = fields


class GraphPerson(msgspec.Struct, gc=False, omit_defaults=True):
    """Someone in a conversation."""

    id: Id
    user_id: str | None = None
    name: str | None = None
    username: str | None = None
    email: str | None = None


class GraphPeople(msgspec.Struct, gc=False):
    """The `participants` edge."""

    data: list[GraphPerson]


class GraphEdge(msgspec.Struct, gc=False):
    """A nested edge without its paging: an attachment list's `next` leads nowhere new."""

    data: Any


class GraphReply(msgspec.Struct, gc=False):
    """Which message a message replies to."""

    mid: str


class GraphMessage(msgspec.Struct, gc=False, forbid_unknown_fields=True, omit_defaults=True):
    """One message. Its fields have the names that `model.records.MESSAGE_FIELDS` gives them."""

    id: Id
    sent_at: str | None = msgspec.field(default=None, name="created_time")
    sender: GraphPerson | None = msgspec.field(default=None, name="from")
    text: str | None = msgspec.field(default=None, name="message")
    attachments: GraphEdge | None = None
    shares: GraphEdge | None = None
    sticker: str | None = None
    reactions: GraphEdge | None = None
    story: Any = None
    reply_to_message_id: GraphReply | None = msgspec.field(default=None, name="reply_to")
    # The text "true" has been seen (graph-facts 1.6).
    is_unsupported: bool | str | None = None
    is_deleted: bool | str | None = None
    edited_at: str | None = msgspec.field(default=None, name="edited_time")
    others: Others | None = None


class GraphPaging(msgspec.Struct, gc=False):
    """Whether an edge has more."""

    next: Any = None


class GraphMessages(msgspec.Struct, gc=False):
    """The `messages` edge of a conversation, newest first."""

    data: list[GraphMessage]
    paging: GraphPaging | None = None


class GraphConversation(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """One conversation with its newest messages."""

    id: Id
    updated_time: str | None = None
    message_count: Count | None = None
    unread_count: Count | None = None
    snippet: str | None = None
    link: str | None = None
    participants: GraphPeople | None = None
    messages: GraphMessages | None = None
    others: Others | None = None


def normalise_conversation(entry: Any, dropped: list[Dropped]) -> GraphConversation | None:  # noqa: ANN401 - any JSON
    """One conversation of any JSON; None, and a line in `dropped`, if it is none."""
    conversation_id = _id_of(entry, "conversation", dropped)
    if conversation_id is None:
        return None
    known, others = _sort_out(
        entry, {**_CONVERSATION, "messages": ("messages", lambda edge: _messages(edge, dropped))}
    )
    return GraphConversation(id=conversation_id, others=Others(others) if others else None, **known)


def normalise_messages(data: object, dropped: list[Dropped]) -> list[GraphMessage]:
    """The messages of any JSON, in its order; a line in `dropped` for each that is none.

    Those that the fast decoder took stay as they are.
    """
    if data is not None and not isinstance(data, list):
        dropped.append(Dropped(what="message list", why=f"it is {type(data).__name__}, not a list"))
    entries = data if isinstance(data, list) else []
    found = (each if isinstance(each, GraphMessage) else _message(each, dropped) for each in entries)
    return [message for message in found if message is not None]


def identifier(value: object) -> str | None:
    """An id as text. Old answers have numbers, some past 2^53; never a float (graph-facts 1.10)."""
    if isinstance(value, str):
        return value or None
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() <= _LONGEST_ID_BITS:
        return str(value)
    return None


def _message(entry: Any, dropped: list[Dropped]) -> GraphMessage | None:  # noqa: ANN401 - any JSON
    message_id = _id_of(entry, "message", dropped)
    if message_id is None:
        return None
    known, others = _sort_out(entry, _MESSAGE)
    return GraphMessage(id=message_id, others=Others(others) if others else None, **known)


def _id_of(entry: object, what: str, dropped: list[Dropped]) -> str | None:
    if not isinstance(entry, dict):
        why = f"it is {type(entry).__name__}, not an object"
        dropped.append(Dropped(what=f"entry of a {what} list", why=why))
        return None
    found = identifier(entry.get("id"))
    if found is None:
        dropped.append(Dropped(what=what, why="it has no id"))
    return found


def _messages(edge: object, dropped: list[Dropped]) -> GraphMessages | None:
    if isinstance(edge, list):
        return GraphMessages(data=normalise_messages(edge, dropped))
    if not isinstance(edge, dict):
        return None
    paging = edge.get("paging")
    return GraphMessages(
        data=normalise_messages(edge.get("data"), dropped),
        paging=GraphPaging(next=paging.get("next")) if isinstance(paging, dict) else None,
    )


def _sort_out(entry: Json, shape: Shape) -> tuple[Json, Json]:
    """The fields that fit `shape`, as it has them; and the others, except known ones that hold nothing."""
    known: Json = {}
    others: Json = {}
    for name, value in entry.items():
        if value is None or name == "id":
            continue
        if name not in shape:
            others[name] = value
            continue
        field, convert = shape[name]
        if (converted := convert(value)) is not None:
            known[field] = converted
        elif value not in EMPTY:
            others[name] = value
    return known, others


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _time(value: object) -> str | None:
    """Meta's samples have seconds since the epoch; webhooks and others have finer units."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return epoch_time(value).isoformat()
        except (ValueError, OverflowError, OSError):
            return None
    return _text(value)


def epoch_time(number: float) -> datetime:
    """Seconds, milliseconds, microseconds or nanoseconds since the epoch, by their size, as aware UTC.

    Raises ValueError, OverflowError or OSError for what is no time.
    """
    if abs(number) > _LARGEST_SECONDS * 1e9:
        raise ValueError(number)
    while abs(number) > _LARGEST_SECONDS:
        number /= 1000
    return datetime.fromtimestamp(number, UTC)


def _count(value: object) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < LONGEST_NUMBER:
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= LARGEST_INTEGER:
        return value
    return None


def _flag(value: object) -> bool | str | None:
    return value if isinstance(value, bool | str) else None


def _edge(value: object) -> GraphEdge | None:
    if value in EMPTY:
        return None
    return GraphEdge(data=value.get("data", value) if isinstance(value, dict) else value)


def _reply(value: object) -> GraphReply | None:
    mid = value.get("mid") if isinstance(value, dict) else None
    mid = mid if isinstance(mid, str) else identifier(mid)
    return GraphReply(mid=mid) if mid is not None else None


def _people(edge: object) -> GraphPeople | None:
    people = edge.get("data") if isinstance(edge, dict) else edge
    if not isinstance(people, list):
        return None
    found = (_person(entry) for entry in people)
    return GraphPeople(data=[person for person in found if person is not None])


def _person(entry: object) -> GraphPerson | None:
    if not isinstance(entry, dict):
        return None
    # Instagram has been seen with the id under either key (graph-facts 1.4).
    own_id, user_id = identifier(entry.get("id")), identifier(entry.get("user_id"))
    person_id = own_id or user_id
    if person_id is None:
        return None
    return GraphPerson(
        id=person_id,
        user_id=user_id if own_id is not None else None,
        name=_text(entry.get("name")),
        username=_text(entry.get("username")),
        email=_text(entry.get("email")),
    )


def _any(value: object) -> object:
    return value


_CONVERSATION: Shape = {
    "updated_time": ("updated_time", _time),
    "message_count": ("message_count", _count),
    "unread_count": ("unread_count", _count),
    "snippet": ("snippet", _text),
    "link": ("link", _text),
    "participants": ("participants", _people),
}
_MESSAGE: Shape = {
    "created_time": ("sent_at", _time),
    "from": ("sender", _person),
    "message": ("text", _text),
    "attachments": ("attachments", _edge),
    "shares": ("shares", _edge),
    "sticker": ("sticker", _text),
    "reactions": ("reactions", _edge),
    "story": ("story", _any),
    "reply_to": ("reply_to_message_id", _reply),
    "is_unsupported": ("is_unsupported", _flag),
    "is_deleted": ("is_deleted", _flag),
    "edited_time": ("edited_at", _time),
}
