"""One run of a sync, from top to bottom. Read this first.

`PageSync.run` has the steps: acquire the lease of the Page, begin the run, scan the lists, fetch the backlog,
conclude, write the end. Each step is in a file of its own: `lease`, here, `page_lists` (each list:
`list_scan`), `backlog`, `conclude`. docs/architecture.md says why nothing is lost.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TypeVar

import structlog
from sqlalchemy import Connection

from inboxsync.clock import Clock
from inboxsync.errors import InboxsyncError, LeaseLost, PageUnknown, StoreError, StoreUnreachable, Unexpected
from inboxsync.graph import Access, GraphClient
from inboxsync.model import NOT_STORED, BacklogKind, History, Mode, Page, Problem, Run, RunStatus, Scanning
from inboxsync.store import Store
from inboxsync.store.connection.types import new_id
from inboxsync.store.state.backlog import list_backlog, list_history
from inboxsync.store.state.leases import keep_lease, renew_lease
from inboxsync.store.state.list_positions import list_states, put_list_state
from inboxsync.store.state.pages import get_page, set_history
from inboxsync.store.state.runs import (
    append_run_events,
    close_unended_runs,
    get_run,
    resume_run,
    start_run,
    update_run,
)
from inboxsync.sync.backlog import BacklogFetch
from inboxsync.sync.conclude import (
    Outcome,
    Suspension,
    Unfinished,
    WorkEnd,
    conclude,
    plan_suspension,
    write_end,
)
from inboxsync.sync.events import (
    CallRetried,
    EventLog,
    Listener,
    RunEnded,
    RunStarted,
    RunSuspended,
    TimeIsUp,
    start_events,
    to_all,
)
from inboxsync.sync.fetch import Reading
from inboxsync.sync.ingest import Ingest
from inboxsync.sync.lease import held_lease, new_owner
from inboxsync.sync.page_lists import PageLists
from inboxsync.sync.plan import INBOX, is_full, plan_lists, starts_over
from inboxsync.sync.progress import RunProgress, calls_to_come, expected_listed
from inboxsync.sync.stop import (
    ConversationLimit,
    RunMonitor,
    SourceWait,
    StallGuard,
    Stop,
    Stopped,
    with_retries,
)
from inboxsync.sync.write_queue import RunWriter

T = TypeVar("T")
log = structlog.get_logger(__name__)

# Where all history is wanted, a list answer with more messages of each conversation saves a call for each.
_HISTORY_MESSAGES = 50
# Where more than these are unreadable, the others are found again by bisecting.
_MOST_UNREADABLE = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncOptions:
    """What a caller may choose.

    `messages` is how many of each conversation's newest come with it; `history` None: as the
    Page's own setting. `wait` for another sync of the Page instead of giving up. A run whose lists
    take `stall_calls` without a gain fails; where only its backlog does, it is partial. A source without an
    answer for `source_away_seconds` ends it. The other folders are read every `folder_interval`. `expected`
    is how many conversations the source lists, where the caller knows.
    """

    mode: Mode = Mode.AUTO
    messages: int = 10
    max_conversations: int | None = None
    history: History | None = None
    wait: bool = False
    stall_calls: int = 50
    source_away_seconds: float = 180.0
    folder_interval: timedelta = timedelta(minutes=15)
    expected: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskOptions:
    """Which part of a run a worker executes, as `owner` of the Page's lease.

    It ends after `most_conversations`, and leaves older messages alone unless it `reads_history`. With
    `suspends_on_failure` a temporary failure (the source or the database is away) does not end the run.
    """

    run_id: str
    owner: str
    most_conversations: int | None = None
    reads_history: bool = True
    suspends_on_failure: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """What a run, or a task of one, begins with.

    `lists` has each with the scan to begin or to continue, `unreadable` the conversations that failed every
    answer with them.
    """

    page: Page
    run: Run
    lists: Mapping[str, Scanning]
    unreadable: Mapping[str, Problem]


class PageSync:
    """Syncs one Page, once: a whole run, or with `task_options` the part of one that a worker executes."""

    def __init__(
        self,
        *,
        store: Store,
        source: GraphClient,
        clock: Clock,
        page: Page,
        open_access: Callable[[Page], Access],
        options: SyncOptions,
        stop: Stop,
        listener: Listener,
        task_options: TaskOptions | None = None,
    ) -> None:
        self._store = store
        self._source = source
        self._clock = clock
        self._page = page
        self._open_access = open_access
        self._options = options
        self._stop = stop
        self._listener = self._emit = listener
        self._task = task_options
        self._owner = task_options.owner if task_options else new_owner()
        self._writer: RunWriter
        self._lists: Mapping[str, Scanning] = {}

    async def run(self) -> Outcome:
        """Sync until complete, stopped or failed. What goes wrong on the way is in the result.

        Raises PageBusy where another process syncs the Page, Stopped where the run is asked to end before it
        begins, and StoreError where not even its beginning can be written.
        """
        async with held_lease(
            self._store,
            self._clock,
            self._page,
            owner=self._owner,
            stop=self._stop,
            wait=self._options.wait,
        ):
            began = await self._with_retries(self._begin)
            self._page = began.page
            async with self._events_written(began.run):
                work = await self._work(began)
                suspension = await self._suspension(work)
                self._emit_stop(suspension)
            if suspension is not None:
                return await self._suspend(suspension, work)
            outcome = await self._end(work)
            self._emit(RunEnded(run=outcome.run, reason=outcome.reason))
            return outcome

    def _begin(self) -> Beginning:
        now = self._clock.now()
        with self._store.write() as connection:
            keep_lease(connection, self._page, self._owner, now=now)
            return begin_run(connection, self._page, self._options, now=now, task_options=self._task)

    @asynccontextmanager
    async def _events_written(self, run: Run) -> AsyncIterator[None]:
        """Within, events are written to the database too."""
        event_log = EventLog(self._store, self._clock, run, owner=self._owner)
        self._emit = to_all(event_log.on_event, self._listener)
        self._emit(RunStarted(run=run))
        try:
            yield
        finally:
            await event_log.close()
            self._emit = self._listener

    async def _work(self, began: Beginning) -> WorkEnd:
        """Read the source until everything is stored; returns how that ended."""
        error, stopped, waiting = None, None, None
        self._lists = began.lists
        self._writer = self._new_writer(began.run, None)
        try:
            access = await self._with_retries(lambda: self._open_access(self._page))
            self._writer = self._new_writer(began.run, access)
            watching = asyncio.create_task(self._monitor().watch(access, began.run))
            try:
                with self._source.watched(access, lambda retry: self._emit(CallRetried(retry=retry))):
                    await self._read_source(access, began)
            finally:
                waiting = self._source.rate_limiter.waiting(access)
                watching.cancel()
        except Stopped as stop:
            stopped = stop
        except InboxsyncError as failure:
            error = failure
        except Exception as bug:
            log.exception("unexpected error")
            error = Unexpected(f"Something unexpected went wrong: {type(bug).__name__}.")
        if isinstance(error, LeaseLost | PageUnknown) and self._task is not None:
            raise error  # another worker continues the run and writes about it, or the Page is gone
        return WorkEnd(error=error, stopped=stopped, waiting=waiting)

    async def _read_source(self, access: Access, began: Beginning) -> None:
        """Scan the lists, then fetch the backlog. Raises what kept a list from being read to its end."""
        options, page, writer = self._options, self._page, self._writer
        counts = self._source.counts(access)
        reading = Reading(
            source=self._source,
            access=access,
            clock=self._clock,
            page=page,
            stop=self._stop,
            stall=StallGuard(writer.calls_made, most=options.stall_calls),
            source_wait=SourceWait(
                clock=self._clock,
                stop=self._stop,
                answered=lambda: counts.answered,
                longest_seconds=options.source_away_seconds,
                listener=self._emit,
            ),
        )
        ingest = Ingest(store=self._store, clock=self._clock, page=page, owner=self._owner)
        deep = _HISTORY_MESSAGES if page.history is History.ALL else 0
        page_lists = PageLists(
            reading=reading,
            ingest=ingest,
            writer=writer,
            conversation_limit=ConversationLimit(self._most_conversations()),
            unreadable=began.unreadable,
            messages=options.messages,
            full_messages=max(options.messages, deep),
        )
        backlog = BacklogFetch(reading=reading, ingest=ingest, writer=writer, messages=options.messages)
        reads_history = self._task is None or self._task.reads_history

        await page_lists.scan(began.lists)
        await backlog.run(page.history if reads_history else History.NEWEST)
        page_lists.raise_failure()

    def _most_conversations(self) -> int | None:
        """How many this run, or this task of it, may still fetch."""
        of_run, of_task = self._options.max_conversations, None
        if self._task is not None:
            of_task = self._task.most_conversations
            of_run = None if of_run is None else max(0, of_run - self._writer.run.counts.fetched)
        return min((most for most in (of_run, of_task) if most is not None), default=None)

    async def _suspension(self, work: WorkEnd) -> Suspension | None:
        """Why the run is suspended, so that a worker continues it; None: it has ended."""
        if self._task is None or self._stop.is_cancelled:
            return None
        most, fetched = self._options.max_conversations, self._writer.run.counts.fetched
        suspension = plan_suspension(
            work,
            is_pause=self._stop.is_pause,
            may_fetch_more=most is None or fetched < most,
            on_failure=self._task.suspends_on_failure,
        )
        may_have_history = not work.is_early and not self._task.reads_history
        if may_have_history and await self._with_retries(self._has_history):
            return Suspension(reason="older messages are still to be read", wants_history=True)
        return suspension

    def _has_history(self) -> bool:
        if self._page.history is not History.ALL:
            return False
        with self._store.read() as connection:
            return bool(list_history(connection, self._page, now=self._clock.now(), limit=1))

    def _emit_stop(self, suspension: Suspension | None) -> None:
        run = self._writer.so_far()
        if self._stop.is_time_up:
            self._emit(TimeIsUp(run=run, reason=self._stop.reason or "the time is up"))
        if suspension is not None:
            self._emit(
                RunSuspended(
                    run=run,
                    reason=suspension.reason,
                    until=suspension.until,
                    has_failed=suspension.has_failed,
                )
            )

    async def _suspend(self, suspension: Suspension, work: WorkEnd) -> Outcome:
        """Write how far the run has come: its next task counts on from there."""
        run = self._writer.so_far()

        def write() -> None:
            with self._store.write() as connection:
                keep_lease(connection, self._page, self._owner, now=self._clock.now())
                update_run(connection, run)

        with suppress(StoreError, Stopped):  # the last batch has written nearly the same
            await self._with_retries(write)
        return Outcome(
            page=self._page,
            run=run,
            reason=suspension.reason,
            unfinished=Unfinished(),
            waiting=work.waiting,
            suspension=suspension,
        )

    async def _end(self, work: WorkEnd) -> Outcome:
        """Conclude how the run ended, and write it."""
        run = replace(self._writer.so_far(), finished_at=self._clock.now())
        if self._stop.is_cancelled:
            work = replace(work, cancelled=self._stop.reason)
        try:
            if isinstance(work.error, StoreError):
                # The database was waited for already: one attempt is enough.
                ended, unfinished = await asyncio.to_thread(self._write_end, run, work)
            else:
                ended, unfinished = await self._with_retries(lambda: self._write_end(run, work))
        except (StoreError, Stopped) as failure:
            # What is missing is not known: such a run must not be reported as complete.
            away = failure if isinstance(failure, StoreError) else StoreUnreachable("The database is away.")
            unfinished = Unfinished()
            ended = conclude(run, self._page, replace(work, error=work.error or away), unfinished)
        return Outcome(
            page=self._page, run=ended, reason=work.reason, unfinished=unfinished, waiting=work.waiting
        )

    def _write_end(self, run: Run, work: WorkEnd) -> tuple[Run, Unfinished]:
        now, is_ours = self._clock.now(), True
        with self._store.write() as connection:
            if self._task is not None:
                keep_lease(connection, self._page, self._owner, now=now)
            else:
                is_ours = renew_lease(connection, self._page.id, self._owner, now=now)
            return write_end(
                connection, run, self._page, work, messages=self._options.messages, is_ours=is_ours, now=now
            )

    def _new_writer(self, run: Run, access: Access | None) -> RunWriter:
        return RunWriter(
            run,
            store=self._store,
            source=self._source,
            access=access,
            clock=self._clock,
            stop=self._stop,
            listener=self._emit,
            open_progress=self._open_progress,
        )

    def _open_progress(self) -> RunProgress:
        page, options = self._page, self._options
        with self._store.read() as connection:
            known = options.expected
            if known is None and any(is_full(scanning) for scanning in self._lists.values()):
                known = expected_listed(connection, page)
            calls = calls_to_come(connection, page, page.history, messages=options.messages)
        most = options.max_conversations
        expected = min((each for each in (known, most) if each is not None), default=None)
        return RunProgress(self._clock, expected=expected, lists=self._lists, calls_to_come=calls)

    def _monitor(self) -> RunMonitor:
        return RunMonitor(
            store=self._store,
            source=self._source,
            clock=self._clock,
            stop=self._stop,
            listener=self._emit,
            task_owner=self._owner if self._task is not None else None,
        )

    async def _with_retries(self, work: Callable[[], T]) -> T:
        return await with_retries(work, clock=self._clock, stop=self._stop)


def begin_run(
    connection: Connection,
    page: Page,
    options: SyncOptions,
    *,
    now: datetime,
    task_options: TaskOptions | None = None,
) -> Beginning:
    """Read the states of the lists and note that a run begins, or that a worker continues it."""
    if options.history is not None:
        set_history(connection, page, options.history, now=now)
    page = get_page(connection, page.id)
    states = list_states(connection, page)
    known = get_run(connection, task_options.run_id) if task_options else None
    is_new = known is None or known.status is RunStatus.QUEUED
    # A run does not start over with each of its tasks: it continues what it has begun.
    mode = options.mode if is_new else Mode.INCREMENTAL
    asked = page.last_synced_at is None
    lists = plan_lists(states, mode=mode, resync_asked=asked, now=now, interval=options.folder_interval)
    if starts_over(states, mode=mode, resync_asked=asked):
        # Written at once: if this run is killed, the next must know which lists are still to be scanned.
        for folder, scanning in lists.items():
            put_list_state(connection, page, folder, scanning, now=now)
    read = Mode.FULL if is_full(lists[INBOX]) else Mode.INCREMENTAL
    close_unended_runs(connection, page.id)
    if task_options is not None:
        run = resume_run(connection, task_options.run_id, mode=read, now=now)
        if run is None:
            raise LeaseLost("The run has been ended elsewhere.")
    else:
        run = _new_run(page, read, now)
        start_run(connection, run)
    rows = [(now, *each) for each in start_events(run, is_new=is_new)]
    append_run_events(connection, run.id, rows)
    return Beginning(page=page, run=run, lists=lists, unreadable=_unreadable(connection, page, now))


def _unreadable(connection: Connection, page: Page, now: datetime) -> dict[str, Problem]:
    items = list_backlog(
        connection, page, BacklogKind.CONVERSATION, now=now, limit=_MOST_UNREADABLE, due_only=False
    )
    return {
        item.conversation_id: item.problem
        for item in items
        if item.problem is not None and item.problem.code != NOT_STORED
    }


def _new_run(page: Page, mode: Mode, now: datetime) -> Run:
    return Run(
        id=new_id(),
        page_id=page.id,
        facebook_page_id=page.facebook_page_id,
        platform=page.platform.value,
        mode=mode,
        status=RunStatus.RUNNING,
        started_at=now,
        updated_at=now,
    )
