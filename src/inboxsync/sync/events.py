"""What happens in a run, as events: for the log, for the table `sync_run_events`, for a progress bar.

A run emits each event once, to a `Listener`. The rows of `sync_run_events` are what the live stream sends:
the words (`starting`, `processing`, ...) and the counters are part of the API.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from enum import StrEnum
from typing import Final

import structlog
from sqlalchemy import Connection

from inboxsync.clock import Clock
from inboxsync.errors import InboxsyncError
from inboxsync.graph import Retrying, Waiting
from inboxsync.model import Counts, Run, RunStatus
from inboxsync.store import Store
from inboxsync.store.state.leases import get_lease
from inboxsync.store.state.runs import append_run_events, lock_open_run
from inboxsync.sync.plan import INBOX
from inboxsync.sync.progress import UNKNOWN, Progress

log = structlog.get_logger("inboxsync.sync")

# The words of the live stream.
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
# No event of a run follows one of these.
LAST: Final = frozenset({COMPLETE, WITH_ERRORS, ERROR})

_WRITE_EVERY_SECONDS = 1.0


class Stage(StrEnum):
    """What a run is doing."""

    FULL_SCAN = "full_scan"  # reads a list from its top to its bottom
    CATCH_UP = "catch_up"  # reads only the head of a list
    CONVERSATION = "conversation"  # fetches conversations of the backlog
    GAP = "gap"  # fetches messages that are missing between stored ones
    HISTORY = "history"  # fetches messages older than the stored ones
    COMPARE = "compare"  # compares what the source lists with the store


_STAGE_WORDS: Final[dict[str, str]] = {
    Stage.FULL_SCAN: "Full scan of {folder}, newest first",
    Stage.CATCH_UP: "Catch-up scan of {folder}",
    Stage.CONVERSATION: "Fetching conversations from the backlog",
    Stage.GAP: "Fetching missing messages between stored ones",
    Stage.HISTORY: "Fetching older messages",
    Stage.COMPARE: "Comparing {folder} with what is stored",
}
# What reads lists, in a sync and in a verification.
_LISTS: Final = (Stage.FULL_SCAN, Stage.CATCH_UP, Stage.COMPARE)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted:
    """The run begins, or a worker continues it."""

    run: Run


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchStored:
    """A batch is in the store.

    `run` has the totals with it, `batch` its own counts. `position` is the oldest conversation
    reached, None where the stage does not read a list. `quota_used_percent` is None until the source
    has reported it. `differences`, of a verification: conversations that are not stored as they are listed.
    """

    run: Run
    batch: Counts
    seconds: float
    stage: Stage
    folder: str
    position: datetime | None
    quota_used_percent: int | None
    progress: Progress = UNKNOWN
    differences: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceAway:
    """The source gives no usable answer; it is called again at `until`.

    Both times are in the clock's zone. It has failed `failures` times in a row; `why` is the last failure.
    """

    since: datetime
    until: datetime
    failures: int
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitStarted:
    """Meta allows no call before `waiting.until`."""

    waiting: Waiting


@dataclass(frozen=True, slots=True)
class WaitEnded:
    """Calls may be made again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRetried:
    """A call failed and is made again."""

    retry: Retrying


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchFailed:
    """A batch failed for good: it is bisected, or its conversation goes to the backlog."""

    failure: InboxsyncError
    folder: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeIsUp:
    """The time limit is reached: the run stops at its next batch."""

    run: Run
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSuspended:
    """The run stops where it is; a worker continues it, not before `until`.

    `has_failed`: a temporary failure stopped it.
    """

    run: Run
    reason: str
    until: datetime | None
    has_failed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnded:
    """The run is over; `reason` says why it stopped early."""

    run: Run
    reason: str | None


Event = (
    RunStarted
    | BatchStored
    | SourceAway
    | WaitStarted
    | WaitEnded
    | CallRetried
    | BatchFailed
    | TimeIsUp
    | RunSuspended
    | RunEnded
)
# Called on the event loop, so it must not block.
Listener = Callable[[Event], None]


def ignore(_event: Event) -> None:
    """The listener of a run that no one watches."""


def to_all(*listeners: Listener) -> Listener:
    """One listener that passes each event on to several."""

    def pass_on(event: Event) -> None:
        for listener in listeners:
            listener(event)

    return pass_on


def describe_waiting(waiting: Waiting) -> str:
    """`waiting for Meta until 14:32 (messenger 96 %)`, in the zone that `waiting` has."""
    is_soon = waiting.until - datetime.now(UTC) < timedelta(hours=12)
    used = f" {waiting.used_percent} %" if waiting.used_percent is not None else ""
    until = f"{waiting.until:{'%H:%M' if is_soon else '%Y-%m-%d %H:%M'}}"
    return f"waiting for Meta until {until} ({waiting.type}{used})"


