"""NDJSON: one JSON object per line, every text exactly as it is stored.

U+0085, U+2028 and U+2029 are escaped: some readers end lines there.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from inboxsync.reports.cells import without_surrogates
from inboxsync.reports.columns import Column, Kind, Record, Value

_encode_lines = msgspec.json.Encoder().encode_lines
# In UTF-8; each stands in a JSON text only, where an escape means the same.
_LINE_ENDS: Final = (
    (b"\xc2\x85", b"\\u0085"),
    (b"\xe2\x80\xa8", b"\\u2028"),
    (b"\xe2\x80\xa9", b"\\u2029"),
)


class NdjsonWriter:
    """Writes NDJSON: JSON from Meta as JSON, phone numbers and addresses as lists of {value, message_id}."""

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
        """One line for each record."""
        rows = [self._object(record) for record in records]
        try:
            lines = _encode_lines(rows)
        except UnicodeEncodeError:
            lines = _encode_lines([_encodable(row) for row in rows])
        if not lines.isascii():
            for raw, escaped in _LINE_ENDS:
                lines = lines.replace(raw, escaped)
        return lines

    def end(self) -> Iterator[bytes]:
        """Nothing: the export writes the trailer."""
        return iter(())

    def close(self) -> None:
        """There is nothing to release."""

    def _object(self, record: Record) -> dict[str, Any]:
        made: dict[str, Any] = dict(zip(self._names, record, strict=True))
        for place, kind in self._special:
            made[self._names[place]] = _as_json(kind, record[place])
        return made


def _encodable(row: dict[str, Any]) -> dict[str, Any]:
    return {
        name: without_surrogates(value) if isinstance(value, str) else value for name, value in row.items()
    }


def _as_json(kind: Kind, value: Value) -> Any:  # noqa: ANN401 - any JSON
    if kind is Kind.JSON:
        return msgspec.Raw(_compact(value)) if isinstance(value, str) else None
    return [found._asdict() for found in value] if isinstance(value, tuple) else []


def _compact(text: str) -> str | bytes:
    try:
        return msgspec.json.format(text, indent=-1)
    except msgspec.DecodeError:
        # Some accept half a surrogate pair, escaped, as JSON. What is not JSON at all is written as text.
        try:
            return json.dumps(json.loads(text), separators=(",", ":"))
        except ValueError:
            return msgspec.json.encode(without_surrogates(text))
