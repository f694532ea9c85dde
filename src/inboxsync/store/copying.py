"""Copies a whole database into another: SQLite to PostgreSQL, back, or to one of its kind.

The tables are copied in the order of their references, each in the order of its key, one transaction for a
batch. So an interrupted copy leaves the beginning of every table, and the next one continues behind it. A
target that holds other data is refused. At the end both databases are read and compared.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, Table, Text, collate, func, select, tuple_

from inboxsync.errors import StoreUnavailable
from inboxsync.store.connection.database import Store
from inboxsync.store.connection.nul import NOTE, is_clean, json_without_nul, text_without_nul
from inboxsync.store.connection.statements import is_postgresql
from inboxsync.store.connection.types import JsonText, format_utc
from inboxsync.store.tables import metadata

_ROWS_A_BATCH = 2000
# What is derived is not copied: the target's triggers note each new row, and a pass derives it again.
TABLES = tuple(table for table in metadata.sorted_tables if not table.info)
# A value as both databases return it: text, a number, a bool, an aware time, JSON as text, or None.
_Values = tuple[Any, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """One table of both databases. The checksums cover every value of every row, in the order of the key.

    `replaced` counts the rows in which U+0000, which PostgreSQL cannot store, became U+FFFD.
    """

    table: str
    source_rows: int
    target_rows: int
    source_checksum: str
    target_checksum: str
    replaced: int

    @property
    def is_equal(self) -> bool:
        """Whether the target holds the same as the source."""
        return (self.source_rows, self.source_checksum) == (self.target_rows, self.target_checksum)


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyProgress:
    """How far a copy is: `doing` is `copying` or `comparing`; `done` of `total` rows of this table."""

    doing: str
    table: str
    done: int
    total: int


OnProgress = Callable[[CopyProgress], None]


def copy_store(source: Store, target: Store, *, on_progress: OnProgress) -> list[Copied]:
    """Copy what is missing, then compare; the source is read in the state it had at the beginning.

    `on_progress` may raise to stop: what was copied stays. Raises StoreUnavailable if the target holds other
    data.
    """
    with source.read() as reading:
        for table in TABLES:
            with target.read() as connection:
                _refuse_other_data(reading, connection, table, where=target.where)
        for table in TABLES:
            _copy_table(reading, target, table, on_progress)
        with target.read() as connection:
            return [_compare(reading, connection, table, on_progress) for table in TABLES]


def _copy_table(reading: Connection, target: Store, table: Table, on_progress: OnProgress) -> None:
    with target.read() as connection:
        last = _last_row(connection, table)
        done = _count(connection, table)
        holds_nul = not is_postgresql(connection)
    total = _count(reading, table)
    for rows in _batches(reading, table, after=None if last is None else _key_of(table, last)):
        held = [_as_held(table, row, holds_nul=holds_nul)[0] for row in rows]
        with target.write() as connection:
            _insert(connection, table, held)
        done += len(rows)
        on_progress(CopyProgress(doing="copying", table=table.name, done=done, total=total))


def _insert(connection: Connection, table: Table, rows: Sequence[_Values]) -> None:
    names = [column.name for column in table.columns]
    if is_postgresql(connection):
        from inboxsync.store.connection.postgresql import copy_into  # noqa: PLC0415 - see `database`

        copy_into(connection, table.name, names, rows)
        return
    marks = ", ".join("?" * len(names))
    connection.exec_driver_sql(
        f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({marks})",  # noqa: S608 - names of our own
        [tuple(map(_as_sqlite_holds, row)) for row in rows],
    )


def _as_sqlite_holds(value: Any) -> Any:  # noqa: ANN401 - whatever a column holds
    if not isinstance(value, datetime):
        return value
    # A time that was set by hand may be more exact than ours.
    return (
        format_utc(value) if value.microsecond % 1000 == 0 else f"{value.astimezone(UTC).isoformat()[:26]}Z"
    )


def _refuse_other_data(source: Connection, target: Connection, table: Table, *, where: str) -> None:
    """A target may hold the beginning of this table, as far as its last row, and nothing else."""
    last = _last_row(target, table)
    if last is None:
        return
    key = _key_of(table, last)
    counterpart = source.execute(select(table).where(_key(source, table) == key)).one_or_none()
    is_ours = (
        counterpart is not None
        and _canonical(table, _as_held(table, counterpart, holds_nul=not is_postgresql(target))[0])
        == _canonical(table, tuple(last))
        and _count(source, table, _key(source, table) <= key) == _count(target, table)
    )
    if not is_ours:
        raise StoreUnavailable(
            f"{where} holds other data than the source: its table {table.name} is not a part of this copy.",
            hint="Name an empty database. If the source was changed since a copy was interrupted, start "
            "again with an empty one.",
        )


def _compare(source: Connection, target: Connection, table: Table, on_progress: OnProgress) -> Copied:
    total = _count(source, table)
    holds_nul = not is_postgresql(target)
    replaced = 0

    def held() -> Iterator[_Values]:
        nonlocal replaced
        for number, row in enumerate(_rows(source, table), start=1):
            values, was_replaced = _as_held(table, row, holds_nul=holds_nul)
            replaced += was_replaced
            if number % _ROWS_A_BATCH == 0:
                on_progress(CopyProgress(doing="comparing", table=table.name, done=number, total=total))
            yield values

    source_rows, source_checksum = _checksum(table, held())
    target_rows, target_checksum = _checksum(table, (tuple(row) for row in _rows(target, table)))
    on_progress(CopyProgress(doing="comparing", table=table.name, done=total, total=total))
    return Copied(
        table=table.name,
        source_rows=source_rows,
        target_rows=target_rows,
        source_checksum=source_checksum,
        target_checksum=target_checksum,
        replaced=replaced,
    )


def _checksum(table: Table, rows: Iterable[_Values]) -> tuple[int, str]:
    digest, count = blake2b(digest_size=16), 0
    for row in rows:
        digest.update(repr(_canonical(table, row)).encode("utf-8", "surrogatepass"))
        count += 1
    return count, digest.hexdigest()


def _canonical(table: Table, row: _Values) -> _Values:
    """The same for the same values, no matter how a database writes them."""
    return tuple(
        _canonical_json(value)
        if value is not None and isinstance(column.type, JsonText)
        else value.astimezone(UTC).isoformat()
        if isinstance(value, datetime)
        else value
        for column, value in zip(table.columns, row, strict=True)
    )


def _canonical_json(text: str) -> str:
    # PostgreSQL orders the keys and writes 1e2 as 100.
    return json.dumps(json.loads(text, parse_float=_number), sort_keys=True)


def _number(text: str) -> float | int:
    number = float(text)
    return int(number) if number.is_integer() else number


def _as_held(table: Table, row: Row[Any], *, holds_nul: bool) -> tuple[_Values, bool]:
    """A row as the target stores it, and whether U+0000 had to be replaced; `extra` then says so."""
    values = tuple(row)
    if holds_nul or is_clean(*(value for value in values if isinstance(value, str))):
        return values, False
    cleaned = {
        column.name: value
        if not isinstance(value, str)
        else json_without_nul(value)
        if isinstance(column.type, JsonText)
        else text_without_nul(value)
        for column, value in zip(table.columns, values, strict=True)
    }
    if tuple(cleaned.values()) == values:
        return values, False
    if "extra" in cleaned:
        cleaned["extra"] = json.dumps(json.loads(cleaned["extra"] or "{}") | {NOTE: True})
    return tuple(cleaned.values()), True


def _rows(connection: Connection, table: Table) -> Iterator[Row[Any]]:
    for rows in _batches(connection, table, after=None):
        yield from rows


def _batches(connection: Connection, table: Table, *, after: object) -> Iterator[Sequence[Row[Any]]]:
    """A table in the order of its key, some rows at a time: the memory does not grow with the table."""
    query = _ordered(connection, table).limit(_ROWS_A_BATCH)
    while True:
        page = query if after is None else query.where(_key(connection, table) > after)
        try:
            rows = connection.execute(page).all()
        except ValueError as error:
            raise StoreUnavailable(
                f"The table {table.name} holds an invalid time: {error}.",
                hint="Correct it in the source, then run the command again: it continues.",
            ) from error
        if not rows:
            return
        yield rows
        after = _key_of(table, rows[-1])


def _ordered(connection: Connection, table: Table) -> Select[Any]:
    return select(table).order_by(*_key_columns(connection, table))


def _last_row(connection: Connection, table: Table) -> Row[Any] | None:
    last = [column.desc() for column in _key_columns(connection, table)]
    return connection.execute(select(table).order_by(*last).limit(1)).one_or_none()


def _count(connection: Connection, table: Table, *where: ColumnElement[bool]) -> int:
    return int(connection.execute(select(func.count()).select_from(table).where(*where)).scalar_one())


def _key_columns(connection: Connection, table: Table) -> list[ColumnElement[Any]]:
    """The key's columns, ordered by their characters on both databases."""
    columns = list(table.primary_key.columns)
    if not is_postgresql(connection):
        return [*columns]
    return [column if _is_by_character(column) else collate(column, "C") for column in columns]


def _is_by_character(column: ColumnElement[Any]) -> bool:
    if not isinstance(column.type, Text):
        return True  # a number
    variant = getattr(column.type, "_variant_mapping", {}).get("postgresql")
    return isinstance(variant, Text) and variant.collation == "C"


def _key(connection: Connection, table: Table) -> ColumnElement[Any]:
    return tuple_(*_key_columns(connection, table))


def _key_of(table: Table, row: Row[Any]) -> Any:  # noqa: ANN401 - what `tuple_` compares with
    names = [column.name for column in table.columns]
    return tuple_(*(row[names.index(column.name)] for column in table.primary_key.columns))
