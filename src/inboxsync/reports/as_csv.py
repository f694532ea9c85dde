"""CSV as RFC 4180 has it: UTF-8, commas, CR LF, quotes where they are needed.

An empty cell is an absent value. Times are ISO 8601 in UTC, truth is `true` or `false`. A text that a
spreadsheet would run as a formula has an apostrophe before it (`cells.harmless`).
"""

import csv
from collections.abc import Iterator, Sequence
from datetime import datetime
from io import StringIO
from typing import Final

from inboxsync.reports.cells import encoded, harmless, without_nul
from inboxsync.reports.columns import Column, Record, Value, flat_names, flat_record

# Excel takes a CSV without it for the local 8-bit character set; programs see it in the first heading.
_BYTE_ORDER_MARK: Final = "\ufeff".encode()


class CsvWriter:
    """Writes CSV."""

    rows_at_once = 1000
    cut_cells = 0

    def __init__(self, columns: tuple[Column, ...], *, byte_order_mark: bool) -> None:
        self._columns = columns
        self._mark = _BYTE_ORDER_MARK if byte_order_mark else b""

    def begin(self) -> bytes:
        """The headings."""
        return self._mark + _lines([flat_names(self._columns)])

    def write(self, records: Sequence[Record]) -> bytes:
        """A line each."""
        return _lines([[_cell(value) for value in flat_record(self._columns, each)] for each in records])

    def end(self) -> Iterator[bytes]:
        """Nothing."""
        return iter(())

    def close(self) -> None:
        """Nothing is held."""


def _lines(rows: Sequence[Sequence[str]]) -> bytes:
    out = StringIO()
    csv.writer(out, lineterminator="\r\n").writerows(rows)
    return encoded(without_nul(out.getvalue()))


def _cell(value: Value) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return harmless(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return iso(value) if isinstance(value, datetime) else str(value)


def iso(at: datetime) -> str:
    """`2026-01-02T03:04:05Z`, with milliseconds where it has any."""
    return f"{at.replace(tzinfo=None).isoformat(timespec='milliseconds' if at.microsecond else 'seconds')}Z"