def describe_away(away: SourceAway) -> str:
    """`no answer from Meta since 14:32 (5 attempts), trying again at 14:33: ...`."""
    times = "1 attempt" if away.failures == 1 else f"{away.failures:,} attempts"
    return (
        f"no answer from Meta since {away.since:%H:%M:%S} ({times}), "
        f"trying again at {away.until:%H:%M:%S}: {away.why}"
    )


def describe_stage(data: Mapping[str, object], zone: tzinfo) -> str:
    """What an event says of its stage: `Full scan of the inbox, newest first: reached 12 May 2025`.

    Empty where it names none. The day is that of `zone`.
    """
    stage = data.get("stage")
    if not isinstance(stage, str):
        return ""
    folder = str(data.get("folder") or INBOX).replace("_", " ")
    words = _STAGE_WORDS.get(stage, stage.replace("_", " "))
    line = words.format(folder=f"the folder {folder}" if folder != INBOX else "the inbox")
    if isinstance(reached := data.get("reached"), str):
        line += f": reached {datetime.fromisoformat(reached).astimezone(zone):%-d %b %Y}"
    return line


def describe_retry(retry: Retrying) -> str:
    """`call failed, trying again in 4 s: ...`."""
    return f"call failed, trying again in {max(1, round(retry.pause_seconds))} s: {retry.why}"


def log_event(event: Event) -> None:
    """Writes a line to the log for each batch, each wait, and the two ends of a run."""
    match event:
        case RunStarted(run=run):
            structlog.contextvars.bind_contextvars(run_id=run.id, page_id=run.facebook_page_id)
            log.info("sync started", mode=run.mode.value)
        case BatchStored():
            _log_batch(event)
        case WaitStarted(waiting=waiting):
            log.info(
                "waiting for Meta",
                until=_seconds_of(waiting.until),
                quota=waiting.type,
                used_percent=waiting.used_percent,
            )
        case WaitEnded():
            log.info("continuing")
        case RunSuspended(run=run, reason=reason, until=until):
            at = _seconds_of(until) if until is not None else None
            log.info("sync suspended", reason=reason, until=at, total=run.counts.fetched)
        case RunEnded():
            _log_end(event)
        case _:
            pass  # the one who retries, bisects or stops logs it


def _log_batch(event: BatchStored) -> None:
    run, batch = event.run, event.batch
    log.info(
        "batch stored",
        stage=event.stage.value,
        folder=event.folder,
        batch=run.batches,
        fetched=batch.fetched,
        inserted=batch.inserted,
        updated=batch.updated,
        events=batch.events,
        seconds=round(event.seconds, 3),
        total=run.counts.fetched,
        speed=round(run.conversations_per_second, 1),
        reached=event.position.isoformat() if event.position else None,
        quota_used_percent=event.quota_used_percent,
    )


def _log_end(event: RunEnded) -> None:
    run = event.run
    log.info(
        "sync ended",
        status=run.status.value,
        reason=event.reason,
        fetched=run.counts.fetched,
        inserted=run.counts.inserted,
        updated=run.counts.updated,
        events=run.counts.events,
        calls=run.calls,
        seconds=round(run.duration_seconds, 1),
        speed=round(run.conversations_per_second, 1),
    )
    report = log.error if run.status is RunStatus.FAILED else log.warning
    for problem in run.problems:
        report(problem.message, code=problem.code, hint=problem.hint)


def _seconds_of(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds")


Data = dict[str, object]


def start_events(run: Run, *, is_new: bool) -> list[tuple[str, Data]]:
    """The rows of a run that begins, or that a worker continues: (word, data)."""
    data = counters(run) | {"mode": run.mode.value, "kind": run.kind.value}
    return [(STARTING, data), (FETCHING, data)] if is_new else [(FETCHING, data)]


def end_event(run: Run, *, reason: str | None) -> tuple[str, Data]:
    """The row of a run that has ended: (word, data)."""
    word = {RunStatus.COMPLETE: COMPLETE, RunStatus.FAILED: ERROR}.get(run.status, WITH_ERRORS)
    done = Progress(share=1.0) if run.status is RunStatus.COMPLETE else UNKNOWN
    data = counters(run, progress=done) | {
        "run_status": run.status.value,
        "complete": run.status is RunStatus.COMPLETE,
        "errors": [{"code": each.code, "message": each.message, "hint": each.hint} for each in run.problems],
        "next": run.next,
    }
    if reason is not None:
        data["message"] = reason
    return word, data


def counters(run: Run, *, failed_batches: int = 0, progress: Progress = UNKNOWN) -> Data:
    """The run's totals and how far it has come, in the names of the live stream."""
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
        "progress": round(progress.share, 4) if progress.share is not None else None,
        "expected": progress.expected,
        "seconds_left": round(progress.seconds_left, 1) if progress.seconds_left is not None else None,
    }


