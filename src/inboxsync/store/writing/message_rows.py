"""Rows of `messages`: by far the most, so they are written as plain tuples and compared here."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from itertools import chain
from operator import attrgetter
from typing import Any, NamedTuple

from sqlalchemy import Connection, Text, Update, bindparam, func, select, update

from inboxsync.model import Message
from inboxsync.store.connection.types import format_utc
from inboxsync.store.tables import messages as table
from inboxsync.store.writing.bulk import in_pieces

# What may change once a message is stored (edits, reactions).
_CHANGING = ("text", "reactions")
# Filled in where they were missing, and never replaced: media URLs are signed anew for every answer
# (graph-facts 1.6), so comparing them would rewrite the table at each sync.
FILLED = ("sent_at", "sender_id", "sender_name", "attachments", "shares", "sticker", "story", "extra")
SERVED = (
    "is_from_page",
    "sender_id",
    "sender_name",
    "text",
    "attachments",
    "shares",
    "sticker",
    "reactions",
    "story",
    "reply_to_message_id",
    "extra",
    "is_readable",
)
# What else is looked up of a stored message; behind what is compared, the last of it last.
_TOLD = ("source", "is_readable")
_SOURCE, _IS_READABLE = -2, -1
# Single messages as they happen: what lies between two of them was not looked at.
_WEBHOOK = "webhook"
# Nearly all messages are words and nothing else: writing a NULL costs as much as writing them.
_WORDS = ("is_from_page", "sender_id", "sender_name", "text")
_REST = tuple(name for name in SERVED if name not in (*_WORDS, "is_readable"))
PLAIN_COLUMNS = ("conversation_id", "message_id", "sent_at", *_WORDS)
ALL_COLUMNS = (*PLAIN_COLUMNS, "is_readable", *_REST)
_rest = attrgetter(*_REST)
_NO_REST = (None,) * len(_REST)
_comparable_values = attrgetter(*_CHANGING, *FILLED)

# What is stored of each message of a conversation, by Graph's id; that of many, by our conversation id.
KnownOfOne = Mapping[str, Sequence[Any]]
Known = Mapping[str, KnownOfOne]
MessageList = Sequence[tuple[str, Sequence[Message]]]


class MessageRows(NamedTuple):
    """Messages that are not stored: values of `PLAIN_COLUMNS`, and of `ALL_COLUMNS` where there are more."""

    plain: list[tuple[Any, ...]]
    others: list[tuple[Any, ...]]


def known_messages(connection: Connection, conversations: MessageList) -> Known:
    """Those of these messages (by our conversation id) that are stored, with what may yet change of them."""
    keys = [(row_id, message.message_id) for row_id, served in conversations for message in served]
    found: dict[str, dict[str, Sequence[Any]]] = {}
    for some in in_pieces(keys):
        rows = connection.exec_driver_sql(_look_up(len(some)), tuple(chain.from_iterable(some)))
        for row_id, message_id, *values in rows:
            found.setdefault(row_id, {})[message_id] = values
    return found


def meets_stored(known: KnownOfOne) -> bool:
    """Whether one of these stored messages stands for all below it, as far as the conversation is stored."""
    return any(values[_SOURCE] != _WEBHOOK for values in known.values())


def newest_message_ids(
    connection: Connection, row_ids: Collection[str], *, limit: int
) -> dict[str, tuple[str, ...]]:
    """The newest stored messages of each conversation, newest first; none that a webhook brought."""
    place = func.row_number().over(
        partition_by=table.c.conversation_id,
        order_by=(table.c.sent_at.desc().nulls_last(), table.c.message_id),
    )
    placed = (
        select(table.c.conversation_id, table.c.message_id, place.label("place"))
        .where(table.c.conversation_id.in_(list(row_ids)), table.c.source != _WEBHOOK)
        .subquery()
    )
    rows = connection.execute(
        select(placed.c.conversation_id, placed.c.message_id)
        .where(placed.c.place <= limit)
        .order_by(placed.c.conversation_id, placed.c.place)
    )
    found: dict[str, list[str]] = {}
    for row_id, message_id in rows:
        found.setdefault(row_id, []).append(message_id)
    return {row_id: tuple(ids) for row_id, ids in found.items()}


def new_message_rows(row_id: str, messages: Iterable[Message]) -> MessageRows:
    """Rows of messages, of a conversation (our id), that are not stored; one of each.

    Times are text and booleans 0 or 1, which both databases take.
    """
    plain, others = [], []
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
        rest = _rest(message)
        if rest == _NO_REST and message.is_readable:
            plain.append(row)
        else:
            others.append((*row, int(message.is_readable), *rest))
    return MessageRows(plain, others)


def upsert_messages(
    connection: Connection,
    new: Iterable[MessageRows],
    conversations: MessageList,
    known: Known,
    *,
    source: str,
    now: datetime,
) -> int:
    """Insert what is new and bring the known ones up to date; returns how many were new.

    `new` are of conversations that were not stored, `conversations` of others.
    """
    rows = [*new]
    changed, revealed = [], []
    for row_id, served in conversations:
        have = known.get(row_id, {})
        rows.append(new_message_rows(row_id, [each for each in served if each.message_id not in have]))
        for message in {each.message_id: each for each in served if each.message_id in have}.values():
            stored = have[message.message_id]
            if message.is_readable and not stored[_IS_READABLE]:
                revealed.append({"row_id": row_id, "graph_id": message.message_id, **_details(message)})
            elif values := _changes(message, stored):
                changed.append({"row_id": row_id, "graph_id": message.message_id, **values})
    same = (source, format_utc(now))
    plain, others = all_of(rows)
    _insert_rows(connection, plain, PLAIN_COLUMNS, same)
    _insert_rows(connection, others, ALL_COLUMNS, same)
    if changed:
        connection.execute(_update(), changed)
    if revealed:
        connection.execute(_reveal(), revealed)
    return len(plain) + len(others)


def all_of(rows: Iterable[MessageRows]) -> MessageRows:
    """Those of many conversations as one."""
    each = list(rows)
    return MessageRows(
        list(chain.from_iterable(one.plain for one in each)),
        list(chain.from_iterable(one.others for one in each)),
    )


def _insert_rows(
    connection: Connection, rows: Sequence[tuple[Any, ...]], columns: tuple[str, ...], same: tuple[str, str]
) -> None:
    for some in in_pieces(rows):
        values = (*same, *chain.from_iterable(some))
        connection.exec_driver_sql(_insert(columns, len(some)), values)


def _changes(message: Message, stored: Sequence[Any]) -> dict[str, Any] | None:
    """Every value as it should be stored; None where all are.

    An empty text counts as an absent one: Instagram blanks what it no longer lets anyone read.
    """
    if not message.is_readable and stored[_IS_READABLE]:
        return None
    served = _comparable_values(message)
    may_change = len(_CHANGING)
    changed = {
        place: value
        for place, value in enumerate(served)
        if value and value != stored[place] and (place < may_change or stored[place] is None)
    }
    if not changed:
        return None
    return {
        f"new_{name}": _as_stored(changed.get(place, stored[place]))
        for place, name in enumerate((*_CHANGING, *FILLED))
    }


def _details(message: Message) -> dict[str, Any]:
    return {f"new_{name}": getattr(message, name) for name in ("sent_at", *SERVED)}


def _as_stored(value: Any) -> Any:  # noqa: ANN401 - text, or the one time among them
    return format_utc(value) if isinstance(value, datetime) else value


@cache
def _insert(columns: tuple[str, ...], rows: int) -> str:
    """An INSERT of so many rows; their source and the time are bound once for all of them."""
    marks = ", ".join("?" * len(columns))
    values = ", ".join([f"(?1, ?2, {marks})"] * rows)
    return f"INSERT INTO messages (source, created_at, {', '.join(columns)}) VALUES {values}"  # noqa: S608


@cache
def _look_up(keys: int) -> str:
    """One look into the primary key for each of so many: of `(a, b) IN (...)` SQLite makes a scan."""
    asked = ", ".join(f"h.{name}" for name in ("conversation_id", "message_id", *_CHANGING, *FILLED, *_TOLD))
    values = ", ".join(["(?, ?)"] * keys)
    return (
        f"WITH k (c, m) AS (VALUES {values}) SELECT {asked} FROM k "  # noqa: S608 - our names
        "CROSS JOIN messages AS h ON h.conversation_id = k.c AND h.message_id = k.m"
    )


@cache
def _update() -> Update:
    return (
        update(table)
        .where(table.c.conversation_id == bindparam("row_id"), table.c.message_id == bindparam("graph_id"))
        .values({name: bindparam(f"new_{name}", type_=Text) for name in (*_CHANGING, *FILLED)})
    )


@cache
def _reveal() -> Update:
    """Fills in a message of which no more than the time was known: not even who sent it."""
    details = {
        name: func.coalesce(bindparam(f"new_{name}", type_=table.c[name].type), table.c[name])
        for name in ("sent_at", *SERVED)
    }
    return (
        update(table)
        .where(table.c.conversation_id == bindparam("row_id"), table.c.message_id == bindparam("graph_id"))
        .values(details)
    )
