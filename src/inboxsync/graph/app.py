"""The Meta app whose tokens these are: its proof of a call, and how long a token still lives."""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """An app's id and secret; the secret is in no `repr`."""

    secret: str = field(repr=False)
    id: str | None = None

    def proof(self, token: str) -> str:
        """What shows that a call with this token comes from the app's own server (graph-facts 1.2-8)."""
        return hmac.new(self.secret.encode(), token.encode(), hashlib.sha256).hexdigest()

    @property
    def token(self) -> str | None:
        """The app's own token, which may ask about other tokens; None where its id is not known."""
        return f"{self.id}|{self.secret}" if self.id else None


def decode_token_end(told: Mapping[str, Any]) -> datetime | None:
    """When a token stops to open the inbox, as `debug_token` tells it; None: never, or not told.

    A token that lives on may lose its access to data before; 0 means never (graph-facts 1.9).
    """
    ends = [told.get(name) for name in ("expires_at", "data_access_expires_at")]
    seconds = [end for end in ends if isinstance(end, int) and not isinstance(end, bool) and end > 0]
    return datetime.fromtimestamp(min(seconds), UTC) if seconds else None
