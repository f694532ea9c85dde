"""NDJSON: a JSON object a line, every text exactly as it is stored."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from inboxsync.reports.cells import mended
from inboxsync.reports.columns import Column, Kind, Record, Value

_encode_lines = msgspec.json.Encoder().encode_lines


class NdjsonWriter:
    """Writes NDJSON. JSON as served stays JSON; what was found is a list of {value, message_id}."""

    rows_at_once = 1000
    cut_cells = 0

    def __init__(self, columns: tuple[Column, ...]) -> None:
        self._names = [column.name for column in columns]
        self._special = [
            (place, column.kind)
            for place, column in enumerate(columns)
            if column.kind in {Kind.JSON, Kind.FOUND}
        ]

    def begin(self) -> bytes:
        """Nothing."""
        return b""

    def write(self, records: Sequence[Record]) -> bytes:
        """A line each."""
        rows = [self._object(record) for record in records]
        try:
            return _encode_lines(rows)
        except UnicodeEncodeError:
            return _encode_lines(
                [
                    {name: mended(value) if isinstance(value, str) else value for name, value in row.items()}
                    for row in rows
                ]
            )

    def end(self) -> Iterator[bytes]:
        """Nothing: the trailer is the export's."""
        return iter(())

    def close(self) -> None:
        """Nothing is held."""

    def _object(self, record: Record) -> dict[str, Any]:
        made: dict[str, Any] = dict(zip(self._names, record, strict=True))
        for place, kind in self._special:
            made[self._names[place]] = _as_json(kind, record[place])
        return made


def _as_json(kind: Kind, value: Value) -> Any:  # noqa: ANN401 - any JSON
    if kind is Kind.JSON:
        return msgspec.Raw(_compact(value)) if isinstance(value, str) else None
    return [found._asdict() for found in value] if isinstance(value, tuple) else []


def _compact(text: str) -> str | bytes:
    try:
        return msgspec.json.format(text, indent=-1)
    except msgspec.DecodeError:
        # Half a surrogate pair, escaped, is JSON to some. What is none at all is a text like any other.
        try:
            return json.dumps(json.loads(text), separators=(",", ":"))
        except ValueError:
            return msgspec.json.encode(mended(text))
