"""Reads rows of one table by many keys at once, through the table's index and never by a scan.

`(a, b) IN (...)` would do the same on paper. But SQLite 3.40 plans it as a scan of the whole table, and
PostgreSQL may hash the whole table as long as it has no statistics of it. Here the keys are a table `k` of
their own, and the other table is looked up for each of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, Row, TextClause, text
from sqlalchemy.types import TypeEngine

from inboxsync.store.connection.statements import is_postgresql

_encode = msgspec.json.Encoder().encode


class Step(NamedTuple):
    """A table, the name it has here, and which of its rows belong to a key or to the steps before."""

    table: str
    name: str
    where: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup:
    """SELECT `columns` FROM the keys and, one after the other, the `steps`.

    `keys` are the names of a key's columns in `k` and their types on PostgreSQL. `types` are those of the
    result's columns that need one.
    """

    keys: tuple[tuple[str, str], ...]
    steps: tuple[Step, ...]
    columns: str
    types: tuple[tuple[str, TypeEngine[Any]], ...] = ()

    def rows(self, connection: Connection, keys: Sequence[tuple[Any, ...]]) -> list[Row[Any]]:
        """The rows of all these keys, in any order."""
        if not keys:
            return []
        if is_postgresql(connection):
            names = [name for name, _ in self.keys]
            values = dict(zip(names, map(list, zip(*keys, strict=True)), strict=True))
            return list(connection.execute(_for_postgresql(self), values).all())
        # SQLite's JSON ends a text at U+0000: such keys are looked up one by one.
        plain = [key for key in keys if not any(isinstance(each, str) and "\0" in each for each in key)]
        rows = list(connection.execute(_for_sqlite(self), {"keys": _encode(plain).decode()}).all())
        if len(plain) < len(keys):
            for key in set(keys).difference(plain):
                values = {name: value for (name, _), value in zip(self.keys, key, strict=True)}
                rows.extend(connection.execute(_for_one(self), values))
        return rows


@lru_cache(maxsize=20)
def _for_postgresql(lookup: Lookup) -> TextClause:
    arrays = ", ".join(f"CAST(:{name} AS {kind}[])" for name, kind in lookup.keys)
    names = ", ".join(name for name, _ in lookup.keys)
    # OFFSET 0 keeps each step apart: one look into the index for each row before.
    steps = " ".join(
        f"CROSS JOIN LATERAL (SELECT * FROM {table} AS {name} WHERE {where} OFFSET 0) AS {name}"  # noqa: S608
        for table, name, where in lookup.steps
    )
    return _typed(lookup, f"SELECT {lookup.columns} FROM unnest({arrays}) AS k ({names}) {steps}")  # noqa: S608


@lru_cache(maxsize=20)
def _for_sqlite(lookup: Lookup) -> TextClause:
    parts = ", ".join(f"value->>{place} AS {name}" for place, (name, _) in enumerate(lookup.keys))
    return _typed(lookup, _from_keys(lookup, f"SELECT {parts} FROM json_each(:keys)"))  # noqa: S608 - our names


@lru_cache(maxsize=20)
def _for_one(lookup: Lookup) -> TextClause:
    parts = ", ".join(f":{name} AS {name}" for name, _ in lookup.keys)
    return _typed(lookup, _from_keys(lookup, f"SELECT {parts}"))


def _from_keys(lookup: Lookup, keys: str) -> str:
    # CROSS: in this order, never the other way round.
    steps = " ".join(f"CROSS JOIN {table} AS {name} ON {where}" for table, name, where in lookup.steps)
    return f"SELECT {lookup.columns} FROM ({keys}) AS k {steps}"  # noqa: S608 - our names


def _typed(lookup: Lookup, statement: str) -> TextClause:
    query = text(statement)
    return query.columns(**dict(lookup.types)) if lookup.types else query  # type: ignore[return-value]
