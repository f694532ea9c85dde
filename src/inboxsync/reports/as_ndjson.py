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
        # Its objects are made and encoded in half the time of a dictionary.
        self._object = msgspec.defstruct("Line", [column.name for column in columns], gc=False)
        self._kinds = [column.kind for column in columns]

    def begin(self) -> bytes:
        """Nothing."""
        return b""

    def write(self, records: Sequence[Record]) -> bytes:
        """One line for each record."""
        columns = [
            _as_json(kind, values)
            for kind, values in zip(self._kinds, zip(*records, strict=True), strict=True)
        ]
        try:
            lines = _encode_lines([*map(self._object, *columns)])
        except UnicodeEncodeError:
            lines = _encode_lines([*map(self._object, *map(_encodable, columns))])
        if not lines.isascii():
            for raw, escaped in _LINE_ENDS:
                lines = lines.replace(raw, escaped)
        return lines

    def end(self) -> Iterator[bytes]:
        """Nothing: the export writes the trailer."""
        return iter(())

    def close(self) -> None:
        """There is nothing to release."""


def _encodable(values: Sequence[Any]) -> Sequence[Any]:
    return [without_surrogates(value) if isinstance(value, str) else value for value in values]


def _as_json(kind: Kind, values: Sequence[Value]) -> Sequence[Any]:
    """The values of a column as they are encoded."""
    if kind is Kind.JSON:
        return [msgspec.Raw(_compact(value)) if isinstance(value, str) else None for value in values]
    if kind is Kind.FOUND:
        return [[found._asdict() for found in value] if isinstance(value, tuple) else [] for value in values]
    return values


def _compact(text: str) -> str | bytes:
    try:
        return msgspec.json.format(text, indent=-1)
    except msgspec.DecodeError:
        # Some accept half a surrogate pair, escaped, as JSON. What is not JSON at all is written as text.
        try:
            return json.dumps(json.loads(text), separators=(",", ":"))
        except ValueError:
            return msgspec.json.encode(without_surrogates(text))
