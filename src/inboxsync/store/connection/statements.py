"""Where the two databases differ in how they are asked.

INSERT .. ON CONFLICT is the same in both, but SQLAlchemy has it in two places. What every batch executes is
built once: SQLAlchemy takes longer to build a statement than the database to execute it.
"""

from collections import namedtuple
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import msgspec
from sqlalchemy import (
    ARRAY,
    Column,
    ColumnElement,
    Connection,
    Dialect,
    Select,
    Table,
    Text,
    any_,
    bindparam,
    func,
    literal_column,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite

_encode = msgspec.json.Encoder().encode
_decode_rows = msgspec.json.Decoder(list[list[Any]]).decode

# Says of a column that it is one of the ids asked for.
Among = Callable[[Column[str]], ColumnElement[bool]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Begin:
    """What begins a transaction."""

    reading: str
    writing: str


def is_postgresql(connection: Connection) -> bool:
    """Whether this is a connection to PostgreSQL."""
    return connection.dialect.name == "postgresql"


def select_among(
    connection: Connection, query: Callable[[Among], Select[Any]], ids: Collection[str], **values: object
) -> Iterable[Sequence[Any]]:
    """The rows of a query about these ids, however many: one parameter, where `in_` has one for each.

    Those SQLAlchemy writes into the statement anew each time, which takes longer than the look-up.
    `query` is called once for all its uses: what differs between them are `values`, its parameters.
    """
    if is_postgresql(connection):
        return connection.execute(_built(query, _in_array), values | {"ids": list(ids)})
    if any("\0" in each for each in ids):  # SQLite's JSON ends a text there
        return connection.execute(query(lambda column: column.in_(list(ids))), values)
    return connection.execute(_built(query, _in_json), values | {"ids": _encode(list(ids)).decode()})


def fetch_rows(connection: Connection, query: Select[Any], values: Mapping[str, object]) -> list[Any]:
    """All rows of a query that has a LIMIT, with their columns by name; `values` are its parameters.

    What is made of a query is kept for its next use, so build it once for all of them.

    SQLite's driver gives the interpreter's lock away for each row, and while another thread computes,
    each time takes up to 5 ms to come back: so all rows come as one, as JSON.
    """
    if is_postgresql(connection):
        return list(connection.execute(query, values))
    packed = _packed(query, connection.dialect)
    rows = _decode_rows(connection.execute(packed.query, values).scalar_one())
    for place, process in packed.processes:
        for row in rows:
            if row[place] is not None:
                row[place] = process(row[place])
    return list(map(packed.row_type._make, rows))


def insert_into(connection: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    """An INSERT that may say what happens on a conflict, for the database at hand."""
    return _insert_for(table, is_postgresql=is_postgresql(connection))


def put_row(
    connection: Connection, table: Table, row: Mapping[str, object], *, keep: Collection[str] = ()
) -> None:
    """Insert a row, or replace the one with its primary key save for the columns in `keep`."""
    statement = _put(table, tuple(row), frozenset(keep), is_postgresql=is_postgresql(connection))
    connection.execute(statement, dict(row))


def put_statements(table: Table) -> Mapping[str, sqlite.Insert | postgresql.Insert]:
    """For each dialect, the statement that inserts a whole row or replaces the one with its primary key."""
    names = tuple(column.name for column in table.columns)
    return {
        "sqlite": _put(table, names, frozenset(), is_postgresql=False),
        "postgresql": _put(table, names, frozenset(), is_postgresql=True),
    }


def _insert_for(table: Table, *, is_postgresql: bool) -> sqlite.Insert | postgresql.Insert:
    return postgresql.insert(table) if is_postgresql else sqlite.insert(table)


@dataclass(frozen=True, slots=True)
class _Packed:
    """A query whose rows come as one, and what makes rows of that again: on SQLite alone."""

    query: Select[Any]
    processes: tuple[tuple[int, Callable[[Any], Any]], ...]
    row_type: Any


@lru_cache(maxsize=200)
def _packed(query: Select[Any], dialect: Dialect) -> _Packed:
    columns = query.selected_columns
    names = tuple(columns.keys())
    values: list[ColumnElement[Any]] = [literal_column(f'"{name}"') for name in names]
    processes = (column.type.dialect_impl(dialect).result_processor(dialect, None) for column in columns)
    return _Packed(
        select(func.json_group_array(func.json_array(*values))).select_from(query.subquery()),
        tuple((place, process) for place, process in enumerate(processes) if process is not None),
        namedtuple("Row", names),  # noqa: PYI024 - its fields are known at run time
    )


@cache
def _put(
    table: Table, names: tuple[str, ...], keep: frozenset[str], *, is_postgresql: bool
) -> sqlite.Insert | postgresql.Insert:
    statement = _insert_for(table, is_postgresql=is_postgresql)
    key = [column.name for column in table.primary_key]
    replaced = {name: statement.excluded[name] for name in names if name not in {*key, *keep}}
    return statement.on_conflict_do_update(index_elements=key, set_=replaced)


@cache
def _built(query: Callable[[Among], Select[Any]], among: Among) -> Select[Any]:
    return query(among)


def _in_array(column: Column[str]) -> ColumnElement[bool]:
    return column == any_(bindparam("ids", type_=ARRAY(Text)))


def _in_json(column: Column[str]) -> ColumnElement[bool]:
    values = func.json_each(bindparam("ids", type_=Text)).table_valued("value")
    return column.in_(select(values.c.value))
