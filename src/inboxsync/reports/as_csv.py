"""CSV as of RFC 4180: UTF-8, commas or another delimiter, CR LF, quotes where they are needed.

An empty cell is an absent value. Times are ISO 8601 in UTC, booleans are `true` or `false`. A text that a
spreadsheet would run as a formula gets an apostrophe before it, whatever delimiter it reads the file with
(`cells.escape_cells`).
"""

import csv
from collections.abc import Iterator, Sequence
from datetime import datetime
from io import StringIO
from typing import Final

from inboxsync.reports.cells import encoded, escape_cells, is_phone_numbers, without_nul
from inboxsync.reports.columns import Column, Kind, Record, Value, flat_names, flat_record

# Without it Excel reads a CSV in the local 8-bit character set. Other programs see it in the first heading.
_BYTE_ORDER_MARK: Final = "\ufeff".encode()


class CsvWriter:
    """Writes CSV."""

    rows_at_once = 1000
    cut_cells = 0

    def __init__(self, columns: tuple[Column, ...], *, byte_order_mark: bool, delimiter: str = ",") -> None:
        self._columns = columns
        self._delimiter = delimiter
        self._found = [column.kind is Kind.FOUND for column in columns for _ in flat_names((column,))]
        self._mark = _BYTE_ORDER_MARK if byte_order_mark else b""

    def begin(self) -> bytes:
        """The headings."""
        return self._mark + self._lines([flat_names(self._columns)])

    def write(self, records: Sequence[Record]) -> bytes:
        """One line for each record."""
        rows = [flat_record(self._columns, each) for each in records]
        delimiter = self._delimiter
        if not any(self._found):
            return self._lines([[_cell(value, delimiter) for value in row] for row in rows])
        return self._lines(
            [
                [
                    value if is_found and is_phone_numbers(value) else _cell(value, delimiter)
                    for value, is_found in zip(row, self._found, strict=True)
                ]
                for row in rows
            ]
        )

    def end(self) -> Iterator[bytes]:
        """Nothing."""
        return iter(())

    def close(self) -> None:
        """There is nothing to release."""

    def _lines(self, rows: Sequence[Sequence[str]]) -> bytes:
        out = StringIO()
        csv.writer(out, delimiter=self._delimiter, lineterminator="\r\n").writerows(rows)
        return encoded(without_nul(out.getvalue()))


def _cell(value: Value, delimiter: str) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return escape_cells(value, delimiter)
    if isinstance(value, bool):
        return "true" if value else "false"
    return iso(value) if isinstance(value, datetime) else str(value)


def iso(at: datetime) -> str:
    """`2026-01-02T03:04:05Z`, with milliseconds if it has any."""
    return f"{at.replace(tzinfo=None).isoformat(timespec='milliseconds' if at.microsecond else 'seconds')}Z"
