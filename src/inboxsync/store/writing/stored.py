"""What is already stored of what a batch brings: one statement for all of its keys.

Each key is one look into an index, whatever the planner thinks of the sizes of the tables: SQLite makes a
scan of `(a, b) IN (...)`, and PostgreSQL reads all rows of a Page that is new to its statistics (see
`tables.not_by_index`).
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection

from inboxsync.model import BacklogKind, Message, Page
from inboxsync.store.connection.types import parse_utc

_encode = msgspec.json.Encoder().encode
# Single messages as they happen: what lies between two of them was not looked at.
_WEBHOOK = "webhook"
# Far below what a statement takes: 32,766.
_PAIRS_A_STATEMENT = 5000
_KINDS = ", ".join(f"'{kind.value}'" for kind in BacklogKind)


@dataclass(frozen=True, slots=True)
class StoredConversation:
    """A stored conversation that a batch brings.

    `is_as_served`: its row and its messages are what the same answer made of it before.
    """

    id: str
    source_updated_at: datetime | None
    has_older_messages: bool
    folder: str
    is_as_served: bool


@dataclass(frozen=True, slots=True)
class StoredMessages:
    """How many of the messages looked up are stored.

    `meets`: one of them means that all below it are stored too, as far as the conversation is stored.
    """

    count: int = 0
    meets: bool = False


NO_MESSAGES = StoredMessages()


class _Statements(NamedTuple):
    """Each is about pairs, `k.a` and `k.b`, and one more value."""

    # (Graph's id, fingerprint), the Page. A row may have two fingerprints, separated by a space.
    conversations: str
    # (our id of the conversation, Graph's id of the message)
    messages: str
    # (our id of the conversation, nothing), how many of each
    newest: str


def _statements(*, keys: str, value: str, find: str, join: str, table: str) -> _Statements:
    """`table` is a table of which one row, or one conversation's rows, are looked up for each key."""
    conversation = table.format(
        "messenger_conversations", f"h.conversation_id = k.a AND h.page_id || '' = {value}"
    )
    message = table.format("messages", "h.conversation_id = k.a AND h.message_id = k.b")
    of_conversation = table.format("messages", f"h.conversation_id = k.a AND h.source <> '{_WEBHOOK}'")
    return _Statements(
        conversations=f"""
SELECT * FROM (
  SELECT k.a, h.id, h.source_updated_at, h.has_older_messages, h.folder,
    CASE WHEN h.conversation_status <> 'gone' AND {find}(' ' || h.fingerprint || ' ', ' ' || k.b || ' ') > 0
      THEN h.fingerprint_messages = (SELECT count(*) FROM messages AS m WHERE m.conversation_id = h.id) END,
    EXISTS (
      SELECT 1 FROM backlog AS o
      WHERE o.page_id = {value} AND o.kind IN ({_KINDS}) AND o.conversation_id = k.a
    ) AS in_backlog
  FROM {keys} LEFT JOIN {conversation}
) AS found WHERE id IS NOT NULL OR in_backlog
""",  # noqa: S608 - our names
        messages=f"""
SELECT k.a, count(*), max(CASE WHEN h.source <> '{_WEBHOOK}' THEN 1 ELSE 0 END)
FROM {keys} {join} {message} GROUP BY k.a
""",  # noqa: S608
        newest=f"""
SELECT a, message_id FROM (
  SELECT k.a, h.message_id,
    row_number() OVER (PARTITION BY k.a ORDER BY h.sent_at DESC NULLS LAST, h.message_id) AS place
  FROM {keys} {join} {of_conversation}
) AS placed WHERE place <= {value} ORDER BY a, place
""",  # noqa: S608
    )


