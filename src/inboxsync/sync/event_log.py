"""Writes down what a run tells, for whoever watches it from elsewhere: rows of `sync_run_events`.

The words are those of the live stream. What happens often is told at most once a second, in a transaction
of its own beside the batches'; the first and the last word are written with the run's own row.
"""

import asyncio
from contextlib import suppress
from datetime import datetime
from typing import Final

import structlog
from sqlalchemy import Connection

from inboxsync.clock import Clock
from inboxsync.errors import InboxsyncError
from inboxsync.graph import Retrying, Waiting
from inboxsync.model import Run, RunStatus
from inboxsync.store import Store
from inboxsync.store.state.leases import get_lease
from inboxsync.store.state.run_events import append_run_events
from inboxsync.store.state.runs import lock_open_run
from inboxsync.sync.events import BatchStored, Stage, in_words

log = structlog.get_logger(__name__)

STARTING: Final = "starting"
FETCHING: Final = "fetching"
PROCESSING: Final = "processing"
RETRYING: Final = "retrying"
BATCH_FAILED: Final = "batch_failed"
SYNCING: Final = "syncing"
WAITING: Final = "waiting"
TIMEOUT_WARNING: Final = "timeout_warning"
COMPLETE: Final = "complete"
WITH_ERRORS: Final = "complete_with_errors"
ERROR: Final = "error"
# After one of these nothing follows.
LAST: Final = frozenset({COMPLETE, WITH_ERRORS, ERROR})

_SECONDS = 1.0
_LISTS = (Stage.FULL_SCAN, Stage.CATCH_UP)

Data = dict[str, object]


def start_events(run: Run, *, is_new: bool) -> list[tuple[str, Data]]:
    """What is told of a run that begins, or of one that a worker goes on with."""
    data = counters(run) | {"mode": run.mode.value, "kind": run.kind.value}
    return [(STARTING, data), (FETCHING, data)] if is_new else [(FETCHING, data)]


def end_event(run: Run, *, reason: str | None) -> tuple[str, Data]:
    """What is told of a run that has ended."""
    word = {RunStatus.COMPLETE: COMPLETE, RunStatus.FAILED: ERROR}.get(run.status, WITH_ERRORS)
    data = counters(run) | {
        "run_status": run.status.value,
        "complete": run.status is RunStatus.COMPLETE,
        "errors": [{"code": each.code, "message": each.message, "hint": each.hint} for each in run.problems],
        "next": run.next,
    }
    if reason is not None:
        data["message"] = reason
    return word, data


def counters(run: Run, *, failed_batches: int = 0) -> Data:
    """The run's totals, in the names of the live stream."""
    return {
        "total": run.counts.fetched,
        "fetched": run.counts.fetched,
        "inserted": run.counts.inserted,
        "updated": run.counts.updated,
        "skipped": run.counts.unchanged,
        "eventsCreated": run.counts.events,
        "failedBatches": failed_batches,
        "speed": round(run.conversations_per_second, 1),
        "batches": run.batches,
        "calls": run.calls,
        "seconds": round(run.duration_seconds, 1),
    }


class EventLog:
    """Hears what a run tells and writes it down. Call `close` before the run's end is written.

    It speaks as `owner` of the Page's lease: one that was frozen, and wakes up too late, tells nothing
    between or behind the words of who went on.
    """

    def __init__(self, store: Store, clock: Clock, run: Run, *, owner: str) -> None:
        self._owner = owner
        self._store = store
        self._clock = clock
        self._run = run
        self._failed_batches = 0
        # The newest of each kind stands for all since the last writing, in the order in which they came.
        self._untold: dict[str, tuple[datetime, str, Data]] = {}
        self._closing = asyncio.Event()
        self._writing = asyncio.create_task(self._write_now_and_then())

    async def close(self) -> None:
        """Write what has not been written yet."""
        self._closing.set()
        await self._writing

    def on_start(self, run: Run) -> None:
        """The run begins: that is written with its row."""

    def on_batch(self, event: BatchStored) -> None:
        """A batch has been stored."""
        self._run = event.run
        reached = event.position.isoformat() if event.position else None
        self._tell(
            PROCESSING if event.stage in _LISTS else SYNCING,
            stage=event.stage.value,
            folder=event.folder,
            reached=reached,
            quota_used_percent=event.quota_used_percent,
        )

    def on_wait(self, waiting: Waiting | None) -> None:
        """Meta holds the run back, or no longer does."""
        if waiting is None:
            self._tell(FETCHING)
        else:
            until = waiting.until.isoformat(timespec="seconds")
            self._tell(WAITING, waiting_until=until, message=in_words(waiting))

    def on_retry(self, retry: Retrying) -> None:
        """A call failed and is made again."""
        self._tell(RETRYING, message=retry.why, attempt=retry.attempt, pause_seconds=retry.pause_seconds)

    def on_batch_failed(self, failure: InboxsyncError, *, folder: str) -> None:
        """A batch failed for good."""
        self._failed_batches += 1
        self._tell(BATCH_FAILED, message=failure.message, code=failure.code, folder=folder)

    def on_time_limit(self, run: Run, *, reason: str) -> None:
        """The time is up."""
        self._run = run
        self._tell(TIMEOUT_WARNING, message=reason)

    def on_suspend(self, run: Run, *, reason: str, until: datetime | None) -> None:
        """The run is laid down, and goes on later."""
        self._run = run
        at = until.isoformat(timespec="seconds") if until is not None else None
        self._tell(SYNCING if at is None else WAITING, message=reason, waiting_until=at)

    def on_end(self, run: Run, *, reason: str | None) -> None:
        """The run is over: that is written with its row."""

    def _tell(self, word: str, **more: object) -> None:
        data = counters(self._run, failed_batches=self._failed_batches) | more
        self._untold.pop(word, None)
        self._untold[word] = (self._clock.now(), word, data)

    async def _write_now_and_then(self) -> None:
        is_last = False
        while not is_last:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), _SECONDS)
            is_last = self._closing.is_set()
            await self._write()

    async def _write(self) -> None:
        events, self._untold = list(self._untold.values()), {}
        if not events:
            return

        def write() -> None:
            with self._store.write() as connection:
                if lock_open_run(connection, self._run.id) and self._is_ours(connection):
                    append_run_events(connection, self._run.id, events)

        try:
            await asyncio.to_thread(write)
        except InboxsyncError as failure:  # it is told, not owed: the run itself says what is wrong
            log.debug("not told", why=failure.message)

    def _is_ours(self, connection: Connection) -> bool:
        """Whether nobody else has the Page."""
        holder = get_lease(connection, self._run.page_id)
        return holder is None or holder.owner == self._owner
