"""Rows of `message_index`, the search's own index with them, and the counts by time."""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from zlib import crc32

from sqlalchemy import Connection, bindparam, delete, select, text

from inboxsync.store.connection.statements import insert_into, is_postgresql
from inboxsync.store.search.places import LAST_SECOND, LOWER, SHIFT, first_id, time_of
from inboxsync.store.search.words import terms_of
from inboxsync.store.tables import message_index as table
from inboxsync.store.tables import page_activity
from inboxsync.store.tables.triggers import SEARCH_TABLE

_COLUMNS: Final = ("id", "page_id", "conversation_id", "message_id", "is_from_page", "terms")


@dataclass(frozen=True, slots=True)
class Unindexed:
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
    second = (
        "CAST(floor(extract(epoch FROM m.sent_at)) AS bigint)"
        if is_postgresql(connection)
        else "CAST(strftime('%s', m.sent_at) AS INTEGER)"
    )
    least, greatest = ("least", "greatest") if is_postgresql(connection) else ("min", "max")
    first = f"({least}({greatest}(coalesce({second}, 0), 0), {LAST_SECOND}) << {SHIFT})"
    query = text(f"""
        SELECT m.conversation_id, c.page_id, m.message_id, m.sent_at, m.is_from_page, m.text
        FROM messages AS m JOIN messenger_conversations AS c ON c.id = m.conversation_id
        WHERE m.conversation_id IN :ids AND m.is_readable AND NOT EXISTS (
          SELECT 1 FROM message_index AS i WHERE i.id >= {first} AND i.id <= {first} + {LOWER}
          AND i.message_id = m.message_id AND i.conversation_id = m.conversation_id)
        ORDER BY m.conversation_id, m.message_id LIMIT :limit
    """)  # noqa: S608 - numbers and names of our own
    typed = query.bindparams(bindparam("ids", expanding=True)).columns(
        sent_at=page_activity.c.begins_at.type, is_from_page=table.c.is_from_page.type
    )
    rows = connection.execute(typed, {"ids": sorted(conversation_ids), "limit": limit}).all()
    return [Unindexed(*row) for row in rows]


def index_messages(connection: Connection, messages: Sequence[Unindexed]) -> None:
    """Give each a row in the index, find it by its words, and count it in its quarter of an hour."""
    if not messages:
        return
    numbered = _numbered(connection, messages)
    rows = [
        (i, each.page_id, each.conversation_id, each.message_id, each.is_from_page, terms_of(each.text))
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
        # In the order of the ids: for one that goes back FTS5 writes out all it has gathered.
        connection.exec_driver_sql(
            f"INSERT INTO {SEARCH_TABLE} (rowid, terms) SELECT id, '@' || page_id || rtrim(terms) "  # noqa: S608
            f"FROM {table.name} WHERE id IN (SELECT value FROM json_each(?)) AND terms <> '' ORDER BY id",
            (json.dumps(sorted(numbered)),),
        )
    _count(connection, ((each.page_id, i, each.is_from_page) for i, each in numbered.items()), by=1)


def remove_from_index(connection: Connection, messages: Iterable[tuple[str, str, datetime | None]]) -> None:
    """Remove the rows of these messages: (our conversation id, Graph's id, its time as indexed)."""
    keys = [(first_id(at), row_id, message_id) for row_id, message_id, at in messages]
    if not keys:
        return
    rows = connection.execute(_rows_of(connection), {"keys": json.dumps(keys)}).all()
    # A message that was changed twice since the last pass is named twice, and counts once.
    found = {row.id: row for row in rows}
    ids = sorted(found)
    for start in range(0, len(ids), 1000):
        connection.execute(delete(table).where(table.c.id.in_(ids[start : start + 1000])))
    _count(connection, ((row.page_id, row.id, bool(row.is_from_page)) for row in found.values()), by=-1)


def settle_index(connection: Connection) -> None:
    """Sort in what PostgreSQL has put aside, which every search would read through; and tell its planner."""
    if is_postgresql(connection):
        connection.exec_driver_sql("SELECT gin_clean_pending_list('ix_message_index_search')")
        connection.exec_driver_sql("ANALYZE message_index")


def _rows_of(connection: Connection) -> Any:  # noqa: ANN401 - a statement
    if is_postgresql(connection):
        keys = (
            "(SELECT (e->>0)::bigint AS f, e->>1 AS c, e->>2 AS m "
            "FROM jsonb_array_elements(CAST(:keys AS jsonb)) AS e) AS k"
        )
    else:
        keys = "(SELECT value->>0 AS f, value->>1 AS c, value->>2 AS m FROM json_each(:keys)) AS k"
    return text(
        f"SELECT i.id, i.page_id, i.is_from_page FROM {keys} JOIN message_index AS i "  # noqa: S608 - our names
        f"ON i.id >= k.f AND i.id <= k.f + {LOWER} AND i.conversation_id = k.c AND i.message_id = k.m"
    )


def _numbered(connection: Connection, messages: Sequence[Unindexed]) -> dict[int, Unindexed]:
    """Each with an id of its own: its second, and what its ids come to; the next one where that is taken."""
    wanted = [
        (first_id(each.sent_at) | (crc32(f"{each.conversation_id}{each.message_id}".encode()) & LOWER), each)
        for each in messages
    ]
    taken = set(
        connection.execute(select(table.c.id).where(table.c.id.in_([i for i, _ in wanted]))).scalars()
    )
    numbered: dict[int, Unindexed] = {}
    for i, each in wanted:
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
    counts: Counter[tuple[str, datetime, bool]] = Counter()
    for page_id, index_id, is_from_page in rows:
        at = time_of(index_id)
        counts[page_id, at.replace(minute=at.minute // 15 * 15, second=0), is_from_page] += by
    if not counts:
        return
    statement = insert_into(connection, page_activity)
    names = ("from_contacts", "from_page")
    statement = statement.on_conflict_do_update(
        index_elements=["page_id", "begins_at"],
        set_={name: page_activity.c[name] + statement.excluded[name] for name in names},
    )
    quarters = sorted({(page_id, at) for page_id, at, _ in counts})
    connection.execute(
        statement,
        [
            {
                "page_id": page_id,
                "begins_at": at,
                "from_contacts": counts[page_id, at, False],
                "from_page": counts[page_id, at, True],
            }
            for page_id, at in quarters
        ],
    )
    if by < 0:
        connection.execute(delete(page_activity).where(*(page_activity.c[name] == 0 for name in names)))
