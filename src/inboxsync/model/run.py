"""One execution of a sync, and how it ended."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum


class Mode(StrEnum):
    """How much of a list a run reads.

    `auto` walks what has never been walked, or what the user asked to have again by
    setting `last_synced_at` to NULL, and else reads what is new.
    """

    AUTO = "auto"
    FULL = "full"
    INCREMENTAL = "incremental"


class RunStatus(StrEnum):
    """How a run stands. Partial is never called success."""

    RUNNING = "running"
    INTERRUPTED = "interrupted"  # killed: a later run found it without an end
    COMPLETE = "complete"
    PARTIAL = "partial"
    FAILED = "failed"


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
class Run:
    """A run as it is stored and reported."""

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

    @property
    def conversations_per_second(self) -> float:
        """Conversations fetched a second of the run's own time; 0 before any time has passed."""
        return self.counts.fetched / self.duration_seconds if self.duration_seconds > 0 else 0.0
