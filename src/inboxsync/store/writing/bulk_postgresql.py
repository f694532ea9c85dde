"""Many rows into PostgreSQL: COPY for new ones, and one statement with rows as JSON for those to be merged.

The database itself keeps the merge rule: rows that would stay as they are are left out before they could be
locked or rewritten, and somebody who writes the same rows at the same moment is waited for.
"""

from collections.abc import Mapping, Sequence
from functools import cache

import msgspec
import psycopg
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from inboxsync.errors import StoreUnreachable
from inboxsync.model.records import Kind
from inboxsync.store.connection.postgresql import copy_into
from inboxsync.store.writing.bulk import BulkRow, Merged, Value
from inboxsync.store.writing.merge import POSTGRESQL, Rule

_AT_ONCE = "A conversation was stored by two processes at the same moment."
_encode = msgspec.json.Encoder().encode
# JSON arrives as text within the JSON of the rows, and becomes JSON when it is read.
_TYPES = {
    Kind.TEXT: "text",
    Kind.ID: 'text COLLATE "C"',
    Kind.JSON: "text",
    Kind.TIME: "timestamptz",
    Kind.FLAG: "boolean",
    Kind.NUMBER: "integer",
}


class PostgresqlBulk:
    """Others may write at the same moment."""

    holds_nul = False

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def insert(
        self, table: str, columns: tuple[str, ...], rows: Sequence[BulkRow], same: Mapping[str, Value]
    ) -> None:
        """Raises StoreUnreachable where somebody has inserted one of these at the same moment.

        The whole transaction has to find out again what follows from that.
        """
        if not rows:
            return
        values = tuple(same.values())
        try:
            copy_into(self._connection, table, (*columns, *same), ((*row, *values) for row in rows))
        except DBAPIError as error:
            if isinstance(error.orig, psycopg.errors.UniqueViolation):
                raise StoreUnreachable(_AT_ONCE) from error
            raise

    def merge(
        self,
        rule: Rule,
        columns: tuple[str, ...],
        rows: Sequence[BulkRow],
        same: Mapping[str, Value],
        *,
        stored: int,  # noqa: ARG002 - counted by the database
    ) -> Merged:
        """One statement, which also counts."""
        if not rows:
            return Merged()
        found = [
            {name: value for name, value in zip(columns, row, strict=True) if value is not None}
            for row in rows
        ]
        values = {**same, "rows": _encode(found).decode()}
        new, changed = self._connection.exec_driver_sql(_upsert(rule, columns, tuple(same)), values).one()
        return Merged(new=new, changed=changed)


@cache
def _upsert(rule: Rule, columns: tuple[str, ...], same: tuple[str, ...]) -> str:
    """Looks each row up by its key, whatever the planner thinks of the sizes of the tables."""
    kinds = {field.name: field.kind for field in rule.fields}
    same_key = rule.same_key.format(stored="t", new="b")
    brought = [
        f"r.{name}::jsonb AS {name}" if kinds.get(name) is Kind.JSON else f"r.{name}" for name in columns
    ]
    types = ", ".join(f"{name} {_TYPES[kinds.get(name, Kind.ID)]}" for name in columns)
    shared = ", ".join(f"%({name})s::{_same_type(name)} AS {name}" for name in same)
    names = ", ".join((*columns, *same))
    return f"""
WITH b AS (
  SELECT {", ".join(brought)}, {shared} FROM json_to_recordset(%(rows)s::json) AS r ({types})
), written AS (
  INSERT INTO {rule.table} AS h ({names})
  SELECT {", ".join(f"b.{name}" for name in (*columns, *same))}
  FROM b LEFT JOIN LATERAL (SELECT * FROM {rule.table} AS t WHERE {same_key} OFFSET 0) AS h ON true
  WHERE h.{rule.key[0]} IS NULL OR ({rule.changes("b", POSTGRESQL)})
  {rule.on_conflict(POSTGRESQL)}
  RETURNING xmax = 0 AS is_new
)
SELECT count(*) FILTER (WHERE is_new), count(*) FILTER (WHERE NOT is_new) FROM written
"""  # noqa: S608 - our names


def _same_type(name: str) -> str:
    return "timestamptz" if name.endswith("_at") else 'text COLLATE "C"'
