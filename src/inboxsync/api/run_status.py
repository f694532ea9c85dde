"""How a run stands, in the words of the three given endpoints."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection

from inboxsync.api import queueing
from inboxsync.api.runs import location_of
from inboxsync.api.service import Service
from inboxsync.errors import StoreError
from inboxsync.model import Mode, Run, RunStatus
from inboxsync.store.state.leases import get_lease
from inboxsync.store.state.run_events import list_run_events
from inboxsync.store.state.run_totals import newest_event_seq
from inboxsync.store.state.workers import list_workers
from inboxsync.sync.events import WAITING

# Long enough for a worker that is busy, or whose clock is another.
_DEAD: Final = timedelta(seconds=60)
# That of `inboxsync serve` takes a second or two to begin.
NO_WORKER: Final = (
    "No worker is there yet to execute it. Where that lasts, start `inboxsync worker`, or `inboxsync serve` "
    "without --no-worker."
)


@dataclass(frozen=True, slots=True)
class RunView:
    """A run as it is told after a call has waited for it, in the words of the given endpoints."""

    run: Run
    seconds: float
    address: str
    held_up: str = ""

    @property
    def is_complete(self) -> bool:
        """Whether nothing that can be read is missing."""
        return self.run.status is RunStatus.COMPLETE

    @property
    def is_full(self) -> bool:
        """Whether it read everything, or is to."""
        asked = self.run.request.mode if self.run.request else Mode.AUTO
        return Mode.FULL in (self.run.mode, asked) or self.run.mode is Mode.AUTO

    @property
    def duration(self) -> str:
        """`12.3s`."""
        return f"{self.seconds:.1f}s"

    @property
    def speed(self) -> str:
        """`85.0 conversations/sec`."""
        speed = self.run.counts.fetched / self.seconds if self.seconds > 0 else 0.0
        return f"{speed:.1f} conversations/sec"

    @property
    def why_not(self) -> str:
        """Why it is not complete, as a sentence or several."""
        if self.run.status.is_open:
            return self.held_up or "It goes on."
        if self.run.problems:
            return " ".join(each.message for each in self.run.problems)
        return "It was cancelled." if self.run.status is RunStatus.CANCELLED else "It was stopped early."

    @property
    def going(self) -> dict[str, Any]:
        """The members that were added to the given shapes."""
        follow = f"POST {self.address} again: it continues. GET {location_of(self.run)} tells how it stands."
        if self.run.status is RunStatus.FAILED and self.run.problems:
            follow = f"{self.run.problems[0].hint} Then {follow}"
        return {
            "run_id": self.run.id,
            "complete": self.is_complete,
            "next": None if self.is_complete else follow,
        }


async def run_view_of(service: Service, run: Run, *, address: str) -> RunView:
    """A run as it is told now."""
    now = service.engine.clock.now()
    seconds = run.duration_seconds
    if run.status.is_open and not seconds:
        seconds = max(0.0, (now - run.started_at).total_seconds())
    held_up = ""
    if run.status.is_open:
        try:
            held_up = await queueing.in_thread(
                service, lambda connection: what_holds_up(connection, run, now)
            )
        except StoreError as failure:  # what was seen last can be told all the same
            held_up = failure.message
    return RunView(run, seconds, address, held_up)


def what_holds_up(connection: Connection, run: Run, now: datetime) -> str:
    """Why a run that has not ended does not get on, as a sentence; empty where it does."""
    lease = get_lease(connection, run.page_id)
    if lease is None or lease.expires_at <= now:
        is_anybody_there = any(each.heartbeat_at > now - _DEAD for each in list_workers(connection))
        if not is_anybody_there:
            return NO_WORKER
    newest = newest_event_seq(connection, run.id)
    for event in list_run_events(connection, run.id, after=newest - 1, limit=1):
        message = event.data.get("message")
        if event.status == WAITING and isinstance(message, str):
            return f"{message[:1].upper()}{message[1:].rstrip('.')}."
    return ""
