"""CSV as of RFC 4180: UTF-8, commas or another delimiter, CR LF, quotes where they are needed.

An empty cell is an absent value. For programs times are ISO 8601 in UTC and booleans `true` or `false`; for
people times are as spreadsheets read them, in the layout's zone, and booleans `yes` or `no`. A text that a
spreadsheet would run as a formula gets an apostrophe before it, whatever delimiter it reads the file with
(`cells.escape_cells`).
"""

import csv
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from io import StringIO
from typing import Final

from msgspec import to_builtins

from inboxsync.reports.cells import encoded, escape_cells, is_phone_numbers, maybe_formulas, without_nul
from inboxsync.reports.columns import Kind, Layout, Record, Value

# Without it Excel reads a CSV in the local 8-bit character set. Other programs see it in the first heading.
_BYTE_ORDER_MARK: Final = "\ufeff".encode()
# `2026-01-02T03:04:05Z`
_WHOLE_SECONDS: Final = 20


class CsvWriter:
    """Writes CSV, a column of some records at a time: what holds for all its values is looked at once."""

    rows_at_once = 1000
    cut_cells = 0

    def __init__(self, layout: Layout, *, byte_order_mark: bool, delimiter: str = ",") -> None:
        self._layout = layout
        self._kinds = [cell.kind for cell in layout.cells]
        self._delimiter = delimiter
        self._iso = iso if layout.raw else local
        self._truth = ("false", "true") if layout.raw else ("no", "yes")
        self._mark = _BYTE_ORDER_MARK if byte_order_mark else b""

    def begin(self) -> bytes:
        """The headings."""
        return self._mark + self._lines([self._layout.headings])

    def write(self, records: Sequence[Record]) -> bytes:
        """One line for each record."""
        values = self._layout.values(records)
        columns = [self._column(kind, each) for kind, each in zip(self._kinds, values, strict=True)]
        return self._lines(zip(*columns, strict=True))

    def end(self) -> Iterator[bytes]:
        """Nothing."""
        return iter(())

    def close(self) -> None:
        """There is nothing to release."""

    def _column(self, kind: Kind, values: Sequence[Value]) -> Sequence[Value]:
        """What `csv` writes as it is: texts, numbers, and None for an empty cell."""
        if kind is Kind.TIME:
            return [self._iso(value) if isinstance(value, datetime) else None for value in values]
        if kind is Kind.BOOLEAN:
            return [self._truth[value] if isinstance(value, bool) else value for value in values]
        if kind in {Kind.INTEGER, Kind.NUMBER}:
            return values
        return self._texts(values, may_be_phones=kind is Kind.FOUND)

    def _texts(self, values: Sequence[Value], *, may_be_phones: bool) -> Sequence[Value]:
        delimiter = self._delimiter
        if not maybe_formulas([value for value in values if isinstance(value, str)], delimiter):
            return values
        return [
            escape_cells(value, delimiter)
            if isinstance(value, str) and not (may_be_phones and is_phone_numbers(value))
            else value
            for value in values
        ]

    def _lines(self, rows: Iterable[Sequence[Value]]) -> bytes:
        out = StringIO()
        csv.writer(out, delimiter=self._delimiter, lineterminator="\r\n").writerows(rows)
        return encoded(without_nul(out.getvalue()))


def iso(at: datetime) -> str:
    """`2026-01-02T03:04:05Z`, with milliseconds if it has any."""
    # `isoformat` takes four times as long.
    text: str = to_builtins(at)
    return text if len(text) == _WHOLE_SECONDS else f"{text[:23]}Z"


def local(at: datetime) -> str:
    """`2026-01-02 03:04:05` in its own zone, as spreadsheets read a time; with milliseconds if it has any."""
    return str(at)[: 23 if at.microsecond else 19]
