"""Inserts many rows of a derived table, new ones and ones that are there already."""

from collections.abc import Mapping, Sequence
from enum import Enum
from functools import cache
from typing import Any

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    Insert,
    Table,
    Text,
    bindparam,
    cast,
    func,
    literal_column,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite

from inboxsync.store.connection.statements import is_postgresql

_encode = msgspec.json.Encoder().encode


class IfThere(Enum):
    """What becomes of a row whose primary key is there already."""

    REPLACE = "replace"
    ADD = "add"
    KEEP = "keep"


def put_rows(
    connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]], *, if_there: IfThere
) -> None:
    """Insert these rows, all with the same columns. `ADD` adds up every column that is not of the key."""
    if not rows:
        return
    names = tuple(rows[0])
    if is_postgresql(connection):
        # One statement for all rows: one for each takes four times as long.
        values = {"rows": _encode(rows).decode()}
        connection.execute(_statement(table, names, if_there, on_postgresql=True), values)
    else:
        connection.execute(_statement(table, names, if_there, on_postgresql=False), list(rows))


@cache
def _statement(table: Table, names: tuple[str, ...], if_there: IfThere, *, on_postgresql: bool) -> Insert:
    statement = _insert_from_json(table, names) if on_postgresql else sqlite.insert(table)
    if if_there is IfThere.KEEP:
        return statement.on_conflict_do_nothing()
    key = [each.name for each in table.primary_key]
    new: dict[str, ColumnElement[Any]] = {name: statement.excluded[name] for name in names if name not in key}
    if if_there is IfThere.ADD:
        new = {name: table.c[name] + value for name, value in new.items()}
    return statement.on_conflict_do_update(index_elements=key, set_=new)


def _insert_from_json(table: Table, names: tuple[str, ...]) -> postgresql.Insert:
    # The table's own row type says what each value is.
    row_type: ColumnElement[Any] = literal_column(f"CAST(NULL AS {table.name})")
    given = cast(bindparam("rows", type_=Text), postgresql.JSONB)
    rows = func.jsonb_populate_recordset(row_type, given).table_valued(*names)
    source = select(*(rows.c[name] for name in names))
    return postgresql.insert(table).from_select(list(names), source)
