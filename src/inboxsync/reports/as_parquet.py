"""Parquet, in row groups that are passed on as they are written; needs pyarrow, the extra `parquet`."""

from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Any, Final

from inboxsync.errors import SettingsInvalid
from inboxsync.reports.cells import without_surrogates
from inboxsync.reports.columns import Column, Kind, Record, Value


class ParquetWriter:
    """Writes Parquet: UTC timestamps, JSON as text, phone numbers and addresses as lists of structs."""

    # Each is a row group. pyarrow keeps 1 kB a column of each group until the end: fewer rows would make more
    # groups, more rows larger ones.
    rows_at_once = 4000
    cut_cells = 0

    def __init__(self, columns: tuple[Column, ...]) -> None:
        self._arrow = _pyarrow()
        self._schema = _schema(self._arrow, columns)
        # Not the system's heap: what pyarrow keeps of each group would lie there between freed blocks.
        self._pool = self._arrow.default_memory_pool()
        self._sink = _Sink()
        self._writer: Any = import_module("pyarrow.parquet").ParquetWriter(
            self._arrow.PythonFile(self._sink, mode="w"),
            self._schema,
            compression="zstd",
            memory_pool=self._pool,
        )

    def begin(self) -> bytes:
        """The first bytes of a Parquet file."""
        return self._sink.take()

    def write(self, records: Sequence[Record]) -> bytes:
        """A row group."""
        columns = zip(*records, strict=True)
        arrays = [
            self._arrow.array([_as_arrow(value) for value in column], type=field.type, memory_pool=self._pool)
            for column, field in zip(columns, self._schema, strict=True)
        ]
        self._writer.write_table(self._arrow.Table.from_arrays(arrays, schema=self._schema))
        del arrays
        self._pool.release_unused()
        return self._sink.take()

    def end(self) -> Iterator[bytes]:
        """The index."""
        self._writer.close()
        yield self._sink.take()

    def close(self) -> None:
        """Drop bytes that were not passed on."""
        self._sink.take()


class _Sink:
    """A file whose written bytes can be taken out."""

    def __init__(self) -> None:
        self.closed = False
        self._chunks: list[bytes] = []
        self._size = 0

    def write(self, data: Any) -> int:  # noqa: ANN401 - whatever pyarrow hands over
        chunk = bytes(data)
        self._chunks.append(chunk)
        self._size += len(chunk)
        return len(chunk)

    def tell(self) -> int:
        return self._size

    def flush(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True

    def take(self) -> bytes:
        taken = b"".join(self._chunks)
        self._chunks.clear()
        return taken


def _pyarrow() -> Any:  # noqa: ANN401 - a library without types
    try:
        return import_module("pyarrow")
    except ImportError:
        raise SettingsInvalid(
            "Parquet needs pyarrow, which is not installed.",
            hint="Install it with `pip install 'inboxsync[parquet]'`, or choose csv, ndjson or xlsx.",
        ) from None


def _schema(arrow: Any, columns: tuple[Column, ...]) -> Any:  # noqa: ANN401
    kinds: Final = {
        Kind.TEXT: arrow.string(),
        Kind.JSON: arrow.string(),
        Kind.INTEGER: arrow.int64(),
        Kind.NUMBER: arrow.float64(),
        Kind.BOOLEAN: arrow.bool_(),
        Kind.TIME: arrow.timestamp("ms", tz="UTC"),
        Kind.FOUND: arrow.list_(arrow.struct([("value", arrow.string()), ("message_id", arrow.string())])),
    }
    return arrow.schema(
        [arrow.field(each.name, kinds[each.kind], metadata={"meaning": each.meaning}) for each in columns]
    )


def _as_arrow(value: Value) -> Any:  # noqa: ANN401
    if isinstance(value, str):
        # Takes a quarter of the time of a search for surrogates, which are very rare.
        return value if value.isascii() else without_surrogates(value)
    if isinstance(value, tuple):
        return [found._asdict() for found in value]
    return value
