"""The limits, and the headers that tell of them (graph-facts 2).

2 calls a second for each Page or Instagram account: a bucket of two that fills twice a
second (that Meta's is one is our assumption). A rolling day's allowance of 200 calls
for each engaged user. Counted before the answer, refused calls too.
"""

import math
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import msgspec

from inboxsync.sandbox.config import SandboxConfig
from inboxsync.sandbox.refusal import Refusal

_PER_SECOND = 2.0
_BUCKET = 2.0
_DAY_SECONDS = 86_400
_CALLS_PER_USER = 200
# Headers are absent at the start: "no header if usage is effectively 0 %".
_SILENT_CALLS = 3
_FULL = 100
_SLACK = 1e-6


@dataclass(slots=True)
class _Pool:
    filled_at: float
    level: float = _BUCKET
    blocked_until: float = 0.0
    # (time, calls), a bucket a minute, so that a day is at most 1,440 of them.
    spent: deque[tuple[float, int]] = field(default_factory=deque)
    total: int = 0


class Limits:
    """Counts the calls against every object."""

    def __init__(self, config: SandboxConfig) -> None:
        self._config = config
        self._pools: dict[str, _Pool] = {}

    def spend(self, object_id: str, *, users: int, calls: int, now: float) -> None:
        """Count calls against an object; raises Refusal where that is too much. `now`: monotonic seconds."""
        pool = self._pools.setdefault(object_id, _Pool(filled_at=now))
        self._count(pool, calls, now)
        if not self._config.limits:
            return
        pool.level = min(_BUCKET, pool.level + (now - pool.filled_at) * _PER_SECOND)
        pool.filled_at = now
        # A batch of several is let in whole where the bucket is full: it could never be otherwise.
        needed = min(float(calls), _BUCKET)
        if now < pool.blocked_until or pool.level + _SLACK < needed:
            pool.blocked_until = max(pool.blocked_until, now + self._config.penalty_seconds)
            raise self._too_soon()
        pool.level -= calls
        if pool.total > self._allowance(users):
            raise Refusal(
                80006, "(#80006) There have been too many messenger api calls to this Page account."
            )

    def usage(self, object_id: str, *, users: int, kind: str) -> dict[str, Any] | None:
        """What an answer tells of this object; None where it is silent."""
        pool = self._pools.get(object_id)
        if pool is None or not self._config.limits or pool.total <= _SILENT_CALLS:
            return None
        percent = min(math.ceil(_FULL * pool.total / self._allowance(users)), _FULL)
        minutes = math.ceil(_DAY_SECONDS / 60) if percent >= _FULL else 0
        return {
            "type": kind,
            "call_count": percent,
            "total_cputime": min(percent, 1),
            "total_time": min(percent, 1),
            "estimated_time_to_regain_access": minutes,
        }

    def _allowance(self, users: int) -> int:
        engaged = users if self._config.engaged_users is None else self._config.engaged_users
        return max(1, _CALLS_PER_USER * engaged)

    def _count(self, pool: _Pool, calls: int, now: float) -> None:
        while pool.spent and pool.spent[0][0] <= now - _DAY_SECONDS:
            pool.total -= pool.spent.popleft()[1]
        pool.total += calls
        if pool.spent and now - pool.spent[-1][0] < 60:
            pool.spent[-1] = (pool.spent[-1][0], pool.spent[-1][1] + calls)
        else:
            pool.spent.append((now, calls))

    def _too_soon(self) -> Refusal:
        if self._config.rate_code == 613:
            return Refusal(613, "(#613) Calls to this api have exceeded the rate limit.")
        return Refusal(
            80006, "(#80006) There have been too many messenger api calls to this Page account. Wait a bit."
        )


def usage_headers(told: dict[str, list[dict[str, Any]]]) -> dict[str, str]:
    """The headers for what there is to tell, by object."""
    if not told:
        return {}
    app = {"call_count": 0, "total_time": 0, "total_cputime": 0}
    return {
        "X-App-Usage": msgspec.json.encode(app).decode(),
        "X-Business-Use-Case-Usage": msgspec.json.encode(told).decode(),
    }
