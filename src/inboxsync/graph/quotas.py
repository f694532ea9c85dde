"""Meta's allowances, and which kind of call counts against which.

A pool is (object id, type) as Meta has them. An inbox's own pool is known from the start;
which others a kind of call counts against, its own answers' headers tell: an Instagram
inbox has been seen under two ids (graph-facts 2).
"""

import asyncio
from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum

from inboxsync.graph.access import Access
from inboxsync.graph.usage import APP, Usage
from inboxsync.model import Quota

# Not an allowance: the 2 calls a second, where a call was refused for coming too soon.
CALL_RATE = "pace"
PAGES = "pages"


class Endpoint(StrEnum):
    """The kinds of call, told apart because each may count against pools of its own."""

    PAGE = "page"
    CONVERSATIONS = "conversations"
    TIMES = "times"
    SUMMARY = "outline"
    CONVERSATION = "conversation"
    MESSAGES = "messages"


LISTS = frozenset({Endpoint.CONVERSATIONS, Endpoint.TIMES, Endpoint.SUMMARY})
INBOX = frozenset(Endpoint) - {Endpoint.PAGE}


class QuotaState:
    """One allowance, as far as answers have told of it."""

    def __init__(self, object_id: str, type_: str) -> None:
        self.object_id = object_id
        self.type = type_
        self.used_percent: int | None = None
        self.regain_seconds = 0.0
        self.blocked_until: datetime | None = None
        self.refusals = 0
        self.kept_until: datetime | None = None
        self.keeping = asyncio.Lock()

    def record(self) -> Quota:
        """The same, as it is stored."""
        return Quota(
            object_id=self.object_id,
            type=self.type,
            used_percent=self.used_percent,
            blocked_until=self.blocked_until,
            refusals=self.refusals,
        )

    def told(self, usage: Usage) -> None:
        """An answer told of it."""
        self.used_percent = usage.percent
        self.regain_seconds = usage.regain_seconds

    def restore(self, stored: Quota) -> None:
        """Go on as an earlier process left it."""
        self.used_percent = stored.used_percent
        self.blocked_until = self.kept_until = stored.blocked_until
        self.refusals = stored.refusals

    def is_blocked(self, now: datetime) -> bool:
        """Whether calls that count against it must wait."""
        return self.blocked_until is not None and self.blocked_until > now


class QuotaStates:
    """Every pool that this process has heard of."""

    def __init__(self) -> None:
        self._quotas: dict[tuple[str, str], QuotaState] = {}
        self._learned: dict[tuple[str, str, Endpoint], set[QuotaState]] = {}

    def get(self, object_id: str, type_: str) -> QuotaState:
        """This pool, from now on if not before."""
        key = object_id, type_
        if key not in self._quotas:
            self._quotas[key] = QuotaState(object_id, type_)
        return self._quotas[key]

    def app(self) -> QuotaState:
        """The app's own allowance: every call counts against it."""
        return self.get(APP, APP)

    def call_rate(self, access: Access) -> QuotaState:
        """The 2 calls a second of this object."""
        return self.get(access.quota, CALL_RATE)

    def own(self, access: Access, endpoint: Endpoint) -> QuotaState:
        """What such a call counts against as far as anybody knows beforehand."""
        if endpoint is Endpoint.PAGE:
            return self.get(access.page_id, PAGES)
        return self.get(access.quota, access.platform.value)

    def learn(self, access: Access, endpoint: Endpoint, quota: QuotaState) -> None:
        """Such calls count against this pool too."""
        self._learned.setdefault((access.quota, access.platform.value, endpoint), set()).add(quota)

    def counted(self, access: Access, endpoint: Endpoint) -> list[QuotaState]:
        """The allowances that such a call counts against, but for the app's."""
        learned = self._learned.get((access.quota, access.platform.value, endpoint), set())
        return list({self.own(access, endpoint)} | learned)

    def holding(self, access: Access, endpoint: Endpoint) -> list[QuotaState]:
        """All that can hold such a call back."""
        return [self.app(), self.call_rate(access), *self.counted(access, endpoint)]

    def of_inbox(self, access: Access) -> list[QuotaState]:
        """All that can hold back a call about this inbox."""
        return list({quota for endpoint in INBOX for quota in self.holding(access, endpoint)})


def fullest(quotas: Iterable[QuotaState]) -> QuotaState | None:
    """The one with the least left, of those that an answer has told of."""
    told = [quota for quota in quotas if quota.used_percent is not None]
    return max(told, key=lambda quota: quota.used_percent or 0, default=None)
