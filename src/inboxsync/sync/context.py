"""What every part of one run works with."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from inboxsync.clock import Clock
from inboxsync.graph import Access, GraphClient
from inboxsync.model import Page
from inboxsync.sync.ingest import Ingest
from inboxsync.sync.limits import StallGuard
from inboxsync.sync.plan import plan_readers
from inboxsync.sync.stop import Stop
from inboxsync.sync.tracker import RunTracker
from inboxsync.sync.waiting import with_retries

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One Page being read: from where, and what ends it."""

    source: GraphClient
    access: Access
    clock: Clock
    page: Page
    stop: Stop
    stall: StallGuard

    def readers_wanted(self) -> int:
        """How many calls have to be under way at once to make all that are allowed."""
        call_rate = self.source.call_rate(self.access)
        return plan_readers(
            latency_seconds=call_rate.latency_seconds, calls_per_second=call_rate.calls_per_second
        )

    async def with_retries(self, work: Callable[[], T]) -> T:
        """What `work` returns, however often it must be tried; see `patience`."""
        return await with_retries(work, clock=self.clock, stop=self.stop)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunContext(Reading):
    """One run that stores what it reads: where, and what it counts."""

    ingest: Ingest
    tracker: RunTracker
