"""`/api/v1/keys`: the API keys, and the rule that nobody locks everybody out."""

from datetime import datetime
from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Path, Query
from pydantic import Field
from sqlalchemy import Connection

from inboxsync.api.auth import FIXED, requires
from inboxsync.api.problems import FirstKeyTooSmall, LastAdminKey
from inboxsync.api.schemas import (
    Asked,
    CursorText,
    Limit,
    Listed,
    Shape,
    as_json,
    decode_cursor,
    encode_cursor,
    example,
)
from inboxsync.api.service import Service, ServiceDependency
from inboxsync.errors import ApiKeyUnknown
from inboxsync.model import ApiKey, Scope
from inboxsync.store.state.credentials import (
    LONGEST_KEY_NAME,
    create_api_key,
    list_api_keys,
    revoke_api_key,
)
from inboxsync.store.state.pages import stored_id

router = APIRouter(prefix="/api/v1/keys", tags=["keys"])

_EXAMPLE = {
    "id": "01978b2e-8e54-7007-bdab-7e6f5a4b3c2d",
    "name": "my-script",
    "scope": "read",
    "prefix": "ibs_0123456789",
    "createdAt": "2026-06-01T12:00:00Z",
    "revokedAt": None,
}


class KeyShape(Shape):
    """An API key: how it begins, never the whole key."""

    model_config = example(**_EXAMPLE)

    id: str
    name: str
    scope: Scope
    prefix: str = Field(description="How the key begins.")
    created_at: datetime
    revoked_at: datetime | None = Field(description="Since when it is not valid any more.")


class NewKeyShape(KeyShape):
    """A new API key, with the key itself."""

    model_config = example(**_EXAMPLE, key="ibs_0123456789.AbCdEf...")

    key: str = Field(description="Keep it: it is not shown again, and only its digest is stored.")


class NewKey(Asked):
    """A name that was never used, and what the key opens."""

    model_config = example(name="my-script", scope="read")

    name: Annotated[
        str,
        Field(
            min_length=1,
            max_length=LONGEST_KEY_NAME,
            description="Who or what uses it: printable characters. A name cannot be used again.",
            json_schema_extra={"format": "key-name"},
        ),
    ]
    scope: Annotated[Scope, Field(strict=False)] = Scope.READ


@router.get("", summary="List API keys", **requires(Scope.ADMIN))
@as_json
def show_keys(service: ServiceDependency, cursor: CursorText = None, limit: Limit = 50) -> Listed[KeyShape]:
    """Every key that was made, also the revoked ones, in the order in which they were made."""
    (after,) = decode_cursor("keys", cursor, parts=1) if cursor else ("",)
    with service.engine.store.read() as connection:
        found = [key for key in list_api_keys(connection) if key.id > after]
    more = encode_cursor("keys", found[limit - 1].id) if len(found) > limit else None
    return Listed(items=[_shape(key) for key in found[:limit]], next_cursor=more)


@router.post("", status_code=201, summary="Create an API key", **requires(Scope.ADMIN, 409, 413))
async def add_key(service: ServiceDependency, asked: NewKey) -> NewKeyShape:
    """Only this answer contains the key. The first key must have the scope `admin`: it closes the service."""
    key, text = await to_thread.run_sync(make_key, service, asked.name, asked.scope, limiter=service.writers)
    return NewKeyShape(**dict(_shape(key)), key=text)


@router.delete("/{key}", summary="Revoke an API key", **requires(Scope.ADMIN, 404, 409))
async def remove_key(
    *,
    service: ServiceDependency,
    key: Annotated[
        str,
        Path(
            min_length=1,
            max_length=LONGEST_KEY_NAME,
            description="Its name or its id.",
            examples=[_EXAMPLE["id"]],
        ),
    ],
    confirm: Annotated[bool, Query(description="Also if it is the last key that may do everything.")] = False,
) -> KeyShape:
    """The key is not valid from now on. It stays in the list, and its name is not used again."""
    return _shape(
        await to_thread.run_sync(
            lambda: revoke_key(service, key, is_confirmed=confirm), limiter=service.writers
        )
    )


def make_key(service: Service, name: str, scope: Scope) -> tuple[ApiKey, str]:
    """A new key and its text. Raises FirstKeyTooSmall, ApiKeyNameTaken, SettingsInvalid."""
    with service.engine.store.write() as connection:
        if scope is not Scope.ADMIN and not admin_names(service, list_api_keys(connection)):
            raise FirstKeyTooSmall("The first key must be allowed to do everything.")
        made = create_api_key(connection, name=name, scope=scope, now=service.engine.clock.now())
    service.keys.forget()
    return made


def revoke_key(service: Service, named: str, *, is_confirmed: bool) -> ApiKey:
    """Make a key, by its id or its name, invalid from now on. Raises LastAdminKey, ApiKeyUnknown."""
    with service.engine.store.write() as connection:
        name = _name_of(connection, named)
        if not is_confirmed and admin_names(service, list_api_keys(connection)) == {name}:
            raise LastAdminKey(f"{name} is the last key that may do everything.")
        revoked = revoke_api_key(connection, name, now=service.engine.clock.now())
    service.keys.forget()
    return revoked


def admin_names(service: Service, keys: list[ApiKey]) -> set[str]:
    """The names of the keys that may do everything, with the one of the environment."""
    named = {key.name for key in keys if key.scope is Scope.ADMIN and key.revoked_at is None}
    return named | ({FIXED} if service.engine.settings.api_key is not None else set())


def _name_of(connection: Connection, named: str) -> str:
    keys = list_api_keys(connection)
    found = [key for key in keys if key.name == named] or [key for key in keys if key.id == stored_id(named)]
    if not found:
        raise ApiKeyUnknown("There is no such API key.", hint="GET /api/v1/keys lists them.")
    return found[0].name


def _shape(key: ApiKey) -> KeyShape:
    return KeyShape(
        id=key.id,
        name=key.name,
        scope=key.scope,
        prefix=key.prefix,
        created_at=key.created_at,
        revoked_at=key.revoked_at,
    )
