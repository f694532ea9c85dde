"""Cursors: where a list goes on, as text that means nothing to whoever passes it on."""

import base64
import binascii
from typing import Final

import msgspec

from inboxsync.api.errors import CursorInvalid

LONGEST: Final = 512
_decode = msgspec.json.Decoder(list[str]).decode


def encode_cursor(kind: str, *key: str) -> str:
    """A cursor of the list `kind` that goes on behind this key."""
    return base64.urlsafe_b64encode(msgspec.json.encode([kind, *key])).decode().rstrip("=")


def decode_cursor(kind: str, cursor: str, *, parts: int) -> tuple[str, ...]:
    """The key that `encode_cursor` was given. Raises CursorInvalid."""
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        named, *key = _decode(text)
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        raise CursorInvalid("This cursor is none of ours.") from None
    if named != kind or len(key) != parts or any("\0" in part for part in key):
        raise CursorInvalid("This cursor belongs to another list.")
    return tuple(key)
