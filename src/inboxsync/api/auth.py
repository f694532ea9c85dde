"""The door: who may ask what.

A request shows a key (`Authorization: Bearer` or `X-API-Key`), or a session that the dashboard
resolves from its cookie. Where no key was ever made, this machine alone is let in. Every route names
the scope it needs with `opens`, and the OpenAPI document repeats it as `x-scope`.
"""

import math
from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from typing import Annotated, Any

import structlog
from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader, HTTPBearer

from inboxsync.api.errors import KeyGuessing, KeyInvalid, KeyMissing, OriginRefused, ScopeTooSmall
from inboxsync.api.keys import ANYBODY_HERE, Caller, Guesses, KeyRing
from inboxsync.api.problems import problem_responses
from inboxsync.model import Scope

# The dashboard's: who a request's cookie belongs to, None where it belongs to nobody.
SessionResolver = Callable[[Request], Awaitable[Caller | None]]

_bearer = HTTPBearer(auto_error=False, scheme_name="bearer", description="An API key.")
_header = APIKeyHeader(name="X-API-Key", auto_error=False, scheme_name="apiKey", description="An API key.")
# What a proxy adds: who is behind it is not this machine.
_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip")


class Auth:
    """Lets callers in. `resolve_session` is set by whoever has sessions."""

    def __init__(self, keys: KeyRing, guesses: Guesses, *, origins: tuple[str, ...] = ()) -> None:
        self.keys = keys
        self.resolve_session: SessionResolver | None = None
        self._guesses = guesses
        self._origins = origins

    async def admit(self, request: Request) -> Caller:
        """Who asks. Raises KeyMissing, KeyInvalid, KeyGuessing, OriginRefused."""
        presented = presented_key(request)
        if presented is not None:
            return await self.check_key(presented, address=_address(request))
        self._refuse_other_sites(request)
        if self.resolve_session is not None and (caller := await self.resolve_session(request)):
            return caller
        if not await self.keys.has_keys() and _is_from_here(request):
            return ANYBODY_HERE
        raise KeyMissing("This needs an API key.")

    async def check_key(self, presented: str, *, address: str) -> Caller:
        """Whose key this is, as shown from that address. Raises KeyInvalid, KeyGuessing."""
        seconds = self._guesses.seconds_to_wait(address)
        if seconds > 0:
            raise TooManyGuesses(seconds)
        caller = await self.keys.check(presented)
        if caller is None:
            self._guesses.note(address)
            raise KeyInvalid("This API key opens nothing.")
        return caller

    def _refuse_other_sites(self, request: Request) -> None:
        """A browser adds cookies, and this machine's address, to what any page asks it to fetch."""
        site = request.headers.get("sec-fetch-site", "none")
        origin = request.headers.get("origin")
        is_ours = site in ("none", "same-origin") and (
            origin is None or origin.split("://")[-1] == request.headers.get("host")
        )
        if not is_ours and origin not in self._origins:
            raise OriginRefused("Another site's page asks, and without a key.")


class TooManyGuesses(KeyGuessing):
    """With how long to wait."""

    def __init__(self, seconds: float) -> None:
        super().__init__("Too many API keys from this address opened nothing.")
        self.retry_after_seconds = math.ceil(seconds)


def presented_key(request: Request) -> str | None:
    """The key that a request shows, in either header; None where it shows none."""
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and credentials.strip():
        return credentials.strip()
    return request.headers.get("x-api-key") or None


async def _admitted(
    request: Request,
    # For the OpenAPI document alone.
    _bearer_key: Annotated[object, Security(_bearer)],
    _header_key: Annotated[object, Security(_header)],
) -> Caller:
    caller: Caller = await request.app.state.service.auth.admit(request)
    structlog.contextvars.bind_contextvars(caller=caller.name)
    return caller


# For a route that wants to know who asks.
CallerDependency = Annotated[Caller, Depends(_admitted)]


def require(scope: Scope) -> Callable[[Caller], Awaitable[Caller]]:
    """A dependency: who asks, where that is enough for `scope`. Raises ScopeTooSmall, else as `admit`."""

    async def check(caller: CallerDependency) -> Caller:
        if not caller.scope.covers(scope):
            raise ScopeTooSmall(f"This needs the scope {scope}, and {caller.name!r} has {caller.scope}.")
        return caller

    return check


def opens(scope: Scope, *problems: int) -> dict[str, Any]:
    """What a route passes to its decorator: the scope it needs and the problems it may answer with."""
    return {
        "dependencies": [Depends(require(scope))],
        "openapi_extra": {"x-scope": scope.value},
        "responses": problem_responses(400, 401, 403, 429, 500, 503, *problems),
    }


def _address(request: Request) -> str:
    return request.client.host if request.client is not None else "local"


def _is_from_here(request: Request) -> bool:
    """Whether nothing but this machine can have sent it: its address, and no proxy's traces."""
    if any(name in request.headers for name in _FORWARDED):
        return False
    if request.client is None:
        return True
    try:
        return ip_address(request.client.host).is_loopback
    except ValueError:
        return False