def _row_of(event: Event) -> tuple[str, Data] | None:
    """Word and data of an event, without the counters; None: it is written with the run's own row."""
    word: str
    data: Data
    match event:
        case RunStarted() | RunEnded():
            return None
        case BatchStored(stage=stage):
            word = PROCESSING if stage in _LISTS else SYNCING
            reached = event.position.isoformat() if event.position else None
            data = {"stage": stage.value, "folder": event.folder, "reached": reached}
            data["quota_used_percent"] = event.quota_used_percent
            if event.differences is not None:
                data["differences"] = event.differences
        case SourceAway() | WaitStarted() | WaitEnded() | CallRetried():
            return _row_of_wait(event)
        case BatchFailed(failure=failure, folder=folder):
            word, data = BATCH_FAILED, {"message": failure.message, "code": failure.code, "folder": folder}
        case TimeIsUp(reason=reason):
            word, data = TIMEOUT_WARNING, {"message": reason}
        case RunSuspended(reason=reason, until=until):
            at = _seconds_of(until) if until is not None else None
            word = SYNCING if at is None and not event.has_failed else WAITING
            data = {"message": reason, "waiting_until": at}
    return word, data


def _row_of_wait(event: SourceAway | WaitStarted | WaitEnded | CallRetried) -> tuple[str, Data]:
    match event:
        case SourceAway(until=until):
            data: Data = {"waiting_until": _seconds_of(until), "message": describe_away(event)}
            return WAITING, data | {"source_away": True}
        case WaitStarted(waiting=waiting):
            data = {"waiting_until": _seconds_of(waiting.until), "message": describe_waiting(waiting)}
            return WAITING, data
        case CallRetried(retry=retry):
            data = {"message": describe_retry(retry), "attempt": retry.attempt}
            return RETRYING, data | {"pause_seconds": retry.pause_seconds}
    return FETCHING, {}


class EventLog:
    """Writes the events of a run to `sync_run_events`, at most once a second, beside the batches.

    It writes only while no other owner has the Page's lease: a process that was frozen and wakes up too
    late must not write between the events of the one that continued. The first and the last event
    are written with the run's own row, so call `close` before the end of the run is written.
    """

    def __init__(self, store: Store, clock: Clock, run: Run, *, owner: str) -> None:
        self._owner = owner
        self._store = store
        self._clock = clock
        self._run = run
        self._failed_batches = 0
        self._progress = UNKNOWN
        # Of each word only the newest since the last write, in the order in which they came.
        self._unwritten: dict[str, tuple[datetime, str, Data]] = {}
        self._closing = asyncio.Event()
        self._writing = asyncio.create_task(self._write_until_closed())

    async def close(self) -> None:
        """Write what is not written yet."""
        self._closing.set()
        await self._writing

    def on_event(self, event: Event) -> None:
        """Note an event for the next write."""
        if isinstance(event, BatchStored | TimeIsUp | RunSuspended):
            self._run = event.run
        if isinstance(event, BatchStored):
            self._progress = event.progress
        if isinstance(event, BatchFailed):
            self._failed_batches += 1
        if (row := _row_of(event)) is not None:
            word, data = row
            progress = self._progress
            if word in (WAITING, RETRYING):
                progress = replace(progress, seconds_left=None)  # it does not run down now
            counted = counters(self._run, failed_batches=self._failed_batches, progress=progress)
            self._unwritten.pop(word, None)
            self._unwritten[word] = (self._clock.now(), word, counted | data)

    async def _write_until_closed(self) -> None:
        is_last = False
        while not is_last:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), _WRITE_EVERY_SECONDS)
            is_last = self._closing.is_set()
            await self._write()

    async def _write(self) -> None:
        events, self._unwritten = list(self._unwritten.values()), {}
        if not events:
            return

        def write() -> None:
            with self._store.write() as connection:
                if lock_open_run(connection, self._run.id) and self._may_write(connection):
                    append_run_events(connection, self._run.id, events)

        try:
            await asyncio.to_thread(write)
        except InboxsyncError as failure:  # events may be lost: what went wrong is in the run itself
            log.debug("events not written", why=failure.message)

    def _may_write(self, connection: Connection) -> bool:
        holder = get_lease(connection, self._run.page_id)
        return holder is None or holder.owner == self._owner
