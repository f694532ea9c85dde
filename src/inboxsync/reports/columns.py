"""The columns of exports. Their names are a public interface, and new ones are added at the end.

Programs get the names, in the order in which they are declared. People who open a table (Excel, CSV) get the
headings, with what they look for first and ids last, and times of their own zone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
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
Record = Sequence[Value]

# Of columns for programs among those for people: ids and the like.
_LAST = 9


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name for programs, its heading for people, and what it means.

    People see columns in the order of `rank`, those of one rank as they are declared; `width` is in
    characters, as Excel counts.
    """

    name: str
    heading: str
    kind: Kind
    meaning: str
    rank: int = 5
    width: int = 14


class Cell(NamedTuple):
    """A column of a table without lists: `place` is that of its value in a record.

    A list of `Found` becomes two such columns: the values (`+1...; +2...`), and the messages with them.
    """

    name: str
    heading: str
    kind: Kind
    place: int
    rank: int
    width: int
    has_messages: bool = False


@dataclass(frozen=True, slots=True)
class Layout:
    """A table without lists, for programs (`raw`) or for people, whose times are shown in `zone`."""

    columns: tuple[Column, ...]
    raw: bool = True
    zone: tzinfo = UTC

    @property
    def cells(self) -> list[Cell]:
        """Its columns from left to right."""
        cells = list(_flat(self.columns))
        return cells if self.raw else sorted(cells, key=lambda each: each.rank)

    @property
    def headings(self) -> list[str]:
        """One for each cell; a time's names the zone."""
        if self.raw:
            return [cell.name for cell in self.cells]
        return [
            f"{cell.heading} ({self.zone})" if cell.kind is Kind.TIME else cell.heading for cell in self.cells
        ]

    def values(self, records: Sequence[Record]) -> list[Sequence[Value]]:
        """The values of these records, one sequence for each cell. Times are aware, in `zone`."""
        places = list(zip(*records, strict=True))
        return [self._of_cell(cell, places[cell.place]) for cell in self.cells]

    def _of_cell(self, cell: Cell, values: Sequence[Value]) -> Sequence[Value]:
        if cell.kind is Kind.FOUND:
            return [_joined(value, messages=cell.has_messages) for value in values]
        if cell.kind is Kind.TIME and self.zone is not UTC:
            return [value.astimezone(self.zone) if isinstance(value, datetime) else value for value in values]
        return values


def _flat(columns: tuple[Column, ...]) -> Iterator[Cell]:
    for place, each in enumerate(columns):
        yield Cell(each.name, each.heading, each.kind, place, each.rank, each.width)
        if each.kind is Kind.FOUND:
            name, heading = f"{each.name}_message_ids", f"Messages with {each.heading.lower()}"
            yield Cell(name, heading, each.kind, place, _LAST, each.width, has_messages=True)


def _joined(value: Value, *, messages: bool) -> str | None:
    if not value or not isinstance(value, tuple):
        return None
    return "; ".join(found.message_id if messages else found.value for found in value)
