"""Cursors: opaque text that leads back into one list (graph-facts 1.8).

`QVFI...` is base64 of `AQH...`, escaped as Meta does (Z to ZA, + to ZB, / to ZC, = to
ZD). Ours holds a place and a mark of its list: a cursor of another list is refused.
`MjQZD`-like ones hold an index ("24") and belong to every list, as Meta's do.
"""

import base64
import json
from typing import Any

from inboxsync.sandbox.ids import digest
from inboxsync.sandbox.refusal import bad_cursor

_ESCAPES = (("Z", "ZA"), ("+", "ZB"), ("/", "ZC"), ("=", "ZD"))
_MARK = "AQH"
_LONGEST_INDEX = 12


def opaque_cursor(list_name: str, place: list[Any]) -> str:
    """A cursor to `place` (JSON) of this list."""
    return _escape(_MARK + digest("cursor", list_name).hex()[:16] + json.dumps(place, separators=(",", ":")))


def read_opaque(cursor: str, list_name: str) -> list[Any]:
    """The place. Raises Refusal for an unknown cursor, or one of another list."""
    text = _unescape(cursor)
    head = _MARK + digest("cursor", list_name).hex()[:16]
    if not text.startswith(head):
        raise bad_cursor()
    try:
        place = json.loads(text.removeprefix(head))
    except ValueError:
        raise bad_cursor() from None
    if not isinstance(place, list):
        raise bad_cursor()
    return place


def index_cursor(index: int) -> str:
    """`MAZDZD` for 0, `MjQZD` for 24."""
    return _escape(str(index))


def read_index(cursor: str) -> int:
    """The index. Raises Refusal for anything else."""
    text = _unescape(cursor)
    if not (text.isdecimal() and text.isascii() and len(text) < _LONGEST_INDEX):
        raise bad_cursor()
    return int(text)


def _escape(text: str) -> str:
    encoded = base64.b64encode(text.encode()).decode()
    for plain, escaped in _ESCAPES:
        encoded = encoded.replace(plain, escaped)
    return encoded


def _unescape(cursor: str) -> str:
    encoded, at = "", 0
    back = {escaped: plain for plain, escaped in _ESCAPES}
    while at < len(cursor):
        pair = cursor[at : at + 2]
        encoded += back.get(pair, cursor[at])
        at += 2 if pair in back else 1
    try:
        return base64.b64decode(encoded, validate=True).decode()
    except ValueError:
        raise bad_cursor() from None
