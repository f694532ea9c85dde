"""Tells of a run in the log: one line a batch, and one at each end."""

from datetime import datetime
from types import TracebackType
from typing import Self

import structlog

from inboxsync.graph import Waiting
from inboxsync.model import Run, RunStatus
from inboxsync.sync.events import BatchStored, Silent

log = structlog.get_logger("inboxsync.sync")


class LogLines(Silent):
    """One line a batch, and one at each end."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        structlog.contextvars.clear_contextvars()

    def on_start(self, run: Run) -> None:
        """The run begins."""
        structlog.contextvars.bind_contextvars(run_id=run.id, page_id=run.facebook_page_id)
        log.info("sync started", mode=run.mode.value)

    def on_batch(self, event: BatchStored) -> None:
        """A batch has been stored."""
        counts = event.run.counts
        log.info(
            "batch stored",
            stage=event.stage.value,
            folder=event.folder,
            batch=event.run.batches,
            fetched=event.batch.fetched,
            inserted=event.batch.inserted,
            updated=event.batch.updated,
            events=event.batch.events,
            seconds=round(event.seconds, 3),
            total=counts.fetched,
            speed=round(event.run.conversations_per_second, 1),
            reached=event.position.isoformat() if event.position else None,
            quota_used_percent=event.quota_used_percent,
        )

    def on_wait(self, waiting: Waiting | None) -> None:
        """Meta holds the run back, or no longer does."""
        if waiting is None:
            log.info("going on")
        else:
            until = waiting.until.isoformat(timespec="seconds")
            used = waiting.used_percent
            log.info("waiting for Meta", until=until, quota=waiting.type, used_percent=used)

    def on_end(self, run: Run, *, reason: str | None) -> None:
        """The run is over."""
        log.info(
            "sync ended",
            status=run.status.value,
            reason=reason,
            fetched=run.counts.fetched,
            inserted=run.counts.inserted,
            updated=run.counts.updated,
            events=run.counts.events,
            calls=run.calls,
            seconds=round(run.duration_seconds, 1),
            speed=round(run.conversations_per_second, 1),
        )
        tell = log.error if run.status is RunStatus.FAILED else log.warning
        for problem in run.problems:
            tell(problem.message, code=problem.code, hint=problem.hint)

    def on_suspend(self, run: Run, *, reason: str, until: datetime | None) -> None:
        """The run is laid down."""
        log.info(
            "sync laid down",
            reason=reason,
            until=until.isoformat(timespec="seconds") if until else None,
            total=run.counts.fetched,
        )
