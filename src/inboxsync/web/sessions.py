"""Who is at the dashboard: a sealed cookie, and a token that every form has to bring back.

The cookie is encrypted and authenticated with the key that seals the Pages' tokens (AES-256-GCM, under a
name of its own), so it needs no table and no second secret. It names the API key it was opened with; that
key is looked up at every request, so a revoked key ends its sessions. Logging out ends a session on
this server too, not in the browser alone.
"""

import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import msgspec

from inboxsync.errors import TokenUndecryptable
from inboxsync.store import TokenCipher

_LASTS = timedelta(hours=12)
_NAME = "dashboard session"
_LONGEST = 2048
_TO_COOKIE = str.maketrans("+/=", "-_.")
_FROM_COOKIE = str.maketrans("-_.", "+/=")


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A visitor. Until somebody logs in it holds no more than the token for that form.

    `key_name` is the API key it was opened with.
    """

    id: str
    csrf: str
    began_at: datetime
    key_name: str | None = None
    is_open: bool = False


class Sessions:
    """Opens, checks and ends sessions."""

    def __init__(self, token_cipher: Callable[[], TokenCipher], *, now: Callable[[], datetime]) -> None:
        self._token_cipher = token_cipher
        self._now = now
        self._ended: dict[str, datetime] = {}

    def begin(self) -> Session:
        """A visitor of whom nothing is known."""
        return Session(id=secrets.token_urlsafe(18), csrf=secrets.token_urlsafe(24), began_at=self._now())

    def logged_in(self, key_name: str) -> Session:
        """A new session for whoever showed this key: never the one from before the log-in."""
        return replace(self.begin(), key_name=key_name, is_open=True)

    def encrypt(self, session: Session) -> str:
        """The cookie's value: letters and digits that no browser quotes."""
        encrypted = self._token_cipher().encrypt(msgspec.json.encode(session).decode(), page_id=_NAME)
        return encrypted.translate(_TO_COOKIE)

    def find(self, cookie: str | None) -> Session | None:
        """The session that this cookie holds; None where it is not ours, too old, or ended."""
        if not cookie or len(cookie) > _LONGEST:
            return None
        try:
            session = msgspec.json.decode(
                self._token_cipher().open(cookie.translate(_FROM_COOKIE), page_id=_NAME), type=Session
            )
        except (TokenUndecryptable, msgspec.DecodeError):
            return None
        is_over = session.began_at + _LASTS < self._now() or session.id in self._ended
        return None if is_over else session

    def end(self, session: Session) -> None:
        """It opens nothing from now on."""
        now = self._now()
        self._ended = {each: at for each, at in self._ended.items() if at + _LASTS >= now}
        self._ended[session.id] = now


def has_token(session: Session, shown: str) -> bool:
    """Whether a form brought this session's own token back; compared in constant time."""
    return hmac.compare_digest(session.csrf.encode(), shown.encode())
