"""Which inbox is read, with which token, and by which Meta app."""

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from inboxsync.model import Platform

# Graph quotes a malformed token in its error. User and Page tokens start with EAA, Instagram's with IG.
_TOKEN_LIKE = re.compile(r"\b(?:EAA|IG)[A-Za-z0-9_-]{20,}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """A Page's inbox on one platform, with the token that may read it.

    The token is in no `repr`. `account_id` is the id under which the Page itself writes; `own_ids`
    are all that mean the Page among participants and senders. `quota` is the object whose quota a
    call uses: the Page, or the Instagram account (graph-facts 2). `source` is the address of its API, with
    the version, where that is not the client's own.
    """

    page_id: str
    platform: Platform
    account_id: str
    token: str = field(repr=False)
    source: str | None = field(default=None, kw_only=True)
    is_instagram: bool = field(init=False, repr=False)
    quota: str = field(init=False, repr=False)
    own_ids: frozenset[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        # Computed once: several are needed for each call.
        is_instagram = self.platform is Platform.INSTAGRAM
        object.__setattr__(self, "is_instagram", is_instagram)
        object.__setattr__(self, "quota", self.account_id if is_instagram else self.page_id)
        object.__setattr__(self, "own_ids", frozenset({self.page_id, self.account_id}))

    def redact(self, text: str) -> str:
        """`text` without this token, and without anything that looks like a token."""
        if self.token:
            text = text.replace(self.token, "[token]")
        return _TOKEN_LIKE.sub("[token]", text)


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """The Meta app whose tokens these are: its id and its secret. The secret is in no `repr`."""

    secret: str = field(repr=False)
    id: str | None = None

    def proof(self, token: str) -> str:
        """The `appsecret_proof`: it proves that a call comes from the app's own server (graph-facts 1.2)."""
        return hmac.new(self.secret.encode(), token.encode(), hashlib.sha256).hexdigest()

    @property
    def token(self) -> str | None:
        """The app's own token, which may ask about other tokens; None if the app's id is not known."""
        return f"{self.id}|{self.secret}" if self.id else None


def decode_token_end(data: Mapping[str, Any]) -> datetime | None:
    """When a token stops opening the inbox, from the `data` of `debug_token`; None: never, or not known.

    A token can stay valid and lose its access to data earlier. 0 means never (graph-facts 1.9).
    """
    ends = [data.get(name) for name in ("expires_at", "data_access_expires_at")]
    seconds = [end for end in ends if isinstance(end, int) and not isinstance(end, bool) and end > 0]
    return datetime.fromtimestamp(min(seconds), UTC) if seconds else None
