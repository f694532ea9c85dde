"""Which keys open what: the stored ones, and the one that the environment may fix."""

import asyncio
import hmac
from collections import deque
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Final

from starlette.concurrency import run_in_threadpool

from inboxsync.clock import Clock
from inboxsync.errors import StoreError
from inboxsync.model import ApiKey, Scope
from inboxsync.store import Store
from inboxsync.store.state.api_keys import PREFIX_LENGTH, fingerprint_of, list_api_keys

# A key that is revoked elsewhere opens nothing after so long.
_FRESH_SECONDS = 1.0
_GUESSES = 10
_GUESS_SECONDS = 60.0
_ADDRESSES: Final = 10_000
_IPV6_NETWORK = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks: the name of a key or of a session, and what it opens."""

    name: str
    scope: Scope


# Who asks from this machine while no key was ever made.
ANYBODY_HERE: Final = Caller(name="local", scope=Scope.ADMIN)
FIXED: Final = "INBOXSYNC_API_KEY"


class KeyRing:
    """Checks presented keys. Safe to ask on every request: the table is read once a second at most."""

    def __init__(self, store: Store, *, fixed: str | None, clock: Clock) -> None:
        self._store = store
        self._fixed = fingerprint_of(fixed) if fixed is not None else None
        self._clock = clock
        self._by_prefix: dict[str, ApiKey] = {}
        self._read_at: float | None = None
        self._failure: StoreError | None = None
        self._failed_at = 0.0
        self._reading = asyncio.Lock()

    async def check(self, presented: str) -> Caller | None:
        """Whose key this is; None where it opens nothing. Raises StoreError.

        The fixed one needs no database: who has it is told what is wrong with that.
        """
        digest = fingerprint_of(presented)
        if self._fixed is not None and hmac.compare_digest(digest, self._fixed):
            return Caller(name=FIXED, scope=Scope.ADMIN)
        await self._refresh()
        key = self._by_prefix.get(presented[:PREFIX_LENGTH])
        # Compared in any case, so that a known prefix takes no other time than an unknown one.
        is_right = hmac.compare_digest(digest.hex(), key.digest if key else "0" * 64)
        if key is None or not is_right or key.revoked_at is not None:
            return None
        return Caller(name=key.name, scope=key.scope)

    async def named(self, name: str) -> Caller | None:
        """The caller of this name, while it still opens something: for a session that began with its key."""
        await self._refresh()
        if name == FIXED and self._fixed is not None:
            return Caller(name=FIXED, scope=Scope.ADMIN)
        if name == ANYBODY_HERE.name:
            return None if await self.has_keys() else ANYBODY_HERE
        named = (key for key in self._by_prefix.values() if key.name == name and key.revoked_at is None)
        return next((Caller(name=key.name, scope=key.scope) for key in named), None)

    async def has_keys(self) -> bool:
        """Whether any key was ever made or fixed. Revoking the last does not open the door again."""
        await self._refresh()
        return self._fixed is not None or bool(self._by_prefix)

    async def _refresh(self) -> None:
        if self._is_fresh():
            return
        async with self._reading:
            if self._is_fresh():
                return
            if self._failure is not None and self._clock.monotonic() - self._failed_at < _FRESH_SECONDS:
                # Of many who wait for a database that does not answer, each would wait after the other.
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


class Guesses:
    """Counts keys that opened nothing, by the address they came from.

    From the tenth within a minute on nothing from there is looked at until the minute is over, not even
    a right key: else a guess would cost nothing.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failed: dict[str, deque[float]] = {}

    def seconds_to_wait(self, address: str) -> float:
        """0 where this address may show a key."""
        failed = self._recent(_network(address))
        return failed[0] + _GUESS_SECONDS - self._clock.monotonic() if len(failed) >= _GUESSES else 0.0

    def note(self, address: str) -> None:
        """A key from there opened nothing."""
        network = _network(address)
        failed = self._recent(network)
        failed.append(self._clock.monotonic())
        self._failed.pop(network, None)
        self._failed[network] = failed
        if len(self._failed) > _ADDRESSES:
            # The one that has been quiet for the longest.
            del self._failed[next(iter(self._failed))]

    def _recent(self, network: str) -> deque[float]:
        failed = self._failed.get(network, deque[float](maxlen=_GUESSES))
        while failed and self._clock.monotonic() - failed[0] >= _GUESS_SECONDS:
            failed.popleft()
        return failed


def _network(address: str) -> str:
    """An IPv6 customer has a whole network to guess from."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:  # noqa: PLR2004 - the protocol's number
        return address
    return str(ip_network((parsed, _IPV6_NETWORK), strict=False))
