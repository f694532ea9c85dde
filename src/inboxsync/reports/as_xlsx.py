"""Excel workbooks, streamed: each row is compressed as it comes, and nothing of it is kept.

Texts are text cells, which run nothing. A text that looks like a formula also has Excel's own mark for text
(`quotePrefix`), so that it still runs nothing after someone edited it. The first row stays in view and has a
filter. Excel's limits: a longer text is cut and ends with an ellipsis, and more rows go to further sheets.

The markup is written here, a column of some records at a time, because libraries call a function for each
cell. It is that of ECMA-376 part 1, chapter 18 (SpreadsheetML).
"""

import zipfile
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final

from inboxsync.reports import workbook
from inboxsync.reports.as_csv import local
from inboxsync.reports.cells import cut_to, is_formula, maybe_formulas, without_nul, without_surrogates
from inboxsync.reports.columns import Kind, Layout, Record, Value
from inboxsync.reports.workbook import INERT, TIME, Sheet, column_name

LONGEST_CELL: Final = 32_767
# A file in a zip file that has 2 GiB or more needs an extension that not all programs read.
_LARGEST_SHEET: Final = 1_500_000_000
# What deflate's higher levels save is a tenth, at twice the time.
_LEVEL: Final = 1
_FIRST_YEAR: Final = 1901
# Days from Excel's day 0 to the first of January of the year 1.
_DAY_ZERO: Final = 693_594
_DAY_SECONDS: Final = 86_400


class XlsxWriter:
    """Writes a workbook; its bytes come as its rows do."""

    rows_at_once = 1000
    # Of the class, so that a test sees a second sheet without a million rows.
    rows_a_sheet = 1_048_576

    def __init__(self, layout: Layout, *, title: str) -> None:
        self.cut_cells = 0
        self._layout = layout
        self._names = [column_name(number) for number in range(len(layout.cells))]
        self._title = title
        self._sink = _Sink()
        self._zip = zipfile.ZipFile(self._sink, "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL)
        self._sheets: list[Sheet] = []
        self._row = 0
        self._size = 0
        self._part: Any = None

    def begin(self) -> bytes:
        """Begin the first sheet, which a table without rows has too."""
        self._next_sheet()
        return self._sink.take()

    def write(self, records: Sequence[Record]) -> bytes:
        """Add rows."""
        done = 0
        while done < len(records):
            if self._row == self.rows_a_sheet or self._size > _LARGEST_SHEET:
                self._end_sheet()
                self._next_sheet()
            some = records[done : done + self.rows_a_sheet - self._row]
            self._write_rows(some)
            done += len(some)
        return self._sink.take()

    def end(self) -> Iterator[bytes]:
        """What names the sheets."""
        self._end_sheet()
        for name, content in workbook.parts(self._sheets):
            # Not `writestr`, which notes the time: it is no part of the data. The same rows, the same bytes.
            with self._zip.open(name, "w") as part:
                part.write(content.encode())
        self._zip.close()
        yield self._sink.take()

    def close(self) -> None:
        """Drop bytes that were not passed on."""
        if self._part is not None:
            self._part.close()
        self._zip.close()
        self._sink.take()

    def _next_sheet(self) -> None:
        number = len(self._sheets) + 1
        name = self._title if number == 1 else f"{self._title} {number}"
        self._sheets.append(Sheet(name=name, columns=len(self._names)))
        self._part = self._zip.open(workbook.path_of_sheet(number), "w")
        self._size = 0
        self._put(workbook.sheet_head([cell.width for cell in self._layout.cells], self._layout.headings))
        self._row = 1

    def _end_sheet(self) -> None:
        sheet = self._sheets[-1]
        sheet.rows = self._row
        self._put(workbook.sheet_tail(sheet))
        part, self._part = self._part, None
        part.close()

    def _put(self, text: str) -> None:
        content = text.encode()
        self._size += len(content)
        self._part.write(content)

    def _write_rows(self, records: Sequence[Record]) -> None:
        numbers = range(self._row + 1, self._row + 1 + len(records))
        columns: list[Sequence[str]] = []
        for name, cell, values in zip(
            self._names, self._layout.cells, self._layout.values(records), strict=True
        ):
            if values.count(None) < len(values):
                columns.append(self._cells(cell.kind, name, numbers, values))
        rows = zip(*columns, strict=True) if columns else [()] * len(records)
        self._put(
            "".join(
                [f'<row r="{row}">{"".join(cells)}</row>' for row, cells in zip(numbers, rows, strict=True)]
            )
        )
        self._row += len(records)

    def _cells(self, kind: Kind, name: str, numbers: Sequence[int], values: Sequence[Value]) -> list[str]:
        if kind is Kind.TIME:
            return [
                _time(f"{name}{row}", value) if isinstance(value, datetime) else ""
                for row, value in zip(numbers, values, strict=True)
            ]
        if kind is Kind.BOOLEAN:
            return [
                f'<c r="{name}{row}" t="b"><v>{value:d}</v></c>' if isinstance(value, bool) else ""
                for row, value in zip(numbers, values, strict=True)
            ]
        if kind in {Kind.INTEGER, Kind.NUMBER}:
            return [
                f'<c r="{name}{row}"><v>{value}</v></c>' if value is not None else ""
                for row, value in zip(numbers, values, strict=True)
            ]
        return self._texts(name, numbers, [value if isinstance(value, str) else "" for value in values])

    def _texts(self, name: str, numbers: Sequence[int], values: list[str]) -> list[str]:
        texts = self._held(values)
        marks = [""] * len(texts)
        if maybe_formulas("\0".join(texts), ","):
            marks = [f' s="{INERT}"' if text and is_formula(text) else "" for text in texts]
        return [
            f'<c r="{name}{row}"{mark} t="inlineStr"><is><t xml:space="preserve">{text}</t></is></c>'
            if text
            else ""
            for row, mark, text in zip(numbers, marks, workbook.escaped(texts), strict=True)
        ]

    def _held(self, values: list[str]) -> list[str]:
        """The texts as Excel holds them; counts those that are cut."""
        joined = "".join(values)
        if "\0" in joined or not _is_encodable(joined):
            values = [without_nul(without_surrogates(value)) for value in values]
        if max(map(len, values)) <= LONGEST_CELL // 2:
            return values
        cut = [cut_to(value, LONGEST_CELL) for value in values]
        self.cut_cells += sum(after != before for after, before in zip(cut, values, strict=True))
        return cut


class _Sink:
    """A file without a way back, whose written bytes can be taken out."""

    def __init__(self) -> None:
        self._chunks: list[bytes] = []

    def write(self, data: bytes, /) -> int:
        self._chunks.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass

    def take(self) -> bytes:
        taken = b"".join(self._chunks)
        self._chunks.clear()
        return taken


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _time(place: str, at: datetime) -> str:
    if at.year < _FIRST_YEAR:
        return f'<c r="{place}" t="inlineStr"><is><t>{local(at)}</t></is></c>'
    seconds = at.hour * 3600 + at.minute * 60 + at.second + at.microsecond / 1_000_000
    return f'<c r="{place}" s="{TIME}"><v>{at.toordinal() - _DAY_ZERO + seconds / _DAY_SECONDS}</v></c>'
