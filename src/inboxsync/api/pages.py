"""`/api/v1/pages`: add, list, show and remove Pages. A token comes in, and never goes out."""

import re
from datetime import datetime
from typing import Annotated, Literal

from anyio import to_thread
from fastapi import APIRouter, Response
from pydantic import Field, SecretStr, field_validator
from sqlalchemy import Connection

from inboxsync.api.answers import as_json
from inboxsync.api.auth import opens
from inboxsync.api.cursors import decode_cursor, encode_cursor
from inboxsync.api.schemas import Asked, CursorText, Limit, Listed, PageId, Shape, example
from inboxsync.api.service import Service, ServiceDependency
from inboxsync.errors import PageUnknown
from inboxsync.model import (
    Following,
    History,
    ListState,
    Page,
    Platform,
    Scanning,
    Scope,
    TokenReason,
    TokenState,
)
from inboxsync.model import Unserved as NotServed
from inboxsync.store.state.backlog import count_backlog
from inboxsync.store.state.list_positions import list_states
from inboxsync.store.state.pages import count_page, get_page, list_pages_after, remove_page

router = APIRouter(prefix="/api/v1/pages", tags=["pages"])

# What can travel in a header.
_TOKEN = re.compile(r"[!-~]+")
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
}


class PageShape(Shape):
    """A Page: one platform's inbox of it."""

    model_config = example(**_EXAMPLE)

    id: str = Field(description="Ours: `facebook_pages.id`.")
    facebook_page_id: str = Field(description="Meta's.")
    platform: Platform
    name: str | None
    token_state: TokenState
    token_reason: TokenReason | None = Field(description="Why the token does not work.")
    token_problem: str | None = Field(description="The same in words, and what to do.")
    token_expires_at: datetime | None = Field(description="When it ends; null: never, or not known.")
    history: History = Field(description="How far back messages are kept.")
    last_synced_at: datetime | None = Field(description="All up to here is stored.")


class FolderShape(Shape):
    """How far one list of a Page has come."""

    folder: str
    state: Literal["walking", "following", "unserved", "not_started"]
    watermark_at: datetime | None


class PageDetailShape(PageShape):
    """A Page with what is stored of it, how far it has come, and what is owed."""

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
    backlog: dict[str, int] = Field(description="What is known to be missing, by kind.")


class NewPage(Asked):
    """A Page and its token."""

    model_config = example(
        facebookPageId="104567890123456",
        token="EAAG...",  # noqa: S106 - of nobody
        platform="messenger",
        name="Corner Bakery",
    )

    facebook_page_id: Annotated[str, Field(pattern=r"^[0-9]{1,32}$", description="Meta's id.")]
    token: Annotated[
        SecretStr,
        Field(
            min_length=1,
            max_length=4096,
            description="The Page's access token. It is stored sealed.",
            json_schema_extra={"pattern": "^[!-~]+$"},
        ),
    ]
    platform: Annotated[Platform, Field(strict=False)] = Platform.MESSENGER
    name: Annotated[str | None, Field(max_length=200, description="Else the Page's own.")] = None

    @field_validator("token")
    @classmethod
    def _can_travel(cls, value: SecretStr) -> SecretStr:
        text = value.get_secret_value()
        if not _TOKEN.fullmatch(text):
            raise ValueError("this is not an access token: copy it whole, without quotes or line breaks")
        return value


@router.get("", summary="List Pages", **opens(Scope.READ, 422))
@as_json
def list_pages(service: ServiceDependency, cursor: CursorText = None, limit: Limit = 50) -> Listed[PageShape]:
    """In the order in which they were added."""
    (after,) = decode_cursor("pages", cursor, parts=1) if cursor else ("",)
    with service.engine.store.read() as connection:
        found = list_pages_after(connection, after, limit=limit + 1)
    items = [page_shape(page) for page in found[:limit]]
    more = encode_cursor("pages", found[limit - 1].id) if len(found) > limit else None
    return Listed(items=items, next_cursor=more)


@router.post(
    "",
    status_code=201,
    summary="Add a Page, or give a known one a new token",
    **(
        opens(Scope.ADMIN, 409, 413, 422, 502)
        | {
            "responses": opens(Scope.ADMIN, 409, 413, 422, 502)["responses"]
            | {200: {"model": PageShape, "description": "It was known, and has the new token."}}
        }
    ),
)
async def add_page(service: ServiceDependency, asked: NewPage, response: Response) -> PageShape:
    """The token is checked against Meta before anything is kept, and is in no answer."""
    page, is_new = await service.engine.add_page(
        asked.facebook_page_id,
        platform=asked.platform,
        token=asked.token.get_secret_value(),
        name=asked.name,
    )
    response.status_code = 201 if is_new else 200
    return page_shape(page)


@router.get("/{page_id}", summary="Show a Page", **opens(Scope.READ, 404, 422))
@as_json
def show_page(service: ServiceDependency, page_id: PageId) -> PageDetailShape:
    """With what is stored of it, how far each folder has come, and what is owed."""
    with service.engine.store.read() as connection:
        return _detail(connection, get_own_page(connection, page_id))


@router.delete("/{page_id}", status_code=204, summary="Forget a Page", **opens(Scope.ADMIN, 404, 422))
async def delete_page(service: ServiceDependency, page_id: PageId) -> None:
    """Its token, its conversations, its messages, its runs. Nothing changes at Meta."""
    await to_thread.run_sync(_remove, service, page_id, limiter=service.writers)


def get_own_page(connection: Connection, page_id: str) -> Page:
    """A Page by our own id; Meta's may stand for two. Raises PageUnknown."""
    page = get_page(connection, page_id)
    if page.id != page_id:
        raise PageUnknown(f"There is no Page {page_id} in the database.")
    return page


def page_shape(page: Page) -> PageShape:
    """A Page as it is told."""
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
    )


def _remove(service: Service, page_id: str) -> None:
    with service.engine.store.write() as connection:
        remove_page(connection, get_own_page(connection, page_id))


def _detail(connection: Connection, page: Page) -> PageDetailShape:
    counts = count_page(connection, page)
    return PageDetailShape(
        **dict(page_shape(page)),
        conversations=counts.conversations,
        contacts=counts.contacts,
        messages=counts.messages,
        folders=[_folder(folder, each) for folder, each in list_states(connection, page).items()],
        backlog={phase.value: count for phase, count in count_backlog(connection, page).items()},
    )


def _folder(folder: str, state: ListState) -> FolderShape:
    match state:
        case Following(watermark=watermark):
            return FolderShape(folder=folder, state="following", watermark_at=watermark)
        case Scanning(watermark=watermark):
            return FolderShape(folder=folder, state="walking", watermark_at=watermark)
        case NotServed():
            return FolderShape(folder=folder, state="unserved", watermark_at=None)
    return FolderShape(folder=folder, state="not_started", watermark_at=None)
