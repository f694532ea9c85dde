"""Rows of `message_index`, with them the database's own search index, and the counts by time."""

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime
from functools import cache
from typing import Final, NamedTuple
from zlib import crc32

from sqlalchemy import Connection, TextClause, bindparam, delete, select, text

from inboxsync.store.connection.statements import is_postgresql
from inboxsync.store.derived.lookup import Lookup, Step
from inboxsync.store.derived.page_totals import add_to_totals
from inboxsync.store.derived.rows import IfThere, put_rows
from inboxsync.store.search.places import LAST_SECOND, LOWER, SHIFT, begin_of, first_id, quarter_of
from inboxsync.store.search.words import terms_of
from inboxsync.store.tables import message_index as table
from inboxsync.store.tables import messages, page_activity
from inboxsync.store.tables.triggers import SEARCH_TABLE

_COLUMNS: Final = ("id", "page_id", "conversation_id", "message_id", "is_from_page", "terms")
_TAKEN: Final = Lookup(
    keys=(("id", "bigint"),),
    steps=(Step(table.name, "i", "i.id = k.id"),),
    columns="i.id, i.conversation_id, i.message_id",
)
_OF_MESSAGES: Final = Lookup(
    keys=(("first", "bigint"), ("row_id", "text"), ("graph_id", "text")),
    steps=(
        Step(
            table.name,
            "i",
            f"i.id >= k.first AND i.id <= k.first + {LOWER} "
            "AND i.conversation_id = k.row_id AND i.message_id = k.graph_id",
        ),
    ),
    columns="i.id, i.page_id, i.is_from_page",
)
_TEXTS: Final = Lookup(
    keys=(("row_id", "text"), ("graph_id", "text")),
    steps=(
        Step("messenger_conversations", "c", "c.id = k.row_id"),
        Step("messages", "m", "m.conversation_id = c.id AND m.message_id = k.graph_id"),
    ),
    columns="c.id, c.page_id, m.message_id, m.sent_at, m.is_from_page, m.text",
    types=(("sent_at", messages.c.sent_at.type), ("is_from_page", messages.c.is_from_page.type)),
)
_EMPTY: Final = delete(page_activity).where(
    page_activity.c.page_id == bindparam("of_page"),
    page_activity.c.begins_at == bindparam("at"),
    page_activity.c.from_contacts == 0,
    page_activity.c.from_page == 0,
)


class Unindexed(NamedTuple):
    """A message that has no row in the index yet."""

    conversation_id: str
    page_id: str
    message_id: str
    sent_at: datetime | None
    is_from_page: bool
    text: str | None


def list_unindexed(
    connection: Connection, conversation_ids: Collection[str], *, limit: int
) -> list[Unindexed]:
    """Readable messages of these conversations (our ids) that the index lacks, in the order of the key."""
    ids = sorted(conversation_ids)
    on_postgresql = is_postgresql(connection)
    values = {"ids": ids if on_postgresql else json.dumps(ids), "limit": limit}
    query = _unindexed_on_postgresql() if on_postgresql else _unindexed_on_sqlite()
    return list(map(Unindexed._make, connection.execute(query, values).all()))


@cache
def _unindexed_on_sqlite() -> TextClause:
    second = "CAST(strftime('%s', m.sent_at) AS INTEGER)"
    first = f"(min(max(coalesce({second}, 0), 0), {LAST_SECOND}) << {SHIFT})"
    return _typed(f"""
        SELECT m.conversation_id, c.page_id, m.message_id, m.sent_at, m.is_from_page, m.text
        FROM messages AS m JOIN messenger_conversations AS c ON c.id = m.conversation_id
        WHERE m.conversation_id IN (SELECT value FROM json_each(:ids)) AND m.is_readable
        AND NOT EXISTS (
          SELECT 1 FROM message_index AS i WHERE i.id >= {first} AND i.id <= {first} + {LOWER}
          AND i.message_id = m.message_id AND i.conversation_id = m.conversation_id)
        ORDER BY m.conversation_id, m.message_id LIMIT :limit""")  # noqa: S608 - numbers and names of our own


@cache
def _unindexed_on_postgresql() -> TextClause:
    second = "CAST(floor(extract(epoch FROM m.sent_at)) AS bigint)"
    first = f"(least(greatest(coalesce({second}, 0), 0), {LAST_SECOND}) << {SHIFT})"
    # OFFSET 0 keeps each part apart: the planner would hash the whole index by the messages' ids.
    return _typed(f"""
        SELECT c.id, c.page_id, m.message_id, m.sent_at, m.is_from_page, m.text
        FROM (SELECT id, page_id FROM messenger_conversations WHERE id = ANY(CAST(:ids AS text[]))
          ORDER BY id OFFSET 0) AS c
        CROSS JOIN LATERAL (
          SELECT m.message_id, m.sent_at, m.is_from_page, m.text FROM messages AS m
          WHERE m.conversation_id = c.id AND m.is_readable AND NOT EXISTS (
            SELECT 1 FROM message_index AS i WHERE i.id >= {first} AND i.id <= {first} + {LOWER}
            AND i.message_id = m.message_id AND i.conversation_id = m.conversation_id OFFSET 0)
          OFFSET 0) AS m
        ORDER BY c.id, m.message_id LIMIT :limit""")  # noqa: S608 - numbers and names of our own


