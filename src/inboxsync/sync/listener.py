"""What a run tells whoever watches it."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Protocol

from inboxsync.graph import Waiting
from inboxsync.model import Counts, Run


class Stage(StrEnum):
    """What a run is doing."""

    WALK = "walk"  # a list from its top to its bottom
    SWEEP = "sweep"  # its head alone
    CONVERSATION = "conversation"  # conversations that were owed
    GAP = "gap"  # messages between those stored
    HISTORY = "history"  # messages older than those stored


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchStored:
    """A batch is in the store.

    `run` has the totals with it, `batch` its own counts. `frontier` is the oldest conversation
    reached, None where the stage is not a list. `allowance_used_percent` is None where the source
    has not told.
    """

    run: Run
    batch: Counts
    seconds: float
    stage: Stage
    folder: str
    frontier: datetime | None
    allowance_used_percent: int | None

    @property
    def is_sweep(self) -> bool:
        """Whether this was a look at the head of a list, not a walk down to its bottom."""
        return self.stage is Stage.SWEEP


class Listener(Protocol):
    """Watches one run. Called on the event loop, so it must not block."""

    def on_start(self, run: Run) -> None:
        """The run begins."""

    def on_batch(self, event: BatchStored) -> None:
        """A batch has been stored."""

    def on_wait(self, waiting: Waiting | None) -> None:
        """Meta holds the run back until then; None: it no longer does."""

    def on_end(self, run: Run, *, reason: str | None) -> None:
        """The run is over; `reason` says why it stopped early."""


def in_words(waiting: Waiting) -> str:
    """`waiting for Meta until 14:32 (messenger 96 %)`, in the reader's own time zone."""
    until = waiting.until.astimezone()
    is_soon = waiting.until - datetime.now(UTC) < timedelta(hours=12)
    used = f" {waiting.used_percent} %" if waiting.used_percent is not None else ""
    return f"waiting for Meta until {until:{'%H:%M' if is_soon else '%Y-%m-%d %H:%M'}} ({waiting.type}{used})"
