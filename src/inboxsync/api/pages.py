"""`/api/v1/pages`: add, list, show and remove Pages. No answer ever contains a token."""

import re
from dataclasses import fields
from datetime import datetime
from typing import Annotated, Final, Literal

from anyio import to_thread
from fastapi import APIRouter, Response
from pydantic import Field, SecretStr, field_validator
from sqlalchemy import Connection

from inboxsync.api.auth import requires
from inboxsync.api.schemas import (
    Asked,
    CursorText,
    Limit,
    Listed,
    PageId,
    Shape,
    as_json,
    decode_cursor,
    encode_cursor,
    example,
)
from inboxsync.api.service import Service, ServiceDependency
from inboxsync.model import (
    Completeness,
    CompletenessState,
    Following,
    History,
    ListState,
    Page,
    Platform,
    Scanning,
    Scope,
    TokenReason,
    TokenState,
    Unserved,
)
from inboxsync.store.state.backlog import count_backlog
from inboxsync.store.state.list_positions import list_states
from inboxsync.store.state.pages import count_page, find_page, list_pages_after, remove_page
from inboxsync.sync import completeness_of

router = APIRouter(prefix="/api/v1/pages", tags=["pages"])

# What a header can contain.
_TOKEN = re.compile(r"[!-~]+")
COMPLETENESS_EXAMPLE: Final = {
    "state": "complete",
    "checkedAt": "2026-06-01T03:00:12Z",
    "new": 0,
    "missing": 0,
    "refused": 0,
    "gaps": 0,
    "history": 0,
    "unknown": 0,
    "isBlind": False,
}
_EXAMPLE = {
    "id": "01978b2e-4a10-7cc3-9f6d-3a2b1c0d9e8f",
    "facebookPageId": "104567890123456",
    "platform": "messenger",
    "name": "Corner Bakery",
    "tokenState": "valid",
    "tokenReason": None,
    "tokenProblem": None,
    "tokenExpiresAt": None,
    "history": "newest",
    "lastSyncedAt": "2026-06-01T12:00:00Z",
    "completeness": COMPLETENESS_EXAMPLE,
}


class CompletenessShape(Shape):
    """Whether a Page is complete now: what its last verification found, and what is stored since."""

    state: CompletenessState = Field(
        description="`new`: only what has come since the last sync is not stored; `unverified`: no report."
    )
    checked_at: datetime | None = Field(description="When the lists were last compared.")
    new: int = Field(description="Conversations that are new, or have new messages, since then.")
    missing: int = Field(description="Conversations that Meta lists and that are not stored.")
    refused: int = Field(description="Conversations that cannot be read.")
    gaps: int = Field(description="Conversations that lack messages between stored ones.")
    history: int = Field(description="Conversations that are not read to their beginning yet.")
    unknown: int = Field(description="Entries of Meta's lists without an id, or of an unknown form.")
    is_blind: bool = Field(description="Meta listed no conversation at all, although some are stored.")


class PageShape(Shape):
    """A Page on one platform."""

    model_config = example(**_EXAMPLE)

    id: str = Field(description="Ours: `facebook_pages.id`.")
    facebook_page_id: str = Field(description="Meta's.")
    platform: Platform
    name: str | None
    token_state: TokenState
    token_reason: TokenReason | None = Field(description="Why the token does not work.")
    token_problem: str | None = Field(description="The same as text, with what to do.")
    token_expires_at: datetime | None = Field(description="When it expires; null: never, or unknown.")
    history: History = Field(description="How far back messages are kept.")
    last_synced_at: datetime | None = Field(description="Everything up to this time is stored.")
    completeness: CompletenessShape


class FolderShape(Shape):
    """How far one list of a Page was read."""

    folder: str
    state: Literal["scanning", "following", "unserved", "not_started"]
    watermark_at: datetime | None


class PageDetailShape(PageShape):
    """A Page with what is stored, how far each list was read, and its backlog."""

    model_config = example(
        **_EXAMPLE,
        conversations=10_000,
        contacts=9_870,
        messages=85_000,
        folders=[{"folder": "inbox", "state": "following", "watermarkAt": "2026-06-01T12:00:00Z"}],
        backlog={"conversation": 0, "gap": 0, "history": 0},
    )

    conversations: int
    contacts: int
    messages: int
    folders: list[FolderShape]
    backlog: dict[str, int] = Field(description="What is known to be missing and will be fetched, by kind.")


