"""Writes a batch to PostgreSQL: COPY into a temporary table, then one statement a table.

The same contract as `rows.ComparedRows` has for SQLite, kept by the database itself: what is as it
was is left out before it could lock or rewrite a row, and whoever writes the same rows at the same
moment is waited for, never overwritten with something older.

Conversations that are not stored are copied where they belong, and so are their messages: nobody else
can have stored any of these, nor see them before it is committed.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from functools import cache
from operator import attrgetter
from typing import Any

import psycopg
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from inboxsync.errors import StoreUnreachable
from inboxsync.model import Message, Page
from inboxsync.store.connection.nul import NOTE, conversation_without_nul, messages_without_nul
from inboxsync.store.connection.postgresql import copy_into
from inboxsync.store.connection.types import format_utc, to_milliseconds
from inboxsync.store.schema import HEAD
from inboxsync.store.writing.conversation_rows import CHANGING, INSERTED, values_of
from inboxsync.store.writing.message_rows import (
    ALL_COLUMNS,
    FILLED,
    PLAIN_COLUMNS,
    SERVED,
    MessageList,
    all_of,
)
from inboxsync.store.writing.prepared import PreparedConversation, inserted_rows
from inboxsync.store.writing.rows import Changed, New

_CONVERSATION = ("id", "conversation_id", *CHANGING)
_DETAILS = ("sent_at", *SERVED)
_MESSAGE = ("conversation_id", "message_id", *_DETAILS)
# Of what is filled in: an empty text counts as an absent one.
_TEXTS = ("sender_id", "sender_name", "sticker")
_AT_ONCE = "A conversation was stored by two processes at the same moment."
_message_values = attrgetter("message_id", *_DETAILS)


class CopiedRows:
    """On PostgreSQL, where others may write at the same moment."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._met: set[str] = set()

    def conversations(self, served: Iterable[PreparedConversation]) -> list[PreparedConversation]:
        """All but U+0000."""
        return [_without_nul(each) if each.may_hold_nul() else each for each in served]

    def messages(self, served: Sequence[Message]) -> Sequence[Message]:
        """All but U+0000."""
        return messages_without_nul(tuple(served))

    def look_up(self, conversations: MessageList) -> None:
        """Find those of which a message served is stored; one that a webhook brought stands for itself."""
        # In most the oldest is stored: one look each is enough.
        self._met = self._stored_of([(i, each[-1].message_id) for i, each in conversations if each])
        rest = [(i, each[:-1]) for i, each in conversations if i not in self._met]
        self._met |= self._stored_of([(i, message.message_id) for i, each in rest for message in each])

    def meets_stored(self, row_id: str) -> bool:
        """Whether it is one of those."""
        return row_id in self._met

    def put_conversations(
        self, page: Page, new: Sequence[New], changed: Sequence[Changed], *, folder: str, now: datetime
    ) -> int:
        """Raises StoreUnreachable where somebody has inserted one of the new at the same moment.

        What follows from that is for the whole transaction to find out again.
        """
        self._insert(page, new, folder=folder, now=now)
        if not changed:
            return 0
        rows = (_changed_row(each, folder=folder) for each in changed)
        self._copy("messenger_conversations", _CONVERSATION, rows)
        values = {"page_id": page.id, "platform": page.platform.value, "now": to_milliseconds(now)}
        inserted, updated = self._connection.exec_driver_sql(_upsert_conversations(), values).one()
        if inserted:
            raise StoreUnreachable("A conversation was deleted while it was being stored.")
        return int(updated)

    def put_messages(
        self, new: Sequence[PreparedConversation], conversations: MessageList, *, source: str, now: datetime
    ) -> int:
        """Those of new conversations as they are, the others by one statement, which also counts."""
        same = (source, format_utc(now))
        plain, others = all_of(each.rows().messages for each in new)
        for rows, columns in ((plain, PLAIN_COLUMNS), (others, ALL_COLUMNS)):
            if rows:
                names = (*columns, "source", "created_at")
                copy_into(self._connection, "messages", names, ((*row, *same) for row in rows))
        stored = [
            (row_id, *_message_values(message))
            for row_id, served in conversations
            for message in {message.message_id: message for message in served}.values()
        ]
        return len(plain) + len(others) + self._upsert_messages(stored, source, to_milliseconds(now))

    def _insert(self, page: Page, new: Sequence[New], *, folder: str, now: datetime) -> None:
        if not new:
            return
        rows = inserted_rows(page, new, folder=folder, now=now)
        try:
            copy_into(self._connection, "messenger_conversations", INSERTED, rows)
        except DBAPIError as error:
            if isinstance(error.orig, psycopg.errors.UniqueViolation):
                raise StoreUnreachable(_AT_ONCE) from error
            raise

    def _upsert_messages(self, rows: Sequence[tuple[object, ...]], source: str, now: datetime) -> int:
        if not rows:
            return 0
        self._copy("messages", _MESSAGE, rows)
        values = {"source": source, "now": now}
        return int(self._connection.exec_driver_sql(_upsert_messages(), values).scalar_one())

    def _stored_of(self, keys: Collection[tuple[str, str]]) -> set[str]:
        """Which of these conversations have one of these messages (our id, Graph's id) stored."""
        if not keys:
            return set()
        # One look into the index for each, whatever the planner thinks of the tables' sizes.
        found = self._connection.exec_driver_sql(
            "SELECT DISTINCT k.c FROM unnest(%s::text[], %s::text[]) AS k (c, m), LATERAL "
            "(SELECT source FROM messages WHERE conversation_id = k.c AND message_id = k.m OFFSET 0) AS h "
            "WHERE h.source <> 'webhook'",
            ([row_id for row_id, _ in keys], [message_id for _, message_id in keys]),
        )
        return set(found.scalars())

    def _copy(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Fill this table's temporary twin."""
        twin, names = _twin(table), ", ".join(columns)
        # A connection keeps the twin, which saves a fifth of a batch's time. Behind a pooler the next
        # transaction may have another session, with or without one.
        self._connection.exec_driver_sql(
            f"CREATE TEMPORARY TABLE IF NOT EXISTS {twin} ON COMMIT DELETE ROWS AS "  # noqa: S608 - our names
            f"SELECT {names} FROM {table} WITH NO DATA; DELETE FROM {twin}"
        )
        copy_into(self._connection, twin, columns, rows)


def _without_nul(prepared: PreparedConversation) -> PreparedConversation:
    whole = prepared.whole()
    clean = conversation_without_nul(whole)
    return prepared if clean is whole else PreparedConversation(clean)


def _changed_row(changed: Changed, *, folder: str) -> tuple[object, ...]:
    have, (conversation, has_older) = changed
    older = have.has_older_messages if has_older is None else has_older
    values = values_of(conversation, has_older=older, folder=folder)
    return (have.id, conversation.conversation_id, *values.values())


def _twin(table: str) -> str:
    # Another schema has other columns.
    return f"inboxsync_{HEAD}_{table}"


@cache
def _upsert_conversations() -> str:
    """One statement; counts the rows it inserted and those it changed."""

    def new(row: str) -> dict[str, str]:
        return {name: f"COALESCE({row}.{name}, h.{name})" for name in CHANGING}

    def differs(row: str) -> str:
        older = f"COALESCE({row}.source_updated_at < h.source_updated_at, false)"
        return f"NOT {older} AND ({_differs(new(row))})"

    sets = ", ".join(f"{name} = {value}" for name, value in new("excluded").items())
    return f"""
WITH written AS (
  INSERT INTO messenger_conversations AS h
    ({", ".join(_CONVERSATION)}, page_id, platform, created_at, updated_at)
  SELECT {", ".join(f"b.{name}" for name in _CONVERSATION)},
    %(page_id)s, %(platform)s, %(now)s, %(now)s
  FROM {_twin("messenger_conversations")} AS b
  LEFT JOIN LATERAL (
    SELECT * FROM messenger_conversations AS t
    WHERE t.page_id = %(page_id)s AND t.conversation_id = b.conversation_id OFFSET 0
  ) AS h ON true
  WHERE h.id IS NULL OR ({differs("b")})
  ON CONFLICT (page_id, conversation_id) DO UPDATE SET {sets}, updated_at = excluded.updated_at
  WHERE {differs("excluded")}
  RETURNING xmax = 0 AS is_new
)
SELECT count(*) FILTER (WHERE is_new), count(*) FILTER (WHERE NOT is_new) FROM written
"""  # noqa: S608 - names of our own


@cache
def _upsert_messages() -> str:
    """One statement; counts the rows it inserted. What may change and how: see `message_rows`."""

    def new(row: str) -> dict[str, str]:
        reveals = f"{row}.is_readable AND NOT h.is_readable"
        values = {
            name: f"CASE WHEN {reveals} THEN COALESCE({row}.{name}, h.{name}) ELSE h.{name} END"
            for name in _DETAILS
        }
        values["text"] = (
            f"CASE WHEN {reveals} THEN COALESCE({row}.text, h.text) "
            f"ELSE COALESCE(NULLIF({row}.text, ''), h.text) END"
        )
        values["reactions"] = f"COALESCE({row}.reactions, h.reactions)"
        for name in FILLED:
            served = f"NULLIF({row}.{name}, '')" if name in _TEXTS else f"{row}.{name}"
            values[name] = (
                f"CASE WHEN {reveals} THEN COALESCE({row}.{name}, h.{name}) "
                f"ELSE COALESCE(h.{name}, {served}) END"
            )
        values["extra"] = (
            f"({values['extra']}) || CASE WHEN {row}.extra ? '{NOTE}' "
            f"THEN jsonb_build_object('{NOTE}', true) ELSE '{{}}' END"
        )
        return values

    def differs(row: str) -> str:
        return f"({row}.is_readable OR NOT h.is_readable) AND ({_differs(new(row))})"

    sets = ", ".join(f"{name} = {value}" for name, value in new("excluded").items())
    return f"""
WITH written AS (
  INSERT INTO messages AS h ({", ".join(_MESSAGE)}, source, created_at)
  SELECT {", ".join(f"b.{name}" for name in _MESSAGE)}, %(source)s, %(now)s
  FROM {_twin("messages")} AS b
  LEFT JOIN LATERAL (
    SELECT * FROM messages AS t
    WHERE t.conversation_id = b.conversation_id AND t.message_id = b.message_id OFFSET 0
  ) AS h ON true
  WHERE h.message_id IS NULL OR ({differs("b")})
  ON CONFLICT (conversation_id, message_id) DO UPDATE SET {sets}
  WHERE {differs("excluded")}
  RETURNING xmax = 0 AS is_new
)
SELECT count(*) FILTER (WHERE is_new) FROM written
"""  # noqa: S608 - names of our own


def _differs(new: dict[str, str]) -> str:
    return " OR ".join(f"{value} IS DISTINCT FROM h.{name}" for name, value in new.items())
