"""The formats of exports: each turns records into bytes, a batch at a time."""

from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from typing import Final, Protocol

from inboxsync.errors import SettingsInvalid
from inboxsync.reports.columns import Layout, Record


class Format(StrEnum):
    """The formats of an export."""

    CSV = "csv"
    NDJSON = "ndjson"
    XLSX = "xlsx"
    PARQUET = "parquet"


MEDIA_TYPES: Final = {
    Format.CSV: "text/csv; charset=utf-8",
    Format.NDJSON: "application/x-ndjson",
    Format.XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    Format.PARQUET: "application/vnd.apache.parquet",
}
# These can be read while they arrive; the others have an index at their end.
STREAMED: Final = frozenset({Format.CSV, Format.NDJSON})


class Writer(Protocol):
    """Turns records into bytes. `close` releases what it uses, at the end or before."""

    rows_at_once: int
    cut_cells: int

    def begin(self) -> bytes:
        """The bytes before the records."""

    def write(self, records: Sequence[Record]) -> bytes:
        """Some records; a format may return their bytes later."""

    def end(self) -> Iterator[bytes]:
        """The bytes after the records, and all that was not returned yet."""

    def close(self) -> None:
        """Release files and memory."""


def writer_of(
    chosen: Format,
    layout: Layout,
    *,
    title: str,
    byte_order_mark: bool = False,
    delimiter: str = ",",
) -> Writer:
    """A writer of this format; `title` names the sheet. Raises SettingsInvalid if a library is missing.

    NDJSON and Parquet are for programs, whatever the layout.
    """
    if chosen is Format.CSV:
        return _csv(layout, byte_order_mark=byte_order_mark, delimiter=delimiter)
    return _WRITERS[chosen](layout, title)


def format_of(name: str) -> Format:
    """The format that the ending of a file's name means. Raises SettingsInvalid if it means none."""
    ending = name.rpartition(".")[2].lower()
    if ending in {"jsonl", "ndjson"}:
        return Format.NDJSON
    try:
        return Format(ending)
    except ValueError:
        raise SettingsInvalid(
            f"The ending of {name} is not the name of a format.",
            hint=f"Choose one with --format: {', '.join(Format)}.",
        ) from None


def _csv(layout: Layout, *, byte_order_mark: bool, delimiter: str) -> Writer:
    from inboxsync.reports.as_csv import CsvWriter  # noqa: PLC0415 - each format's libraries on demand

    return CsvWriter(layout, byte_order_mark=byte_order_mark, delimiter=delimiter)


def _ndjson(layout: Layout, _title: str) -> Writer:
    from inboxsync.reports.as_ndjson import NdjsonWriter  # noqa: PLC0415

    return NdjsonWriter(layout.columns)


def _xlsx(layout: Layout, title: str) -> Writer:
    from inboxsync.reports.as_xlsx import XlsxWriter  # noqa: PLC0415

    return XlsxWriter(layout, title=title)


def _parquet(layout: Layout, _title: str) -> Writer:
    from inboxsync.reports.as_parquet import ParquetWriter  # noqa: PLC0415

    return ParquetWriter(layout.columns)


_WRITERS: Final[dict[Format, Callable[[Layout, str], Writer]]] = {
    Format.NDJSON: _ndjson,
    Format.XLSX: _xlsx,
    Format.PARQUET: _parquet,
}
