"""Who is logged in to the dashboard: an encrypted cookie, and a token that every form sends back.

The cookie is encrypted with the key that encrypts the Pages' tokens (AES-256-GCM, with the database's own id
as associated data), so it needs no second secret, and opens nothing in front of another database. It names
the very API key that was used to log in. That key is looked up at every request, so revoking or changing it
ends its sessions. Logging out ends a session for good, for every process on this database.
"""

import hmac
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from inboxsync.engine import Engine
from inboxsync.errors import StoreFull, StoreReplaced, StoreUnavailable, StoreUnreachable, TokenUndecryptable
from inboxsync.store.connection.types import new_id
from inboxsync.store.state.dashboard_sessions import end_session, find_instance, has_ended, make_instance

_LASTS = timedelta(hours=12)
_NAME = "dashboard session"
_LONGEST = 2048
_TO_COOKIE = str.maketrans("+/=", "-_.")
_FROM_COOKIE = str.maketrans("-_.", "+/=")


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A visitor. Before the login it holds only the token for the login form.

    `credential` says which API key was used to log in (see `Caller`).
    """

    id: str
    csrf: str
    began_at: datetime
    credential: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether the visitor has logged in."""
        return self.credential is not None


class Sessions:
    """Starts, checks and ends the sessions of one database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._instance = ""
        self._ended: set[str] = set()

    def prepare(self) -> None:
        """Learn which database this is. Blocks; call it before any other."""
        if not self._instance:
            with self._engine.store.read() as connection:
                found = find_instance(connection)
            self._instance = found or self._made_instance()

    def _made_instance(self) -> str:
        with _where_writable(), self._engine.store.write() as connection:
            return make_instance(connection)
        return new_id()

    def begin(self) -> Session:
        """A new session of an unknown visitor."""
        return Session(
            id=secrets.token_urlsafe(18), csrf=secrets.token_urlsafe(24), began_at=self._engine.clock.now()
        )

    def logged_in(self, credential: str) -> Session:
        """A new session for the owner of this key: never the one from before the login."""
        return replace(self.begin(), credential=credential)

    def find(self, request: Request) -> Session | None:
        """The session in the visitor's cookie; None if it is not of this database, or too old."""
        cookie = request.cookies.get(self.cookie_name(request))
        if not cookie or len(cookie) > _LONGEST:
            return None
        try:
            text = self._engine.token_cipher(may_make_key=True).decrypt(
                cookie.translate(_FROM_COOKIE), page_id=self._purpose
            )
            session = msgspec.json.decode(text, type=Session)
        except (TokenUndecryptable, msgspec.DecodeError):
            return None
        return None if session.began_at + _LASTS < self._engine.clock.now() else session

    def has_ended(self, session: Session) -> bool:
        """Whether its visitor has logged out. Blocks."""
        if session.id in self._ended:
            return True
        with self._engine.store.read() as connection:
            return has_ended(connection, session.id)

    def end(self, session: Session) -> None:
        """Make the session invalid from now on. Blocks. One without a login opens nothing, so it may stay."""
        if session.is_open:
            self._ended.add(session.id)
            now = self._engine.clock.now()
            with _where_writable(), self._engine.store.write() as connection:
                end_session(connection, session.id, now=now, forget_before=now - _LASTS)

    def put_cookie(self, response: Response, request: Request, session: Session) -> None:
        """Set the session cookie. No script reads it, no other site sends it; a closed browser forgets it."""
        response.set_cookie(
            self.cookie_name(request),
            self._encrypt(session),
            path="/",
            httponly=True,
            samesite="strict",
            secure=_is_https(request),
        )

    def drop_cookie(self, response: Response, request: Request) -> None:
        """Delete the session cookie."""
        response.delete_cookie(
            self.cookie_name(request), path="/", httponly=True, samesite="strict", secure=_is_https(request)
        )

    def cookie_name(self, request: Request) -> str:
        """A name for each database: cookies know no port, so a host's services share them.

        With https it has the prefix that keeps other names of the same domain from setting it (RFC 6265bis).
        """
        # The end of our ids is random.
        name = f"inboxsync_session_{self._instance[-8:]}"
        return f"__Host-{name}" if _is_https(request) else name

    def _encrypt(self, session: Session) -> str:
        """Letters and digits that no browser quotes."""
        text = msgspec.json.encode(session).decode()
        cipher = self._engine.token_cipher(may_make_key=True)
        return cipher.encrypt(text, page_id=self._purpose).translate(_TO_COOKIE)

    @property
    def _purpose(self) -> str:
        return f"{_NAME} {self._instance}"


@contextmanager
def _where_writable() -> Iterator[None]:
    """A copy that can only be read is shown all the same: its sessions are known to this process alone."""
    try:
        yield
    except StoreUnavailable as error:
        if isinstance(error, StoreUnreachable | StoreFull | StoreReplaced):
            raise


def has_token(session: Session, sent: str) -> bool:
    """Whether a form sent this session's own token back; compared in constant time."""
    return hmac.compare_digest(session.csrf.encode(), sent.encode())


def _is_https(request: Request) -> bool:
    return request.url.scheme == "https"
