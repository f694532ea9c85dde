"""Rows of `api_keys`: a key is told once, and only its digest is kept."""

import hashlib
import secrets
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, insert, select, update
from sqlalchemy.exc import IntegrityError

from inboxsync.errors import ApiKeyNameTaken, ApiKeyUnknown
from inboxsync.model import ApiKey, Scope
from inboxsync.store.connection.types import new_id
from inboxsync.store.tables import api_keys as table

_PREFIX_BYTES = 5
_SECRET_BYTES = 32
# The names of those who have no row.
RESERVED_NAMES: Final = ("INBOXSYNC_API_KEY", "local")
# `ibs_` and so many hexadecimal digits; a dot and the secret follow.
PREFIX_LENGTH: Final = len("ibs_") + 2 * _PREFIX_BYTES


def create_api_key(connection: Connection, *, name: str, scope: Scope, now: datetime) -> tuple[ApiKey, str]:
    """A new key, and its text, which nothing can tell again.

    Raises ApiKeyNameTaken.
    """
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
    """Every key that was ever made, in that order; the revoked ones too."""
    return [_key(row) for row in connection.execute(select(table).order_by(table.c.id))]


def revoke_api_key(connection: Connection, name: str, *, now: datetime) -> ApiKey:
    """Make a key open nothing from now on; one that does not already stays as it is.

    Raises ApiKeyUnknown.
    """
    named = table.c.name == name
    connection.execute(update(table).where(named, table.c.revoked_at.is_(None)).values(revoked_at=now))
    row = connection.execute(select(table).where(named)).one_or_none()
    if row is None:
        raise ApiKeyUnknown(f"There is no API key {name!r}.")
    return _key(row)


def fingerprint_of(text: str) -> bytes:
    """What is kept of a key, and compared."""
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
