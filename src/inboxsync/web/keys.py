"""Where a list goes on, as text in an address: the HTTP service's cursors around the store's keys."""

from inboxsync.api.cursors import decode_key, encode_key
from inboxsync.store.reading import Key


def text_of(kind: str, key: Key | None) -> str | None:
    """The address part behind which the list goes on; None at its end."""
    return encode_key(kind, key)


def key_of(kind: str, text: str) -> Key | None:
    """The key that `text_of` was given; None where there is none. Raises CursorInvalid."""
    return decode_key(kind, text) if text else None
