"""Where a list goes on, as text in an address: the HTTP service's cursors around the store's keys."""

from datetime import datetime

from inboxsync.api.cursors import decode_cursor, encode_cursor
from inboxsync.api.errors import CursorInvalid
from inboxsync.store.reads import Key

_PARTS = 2


def text_of(kind: str, key: Key | None) -> str | None:
    """The address part behind which the list goes on; None at its end."""
    if key is None:
        return None
    at, row_id = key
    return encode_cursor(kind, at.isoformat() if at else "", row_id)


def key_of(kind: str, text: str) -> Key | None:
    """The key that `text_of` was given; None where there is none. Raises CursorInvalid."""
    if not text:
        return None
    at, row_id = decode_cursor(kind, text, parts=_PARTS)
    try:
        return (datetime.fromisoformat(at) if at else None), row_id
    except ValueError:
        raise CursorInvalid("This cursor is none of ours.") from None
