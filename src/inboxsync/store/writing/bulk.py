"""Many rows into a table at once: multi-row INSERT on SQLite, COPY and JSON on PostgreSQL."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain
from typing import Protocol

from sqlalchemy import Connection

from inboxsync.store.writing.merge import SQLITE, Rule

# The interpreter's lock is released once a statement, not once a row, and to get it back takes up to 5 ms
# while another thread computes. 1,024 rows of 22 values stay below the 32,766 that SQLite takes.
_MOST_ROWS = 1024

# Times are text and flags 0 or 1, which both databases take.
Value = str | int | None
BulkRow = Sequence[Value]


@dataclass(frozen=True, slots=True)
class Merged:
    """How many rows were new, and how many of the others were changed."""

    new: int = 0
    changed: int = 0


class Bulk(Protocol):
    """Writes rows in the caller's transaction. `same` are columns with one value for all rows.

    `holds_nul`: the database can hold U+0000.
    """

    holds_nul: bool

    def insert(
        self, table: str, columns: tuple[str, ...], rows: Sequence[BulkRow], same: Mapping[str, Value]
    ) -> None:
        """Insert rows that are not stored."""

    def merge(
        self,
        rule: Rule,
        columns: tuple[str, ...],
        rows: Sequence[BulkRow],
        same: Mapping[str, Value],
        *,
        stored: int,
    ) -> Merged:
        """Insert rows, or merge them into those with the same key. `stored` of them were just looked up."""


def bulk_for(connection: Connection) -> Bulk:
    """How rows are written on the database at hand."""
    if connection.dialect.name == "sqlite":
        return _SqliteBulk(connection)
    # The driver, whose import takes a tenth of a second, is for those who use it.
    from inboxsync.store.writing.bulk_postgresql import PostgresqlBulk  # noqa: PLC0415

    return PostgresqlBulk(connection)


class _SqliteBulk:
    """One writer: what was looked up in this transaction stays true in it."""

    holds_nul = True

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def insert(
        self, table: str, columns: tuple[str, ...], rows: Sequence[BulkRow], same: Mapping[str, Value]
    ) -> None:
        self._write(table, columns, rows, same, None)

    def merge(
        self,
        rule: Rule,
        columns: tuple[str, ...],
        rows: Sequence[BulkRow],
        same: Mapping[str, Value],
        *,
        stored: int,
    ) -> Merged:
        new = len(rows) - stored
        return Merged(new=new, changed=self._write(rule.table, columns, rows, same, rule) - new)

    def _write(
        self,
        table: str,
        columns: tuple[str, ...],
        rows: Sequence[BulkRow],
        same: Mapping[str, Value],
        rule: Rule | None,
    ) -> int:
        """Returns how many rows were written."""
        written = 0
        for some in in_pieces(rows):
            statement = _insert(table, tuple(same), columns, len(some), rule)
            values = (*same.values(), *chain.from_iterable(some))
            written += self._connection.exec_driver_sql(
                statement, values, execution_options={"preserve_rowcount": True}
            ).rowcount
        return written


def in_pieces(rows: Sequence[BulkRow]) -> Iterator[Sequence[BulkRow]]:
    """All of these rows, in pieces whose lengths are powers of two: few different statements, built once."""
    at = 0
    while at < len(rows):
        size = min(_MOST_ROWS, 1 << ((len(rows) - at).bit_length() - 1))
        yield rows[at : at + size]
        at += size


@cache
def _insert(table: str, same: tuple[str, ...], columns: tuple[str, ...], rows: int, rule: Rule | None) -> str:
    """An INSERT of so many rows; what is the same in all of them is bound once."""
    bound = [f"?{place}" for place in range(1, len(same) + 1)]
    row = f"({', '.join([*bound, *'?' * len(columns)])})"
    conflict = f" {rule.on_conflict(SQLITE)}" if rule else ""
    return (
        f"INSERT INTO {table} AS h ({', '.join((*same, *columns))}) "  # noqa: S608 - our names
        f"VALUES {', '.join([row] * rows)}{conflict}"
    )
