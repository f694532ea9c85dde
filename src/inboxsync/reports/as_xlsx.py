"""Excel workbooks, written row by row to temporary files and zipped at the end.

Texts are text cells, which run nothing. A text that looks like a formula also has Excel's own mark for text
(`quotePrefix`), so that it still runs nothing after someone edited it. Excel's limits: a longer text is cut
and ends with an ellipsis, and more rows go to further sheets.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import xlsxwriter  # type: ignore[import-untyped]
from xlsxwriter.exceptions import XlsxWriterException  # type: ignore[import-untyped]

from inboxsync.errors import OutputFailed
from inboxsync.reports.as_csv import iso
from inboxsync.reports.cells import cut_to, is_formula, without_nul, without_surrogates
from inboxsync.reports.columns import Column, Kind, Record, Value, flat_names, flat_record

LONGEST_CELL: Final = 32_767
_CHUNK: Final = 1 << 16
_EXCELS_FIRST_DAY: Final = datetime(1900, 3, 1, tzinfo=UTC)
_WIDTHS: Final = {Kind.TEXT: 24, Kind.TIME: 19, Kind.JSON: 24, Kind.FOUND: 24}


class XlsxWriter:
    """Writes a workbook; all its bytes come at the end."""

    rows_at_once = 1000
    # Of the class, so that a test sees a second sheet without a million rows.
    rows_a_sheet = 1_048_576

    def __init__(self, columns: tuple[Column, ...], *, title: str) -> None:
        self.cut_cells = 0
        self._columns = columns
        self._title = title
        self._folder = TemporaryDirectory(prefix="inboxsync-")
        self._path = Path(self._folder.name) / "export.xlsx"
        self._book: Any = xlsxwriter.Workbook(
            str(self._path), {"constant_memory": True, "tmpdir": self._folder.name}
        )
        self._book.use_zip64()
        # The day of the export is not part of the data: the same rows make the same bytes.
        self._book.set_properties({"created": datetime(2000, 1, 1)})  # noqa: DTZ001 - as the library wants it
        self._bold = self._book.add_format({"bold": True})
        self._time = self._book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
        self._inert = self._book.add_format({"quote_prefix": True})
        self._sheets = 0
        self._row = self.rows_a_sheet
        self._sheet: Any = None

    def begin(self) -> bytes:
        """Begin the first sheet, which a table without rows has too."""
        self._next_sheet()
        return b""

    def write(self, records: Sequence[Record]) -> bytes:
        """Add rows; their bytes come at the end."""
        for record in records:
            if self._row == self.rows_a_sheet:
                self._next_sheet()
            for place, value in enumerate(flat_record(self._columns, record)):
                self._write(place, value)
            self._row += 1
        return b""

    def end(self) -> Iterator[bytes]:
        """The workbook."""
        book, self._book = self._book, None
        try:
            book.close()
        except XlsxWriterException as error:
            raise OutputFailed(f"The workbook cannot be made: {error}.") from error
        with self._path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                yield chunk

    def close(self) -> None:
        """Remove the temporary files."""
        if self._book is not None:
            # To close the book would zip what is not needed; an open one warns that it was not closed.
            self._book.fileclosed = True
            for sheet in self._book.worksheets():
                sheet.row_data_fh.close()
        self._folder.cleanup()

    def _next_sheet(self) -> None:
        self._sheets += 1
        name = self._title if self._sheets == 1 else f"{self._title} {self._sheets}"
        self._sheet = self._book.add_worksheet(name)
        self._sheet.freeze_panes(1, 0)
        place = 0
        for column in self._columns:
            cells = 2 if column.kind is Kind.FOUND else 1
            self._sheet.set_column(place, place + cells - 1, _WIDTHS.get(column.kind, 12))
            place += cells
        for place, name in enumerate(flat_names(self._columns)):
            self._sheet.write_string(0, place, name, self._bold)
        self._row = 1

    def _write(self, place: int, value: Value) -> None:
        if value is None or value == "":
            return
        if isinstance(value, str):
            self._write_text(place, value)
        elif isinstance(value, bool):
            self._sheet.write_boolean(self._row, place, value)
        elif isinstance(value, int | float):
            self._sheet.write_number(self._row, place, value)
        elif isinstance(value, datetime) and value >= _EXCELS_FIRST_DAY:
            self._sheet.write_datetime(self._row, place, value.replace(tzinfo=None), self._time)
        elif isinstance(value, datetime):
            self._sheet.write_string(self._row, place, iso(value))

    def _write_text(self, place: int, value: str) -> None:
        clean = without_nul(without_surrogates(value))
        text = cut_to(clean, LONGEST_CELL)
        self.cut_cells += text != clean
        self._sheet.write_string(self._row, place, text, self._inert if is_formula(text) else None)
