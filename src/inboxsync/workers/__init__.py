"""Workers: runs are enqueued, and executed by whichever worker has a free slot; no run is lost.

Read it in this order: `queue` (enqueue a run), `task` (one task of a run, as a worker executes it),
`dispatch` (DBOS: which worker executes which task), `worker`, `maintenance` (what one worker does for all).
docs/decisions/0013-runs-in-tasks.md says why it has this shape, what DBOS does and what it does not.
"""

from inboxsync.model import RunRequest
from inboxsync.workers.queue import RunQueue
from inboxsync.workers.schedules import (
    EVERY_SECONDS,
    LONGEST_SECONDS,
    SHORTEST_SECONDS,
    reset_schedule,
    set_schedule,
)
from inboxsync.workers.worker import Worker

__all__ = [
    "EVERY_SECONDS",
    "LONGEST_SECONDS",
    "SHORTEST_SECONDS",
    "RunQueue",
    "RunRequest",
    "Worker",
    "reset_schedule",
    "set_schedule",
]