def _typed(query: str) -> TextClause:
    types = {"sent_at": messages.c.sent_at.type, "is_from_page": messages.c.is_from_page.type}
    return text(query).columns(**types)  # type: ignore[return-value]


def list_texts(
    connection: Connection, messages: Iterable[tuple[str, str, datetime | None]]
) -> list[Unindexed]:
    """These messages, indexed or not: (our conversation id, Graph's id, and what does not matter here)."""
    keys = [(row_id, message_id) for row_id, message_id, _ in messages]
    return list(map(Unindexed._make, _TEXTS.rows(connection, keys)))


def has_index(connection: Connection) -> bool:
    """Whether any message is indexed."""
    first = select(table.c.id).where(table.c.id >= 0).order_by(table.c.id).limit(1)
    return connection.execute(first).first() is not None


def index_messages(
    connection: Connection, messages: Sequence[Unindexed], *, terms: Callable[[str | None], str] = terms_of
) -> None:
    """Give each a row in the index, make it findable by its words, and count it in its quarter of an hour.

    `terms` gives the words of a text, where they are known already.
    """
    if not messages:
        return
    numbered = _numbered(connection, messages)
    rows = [
        (i, each.page_id, each.conversation_id, each.message_id, each.is_from_page, terms(each.text))
        for i, each in sorted(numbered.items())
    ]
    if is_postgresql(connection):
        from inboxsync.store.connection.postgresql import copy_into  # noqa: PLC0415 - see `database`

        copy_into(connection, table.name, _COLUMNS, rows)
    else:
        marks = ", ".join("?" * len(_COLUMNS))
        connection.exec_driver_sql(
            f"INSERT INTO {table.name} ({', '.join(_COLUMNS)}) VALUES ({marks})",  # noqa: S608 - our names
            rows,
        )
        # In the order of the ids: FTS5 writes out everything it has gathered when an id goes back.
        connection.exec_driver_sql(
            f"INSERT INTO {SEARCH_TABLE} (rowid, terms) SELECT id, '@' || page_id || rtrim(terms) "  # noqa: S608
            f"FROM {table.name} WHERE id IN (SELECT value FROM json_each(?)) AND terms <> '' ORDER BY id",
            (json.dumps(sorted(numbered)),),
        )
    _count(connection, ((each.page_id, i, each.is_from_page) for i, each in numbered.items()), by=1)


def remove_from_index(connection: Connection, messages: Iterable[tuple[str, str, datetime | None]]) -> None:
    """Remove the rows of these messages: (our conversation id, Graph's id, its time as indexed)."""
    keys = [(first_id(at), row_id, message_id) for row_id, message_id, at in messages]
    # A message that was changed twice since the last pass is named twice, and counts once.
    found = {row.id: row for row in _OF_MESSAGES.rows(connection, keys)}
    ids = sorted(found)
    for start in range(0, len(ids), 1000):
        connection.execute(delete(table).where(table.c.id.in_(ids[start : start + 1000])))
    _count(connection, ((row.page_id, row.id, bool(row.is_from_page)) for row in found.values()), by=-1)


def settle_index(connection: Connection) -> None:
    """Merge PostgreSQL's list of new entries, which every search would read; and refresh its statistics."""
    if is_postgresql(connection):
        connection.exec_driver_sql("SELECT gin_clean_pending_list('ix_message_index_search')")
        connection.exec_driver_sql("ANALYZE message_index")


def _numbered(connection: Connection, messages: Sequence[Unindexed]) -> dict[int, Unindexed]:
    """Each with its own id: its second and a hash of its ids, or the next free id."""
    wanted = [
        (first_id(each.sent_at) | (crc32(f"{each.conversation_id}{each.message_id}".encode()) & LOWER), each)
        for each in messages
    ]
    rows = _TAKEN.rows(connection, [(i,) for i, _ in wanted])
    taken = {row.id: (row.conversation_id, row.message_id) for row in rows}
    numbered: dict[int, Unindexed] = {}
    for i, each in wanted:
        # Another pass may have indexed it since it was read.
        if taken.get(i) == (each.conversation_id, each.message_id):
            continue
        free = i
        while free in taken or free in numbered:
            free = _free_above(connection, free)
        numbered[free] = each
    return numbered


def _free_above(connection: Connection, taken: int) -> int:
    above = taken
    while True:
        above += 1
        if connection.execute(select(table.c.id).where(table.c.id == above)).first() is None:
            return above


def _count(connection: Connection, rows: Iterable[tuple[str, int, bool]], *, by: int) -> None:
    """Add to, or take from, the counts of the quarters of these rows: (Page, id, is from the Page)."""
    counts = Counter(
        (page_id, quarter_of(index_id), is_from_page) for page_id, index_id, is_from_page in rows
    )
    if not counts:
        return
    quarters = sorted({(page_id, quarter) for page_id, quarter, _ in counts})
    changes = [
        {
            "page_id": page_id,
            "begins_at": begin_of(quarter),
            "from_contacts": by * counts[page_id, quarter, False],
            "from_page": by * counts[page_id, quarter, True],
        }
        for page_id, quarter in quarters
    ]
    put_rows(connection, page_activity, changes, if_there=IfThere.ADD)
    of_pages = Counter[str]()
    for (page_id, _, _), count in counts.items():
        of_pages[page_id] += by * count
    add_to_totals(connection, "messages", of_pages)
    if by < 0:
        connection.execute(_EMPTY, [{"of_page": page_id, "at": begin_of(at)} for page_id, at in quarters])
