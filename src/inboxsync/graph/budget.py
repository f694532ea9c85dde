"""What Meta still allows, and the pace that keeps inside it.

Two limits at once: 2 calls a second for each Page or Instagram account, and a rolling
allowance that only the usage headers tell of, one pool per (object id, type). Every
answer is read for them, refused ones too; an absent header says nothing, not zero
(graph-facts 2).
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec
import structlog

from inboxsync.clock import Clock

# 2 % below what is allowed: two calls' distance as the source measures it differs by what the network adds.
_SAFETY = 1.02
_SLOW_FROM_PERCENT = 75
_STOP_FROM_PERCENT = 95
_SLOWEST_FACTOR = 4.0
_PACE_WAIT_SECONDS = 1.0
_ALLOWANCE_WAIT_SECONDS = 60.0
_LONGEST_WAIT_SECONDS = 3600.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """One pool, in per cent of its allowance; `regain_seconds` 0 means unknown, not now."""

    type: str
    percent: int
    regain_seconds: float = 0.0


class _Pool:
    """The calls that count against one object id."""

    def __init__(self) -> None:
        self.turn = asyncio.Lock()
        self.next_call_at = 0.0
        self.blocked_until: datetime | None = None
        self.refusals = 0
        self.usage: Usage | None = None


class Slot:
    """Leave to make one call. Tell it when the call left, so that the next keeps its distance from that."""

    def __init__(self, budget: "Budget", pool: _Pool) -> None:
        self._budget = budget
        self._pool = pool
        self._held = True

    def sent(self) -> None:
        """The call is on the wire: the next one's distance counts from here."""
        if self._held:
            self._held = False
            self._pool.next_call_at = self._budget.next_call_at(self._pool)
            self._pool.turn.release()


class Budget:
    """Paces the calls of one process. `calls_per_second` is per pool; None means no limit of ours."""

    def __init__(self, *, clock: Clock, calls_per_second: float | None) -> None:
        self._clock = clock
        self._spacing = _SAFETY / calls_per_second if calls_per_second else 0.0
        self._pools: dict[str, _Pool] = {}

    async def acquire(self, pool_id: str) -> Slot:
        """Wait until a call of this pool may go out. The caller must call `sent` on what it gets."""
        pool = self._pool(pool_id)
        await pool.turn.acquire()
        try:
            while (wait := self._wait_seconds(pool)) > 0:
                await self._clock.sleep(wait)
        except BaseException:
            pool.turn.release()
            raise
        pool.blocked_until = None
        return Slot(self, pool)

    def note(self, pool_id: str, headers: Mapping[str, str]) -> None:
        """Read the usage headers of an answer."""
        usages = _usages(headers, pool_id)
        if not usages:
            return
        pool = self._pool(pool_id)
        pool.usage = max(usages, key=lambda usage: usage.percent)
        if pool.usage.percent >= _STOP_FROM_PERCENT:
            pool.refusals += 1
            self._block(pool_id, pool.usage.regain_seconds or _grown(_ALLOWANCE_WAIT_SECONDS, pool.refusals))

    def refused(self, pool_id: str, *, pace_only: bool) -> datetime:
        """A call was refused for its rate: hold the pool back; returns until when.

        `pace_only` says that it came too soon (613), not that the allowance is spent.
        """
        pool = self._pool(pool_id)
        if pool.blocked_until is not None and pool.blocked_until > self._clock.now():
            return pool.blocked_until  # the same answer's headers have said it already
        pool.refusals += 1
        if pace_only:
            return self._block(pool_id, _grown(_PACE_WAIT_SECONDS, pool.refusals))
        regain_seconds = pool.usage.regain_seconds if pool.usage else 0.0
        return self._block(pool_id, regain_seconds or _grown(_ALLOWANCE_WAIT_SECONDS, pool.refusals))

    def accepted(self, pool_id: str) -> None:
        """A call went through: the next refusal starts from a short wait again."""
        pool = self._pool(pool_id)
        if pool.usage is None or pool.usage.percent < _STOP_FROM_PERCENT:
            pool.refusals = 0

    def usage(self, pool_id: str) -> Usage | None:
        """The fullest pool of this object as the last answer told it; None before any told."""
        return self._pool(pool_id).usage

    def blocked_until(self, pool_id: str) -> datetime | None:
        """Until when calls of this pool are held back; None when they are not."""
        until = self._pool(pool_id).blocked_until
        return until if until is not None and until > self._clock.now() else None

    def next_call_at(self, pool: _Pool) -> float:
        """When, on the monotonic clock, the call after one sent now may leave."""
        percent = pool.usage.percent if pool.usage else 0
        over = min(max(percent - _SLOW_FROM_PERCENT, 0) / (_STOP_FROM_PERCENT - _SLOW_FROM_PERCENT), 1.0)
        return self._clock.monotonic() + self._spacing * (1 + over * (_SLOWEST_FACTOR - 1))

    def _pool(self, pool_id: str) -> _Pool:
        return self._pools.setdefault(pool_id, _Pool())

    def _wait_seconds(self, pool: _Pool) -> float:
        wait = pool.next_call_at - self._clock.monotonic()
        if pool.blocked_until is not None:
            wait = max(wait, (pool.blocked_until - self._clock.now()).total_seconds())
        return wait

    def _block(self, pool_id: str, seconds: float) -> datetime:
        pool = self._pool(pool_id)
        pool.blocked_until = self._clock.now() + timedelta(seconds=min(seconds, _LONGEST_WAIT_SECONDS))
        log.warning(
            "waiting for Meta",
            until=pool.blocked_until.isoformat(timespec="seconds"),
            object_id=pool_id,
            used_percent=pool.usage.percent if pool.usage else None,
        )
        return pool.blocked_until


def _grown(first_seconds: float, refusals: int) -> float:
    return float(first_seconds * 2 ** min(refusals - 1, 16))


def _usages(headers: Mapping[str, str], pool_id: str) -> list[Usage]:
    """Every pool that an answer's headers tell of and that this object's calls count against.

    The business header may name several objects. Where ours is not among them (Instagram
    has been seen under two ids), the others are what this token's calls count against.
    """
    found = []
    if app := _json_object(headers.get("x-app-usage")):
        found.append(Usage(type="app", percent=_percent(app)))
    business = _json_object(headers.get("x-business-use-case-usage"))
    for object_id in {pool_id} & business.keys() or business.keys():
        entries = business[object_id]
        for entry in entries if isinstance(entries, list) else []:
            if isinstance(entry, dict):
                regain = 60.0 * _amount(entry.get("estimated_time_to_regain_access"))  # minutes
                found.append(
                    Usage(type=str(entry.get("type")), percent=_percent(entry), regain_seconds=regain)
                )
    return found


def _percent(entry: dict[str, Any]) -> int:
    return int(max(_amount(entry.get(key)) for key in ("call_count", "total_time", "total_cputime")))


def _amount(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _json_object(text: str | None) -> dict[str, Any]:
    with suppress(msgspec.DecodeError):
        value = msgspec.json.decode(text or "{}")
        if isinstance(value, dict):
            return value
    return {}
