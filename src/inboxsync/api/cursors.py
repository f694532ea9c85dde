"""Cursors: where a list goes on, as text that means nothing to whoever passes it on."""

import base64
import binascii
from datetime import UTC, datetime
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


def encode_key(kind: str, key: tuple[datetime | None, str] | None) -> str | None:
    """A cursor of a list that is ordered by time; None at its end."""
    if key is None:
        return None
    at, row_id = key
    return encode_cursor(kind, at.isoformat() if at is not None else "", row_id)


def decode_key(kind: str, cursor: str) -> tuple[datetime | None, str]:
    """The time and the id that `encode_key` was given. Raises CursorInvalid."""
    at, row_id = decode_cursor(kind, cursor, parts=2)
    if not at:
        return None, row_id
    try:
        parsed = datetime.fromisoformat(at)
    except ValueError:
        raise CursorInvalid("This cursor is none of ours.") from None
    if parsed.tzinfo is None:
        raise CursorInvalid("This cursor is none of ours.")
    return in_utc(parsed), row_id


def in_utc(at: datetime) -> datetime:
    """The same instant; one beyond the calendar is the calendar's end."""
    try:
        return at.astimezone(UTC)
    except OverflowError:
        return datetime.min.replace(tzinfo=UTC) if at.year == 1 else datetime.max.replace(tzinfo=UTC)