class NewPage(Asked):
    """A Page and its token."""

    model_config = example(
        facebookPageId="104567890123456",
        token="EAAG...",  # noqa: S106 - an example
        platform="messenger",
        name="Corner Bakery",
    )

    facebook_page_id: Annotated[str, Field(pattern=r"^[0-9]{1,32}$", description="Meta's id.")]
    token: Annotated[
        SecretStr,
        Field(
            min_length=1,
            max_length=4096,
            description="The Page's access token. It is stored encrypted.",
            json_schema_extra={"pattern": "^[!-~]+$"},
        ),
    ]
    platform: Annotated[Platform, Field(strict=False)] = Platform.MESSENGER
    name: Annotated[str | None, Field(max_length=200, description="Default: the Page's own name.")] = None

    @field_validator("token")
    @classmethod
    def _fits_a_header(cls, value: SecretStr) -> SecretStr:
        text = value.get_secret_value()
        if not _TOKEN.fullmatch(text):
            raise ValueError("this is not an access token: copy it whole, without quotes or line breaks")
        return value


_ADD_PAGE = requires(Scope.ADMIN, 409, 413, 502)
_ADD_PAGE["responses"] |= {
    200: {"model": PageShape, "description": "The Page was known; its token was replaced."}
}


@router.get("", summary="List Pages", **requires(Scope.READ))
@as_json
def list_pages(service: ServiceDependency, cursor: CursorText = None, limit: Limit = 50) -> Listed[PageShape]:
    """In the order in which they were added."""
    (after,) = decode_cursor("pages", cursor, parts=1) if cursor else ("",)
    with service.engine.store.read() as connection:
        found = list_pages_after(connection, after, limit=limit + 1)
        complete = completeness_of(connection, found[:limit])
    items = [_page_shape(page, complete[page.id]) for page in found[:limit]]
    more = encode_cursor("pages", found[limit - 1].id) if len(found) > limit else None
    return Listed(items=items, next_cursor=more)


@router.post(
    "",
    status_code=201,
    summary="Add a Page, or replace the token of a known one",
    **_ADD_PAGE,
)
async def add_page(service: ServiceDependency, asked: NewPage, response: Response) -> PageShape:
    """The token is checked with Meta before anything is stored, and no answer contains it."""
    page, is_new = await service.engine.add_page(
        asked.facebook_page_id,
        platform=asked.platform,
        token=asked.token.get_secret_value(),
        name=asked.name,
    )
    response.status_code = 201 if is_new else 200
    complete = await service.read(lambda connection: completeness_of(connection, [page]))
    return _page_shape(page, complete[page.id])


@router.get("/{page_id}", summary="Show a Page", **requires(Scope.READ, 404, 409))
@as_json
def show_page(service: ServiceDependency, page_id: PageId) -> PageDetailShape:
    """With what is stored, how far each folder was read, and its backlog."""
    with service.engine.store.read() as connection:
        return _detail(connection, find_page(connection, page_id))


@router.delete("/{page_id}", status_code=204, summary="Remove a Page", **requires(Scope.ADMIN, 404, 409))
async def delete_page(service: ServiceDependency, page_id: PageId) -> None:
    """Deletes its token, conversations, messages and runs. Nothing changes at Meta."""
    await to_thread.run_sync(_remove, service, page_id, limiter=service.writers)


def completeness_shape(found: Completeness) -> CompletenessShape:
    """What is known of a Page's completeness, in the API's shape."""
    return CompletenessShape(**{each.name: getattr(found, each.name) for each in fields(found)})


def _page_shape(page: Page, complete: Completeness) -> PageShape:
    """A stored Page in the API's shape."""
    return PageShape(
        id=page.id,
        facebook_page_id=page.facebook_page_id,
        platform=page.platform,
        name=page.name,
        token_state=page.token_state,
        token_reason=page.token_reason,
        token_problem=page.token_problem,
        token_expires_at=page.token_expires_at,
        history=page.history,
        last_synced_at=page.last_synced_at,
        completeness=completeness_shape(complete),
    )


def _remove(service: Service, page_id: str) -> None:
    with service.engine.store.write() as connection:
        remove_page(connection, find_page(connection, page_id))


def _detail(connection: Connection, page: Page) -> PageDetailShape:
    counts = count_page(connection, page)
    return PageDetailShape(
        **dict(_page_shape(page, completeness_of(connection, [page])[page.id])),
        conversations=counts.conversations,
        contacts=counts.contacts,
        messages=counts.messages,
        folders=[_folder(folder, each) for folder, each in list_states(connection, page).items()],
        backlog={kind.value: count for kind, count in count_backlog(connection, page).items()},
    )


def _folder(folder: str, state: ListState) -> FolderShape:
    match state:
        case Following(watermark=watermark):
            return FolderShape(folder=folder, state="following", watermark_at=watermark)
        case Scanning(watermark=watermark):
            return FolderShape(folder=folder, state="scanning", watermark_at=watermark)
        case Unserved():
            return FolderShape(folder=folder, state="unserved", watermark_at=None)
    return FolderShape(folder=folder, state="not_started", watermark_at=None)
