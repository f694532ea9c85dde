"""What must not be read from the database: API keys are stored as digests, the tokens of Pages encrypted."""

import base64
import hashlib
import os
import secrets
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Row, insert, select, update
from sqlalchemy.exc import IntegrityError

from inboxsync.errors import (
    ApiKeyNameTaken,
    ApiKeyUnknown,
    SettingsInvalid,
    StoreUnavailable,
    TokenUndecryptable,
)
from inboxsync.model import ApiKey, Scope
from inboxsync.store.connection.types import new_id
from inboxsync.store.tables import api_keys as table
from inboxsync.store.tables import facebook_pages

_PREFIX_BYTES = 5
_SECRET_BYTES = 32
# Names of callers without a row.
RESERVED_NAMES: Final = ("INBOXSYNC_API_KEY", "local")
# `ibs_` and these hexadecimal digits; a dot and the secret follow.
PREFIX_LENGTH: Final = len("ibs_") + 2 * _PREFIX_BYTES
_KEY_BYTES = 32
_NONCE_BYTES = 12
_SHORTEST_SECRET = 16
LONGEST_KEY_NAME: Final = 64


def create_api_key(connection: Connection, *, name: str, scope: Scope, now: datetime) -> tuple[ApiKey, str]:
    """A new key, and its text, which cannot be shown again.

    Raises ApiKeyNameTaken, and SettingsInvalid for a name that is empty, too long, or not printable.
    """
    if not name.strip() or len(name) > LONGEST_KEY_NAME or not name.isprintable():
        raise SettingsInvalid(
            f"An API key needs a name of 1 to {LONGEST_KEY_NAME} printable characters.",
            hint="Say who or what uses the key.",
        )
    if name in RESERVED_NAMES:
        raise ApiKeyNameTaken(f"No API key can be called {name!r}.")
    prefix = f"ibs_{secrets.token_hex(_PREFIX_BYTES)}"
    text = f"{prefix}.{secrets.token_urlsafe(_SECRET_BYTES)}"
    key = ApiKey(
        id=new_id(), name=name, scope=scope, prefix=prefix, digest=fingerprint_of(text).hex(), created_at=now
    )
    row = {
        "id": key.id,
        "name": name,
        "scope": scope.value,
        "prefix": prefix,
        "digest": key.digest,
        "created_at": now,
    }
    try:
        connection.execute(insert(table), row)
    except IntegrityError:
        raise ApiKeyNameTaken(f"There is an API key {name!r} already, or there was one.") from None
    return key, text


def list_api_keys(connection: Connection) -> list[ApiKey]:
    """Every key that was ever created, in that order, including the revoked ones."""
    return [_key(row) for row in connection.execute(select(table).order_by(table.c.id))]


def revoke_api_key(connection: Connection, name: str, *, now: datetime) -> ApiKey:
    """Make a key invalid from now on. A revoked one stays as it is.

    Raises ApiKeyUnknown.
    """
    named = table.c.name == name
    connection.execute(update(table).where(named, table.c.revoked_at.is_(None)).values(revoked_at=now))
    row = connection.execute(select(table).where(named)).one_or_none()
    if row is None:
        raise ApiKeyUnknown(f"There is no API key {name!r}.")
    return _key(row)


def fingerprint_of(text: str) -> bytes:
    """The digest of a key: what is stored and compared."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()


def _key(row: Row[Any]) -> ApiKey:
    return ApiKey(
        id=row.id,
        name=row.name,
        scope=Scope(row.scope),
        prefix=row.prefix,
        digest=row.digest,
        created_at=row.created_at,
        revoked_at=row.revoked_at,
    )


class TokensEncrypted(NamedTuple):
    """How many tokens were encrypted with a new key, and how many no known key decrypts."""

    done: int
    unknown: int


class TokenCipher:
    """Encrypts tokens with one key: AES-256-GCM, with the Page's id as associated data.

    So a token that is copied to another Page's row cannot be decrypted there.
    """

    def __init__(self, key: bytes) -> None:
        # Imported here: it takes 7 MB, and an export, which needs no token, has a memory limit.
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415

        self._cipher = AESGCM(key)

    @classmethod
    def from_secret(cls, secret: str) -> "TokenCipher":
        """With the key in INBOXSYNC_SECRET_KEY: any text of 16 characters or more.

        32 random bytes in base64 are used as they are; from another text a key is derived (scrypt, RFC 7914),
        so that each guess of a passphrase costs a tenth of a second and 32 MB.
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
        return cls(key if len(key) == _KEY_BYTES else _derived_key(secret))

    @classmethod
    def from_file(cls, path: Path, *, may_make: bool) -> "TokenCipher":
        """With the key in this file, which only its owner may read.

        `may_make`: create it on first use. If tokens are encrypted already, a new key would only hide that
        theirs is lost.
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
                f"The key file {path} contains no key.",
                hint="Put the key back, or remove the file and add the Pages again with their tokens.",
            )
        return cls.from_secret(text)

    def encrypt(self, token: str, *, page_id: str) -> str:
        """`token` as base64 text that only this key decrypts, and only for this Page."""
        nonce = os.urandom(_NONCE_BYTES)
        return base64.b64encode(
            nonce + self._cipher.encrypt(nonce, token.encode(), page_id.encode())
        ).decode()

    def decrypt(self, encrypted: str, *, page_id: str) -> str:
        """The token. Raises TokenUndecryptable where it was encrypted with another key."""
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - see above

        try:
            raw = base64.b64decode(encrypted, validate=True)
            return self._cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], page_id.encode()).decode()
        except (InvalidTag, ValueError):
            raise TokenUndecryptable(
                f"The stored token of Page {page_id} cannot be decrypted with this key."
            ) from None


def encrypt_tokens_again(connection: Connection, *, old: TokenCipher, new: TokenCipher) -> TokensEncrypted:
    """Encrypt every Page's token with another key. One that only `new` decrypts is encrypted already.

    One that neither decrypts stays as it is: nobody can use it anyway.
    """
    columns = facebook_pages.c
    done = unknown = 0
    for row_id, page_id, encrypted in connection.execute(
        select(columns.id, columns.facebook_page_id, columns.access_token_encrypted)
    ).all():
        token = next(filter(None, (_try(cipher, encrypted, page_id) for cipher in (old, new))), None)
        if token is None:
            unknown += 1
            continue
        again = new.encrypt(token, page_id=page_id)
        connection.execute(
            update(facebook_pages).where(columns.id == row_id).values(access_token_encrypted=again)
        )
        done += 1
    return TokensEncrypted(done=done, unknown=unknown)


def _try(cipher: TokenCipher, encrypted: str, page_id: str) -> str | None:
    try:
        return cipher.decrypt(encrypted, page_id=page_id)
    except TokenUndecryptable:
        return None


def _derived_key(passphrase: str) -> bytes:
    """A copy of the database must decrypt the same tokens, so the salt is the same everywhere."""
    return hashlib.scrypt(
        passphrase.encode(), salt=b"inboxsync secret key", n=2**15, r=8, p=1, maxmem=2**26, dklen=_KEY_BYTES
    )


def _make_key_file(path: Path) -> None:
    """Write a new key if there is none. Of two processes at once one wins, and both read the same key."""
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
