"""Where the two databases differ in how they are asked.

INSERT .. ON CONFLICT both spell alike, SQLAlchemy keeps it in two places.
"""

from collections.abc import Collection, Mapping

import msgspec
from sqlalchemy import ARRAY, Column, ColumnElement, Connection, Table, Text, any_, bindparam, func, select
from sqlalchemy.dialects import postgresql, sqlite

_encode = msgspec.json.Encoder().encode


def is_postgresql(connection: Connection) -> bool:
    """Whether this is a connection to PostgreSQL."""
    return connection.dialect.name == "postgresql"


def is_among(connection: Connection, column: Column[str], ids: Collection[str]) -> ColumnElement[bool]:
    """Whether an id is one of these, however many: one parameter, where `in_` has one for each.

    Those SQLAlchemy writes into the statement anew each time, which takes longer than the look-up.
    """
    if is_postgresql(connection):
        return column == any_(bindparam(None, list(ids), type_=ARRAY(Text)))
    if any("\0" in each for each in ids):
        return column.in_(list(ids))  # SQLite's JSON ends a text there
    values = func.json_each(_encode(list(ids)).decode()).table_valued("value")
    return column.in_(select(values.c.value))


def insert_into(connection: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    """An INSERT that may say what happens on a conflict, for the database at hand."""
    return postgresql.insert(table) if is_postgresql(connection) else sqlite.insert(table)


def put_row(
    connection: Connection, table: Table, row: Mapping[str, object], *, keep: Collection[str] = ()
) -> None:
    """Insert a row, or replace the one with its primary key save for the columns in `keep`."""
    statement = insert_into(connection, table).values(**row)
    key = [column.name for column in table.primary_key]
    replaced = {name: statement.excluded[name] for name in row if name not in {*key, *keep}}
    connection.execute(statement.on_conflict_do_update(index_elements=key, set_=replaced))
