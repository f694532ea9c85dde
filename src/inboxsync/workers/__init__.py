"""Durable runs: handed to a queue, executed by whichever worker has room, lost by none.

Read it in this order: `queue` (hand a run over), `slices` (one slice of a run, as a worker executes it),
`durable` (DBOS: which worker executes which slice, and that a dead one's are taken over), `duties` (what one
worker does for all), `worker`. docs/decisions/0013-runs-in-tasks.md has the shape and why.
"""

from inboxsync.model import RunRequest
from inboxsync.workers.queue import RunQueue
from inboxsync.workers.schedules import EVERY_SECONDS, set_schedule
from inboxsync.workers.worker import Worker

__all__ = ["EVERY_SECONDS", "RunQueue", "RunRequest", "Worker", "set_schedule"]
