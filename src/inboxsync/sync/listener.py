"""What a run tells whoever watches it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from inboxsync.model import Counts, Run


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchStored:
    """A batch is in the store.

    `run` has the totals with it, `batch` its own counts. `is_sweep` tells the closing looks at
    the head of the list from the walk. `frontier` is the oldest conversation reached.
    `allowance_used_percent` is None where the source has not told.
    """

    run: Run
    batch: Counts
    seconds: float
    is_sweep: bool
    frontier: datetime | None
    allowance_used_percent: int | None


class Listener(Protocol):
    """Watches one run. Called on the event loop, so it must not block."""

    def on_start(self, run: Run) -> None:
        """The run begins."""

    def on_batch(self, event: BatchStored) -> None:
        """A batch has been stored."""

    def on_end(self, run: Run, *, reason: str | None) -> None:
        """The run is over; `reason` says why it stopped early."""
