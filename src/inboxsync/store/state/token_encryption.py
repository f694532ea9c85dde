"""Keeps tokens unreadable in the database: AES-256-GCM, the Page's id as associated data.

A sealed token that is copied to another Page's row does not open there.
"""

import base64
import hashlib
import os
from pathlib import Path

from inboxsync.errors import SettingsInvalid, StoreUnavailable, TokenUndecryptable

_KEY_BYTES = 32
_NONCE_BYTES = 12
_SHORTEST_SECRET = 16


class TokenCipher:
    """Seals and opens tokens with one key."""

    def __init__(self, key: bytes) -> None:
        # 7 MB that nobody needs who opens no token: an export is held to what memory it takes.
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415

        self._cipher = AESGCM(key)

    @classmethod
    def from_secret(cls, secret: str) -> "TokenCipher":
        """With the key that INBOXSYNC_SECRET_KEY holds: any text of 16 characters or more.

        32 random bytes in base64 are taken as they are; another text is hashed into a key.
        """
        if len(secret) < _SHORTEST_SECRET:
            raise SettingsInvalid(
                "INBOXSYNC_SECRET_KEY is too short.",
                hint="Use 16 characters or more, for example the output of `openssl rand -base64 32`.",
            )
        try:
            key = base64.b64decode(secret, validate=True)
        except ValueError:
            key = b""
        return cls(key if len(key) == _KEY_BYTES else hashlib.sha256(secret.encode()).digest())

    @classmethod
    def from_file(cls, path: Path, *, may_make: bool) -> "TokenCipher":
        """With the key in this file, readable by its owner alone.

        `may_make`: on first use it is made. Where tokens are sealed already, a new key would
        only hide that theirs is lost.
        """
        try:
            if may_make:
                path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                _make_key_file(path)
            text = path.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not text"
            raise StoreUnavailable(
                f"The key file {path} cannot be used: {why}.",
                hint="Put the key back, or set INBOXSYNC_SECRET_KEY, or add the Page again with its token.",
            ) from error
        if len(text) < _SHORTEST_SECRET:
            raise StoreUnavailable(
                f"The key file {path} holds no key.",
                hint="Put the key back, or remove the file and add the Pages again with their tokens.",
            )
        return cls.from_secret(text)

    def encrypt(self, token: str, *, page_id: str) -> str:
        """`token` as base64 text that only this key opens, for this Page alone."""
        nonce = os.urandom(_NONCE_BYTES)
        return base64.b64encode(
            nonce + self._cipher.encrypt(nonce, token.encode(), page_id.encode())
        ).decode()

    def open(self, encrypted: str, *, page_id: str) -> str:
        """The token. Raises TokenSealed where another key sealed it."""
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - see above

        try:
            raw = base64.b64decode(encrypted, validate=True)
            return self._cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], page_id.encode()).decode()
        except (InvalidTag, ValueError):
            raise TokenUndecryptable(
                f"The stored token of Page {page_id} does not open with this key."
            ) from None


def _make_key_file(path: Path) -> None:
    """Write a new key unless one is there; of two processes at once, one wins and both read the same key."""
    if path.exists():
        return
    prepared = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(prepared, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(base64.b64encode(os.urandom(_KEY_BYTES)))
        os.link(prepared, path)
    except FileExistsError:
        pass
    finally:
        prepared.unlink(missing_ok=True)
