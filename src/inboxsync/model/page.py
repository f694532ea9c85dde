"""A Facebook Page, as one platform's inbox of it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Platform(StrEnum):
    """Whose inbox: a Page has one on each platform, and its lists are separate."""

    MESSENGER = "messenger"
    INSTAGRAM = "instagram"


class TokenState(StrEnum):
    """What the last use of the Page's token told."""

    VALID = "valid"
    INVALID = "invalid"
    NOT_PERMITTED = "not_permitted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A Page that the owner added.

    `id` is ours (UUIDv7 text); `facebook_page_id` is Meta's. `account_id` is the id under
    which the Page itself takes part in its conversations: the Page id on Messenger, the
    professional account's id on Instagram.
    """

    id: str
    facebook_page_id: str
    platform: Platform
    account_id: str
    name: str | None
    token_state: TokenState
    last_synced_at: datetime | None
