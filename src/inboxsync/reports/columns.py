"""The columns of exports: their names are a public interface, and new ones are added at the end."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import NamedTuple


class Kind(Enum):
    """What a column holds."""

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    TIME = "time"  # aware, UTC
    JSON = "json"  # JSON as text
    FOUND = "found"  # a list of `Found`


class Found(NamedTuple):
    """A value found in a contact's messages, and the message that contains it."""

    value: str
    message_id: str


Value = str | int | float | bool | datetime | tuple[Found, ...] | None
Record = tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Column:
    """One column, and what it means."""

    name: str
    kind: Kind
    meaning: str

    @property
    def evidence(self) -> str:
        """The name of the second column in formats without lists: `phones_message_ids`."""
        return f"{self.name}_message_ids"


def flat_names(columns: tuple[Column, ...]) -> list[str]:
    """The headings in formats without lists: the values found, and a second column with their messages."""
    names: list[str] = []
    for column in columns:
        names += [column.name, column.evidence] if column.kind is Kind.FOUND else [column.name]
    return names


def flat_record(columns: tuple[Column, ...], record: Record) -> list[Value]:
    """The cells under `flat_names`; several values in one cell: `+1...; +2...`."""
    cells: list[Value] = []
    for column, value in zip(columns, record, strict=True):
        if column.kind is Kind.FOUND and isinstance(value, tuple):
            cells.append("; ".join(found.value for found in value) or None)
            cells.append("; ".join(found.message_id for found in value) or None)
        else:
            cells.append(value)
    return cells
