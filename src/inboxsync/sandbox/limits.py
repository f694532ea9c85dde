"""The limits, and the headers that report them (graph-facts 2).

2 calls a second for each Page or Instagram account: a bucket of two that fills twice a
second, or by switch a bucket of one, or two in any second (it is not known which of them is
Meta's). A quota for a rolling day for each type of calls on an object. Calls are counted as they
arrive, before the answer, refused ones too.
"""

import math
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import msgspec

from inboxsync.sandbox.config import SandboxConfig
from inboxsync.sandbox.refusal import Refusal

_PER_SECOND = 2.0
# How many calls may come at once.
_BURST = {"bucket": 2.0, "strict": 1.0, "rolling": 2.0}
# A day is counted in so many parts.
_PARTS_OF_A_DAY = 1_440
# Calls a day for each engaged user; for Instagram each impression, of which there are as many here.
_CALLS_PER_USER = {"messenger": 200, "pages": 4_800, "instagram": 4_800}
_SPENT = {
    "messenger": (80006, "There have been too many messenger api calls to this Page account."),
    "pages": (80001, "There have been too many calls to this Page account. Wait a bit and try again."),
    "instagram": (80002, "There have been too many calls to this Instagram account. Wait a bit."),
}
# Headers are absent at the start: "no header if usage is effectively 0 %".
_SILENT_CALLS = 3
_FULL = 100
_NEARLY_FULL = 95
_SECONDS_A_MINUTE = 60
_SLACK = 1e-6


@dataclass(slots=True)
class _Pace:
    """The 2 calls a second of one object: its calls, and the accepted ones, of the last second."""

    filled_at: float
    is_rolling: bool
    burst: float
    level: float
    blocked_until: float = 0.0
    calls: int = 0
    latest: deque[float] = field(default_factory=deque)
    let_in: deque[float] = field(default_factory=deque)
    most_in_a_second: int = 0

    def count(self, now: float) -> None:
        self.calls += 1
        self.latest.append(now)
        _roll(self.latest, now)
        self.most_in_a_second = max(self.most_in_a_second, len(self.latest))

    def may_pass(self, now: float, *, penalty_seconds: float) -> bool:
        self.level = min(self.burst, self.level + (now - self.filled_at) * _PER_SECOND)
        self.filled_at = now
        _roll(self.let_in, now)
        is_free = len(self.let_in) < _PER_SECOND if self.is_rolling else self.level + _SLACK >= 1
        if now < self.blocked_until or not is_free:
            self.blocked_until = max(self.blocked_until, now + penalty_seconds)
            return False
        self.level -= 1
        self.let_in.append(now)
        return True


def _roll(times: deque[float], now: float) -> None:
    """Forget what is older than a second."""
    while times and times[0] <= now - 1:
        times.popleft()


@dataclass(slots=True)
class _Day:
    """The calls of one type on one object within the rolling day: (time, calls) a part of it."""

    seconds: float
    spent: deque[tuple[float, int]] = field(default_factory=deque)
    total: int = 0

    def count(self, now: float) -> None:
        self.roll(now)
        self.total += 1
        if self.spent and now - self.spent[-1][0] < self.seconds / _PARTS_OF_A_DAY:
            self.spent[-1] = (self.spent[-1][0], self.spent[-1][1] + 1)
        else:
            self.spent.append((now, 1))

    def roll(self, now: float) -> None:
        while self.spent and self.spent[0][0] <= now - self.seconds:
            self.total -= self.spent.popleft()[1]

    def seconds_until(self, total: int, now: float) -> float:
        """How long until no more than `total` are left, without further calls."""
        left = self.total
        for at, calls in self.spent:
            if left <= total:
                break
            left -= calls
            if left <= total:
                return at + self.seconds - now
        return 0.0


class Limits:
    """Counts the calls against every object."""

    def __init__(self, config: SandboxConfig) -> None:
        self._config = config
        self._paces: dict[str, _Pace] = {}
        self._days: dict[tuple[str, str], _Day] = {}

    def spend(self, object_id: str, kind: str, *, users: int, now: float) -> None:
        """Count a call against an object; raises Refusal if that is too much. `now`: monotonic seconds."""
        burst = _BURST[self._config.pace]
        pace = self._paces.setdefault(object_id, _Pace(now, self._config.pace == "rolling", burst, burst))
        day = self._days.setdefault((object_id, kind), _Day(self._config.day_seconds))
        pace.count(now)
        day.count(now)
        if not self._config.limits:
            return
        if day.total > self._daily_quota(kind, users):
            raise _spent(kind)
        if not pace.may_pass(now, penalty_seconds=self._config.penalty_seconds):
            raise self._too_soon(kind)

    def usage(self, object_id: str, kind: str, *, users: int, now: float) -> dict[str, Any] | None:
        """What an answer's header reports of this quota; None for no header."""
        day = self._days.get((object_id, kind))
        if day is None or not self._config.limits:
            return None
        day.roll(now)
        quota = self._daily_quota(kind, users)
        percent = min(math.ceil(_FULL * day.total / quota), _FULL)
        if day.total <= _SILENT_CALLS and percent < _NEARLY_FULL:
            return None
        seconds = day.seconds_until(quota - 1, now) if percent >= _FULL else 0.0
        minutes: int = math.ceil(seconds / _SECONDS_A_MINUTE)
        if self._config.regain_minutes is not None and percent >= _NEARLY_FULL:
            minutes = self._config.regain_minutes
        return {
            "type": kind,
            "call_count": percent,
            "total_cputime": min(percent, 1),
            "total_time": min(percent, 1),
            "estimated_time_to_regain_access": minutes,
        }

    def calls(self) -> dict[str, int]:
        """How many calls each object has seen, refused ones too."""
        return {object_id: pace.calls for object_id, pace in self._paces.items()}

    def most_in_a_second(self) -> dict[str, int]:
        """The most that came within any second, by object."""
        return {object_id: pace.most_in_a_second for object_id, pace in self._paces.items()}

    def _daily_quota(self, kind: str, users: int) -> int:
        if self._config.calls_a_day is not None:
            return max(1, self._config.calls_a_day)
        engaged = users if self._config.engaged_users is None else self._config.engaged_users
        return max(1, _CALLS_PER_USER[kind] * engaged)

    def _too_soon(self, kind: str) -> Refusal:
        if self._config.rate_code == 613:
            return Refusal(613, "(#613) Calls to this api have exceeded the rate limit.")
        return _spent(kind)


def _spent(kind: str) -> Refusal:
    code, message = _SPENT[kind]
    return Refusal(code, f"(#{code}) {message}")


def usage_headers(usage_by_object: dict[str, list[dict[str, Any]]], *, app_percent: int) -> dict[str, str]:
    """The headers for the usage by object, and for the app's; none for 0 %."""
    headers = {}
    if app_percent:
        app = {"call_count": app_percent, "total_time": min(app_percent, 1), "total_cputime": 0}
        headers["X-App-Usage"] = msgspec.json.encode(app).decode()
    if usage_by_object:
        headers["X-Business-Use-Case-Usage"] = msgspec.json.encode(usage_by_object).decode()
    return headers
