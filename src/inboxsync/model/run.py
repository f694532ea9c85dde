"""One execution of a sync or a verification, what was asked for, and how it ended."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from inboxsync.model.page import History


class Mode(StrEnum):
    """How much of a list a run reads.

    `auto` scans a list in full where that was never done, or where the user has set `last_synced_at` to
    NULL; else it reads only what is new.
    """

    AUTO = "auto"
    FULL = "full"
    INCREMENTAL = "incremental"


class RunKind(StrEnum):
    """What a run does: copy, or compare with the source."""

    SYNC = "sync"
    VERIFY = "verify"


class RunStatus(StrEnum):
    """The status of a run. A partial run is never reported as complete."""

    QUEUED = "queued"  # a worker will execute it; it has not begun
    RUNNING = "running"
    INTERRUPTED = "interrupted"  # killed: a later run found it without an end
    COMPLETE = "complete"
    PARTIAL = "partial"
    FAILED = "failed"
    CANCELLED = "cancelled"  # ended because someone asked for it; what was fetched is stored

    @property
    def is_open(self) -> bool:
        """Whether there is more to come."""
        return self in (RunStatus.QUEUED, RunStatus.RUNNING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What a batch, or a run, did to the store.

    `fetched` = `inserted` + `updated` + `unchanged`, in conversations; `events` counts the
    messages that were new.
    """

    fetched: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    events: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """An error as a run reports it: a stable code, one sentence, and what to do next."""

    code: str
    message: str
    hint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """What the workers are asked to do for a Page.

    `max_conversations` limits the whole run. `max_duration_seconds` limits one task of it: the workers
    continue a run until it is complete. `history` None: as the Page's own setting.
    """

    mode: Mode = Mode.AUTO
    messages: int = 10
    max_conversations: int | None = None
    max_duration_seconds: float | None = None
    history: History | None = None
    kind: RunKind = RunKind.SYNC


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run as it is stored and reported.

    While it is queued, `started_at` is when it was enqueued. `duration_seconds` counts only the time in which
    it was executed. `request` and `queued_at` are None for a command's own run.
    """

    id: str
    page_id: str
    facebook_page_id: str
    platform: str
    mode: Mode
    status: RunStatus
    started_at: datetime
    finished_at: datetime | None = None
    duration_seconds: float = 0.0
    counts: Counts = field(default_factory=Counts)
    batches: int = 0
    calls: int = 0
    refused_calls: int = 0
    problems: tuple[Problem, ...] = ()
    next: str | None = None
    kind: RunKind = RunKind.SYNC
    request: RunRequest | None = None
    queued_at: datetime | None = None
    cancel_asked_at: datetime | None = None
    updated_at: datetime | None = None

    @property
    def conversations_per_second(self) -> float:
        """Conversations fetched a second of the run's own time; 0 before any time has passed."""
        return self.counts.fetched / self.duration_seconds if self.duration_seconds > 0 else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEvent:
    """An event of a run, as it is stored and sent.

    `seq` counts from 1 within the run. `status` is a word of the live stream (see `sync.events`); `data` has
    the counters and what else belongs to the event.
    """

    run_id: str
    seq: int
    at: datetime
    status: str
    data: dict[str, object]
