"""What the workers share: the tasks of runs, which workers live, and when each Page is due."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class TaskQueue(StrEnum):
    """What a task is for. Each queue has its own slots, so that no kind of task waits for another kind."""

    NEWEST = "newest"  # the newest conversations of a Page: every run begins here
    SCAN = "scan"  # the rest of its lists
    HISTORY = "history"  # older messages
    VERIFY = "verify"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTask:
    """The next part of a run, or the part that a worker executes now.

    It must not begin before `due_at`. `dispatched_at` is when it was put into the workers' queue, `worker_id`
    is the worker that has begun it. `failures` counts the tasks before it, in a row, that something temporary
    cut short.
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
    """A process that executes runs, as its last heartbeat described it."""

    id: str
    version: str
    concurrency: int
    started_at: datetime
    heartbeat_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """When the workers start runs of a Page without being asked. `every_seconds` None: the default."""

    page_id: str
    every_seconds: int | None = None
    is_paused: bool = False
    next_sync_at: datetime | None = None
    next_verify_at: datetime | None = None
