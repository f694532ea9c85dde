"""What the workers share: the slices of runs, who lives, and when each Page is due."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class TaskQueue(StrEnum):
    """What a slice of a run is for. Each lane has slots of its own, so that none waits behind another."""

    NEWEST = "newest"  # the newest conversations of a Page: every run begins here
    SCAN = "scan"  # the rest of its lists
    HISTORY = "history"  # older messages
    VERIFY = "verify"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTask:
    """The next part of a run, or the one that a worker is at.

    Not to be begun before `due_at`; `dispatched_at` is when it was put into the workers' queue, `worker_id`
    who has begun it. `failures` were cut short in a row, by something that passes.
    """

    run_id: str
    page_id: str
    queue: TaskQueue
    number: int
    due_at: datetime
    dispatched_at: datetime | None = None
    worker_id: str | None = None
    failures: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerInfo:
    """A process that executes runs, as it last told."""

    id: str
    version: str
    concurrency: int
    started_at: datetime
    heartbeat_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """When the workers start runs of a Page by themselves. `every_seconds` None: as by default."""

    page_id: str
    every_seconds: int | None = None
    is_paused: bool = False
    next_sync_at: datetime | None = None
    next_verify_at: datetime | None = None
