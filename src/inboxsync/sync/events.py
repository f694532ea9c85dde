"""What a run tells whoever watches it."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Protocol

from inboxsync.errors import InboxsyncError
from inboxsync.graph import Retrying, Waiting
from inboxsync.model import Counts, Run


class Stage(StrEnum):
    """What a run is doing."""

    FULL_SCAN = "full_scan"  # a list from its top to its bottom
    CATCH_UP = "catch_up"  # its head alone
    CONVERSATION = "conversation"  # conversations that were owed
    GAP = "gap"  # messages between those stored
    HISTORY = "history"  # messages older than those stored
    COMPARE = "compare"  # what is listed, with what is stored


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchStored:
    """A batch is in the store.

    `run` has the totals with it, `batch` its own counts. `position` is the oldest conversation
    reached, None where the stage is not a list. `quota_used_percent` is None where the source
    has not told.
    """

    run: Run
    batch: Counts
    seconds: float
    stage: Stage
    folder: str
    position: datetime | None
    quota_used_percent: int | None

    @property
    def is_catch_up(self) -> bool:
        """Whether this was a look at the head of a list, not a walk down to its bottom."""
        return self.stage is Stage.CATCH_UP


class Listener(Protocol):
    """Watches one run. Called on the event loop, so it must not block."""

    def on_start(self, run: Run) -> None:
        """The run begins."""

    def on_batch(self, event: BatchStored) -> None:
        """A batch has been stored."""

    def on_wait(self, waiting: Waiting | None) -> None:
        """Meta holds the run back until then; None: it no longer does."""

    def on_retry(self, retry: Retrying) -> None:
        """A call failed and is made again."""

    def on_batch_failed(self, failure: InboxsyncError, *, folder: str) -> None:
        """A batch failed for good: it is asked for in parts, or what failed is owed."""

    def on_time_limit(self, run: Run, *, reason: str) -> None:
        """The time is up: the run stops at its next batch."""

    def on_suspend(self, run: Run, *, reason: str, until: datetime | None) -> None:
        """The run is laid down where it stands, and goes on by itself, not before `until`."""

    def on_end(self, run: Run, *, reason: str | None) -> None:
        """The run is over; `reason` says why it stopped early."""


class Listeners:
    """Several, told one after the other."""

    def __init__(self, *listeners: Listener) -> None:
        self._listeners = listeners

    def on_start(self, run: Run) -> None:
        """The run begins."""
        for each in self._listeners:
            each.on_start(run)

    def on_batch(self, event: BatchStored) -> None:
        """A batch has been stored."""
        for each in self._listeners:
            each.on_batch(event)

    def on_wait(self, waiting: Waiting | None) -> None:
        """Meta holds the run back, or no longer does."""
        for each in self._listeners:
            each.on_wait(waiting)

    def on_retry(self, retry: Retrying) -> None:
        """A call failed and is made again."""
        for each in self._listeners:
            each.on_retry(retry)

    def on_batch_failed(self, failure: InboxsyncError, *, folder: str) -> None:
        """A batch failed for good."""
        for each in self._listeners:
            each.on_batch_failed(failure, folder=folder)

    def on_time_limit(self, run: Run, *, reason: str) -> None:
        """The time is up."""
        for each in self._listeners:
            each.on_time_limit(run, reason=reason)

    def on_suspend(self, run: Run, *, reason: str, until: datetime | None) -> None:
        """The run is laid down."""
        for each in self._listeners:
            each.on_suspend(run, reason=reason, until=until)

    def on_end(self, run: Run, *, reason: str | None) -> None:
        """The run is over."""
        for each in self._listeners:
            each.on_end(run, reason=reason)


class Silent:
    """Hears everything and says nothing; a watcher overrides what it wants to hear."""

    def on_start(self, run: Run) -> None:
        """The run begins."""

    def on_batch(self, event: BatchStored) -> None:
        """A batch has been stored."""

    def on_wait(self, waiting: Waiting | None) -> None:
        """Meta holds the run back, or no longer does."""

    def on_retry(self, retry: Retrying) -> None:
        """A call failed and is made again."""

    def on_batch_failed(self, failure: InboxsyncError, *, folder: str) -> None:
        """A batch failed for good."""

    def on_time_limit(self, run: Run, *, reason: str) -> None:
        """The time is up."""

    def on_suspend(self, run: Run, *, reason: str, until: datetime | None) -> None:
        """The run is laid down."""

    def on_end(self, run: Run, *, reason: str | None) -> None:
        """The run is over."""


def in_words(waiting: Waiting) -> str:
    """`waiting for Meta until 14:32 (messenger 96 %)`, in the reader's own time zone."""
    until = waiting.until.astimezone()
    is_soon = waiting.until - datetime.now(UTC) < timedelta(hours=12)
    used = f" {waiting.used_percent} %" if waiting.used_percent is not None else ""
    return f"waiting for Meta until {until:{'%H:%M' if is_soon else '%Y-%m-%d %H:%M'}} ({waiting.type}{used})"
