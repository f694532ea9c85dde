"""Who is logged in to the dashboard: an encrypted cookie, and a token that every form sends back.

The cookie is encrypted with the key that encrypts the Pages' tokens (AES-256-GCM, with a name of its own),
so it needs no table and no second secret. It names the API key that was used to log in. That key is looked
up at every request, so revoking it ends its sessions. Logging out ends a session on this server too, not
only in the browser.
"""

import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from inboxsync.errors import TokenUndecryptable
from inboxsync.store import TokenCipher

_LASTS = timedelta(hours=12)
_NAME = "dashboard session"
_LONGEST = 2048
_TO_COOKIE = str.maketrans("+/=", "-_.")
_FROM_COOKIE = str.maketrans("-_.", "+/=")


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A visitor. Before the login it holds only the token for the login form.

    `key_name` is the API key that was used to log in.
    """

    id: str
    csrf: str
    began_at: datetime
    key_name: str | None = None
    is_open: bool = False


class Sessions:
    """Starts, checks and ends sessions."""

    def __init__(self, token_cipher: Callable[[], TokenCipher], *, now: Callable[[], datetime]) -> None:
        self._token_cipher = token_cipher
        self._now = now
        self._ended: dict[str, datetime] = {}

    def begin(self) -> Session:
        """A new session of an unknown visitor."""
        return Session(id=secrets.token_urlsafe(18), csrf=secrets.token_urlsafe(24), began_at=self._now())

    def logged_in(self, key_name: str) -> Session:
        """A new session for the owner of this key: never the one from before the login."""
        return replace(self.begin(), key_name=key_name, is_open=True)

    def encrypt(self, session: Session) -> str:
        """The cookie's value: letters and digits that no browser quotes."""
        encrypted = self._token_cipher().encrypt(msgspec.json.encode(session).decode(), page_id=_NAME)
        return encrypted.translate(_TO_COOKIE)

    def find(self, cookie: str | None) -> Session | None:
        """The session in this cookie; None if it is not ours, too old, or ended."""
        if not cookie or len(cookie) > _LONGEST:
            return None
        try:
            session = msgspec.json.decode(
                self._token_cipher().decrypt(cookie.translate(_FROM_COOKIE), page_id=_NAME), type=Session
            )
        except (TokenUndecryptable, msgspec.DecodeError):
            return None
        is_over = session.began_at + _LASTS < self._now() or session.id in self._ended
        return None if is_over else session

    def end(self, session: Session) -> None:
        """Make the session invalid from now on."""
        now = self._now()
        self._ended = {each: at for each, at in self._ended.items() if at + _LASTS >= now}
        self._ended[session.id] = now


def has_token(session: Session, sent: str) -> bool:
    """Whether a form sent this session's own token back; compared in constant time."""
    return hmac.compare_digest(session.csrf.encode(), sent.encode())


COOKIE = "inboxsync_session"


def put_cookie(response: Response, request: Request, value: str) -> None:
    """Set the session cookie. No script reads it, no other site sends it; closing the browser deletes it."""
    response.set_cookie(COOKIE, value, path="/", httponly=True, samesite="strict", secure=_is_https(request))


def drop_cookie(response: Response, request: Request) -> None:
    """Delete the session cookie."""
    response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict", secure=_is_https(request))


def _is_https(request: Request) -> bool:
    return request.url.scheme == "https"