_SQLITE_KEYS = "(SELECT value->>0 AS a, value->>1 AS b FROM json_each(?2)) AS k"
# The order of a CROSS JOIN is kept: the keys first.
_SQLITE = _statements(keys=_SQLITE_KEYS, value="?1", find="instr", join="CROSS JOIN", table="{} AS h ON {}")
# With an OFFSET the inner query is not merged into the outer one.
_POSTGRESQL = _statements(
    keys="unnest(%(a)s::text[], %(b)s::text[]) AS k (a, b)",
    value="%(value)s",
    find="strpos",
    join="JOIN",
    table="LATERAL (SELECT * FROM {} AS h WHERE {} OFFSET 0) AS h ON true",
)


def look_up_conversations(
    connection: Connection, page: Page, fingerprints: Mapping[str, str | None]
) -> tuple[dict[str, StoredConversation], frozenset[str]]:
    """What is stored of these conversations, by Graph's id, and which of them are in the backlog.

    `fingerprints` has what was served now. How many messages are stored shows whether somebody has
    deleted some.
    """
    keys = [(graph_id, fingerprint or "-") for graph_id, fingerprint in fingerprints.items()]
    rows = _look_up(connection, keys, attrgetter("conversations"), page.id)
    stored = {}
    for graph_id, row_id, updated_at, has_older, folder, is_as_served, _ in rows:
        if row_id is not None:
            at = None if updated_at is None else parse_utc(updated_at)
            stored[graph_id] = StoredConversation(row_id, at, bool(has_older), folder, bool(is_as_served))
    return stored, frozenset(row[0] for row in rows if row[-1])


def look_up_messages(
    connection: Connection, conversations: Mapping[str, Sequence[Message]]
) -> dict[str, StoredMessages]:
    """What is stored of these messages, by our id of the conversation; nothing where none is stored."""
    keys = [
        (row_id, each) for row_id, found in conversations.items() for each in {m.message_id for m in found}
    ]
    found: dict[str, StoredMessages] = {}
    for row_id, count, meets in _look_up(connection, keys, attrgetter("messages"), None):
        before = found.get(row_id, NO_MESSAGES)
        found[row_id] = StoredMessages(before.count + count, before.meets or bool(meets))
    return found


def newest_message_ids(
    connection: Connection, row_ids: Collection[str], *, limit: int
) -> dict[str, tuple[str, ...]]:
    """The newest stored messages of each conversation, newest first; none that a webhook brought."""
    found: dict[str, list[str]] = {}
    for row_id, message_id in _look_up(
        connection, [(row_id, "") for row_id in row_ids], attrgetter("newest"), limit
    ):
        found.setdefault(row_id, []).append(message_id)
    return {row_id: tuple(ids) for row_id, ids in found.items()}


def _look_up(
    connection: Connection,
    keys: Sequence[tuple[str, str]],
    which: Callable[[_Statements], str],
    value: object,
) -> list[Sequence[Any]]:
    """The rows of a statement about these pairs."""
    if not keys:
        return []
    if connection.dialect.name == "postgresql":
        first, second = zip(*keys, strict=True)
        parameters = {"a": list(first), "b": list(second), "value": value}
        return list(connection.exec_driver_sql(which(_POSTGRESQL), parameters))
    if not any("\0" in each for pair in keys for each in pair):
        return list(connection.exec_driver_sql(which(_SQLITE), (value, _encode(keys).decode())))
    # SQLite's JSON ends a text at U+0000.
    found: list[Sequence[Any]] = []
    for start in range(0, len(keys), _PAIRS_A_STATEMENT):
        some = keys[start : start + _PAIRS_A_STATEMENT]
        pairs = ", ".join(f"(?{2 * place}, ?{2 * place + 1})" for place in range(1, len(some) + 1))
        of_values = f"(SELECT column1 AS a, column2 AS b FROM (VALUES {pairs})) AS k"  # noqa: S608
        statement = which(_SQLITE).replace(_SQLITE_KEYS, of_values)
        found += connection.exec_driver_sql(statement, (value, *chain.from_iterable(some)))
    return found
