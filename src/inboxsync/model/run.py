"""One execution of a sync or a verification, what was asked for, and how it ended."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from inboxsync.model.page import History


class Mode(StrEnum):
    """How much of a list a run reads.

    `auto` walks what has never been walked, or what the user asked to have again by
    setting `last_synced_at` to NULL, and else reads what is new.
    """

    AUTO = "auto"
    FULL = "full"
    INCREMENTAL = "incremental"


class RunKind(StrEnum):
    """What a run does: copy, or compare with the source."""

    SYNC = "sync"
    VERIFY = "verify"


class RunStatus(StrEnum):
    """How a run stands. Partial is never called success."""

    QUEUED = "queued"  # handed to the workers, and not begun
    RUNNING = "running"
    INTERRUPTED = "interrupted"  # killed: a later run found it without an end
    COMPLETE = "complete"
    PARTIAL = "partial"
    FAILED = "failed"
    CANCELLED = "cancelled"  # ended because somebody asked for it; what was fetched is stored

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

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            fetched=self.fetched + other.fetched,
            inserted=self.inserted + other.inserted,
            updated=self.updated + other.updated,
            unchanged=self.unchanged + other.unchanged,
            events=self.events + other.events,
        )

    def without_unchanged(self) -> "Counts":
        """The same, less what a second look found as it was."""
        return replace(self, fetched=self.fetched - self.unchanged, unchanged=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """An error as a run reports it: a stable code, one sentence, the next thing to do."""

    code: str
    message: str
    hint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """What the workers are asked to do for a Page.

    `max_conversations` bounds the whole run. `max_duration_seconds` bounds a slice of it: a run that
    workers execute goes on by itself until it is complete. `history` None leaves the Page's own setting.
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

    `started_at` is when it was asked for while it is queued. `duration_seconds` counts the time at work;
    it is 0 in a row of a run that has not ended. `request` and `queued_at` are None for a command's own run.
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
    """What a run told at one moment.

    `seq` counts from 1 within the run. `status` is a word of the live stream (see `sync.telling`); `data` is
    its counters and what else there is to tell.
    """

    run_id: str
    seq: int
    at: datetime
    status: str
    data: dict[str, object]
