"""CSV as of RFC 4180: UTF-8, commas or another delimiter, CR LF, quotes where they are needed.

An empty cell is an absent value. For programs times are ISO 8601 in UTC and booleans `true` or `false`; for
people times are as spreadsheets read them, in the layout's zone, and booleans `yes` or `no`. A text that a
spreadsheet would run as a formula gets an apostrophe before it, whatever delimiter it reads the file with
(`cells.escape_cells`).
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final

from msgspec import to_builtins

from inboxsync.reports.cells import encoded, escape_cells, is_phone_numbers, maybe_formulas, without_nul
from inboxsync.reports.columns import Kind, Layout, Record, Value

# Without it Excel reads a CSV in the local 8-bit character set. Other programs see it in the first heading.
_BYTE_ORDER_MARK: Final = "\ufeff".encode()
# `2026-01-02T03:04:05Z`
_WHOLE_SECONDS: Final = 20
_QUOTE: Final = '"'
_TWO_QUOTES: Final = '""'


class CsvWriter:
    """Writes CSV, a column of some records at a time: what holds for all its values is looked at once."""

    rows_at_once = 1000
    cut_cells = 0

    def __init__(self, layout: Layout, *, byte_order_mark: bool, delimiter: str = ",") -> None:
        self._layout = layout
        self._kinds = [cell.kind for cell in layout.cells]
        self._delimiter = delimiter
        self._truth = ("false", "true") if layout.raw else ("no", "yes")
        self._mark = _BYTE_ORDER_MARK if byte_order_mark else b""

    def begin(self) -> bytes:
        """The headings."""
        return self._mark + self._lines([self._quoted([each], each) for each in self._layout.headings])

    def write(self, records: Sequence[Record]) -> bytes:
        """One line for each record."""
        values = self._layout.values(records)
        return self._lines([self._column(kind, each) for kind, each in zip(self._kinds, values, strict=True)])

    def end(self) -> Iterator[bytes]:
        """Nothing."""
        return iter(())

    def close(self) -> None:
        """There is nothing to release."""

    def _column(self, kind: Kind, values: Sequence[Value]) -> Sequence[str]:
        """The cells as they stand in the file."""
        missing = values.count(None)
        if missing == len(values):
            return [""] * len(values)
        if kind is Kind.TIME:
            return self._times(values)
        if kind is Kind.BOOLEAN:
            return [self._truth[value] if isinstance(value, bool) else "" for value in values]
        if kind in {Kind.INTEGER, Kind.NUMBER}:
            return (
                ["" if value is None else str(value) for value in values] if missing else [*map(str, values)]
            )
        texts: Any = [value or "" for value in values] if missing else values
        return self._texts(texts, may_be_phones=kind is Kind.FOUND)

    def _times(self, values: Sequence[Value]) -> list[str]:
        texts: list[str | None] = to_builtins(values)
        if self._layout.raw:
            return [_shortened(text) if text else "" for text in texts]
        if any(text and text[19] == "." for text in texts):
            return [_as_people_write(text) if text else "" for text in texts]
        return [f"{text[:10]} {text[11:19]}" if text else "" for text in texts]

    def _texts(self, values: Sequence[str], *, may_be_phones: bool) -> Sequence[str]:
        # What can be said of all texts at once takes a fraction of looking at each.
        joined = "\0".join(values)
        if maybe_formulas(joined, self._delimiter):
            values = [
                value if may_be_phones and is_phone_numbers(value) else escape_cells(value, self._delimiter)
                for value in values
            ]
        return self._quoted(values, joined)

    def _quoted(self, values: Sequence[str], joined: str) -> Sequence[str]:
        if not self._needs_quotes(joined):
            return values
        return [
            f'"{value.replace(_QUOTE, _TWO_QUOTES)}"' if self._needs_quotes(value) else value
            for value in values
        ]

    def _needs_quotes(self, text: str) -> bool:
        return _QUOTE in text or self._delimiter in text or "\n" in text or "\r" in text

    def _lines(self, columns: Sequence[Sequence[str]]) -> bytes:
        lines = [*map(self._delimiter.join, zip(*columns, strict=True)), ""]
        return encoded(without_nul("\r\n".join(lines)))


def iso(at: datetime) -> str:
    """`2026-01-02T03:04:05Z`, with milliseconds if it has any."""
    # `isoformat` takes four times as long.
    return _shortened(to_builtins(at))


def local(at: datetime) -> str:
    """`2026-01-02 03:04:05` in its own zone, as spreadsheets read a time; with milliseconds if it has any."""
    return _as_people_write(to_builtins(at))


def _shortened(text: str) -> str:
    """`2026-01-02T03:04:05Z` as it is, and microseconds of UTC as milliseconds."""
    return text if len(text) == _WHOLE_SECONDS else f"{text[:23]}Z"


def _as_people_write(text: str) -> str:
    return f"{text[:10]} {text[11:23] if text[19:20] == '.' else text[11:19]}"
