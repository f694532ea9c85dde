"""The merge rule: what an answer may change in a stored row, as one upsert for both databases.

An older answer never overwrites a newer one, and an absent value never overwrites a present one. What
each field allows is declared in `model.records`; this module only spells it in SQL. `excluded` is the row
that an answer brings, `h` the one that is stored.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

from inboxsync.model.records import CONVERSATION_FIELDS, MESSAGE_FIELDS, Field, Kind, Merge
from inboxsync.store.connection.nul import NOTE


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a database says that two values differ, NULL being a value like others."""

    name: str
    differs: str


SQLITE: Final = Dialect("sqlite", "IS NOT")  # 3.38 does not know the standard's words
POSTGRESQL: Final = Dialect("postgresql", "IS DISTINCT FROM")


@dataclass(frozen=True)
class Rule:
    """How rows of one table are merged.

    `same_key` says that a brought row `{new}` has the key of a stored one, `{stored}`; `guard` when it may
    change that at all. `stamp` is a column that is set whenever a row changes.
    """

    table: str
    key: tuple[str, ...]
    same_key: str
    fields: tuple[Field, ...]
    guard: str
    stamp: str | None = None

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The columns that are merged."""
        return tuple(field.name for field in self.fields)

    def on_conflict(self, dialect: Dialect) -> str:
        """What follows the rows of an INSERT into this table AS h."""
        merged = self._merged("excluded", dialect)
        changes = [f"{name} = {value}" for name, value in merged.items()]
        if self.stamp:
            changes.append(f"{self.stamp} = excluded.{self.stamp}")
        return (
            f"ON CONFLICT ({', '.join(self.key)}) DO UPDATE SET {', '.join(changes)} "
            f"WHERE {self.changes('excluded', dialect)}"
        )

    def changes(self, new: str, dialect: Dialect) -> str:
        """Whether the row `new` would change the stored row `h`."""
        merged = self._merged(new, dialect)
        differ = " OR ".join(f"{value} {dialect.differs} h.{name}" for name, value in merged.items())
        return f"{self.guard.format(new=new, stored='h')} AND ({differ})"

    def _merged(self, new: str, dialect: Dialect) -> dict[str, str]:
        """The value of each field after the merge."""
        reveals = next((field.name for field in self.fields if field.merge is Merge.REVEAL), None)
        values = {}
        for field in self.fields:
            value = _merged(field, new)
            if reveals is not None:
                revealed = f"COALESCE({new}.{field.name}, h.{field.name})"
                value = f"CASE WHEN {new}.{reveals} AND NOT h.{reveals} THEN {revealed} ELSE {value} END"
            if field.name == "extra" and field.merge is Merge.FILL and dialect is POSTGRESQL:
                # That U+0000 was replaced is noted beside what is there; SQLite holds it.
                noted = f"jsonb_build_object('{NOTE}', true)"
                value = f"({value}) || CASE WHEN {new}.extra ? '{NOTE}' THEN {noted} ELSE '{{}}' END"
            values[field.name] = value
        return values


def _merged(field: Field, new: str) -> str:
    brought, stored = f"{new}.{field.name}", f"h.{field.name}"
    if field.kind in (Kind.TEXT, Kind.ID) and not field.empty_is_a_value:
        brought = f"NULLIF({brought}, '')"
    match field.merge:
        case Merge.FILL:
            return f"COALESCE({stored}, {brought})"
        case Merge.REPLACE:
            return f"COALESCE({brought}, {stored})"
        case Merge.KEEP | Merge.REVEAL:
            return stored


MESSAGES: Final = Rule(
    table="messages",
    key=("conversation_id", "message_id"),
    same_key="{stored}.conversation_id = {new}.conversation_id AND {stored}.message_id = {new}.message_id",
    fields=MESSAGE_FIELDS,
    guard="({new}.is_readable OR NOT {stored}.is_readable)",
)
CONVERSATIONS: Final = Rule(
    table="messenger_conversations",
    key=("conversation_id", "page_id"),
    # Not by an index on the Page: see `tables.not_by_index`.
    same_key="{stored}.conversation_id = {new}.conversation_id AND {stored}.page_id || '' = {new}.page_id",
    fields=CONVERSATION_FIELDS,
    guard="COALESCE({new}.source_updated_at >= {stored}.source_updated_at, TRUE)",
    stamp="updated_at",
)
