"""One run: from what is known of a Page to a result that says what was done and what is owed."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import TypeVar

import structlog
from sqlalchemy import Connection

from inboxsync.clock import Clock
from inboxsync.errors import (
    InboxsyncError,
    LeaseLost,
    NeedsPerson,
    PageUnknown,
    StoreError,
    StoreUnreachable,
    TokenInvalid,
    TokenUndecryptable,
    Unexpected,
)
from inboxsync.graph import Access, GraphClient, Waiting
from inboxsync.model import History, Page, Run, Scanning, TokenReason, TokenState
from inboxsync.store import Store
from inboxsync.store.state.backlog import count_backlog, count_older, list_failed_backlog, list_history
from inboxsync.store.state.leases import renew_lease
from inboxsync.store.state.list_positions import forget_list_states
from inboxsync.store.state.pages import get_page, has_conversations, set_last_synced_at, set_token_state
from inboxsync.store.state.run_events import append_run_events
from inboxsync.store.state.runs import update_run
from inboxsync.sync.backlog import Backlog
from inboxsync.sync.batch_size import BatchSize
from inboxsync.sync.begin import Beginning, SyncOptions, TaskOptions, begin_run
from inboxsync.sync.conclude import Outcome, Suspension, Unfinished, conclude, passes, spelled_out
from inboxsync.sync.context import RunContext
from inboxsync.sync.events import (
    CallRetried,
    EventLog,
    Listener,
    RunEnded,
    RunStarted,
    RunSuspended,
    TimeIsUp,
    end_event,
    to_all,
)
from inboxsync.sync.ingest import Ingest
from inboxsync.sync.lease import LEASE_SECONDS, held_lease, keep_lease, new_owner
from inboxsync.sync.limits import ConversationLimit, StallGuard
from inboxsync.sync.list_scan import TimeWindows
from inboxsync.sync.monitor import RunMonitor
from inboxsync.sync.page_lists import PageLists
from inboxsync.sync.stop import EnoughFetched, Stop, Stopped
from inboxsync.sync.tracker import RunTracker
from inboxsync.sync.waiting import with_retries

T = TypeVar("T")
log = structlog.get_logger(__name__)

# With all history wanted, a list answer that brings more of each conversation saves a call for each.
_HISTORY_MESSAGES = 50


class PageSync:
    """Syncs one Page, once: a whole run, or with `slice_options` the part of one that a worker executes."""

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
        self._listener = listener
        self._task = task_options
        self._owner = task_options.owner if task_options else new_owner()
        self._tracker: RunTracker
        self._stopped: Stopped | None = None

    async def run(self) -> Outcome:
        """Sync until complete, stopped or failed. What goes wrong on the way is in the result.

        Raises PageBusy where another process syncs the Page, Stopped where the wait for it was cut
        short, and StoreError where not even the run could be noted.
        """
        lease = held_lease(
            self._store,
            self._clock,
            self._page,
            owner=self._owner,
            stop=self._stop,
            wait=self._options.wait,
        )
        async with lease:
            return await self._run_alone()

    async def _run_alone(self) -> Outcome:
        began = await self._with_retries(self._start)
        self._page = began.page
        event_log = EventLog(self._store, self._clock, began.run, owner=self._owner)
        self._listener = to_all(event_log.on_event, self._listener)
        self._tracker = self._begin_tracker(began.run, None)
        self._listener(RunStarted(run=began.run))
        try:
            error, waiting = await self._work(began)
            suspension = await self._suspension(error, waiting)
            self._tell_stop(suspension)
        finally:
            await event_log.close()
        if suspension is not None:
            return await self._suspend(suspension, waiting)
        outcome = await self._end(error, waiting)
        self._listener(RunEnded(run=outcome.run, reason=outcome.reason))
        return outcome

    def _start(self) -> Beginning:
        """Read how far the lists have come and note that a run begins."""
        now = self._clock.now()
        with self._store.write() as connection:
            keep_lease(connection, self._page, self._owner, now=now)
            return begin_run(connection, self._page, self._options, now=now, task_options=self._task)

    async def _work(self, began: Beginning) -> tuple[InboxsyncError | None, Waiting | None]:
        """Sync; returns what went wrong, and what held it back in the end."""
        error: InboxsyncError | None = None
        waiting: Waiting | None = None
        try:
            access = await self._with_retries(lambda: self._open_access(self._page))
            self._tracker = self._begin_tracker(began.run, access)
            watching = asyncio.create_task(self._watch().keep(access, began.run))
            try:
                with self._source.watched(access, lambda retry: self._listener(CallRetried(retry=retry))):
                    error = await self._sync(access, began.lists)
            finally:
                waiting = self._source.rate_limiter.waiting(access)
                watching.cancel()
        except Stopped as stopped:
            self._stopped = stopped
        except InboxsyncError as failure:
            error = failure
        except Exception as bug:
            log.exception("unexpected error")
            error = Unexpected(f"Something unexpected went wrong: {type(bug).__name__}.")
        if isinstance(error, LeaseLost | PageUnknown) and self._task is not None:
            raise error  # the run is another worker's to go on with, and to write about, or nobody's
        return error, waiting

    def _begin_tracker(self, run: Run, access: Access | None) -> RunTracker:
        return RunTracker(
            run,
            store=self._store,
            source=self._source,
            access=access,
            clock=self._clock,
            stop=self._stop,
            listener=self._listener,
        )

    def _watch(self) -> RunMonitor:
        return RunMonitor(
            store=self._store,
            source=self._source,
            clock=self._clock,
            stop=self._stop,
            listener=self._listener,
            suspends_for=self._owner if self._task is not None else None,
        )

    async def _with_retries(self, work: Callable[[], T]) -> T:
        return await with_retries(work, clock=self._clock, stop=self._stop)

    async def _sync(self, access: Access, lists: Mapping[str, Scanning]) -> InboxsyncError | None:
        """The lists, then what is owed; returns what kept a list from being read."""
        options, page = self._options, self._page
        context = RunContext(
            source=self._source,
            access=access,
            clock=self._clock,
            page=page,
            ingest=Ingest(store=self._store, page=page, owner=self._owner),
            tracker=self._tracker,
            stop=self._stop,
            stall=StallGuard(self._tracker.calls_made, most=options.stall_calls),
        )
        deep = _HISTORY_MESSAGES if page.history is History.ALL else 0
        page_lists = PageLists(
            context,
            conversation_limit=ConversationLimit(self._most_conversations()),
            size=BatchSize(page.batch_size),
            windows=TimeWindows(page.time_windows),
            messages=options.messages,
            full_messages=max(options.messages, deep),
        )
        failures = await page_lists.scan(lists)
        reads_history = self._task is None or self._task.reads_history
        history = page.history if reads_history else History.NEWEST
        await Backlog(context, messages=options.messages).settle(history)
        if failures:
            return failures[0]
        if page_lists.too_busy is not None:
            raise page_lists.too_busy
        return None

    def _most_conversations(self) -> int | None:
        """How many this run, or this slice of it, may still fetch."""
        of_run, of_task = self._options.max_conversations, None
        if self._task is not None:
            of_task = self._task.most_conversations
            of_run = None if of_run is None else max(0, of_run - self._tracker.run.counts.fetched)
        return min((most for most in (of_run, of_task) if most is not None), default=None)

    async def _suspension(self, error: InboxsyncError | None, waiting: Waiting | None) -> Suspension | None:
        """Whether the run has not ended: a worker goes on with it by itself."""
        if self._task is None or self._stop.is_cancelled:
            return None
        if error is not None:
            may_suspend = self._task.suspends_on_failure and passes(error)
            return Suspension(reason=error.message, has_failed=True) if may_suspend else None
        if isinstance(self._stopped, EnoughFetched):
            most, fetched = self._options.max_conversations, self._tracker.run.counts.fetched
            return (
                None if most is not None and fetched >= most else Suspension(reason="the newest are stored")
            )
        if self._stopped is not None:
            until = waiting.until if waiting else None
            return Suspension(reason=self._stopped.reason, until=until) if self._stop.is_pause else None
        if self._task.reads_history or self._page.history is not History.ALL:
            return None
        has_history = await self._with_retries(self._has_history)
        return (
            Suspension(reason="older messages are still to be read", wants_history=True)
            if has_history
            else None
        )

    def _has_history(self) -> bool:
        with self._store.read() as connection:
            return bool(list_history(connection, self._page, now=self._clock.now(), limit=1))

    def _tell_stop(self, suspension: Suspension | None) -> None:
        run = self._tracker.so_far()
        if self._stop.is_time_up:
            self._listener(TimeIsUp(run=run, reason=self._stop.reason or "the time is up"))
        if suspension is not None:
            self._listener(RunSuspended(run=run, reason=suspension.reason, until=suspension.until))

    async def _suspend(self, suspension: Suspension, waiting: Waiting | None) -> Outcome:
        """Note how far the run has come: the next slice counts on from there."""
        run = self._tracker.so_far()

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
            waiting=waiting,
            suspension=suspension,
        )

    async def _end(self, error: InboxsyncError | None, waiting: Waiting | None) -> Outcome:
        """The run as it ended, written down."""
        run = replace(self._tracker.so_far(), finished_at=self._clock.now())
        unfinished = Unfinished()
        try:
            if isinstance(error, StoreError):
                # It has been waited for already; that this cannot be written either is no news.
                unfinished = await asyncio.to_thread(self._write_end, run, error)
            else:
                unfinished = await self._with_retries(lambda: self._write_end(run, error))
        except (StoreError, Stopped) as failure:
            # Nobody knows what is owed: such a run must not be called complete.
            away = failure if isinstance(failure, StoreError) else StoreUnreachable("The database is away.")
            error = error or away
        return Outcome(
            page=self._page,
            run=self._conclude(run, error, unfinished),
            reason=self._stop_reason,
            unfinished=unfinished,
            waiting=waiting,
        )

    @property
    def _stop_reason(self) -> str | None:
        if self._stop.is_cancelled:
            return self._stop.reason
        return self._stopped.reason if self._stopped is not None else None

    def _renew(self, connection: Connection) -> bool:
        """Whether the lease is still this run's: else the Page is another's to write about."""
        now = self._clock.now()
        return renew_lease(connection, self._page.id, self._owner, now=now, seconds=LEASE_SECONDS)

    def _write_end(self, run: Run, error: InboxsyncError | None) -> Unfinished:
        now = self._clock.now()
        with self._store.write() as connection:
            unfinished = self._read_unfinished(connection)
            is_ours = self._renew(connection)
            if not is_ours and self._task is not None:
                get_page(connection, self._page.id)  # the lease went with it
                raise LeaseLost(f"Another process has taken over Page {self._page.facebook_page_id}.")
            if is_ours and unfinished.is_empty and error is None and self._stop_reason is None:
                # An app that may see more tomorrow begins anew.
                forget_list_states(connection, self._page)
                set_last_synced_at(connection, self._page, None, now=now)
            ended = self._conclude(run, error, unfinished)
            update_run(connection, ended)
            append_run_events(connection, run.id, [(now, *end_event(ended, reason=self._stop_reason))])
            if is_ours:
                self._note_token(connection, error, ended)
        return unfinished

    def _conclude(self, run: Run, error: InboxsyncError | None, unfinished: Unfinished) -> Run:
        return conclude(
            run,
            self._page,
            error=error,
            stopped=error is not None or self._stop_reason is not None,
            unfinished=unfinished,
            cancelled=self._stop.is_cancelled,
        )

    def _read_unfinished(self, connection: Connection) -> Unfinished:
        page = self._page
        return Unfinished(
            backlog=count_backlog(connection, page),
            examples=tuple(list_failed_backlog(connection, page, limit=3)),
            older=count_older(connection, page, messages=self._options.messages),
            is_empty=not has_conversations(connection, page),
        )

    def _note_token(self, connection: Connection, error: InboxsyncError | None, run: Run) -> None:
        """Mark the Page where a person must act, and unmark it where the token has worked."""
        now = self._clock.now()
        if isinstance(error, NeedsPerson) and not isinstance(error, TokenUndecryptable):
            state = TokenState.INVALID if isinstance(error, TokenInvalid) else TokenState.NOT_PERMITTED
            reason = TokenReason(error.reason) if error.reason else TokenReason.OTHER
            problem = f"{error.message} {spelled_out(error.hint, self._page)}"
            set_token_state(connection, self._page, state, reason=reason, problem=problem, now=now)
        elif run.batches and self._page.token_state is not TokenState.VALID:
            set_token_state(connection, self._page, TokenState.VALID, reason=None, problem=None, now=now)
