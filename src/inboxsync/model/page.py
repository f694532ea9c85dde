"""A Facebook Page, as one platform's inbox of it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Platform(StrEnum):
    """Which inbox of a Page: it has one on each platform, with lists of its own."""

    MESSENGER = "messenger"
    INSTAGRAM = "instagram"


class TokenState(StrEnum):
    """Whether the Page's token worked when it was last used."""

    VALID = "valid"
    INVALID = "invalid"
    NOT_PERMITTED = "not_permitted"


class TokenReason(StrEnum):
    """Why a token does not work, by Meta's subcode (graph-facts 3)."""

    EXPIRED = "expired"
    PASSWORD_CHANGED = "password_changed"  # noqa: S105 - a reason
    LOGGED_OUT = "logged_out"
    APP_REMOVED = "app_removed"
    CHECKPOINT = "checkpoint"
    UNCONFIRMED = "unconfirmed"
    LOGIN_APPROVAL = "login_approval"
    ROLE_LOST = "role_lost"
    PERMISSION_REMOVED = "permission_removed"
    STANDARD_ACCESS = "standard_access"
    BLOCKED = "blocked"
    PAGE_NOT_VISIBLE = "page_not_visible"
    OTHER = "other"


class History(StrEnum):
    """How far back all messages of each conversation are stored."""

    NEWEST = "newest"  # the newest few of each, and everything since
    ALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A Page that the user added.

    `id` is ours (UUIDv7 text); `facebook_page_id` is Meta's. `account_id` is the id that the Page
    itself has in its conversations: the Page id on Messenger, the professional account's id on Instagram.
    Syncs have found out `batch_size`, in conversations a call, and `time_windows`: whether the source honours
    `updated_before_ms` (None: not tried yet). `token_expires_at` None: never, or not known.
    `source_url`: the address of the sandbox or proxy that it was added from; None: Meta's own.
    """

    id: str
    facebook_page_id: str
    platform: Platform
    account_id: str
    name: str | None
    token_state: TokenState
    last_synced_at: datetime | None
    token_reason: TokenReason | None = None
    token_problem: str | None = None
    history: History = History.NEWEST
    batch_size: int | None = None
    time_windows: bool | None = None
    token_expires_at: datetime | None = None
    source_url: str | None = None
