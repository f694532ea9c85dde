"""Authentication: which API keys exist, who sends a request, and what they may do.

A request has a key: `Authorization: Bearer` or `X-API-Key`. Until the first key is created, this machine
needs none, and others are not let in. A route names the scope that it needs with `requires`; the OpenAPI
document shows it as `x-scope`. The dashboard has its own sessions (`web.sessions`) and uses the same keys.
"""

import asyncio
import hmac
import math
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address, ip_network
from typing import Any, Final

import structlog
from fastapi import Depends, Request
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as AsgiScope

from inboxsync.api.problems import (
    KeyGuessing,
    KeyInvalid,
    KeyMissing,
    OriginRefused,
    ScopeTooSmall,
    problem_of,
    problem_responses,
)
from inboxsync.api.strict import refuse_unknown
from inboxsync.clock import Clock
from inboxsync.errors import InboxsyncError, StoreError
from inboxsync.model import ApiKey, Scope
from inboxsync.store import Store
from inboxsync.store.state.credentials import PREFIX_LENGTH, fingerprint_of, list_api_keys

# A key that another process revokes stops working after this time.
_FRESH_SECONDS = 1.0
_GUESSES = 10
_GUESS_SECONDS = 60.0
_ADDRESSES: Final = 10_000
_IPV6_NETWORK = 64
# Headers that a proxy adds: the client behind it may be another machine.
_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip")
# For the OpenAPI document: each of these is enough.
SECURITY_SCHEMES: Final = {
    "bearer": {"type": "http", "description": "An API key.", "scheme": "bearer"},
    "apiKey": {"type": "apiKey", "description": "An API key.", "in": "header", "name": "X-API-Key"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who sends a request: the name of a key or of a session, and its scope.

    `credential` says which very key it is: another one of the same name has another. It gives no access.
    """

    name: str
    scope: Scope
    credential: str


# The caller from this machine until the first key is created.
LOCAL_CALLER: Final = Caller(name="local", scope=Scope.ADMIN, credential="local")
FIXED: Final = "INBOXSYNC_API_KEY"


def requires(
    scope: Scope, *problems: int, strict: Callable[[Request], Awaitable[None]] = refuse_unknown
) -> dict[str, Any]:
    """What a route passes to its decorator: the scope it needs and the problems it may answer with.

    `strict` then checks the names that were sent.
    """
    enough = frozenset(each for each in Scope if each.covers(scope))

    async def check(request: Request) -> None:
        auth: Auth = request.app.state.service.auth
        caller = await auth.identify(request)
        structlog.contextvars.bind_contextvars(caller=caller.name)
        if caller.scope not in enough:
            raise ScopeTooSmall(f"This needs the scope {scope}, and {caller.name!r} has {caller.scope}.")

    return {
        "dependencies": [Depends(check), Depends(strict)],
        "openapi_extra": {"security": [{name: []} for name in SECURITY_SCHEMES], "x-scope": scope.value},
        "responses": problem_responses(400, 401, 403, 422, 429, 500, 503, *problems),
    }


class KeyBeforeBody:
    """Asks for the key of a request to the API before its body is read.

    FastAPI reads a body before it calls what a route `requires`, so a stranger could have it read.
    """

    def __init__(self, app: ASGIApp, *, auth: "Auth") -> None:
        self._app = app
        self._auth = auth

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """The ASGI interface."""
        if scope["type"] == "http" and scope["path"].startswith("/api/") and _announces_body(scope):
            try:
                await self._auth.identify(Request(scope))
            except InboxsyncError as refused:
                await problem_of(refused)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _announces_body(scope: AsgiScope) -> bool:
    headers = Headers(scope=scope)
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"


class Auth:
    """Identifies callers."""

    def __init__(self, keys: "KeyRing", guesses: "Guesses", *, origins: tuple[str, ...] = ()) -> None:
        self.keys = keys
        self._guesses = guesses
        self._origins = origins

    async def identify(self, request: Request) -> Caller:
        """Who sends this request. Raises KeyMissing, KeyInvalid, KeyGuessing, OriginRefused."""
        sent = _sent_key(request)
        if sent is not None:
            address = request.client.host if request.client is not None else "local"
            return await self.check_key(sent, address=address)
        self._refuse_other_sites(request)
        if not await self.keys.has_keys() and _is_from_this_machine(request):
            return LOCAL_CALLER
        raise KeyMissing("This needs an API key.")

    async def check_key(self, sent: str, *, address: str) -> Caller:
        """The owner of this key, which came from that address. Raises KeyInvalid, KeyGuessing."""
        seconds = self._guesses.seconds_to_wait(address)
        if seconds > 0:
            raise TooManyGuesses(seconds)
        caller = await self.keys.check(sent)
        if caller is None:
            self._guesses.note(address)
            raise KeyInvalid("This API key is not valid.")
        return caller

    async def holder(self, credential: str | None, request: Request) -> Caller | None:
        """Who began a session with this credential, as long as its key is valid."""
        if credential is None:
            return None
        if credential == LOCAL_CALLER.credential:
            is_open = not await self.keys.has_keys() and _is_from_this_machine(request)
            return LOCAL_CALLER if is_open else None
        return await self.keys.holder(credential)

    def _refuse_other_sites(self, request: Request) -> None:
        """A browser adds this machine's address and its cookies to what any web page requests."""
        site = request.headers.get("sec-fetch-site", "none")
        origin = request.headers.get("origin")
        is_ours = site in ("none", "same-origin") and (
            origin is None or origin == f"{request.url.scheme}://{request.headers.get('host')}"
        )
        if not is_ours and origin not in self._origins:
            raise OriginRefused("A page of another site sent this request, without a key.")


class TooManyGuesses(KeyGuessing):
    """With the time to wait."""

    def __init__(self, seconds: float) -> None:
        super().__init__("Too many invalid API keys came from this address.")
        self.retry_after_seconds = math.ceil(seconds)


class KeyRing:
    """Checks API keys: the stored ones, and the one that the environment may set.

    Every request may ask it: the table is read once a second at most.
    """

    def __init__(self, store: Store, *, fixed: str | None, clock: Clock) -> None:
        self._store = store
        self._fixed = fingerprint_of(fixed) if fixed is not None else None
        self._clock = clock
        self._by_prefix: dict[str, ApiKey] = {}
        self._read_at: float | None = None
        self._failure: StoreError | None = None
        self._failed_at = 0.0
        self._reading = asyncio.Lock()

    async def check(self, sent: str) -> Caller | None:
        """The owner of this key; None if it is not valid. Raises StoreError.

        The fixed key needs no database: its owner gets the database's error from the route instead.
        """
        digest = fingerprint_of(sent)
        if self._fixed is not None and hmac.compare_digest(digest, self._fixed):
            return _fixed_caller(self._fixed)
        await self._refresh()
        key = self._by_prefix.get(sent[:PREFIX_LENGTH])
        # Always compared, so that a known prefix takes the same time as an unknown one.
        is_right = hmac.compare_digest(digest.hex(), key.digest if key else "0" * 64)
        if key is None or not is_right or key.revoked_at is not None:
            return None
        return _stored_caller(key)

    async def holder(self, credential: str) -> Caller | None:
        """The owner of the key of this credential, as long as it is valid. Raises StoreError."""
        await self._refresh()
        if self._fixed is not None and credential == (fixed := _fixed_caller(self._fixed)).credential:
            return fixed
        valid = (_stored_caller(key) for key in self._by_prefix.values() if key.revoked_at is None)
        return next((caller for caller in valid if caller.credential == credential), None)

    async def has_keys(self) -> bool:
        """Whether a key was ever created or set. Revoking the last one does not let this machine in again."""
        await self._refresh()
        return self._fixed is not None or bool(self._by_prefix)

    def forget(self) -> None:
        """Read the table again for the next request: this process has changed it."""
        self._read_at = None

    async def _refresh(self) -> None:
        if self._is_fresh():
            return
        async with self._reading:
            if self._is_fresh():
                return
            if self._failure is not None and self._clock.monotonic() - self._failed_at < _FRESH_SECONDS:
                # Many requests wait here for a database that does not answer: fail them all together.
                raise type(self._failure)(self._failure.message, hint=self._failure.hint)
            try:
                keys = await run_in_threadpool(self._list)
            except StoreError as failure:
                self._failure, self._failed_at = failure, self._clock.monotonic()
                raise
            self._failure = None
            self._by_prefix = {key.prefix: key for key in keys}
            self._read_at = self._clock.monotonic()

    def _is_fresh(self) -> bool:
        return self._read_at is not None and self._clock.monotonic() - self._read_at < _FRESH_SECONDS

    def _list(self) -> list[ApiKey]:
        with self._store.read() as connection:
            return list_api_keys(connection)


def _fixed_caller(digest: bytes) -> Caller:
    return Caller(name=FIXED, scope=Scope.ADMIN, credential=f"{FIXED} {_piece(digest.hex())}")


def _stored_caller(key: ApiKey) -> Caller:
    return Caller(name=key.name, scope=key.scope, credential=f"{key.id} {_piece(key.digest)}")


def _piece(digest: str) -> str:
    """Enough of a digest to tell keys apart."""
    return digest[:32]


class Guesses:
    """Counts invalid keys by the address they came from.

    After ten within a minute no key from there is checked until the minute is over, not even a valid
    one: otherwise a guess would cost nothing.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failed: dict[str, deque[float]] = {}

    def seconds_to_wait(self, address: str) -> float:
        """0 where a key from this address is checked."""
        failed = self._recent(_network(address))
        return failed[0] + _GUESS_SECONDS - self._clock.monotonic() if len(failed) >= _GUESSES else 0.0

    def note(self, address: str) -> None:
        """An invalid key came from there."""
        network = _network(address)
        failed = self._recent(network)
        failed.append(self._clock.monotonic())
        self._failed.pop(network, None)
        self._failed[network] = failed
        if len(self._failed) > _ADDRESSES:
            # The one that has been quiet for the longest time.
            del self._failed[next(iter(self._failed))]

    def _recent(self, network: str) -> deque[float]:
        failed = self._failed.get(network, deque[float](maxlen=_GUESSES))
        while failed and self._clock.monotonic() - failed[0] >= _GUESS_SECONDS:
            failed.popleft()
        return failed


def _network(address: str) -> str:
    """An IPv6 customer has a whole network to guess from. IPv4 may be written as a part of IPv6."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, IPv4Address):
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ip_network((parsed, _IPV6_NETWORK), strict=False))


def _sent_key(request: Request) -> str | None:
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and credentials.strip():
        return credentials.strip()
    return request.headers.get("x-api-key") or None


def _is_from_this_machine(request: Request) -> bool:
    """Whether the client's address is this machine's, and no proxy has forwarded the request."""
    if any(name in request.headers for name in _FORWARDED):
        return False
    if request.client is None:
        return True
    try:
        return ip_address(request.client.host).is_loopback
    except ValueError:
        return False
