"""Meta's quotas: what the usage headers say of them, and which kind of call counts against which.

A quota is one (object id, type) of Meta's. An inbox's own quota is known from the start. Which
others a kind of call counts against is learned from the headers of its answers: an Instagram
inbox has been seen under two ids (graph-facts 2).
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from math import inf, isnan
from typing import Any

import msgspec

from inboxsync.graph.access import Access
from inboxsync.model import Quota

# The app's own quota: its header names no object.
APP = "app"
# No quota of Meta's: the 2 calls a second, after a call was refused because it came too soon.
CALL_RATE = "call_rate"
PAGES = "pages"
_MOST_PERCENT = 1000
_NONSENSE = 1e9
# `call_volume` and `cpu_time` are what older answers have (restfb#1571).
_AMOUNTS = ("call_count", "call_volume", "total_time", "total_cputime", "cpu_time")
_MINUTES_A_DAY = 24 * 60


class Endpoint(StrEnum):
    """The kinds of call. Each may count against quotas of its own."""

    PAGE = "page"
    CONVERSATIONS = "conversations"
    TIMES = "times"
    SUMMARY = "summary"
    CONVERSATION = "conversation"
    MESSAGES = "messages"


LISTS = frozenset({Endpoint.CONVERSATIONS, Endpoint.TIMES, Endpoint.SUMMARY})
INBOX = frozenset(Endpoint) - {Endpoint.PAGE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """How much of one quota is used, in percent; `regain_seconds` 0 means unknown, not now."""

    object_id: str
    type: str
    percent: int
    regain_seconds: float = 0.0


class QuotaState:
    """One quota, as the last answers reported it."""

    def __init__(self, object_id: str, type_: str) -> None:
        self.object_id = object_id
        self.type = type_
        self.used_percent: int | None = None
        self.regain_seconds = 0.0
        self.blocked_until: datetime | None = None
        self.refusals = 0
        # Of the call rate: how much further apart calls are, after a refusal.
        self.extra_seconds = 0.0
        self.extra_until: datetime | None = None
        # Up to when the store knows that it is blocked.
        self.kept_until: datetime | None = None
        self.keeping = asyncio.Lock()

    def record(self) -> Quota:
        """The same, to be stored."""
        return Quota(
            object_id=self.object_id,
            type=self.type,
            used_percent=self.used_percent,
            blocked_until=self.blocked_until,
            refusals=self.refusals,
        )

    def update(self, usage: Usage) -> None:
        """Take over what an answer's header says."""
        self.used_percent = usage.percent
        self.regain_seconds = usage.regain_seconds

    def restore(self, stored: Quota) -> None:
        """Continue as an earlier process left it."""
        self.used_percent = stored.used_percent
        self.blocked_until = self.kept_until = stored.blocked_until
        self.refusals = stored.refusals

    def is_blocked(self, now: datetime) -> bool:
        """Whether calls that count against it must wait."""
        return self.blocked_until is not None and self.blocked_until > now


class QuotaStates:
    """Every quota that this process knows."""

    def __init__(self) -> None:
        self._quotas: dict[tuple[str, str], QuotaState] = {}
        self._learned: dict[tuple[str, str, Endpoint], set[QuotaState]] = {}

    def get(self, object_id: str, type_: str) -> QuotaState:
        """This quota, from now on if not before."""
        key = object_id, type_
        if key not in self._quotas:
            self._quotas[key] = QuotaState(object_id, type_)
        return self._quotas[key]

    def app(self) -> QuotaState:
        """The app's own quota: every call counts against it."""
        return self.get(APP, APP)

    def call_rate(self, access: Access) -> QuotaState:
        """The 2 calls a second of this object."""
        return self.get(access.quota, CALL_RATE)

    def own(self, access: Access, endpoint: Endpoint) -> QuotaState:
        """What such a call counts against before anything has been learned."""
        if endpoint is Endpoint.PAGE:
            return self.get(access.page_id, PAGES)
        return self.get(access.quota, access.platform.value)

    def learn(self, access: Access, endpoint: Endpoint, quota: QuotaState) -> None:
        """Such calls count against this quota too."""
        self._learned.setdefault((access.quota, access.platform.value, endpoint), set()).add(quota)

    def counted(self, access: Access, endpoint: Endpoint) -> list[QuotaState]:
        """The quotas that such a call counts against, without the app's."""
        learned = self._learned.get((access.quota, access.platform.value, endpoint), set())
        return list({self.own(access, endpoint)} | learned)

    def holding(self, access: Access, endpoint: Endpoint) -> list[QuotaState]:
        """All that can make such a call wait."""
        return [self.app(), self.call_rate(access), *self.counted(access, endpoint)]

    def of_inbox(self, access: Access) -> list[QuotaState]:
        """All that can make a call about this inbox wait."""
        return list({quota for endpoint in INBOX for quota in self.holding(access, endpoint)})


def fullest(quotas: Iterable[QuotaState]) -> QuotaState | None:
    """The one with the least left, of those that an answer has reported."""
    known = [quota for quota in quotas if quota.used_percent is not None]
    return max(known, key=lambda quota: quota.used_percent or 0, default=None)


def read_usage(headers: Mapping[str, str]) -> list[Usage]:
    """Every quota that an answer's headers report. An absent or unreadable header means nothing, not zero."""
    found = []
    app = _percent(_json_object(headers.get("x-app-usage")))
    if app is not None:
        found.append(Usage(object_id=APP, type=APP, percent=app))
    business = _json_object(headers.get("x-business-use-case-usage"))
    for object_id, entries in business.items():
        usages = (_business_usage(object_id, entry) for entry in _objects(entries))
        found += [usage for usage in usages if usage is not None]
    return found


def _business_usage(object_id: str, entry: dict[str, Any]) -> Usage | None:
    percent, kind = _percent(entry), entry.get("type")
    if percent is None or not isinstance(kind, str):
        return None
    # In minutes, of a window that is a day long.
    minutes = min(_amount(entry.get("estimated_time_to_regain_access"), most=inf) or 0.0, _MINUTES_A_DAY)
    return Usage(object_id=object_id, type=kind.lower(), percent=percent, regain_seconds=60.0 * minutes)


def _objects(entries: object) -> Iterator[dict[str, Any]]:
    for entry in entries if isinstance(entries, list) else [entries]:
        if isinstance(entry, dict):
            yield entry


def _percent(entry: dict[str, Any]) -> int | None:
    """The most of what is reported; None if nothing can be read."""
    amounts = [amount for name in _AMOUNTS if (amount := _amount(entry.get(name))) is not None]
    return int(min(max(amounts), _MOST_PERCENT)) if amounts else None


def _amount(value: object, *, most: float = _NONSENSE) -> float | None:
    """A number, also as text; None for anything else, and for what no quota can have."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        amount = float(value)
    except ValueError:
        return None
    except OverflowError:
        amount = inf
    return None if isnan(amount) or amount > most else max(amount, 0.0)


def _json_object(text: str | None) -> dict[str, Any]:
    with suppress(msgspec.DecodeError, UnicodeError, RecursionError):
        value = msgspec.json.decode(text or "{}")
        if isinstance(value, dict):
            return value
    return {}
