"""One run: from what is known of a Page to a result that says what was done and what is owed."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TypeVar

import structlog
from sqlalchemy import Connection

from inboxsync.clock import Clock
from inboxsync.errors import (
    InboxsyncError,
    NeedsPerson,
    StoreError,
    StoreUnreachable,
    TokenInvalid,
    TokenSealed,
    Unexpected,
)
from inboxsync.graph import Access, GraphClient, Waiting
from inboxsync.model import History, Mode, Page, Run, RunStatus, TokenReason, TokenState, Walking
from inboxsync.store import Store
from inboxsync.store.conversation_rows import new_id
from inboxsync.store.items import count_items, count_older, list_failed_items
from inboxsync.store.leases import renew_lease
from inboxsync.store.pages import (
    get_page,
    has_conversations,
    set_history,
    set_last_synced_at,
    set_token_state,
)
from inboxsync.store.progress import forget_progress, list_progress, put_progress
from inboxsync.store.runs import close_unended_runs, start_run, update_run
from inboxsync.sync.batch_size import BatchSize
from inboxsync.sync.conclude import Debts, Outcome, conclude, spelled_out
from inboxsync.sync.context import RunContext
from inboxsync.sync.ingest import Ingest
from inboxsync.sync.lease import LEASE_SECONDS, held_lease, keep_lease, new_owner
from inboxsync.sync.ledger import Ledger
from inboxsync.sync.limits import Quota, StallGuard
from inboxsync.sync.listener import Listener, in_words
from inboxsync.sync.page_lists import PageLists
from inboxsync.sync.patience import patiently
from inboxsync.sync.plan import INBOX, is_full, plan_lists, starts_over
from inboxsync.sync.stop import Stop, Stopped
from inboxsync.sync.tally import Tally
from inboxsync.sync.walk import TimeWindows

T = TypeVar("T")
log = structlog.get_logger(__name__)

_WATCH_SECONDS = 0.5
# With all history wanted, a list answer that brings more of each conversation saves a call for each.
_HISTORY_MESSAGES = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncOptions:
    """What a caller may choose.

    `messages` is how many of each conversation's newest come with it; `history` None leaves the
    Page's own setting; `wait` for another sync of the Page instead of giving up. A run whose lists
    take `stall_calls` without a gain fails; one that only its ledger holds up is partial. Folders
    beside the inbox are looked at every `folder_interval`.
    """

    mode: Mode = Mode.AUTO
    messages: int = 10
    max_conversations: int | None = None
    history: History | None = None
    wait: bool = False
    stall_calls: int = 50
    folder_interval: timedelta = timedelta(minutes=15)


class PageSync:
    """Syncs one Page, once."""

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
    ) -> None:
        self._store = store
        self._source = source
        self._clock = clock
        self._page = page
        self._open_access = open_access
        self._options = options
        self._stop = stop
        self._listener = listener
        self._owner = new_owner()
        self._tally: Tally
        self._stop_reason: str | None = None

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
        run, lists = await self._patiently(self._start)
        self._tally = self._begin_tally(run, None)
        self._listener.on_start(run)
        error: InboxsyncError | None = None
        waiting: Waiting | None = None
        try:
            access = await self._patiently(lambda: self._open_access(self._page))
            self._tally = self._begin_tally(run, access)
            watching = asyncio.create_task(self._watch(access))
            try:
                error = await self._sync(access, lists)
            finally:
                waiting = self._source.budget.waiting(access)
                watching.cancel()
        except Stopped as stopped:
            self._stop_reason = stopped.reason
        except InboxsyncError as failure:
            error = failure
        except Exception as bug:
            log.exception("unexpected error")
            error = Unexpected(f"Something unexpected went wrong: {type(bug).__name__}.")
        outcome = await self._end(error, waiting)
        self._listener.on_end(outcome.run, reason=outcome.reason)
        return outcome

    def _start(self) -> tuple[Run, Mapping[str, Walking]]:
        """Read how far the lists have come and note that a run begins."""
        with self._store.write() as connection:
            keep_lease(connection, self._page, self._owner, now=self._clock.now())
            if self._options.history is not None:
                set_history(connection, self._page, self._options.history, now=self._clock.now())
            self._page = page = get_page(connection, self._page.id)
            progress = list_progress(connection, page)
            mode, asked, now = self._options.mode, page.last_synced_at is None, self._clock.now()
            interval = self._options.folder_interval
            lists = plan_lists(progress, mode=mode, resync_asked=asked, now=now, interval=interval)
            if starts_over(progress, mode=mode, resync_asked=asked):
                # Written down at once: cut off, the next run must know which lists are still to be walked.
                for folder, walking in lists.items():
                    put_progress(connection, page, folder, walking, now=now)
            run = Run(
                id=new_id(),
                page_id=page.id,
                facebook_page_id=page.facebook_page_id,
                platform=page.platform.value,
                mode=Mode.FULL if is_full(lists[INBOX]) else Mode.INCREMENTAL,
                status=RunStatus.RUNNING,
                started_at=now,
            )
            close_unended_runs(connection, page.id)
            start_run(connection, run)
        return run, lists

    def _begin_tally(self, run: Run, access: Access | None) -> Tally:
        return Tally(
            run,
            store=self._store,
            source=self._source,
            access=access,
            clock=self._clock,
            stop=self._stop,
            listener=self._listener,
        )

    async def _patiently(self, work: Callable[[], T]) -> T:
        return await patiently(work, clock=self._clock, stop=self._stop)

    async def _sync(self, access: Access, lists: Mapping[str, Walking]) -> InboxsyncError | None:
        """The lists, then what is owed; returns what kept a list from being read."""
        options, page = self._options, self._page
        context = RunContext(
            source=self._source,
            access=access,
            clock=self._clock,
            page=page,
            ingest=Ingest(store=self._store, page=page, owner=self._owner),
            tally=self._tally,
            stop=self._stop,
            stall=StallGuard(self._tally.calls_made, most=options.stall_calls),
        )
        deep = _HISTORY_MESSAGES if page.history is History.ALL else 0
        page_lists = PageLists(
            context,
            quota=Quota(options.max_conversations),
            size=BatchSize(page.batch_size),
            windows=TimeWindows(page.time_windows),
            messages=options.messages,
            full_messages=max(options.messages, deep),
        )
        failures = await page_lists.walk(lists)
        await Ledger(context, messages=options.messages).settle(page.history)
        if failures:
            return failures[0]
        if page_lists.too_busy is not None:
            raise page_lists.too_busy
        return None

    async def _watch(self, access: Access) -> None:
        """Tell the listener when Meta holds the run back, and end a run that could only wait."""
        told: Waiting | None = None
        while True:
            await asyncio.sleep(_WATCH_SECONDS)
            waiting = self._source.budget.waiting(access)
            if waiting != told:
                self._listener.on_wait(waiting)
                told = waiting
            if waiting is not None and self._stop.comes_before(waiting.until):
                self._stop.ask(f"{in_words(waiting)}, which is beyond the time limit")

    async def _end(self, error: InboxsyncError | None, waiting: Waiting | None) -> Outcome:
        """The run as it ended, written down."""
        run = replace(self._tally.so_far(), finished_at=self._clock.now())
        debts = Debts()
        try:
            if isinstance(error, StoreError):
                # It has been waited for already; that this cannot be written either is no news.
                debts = await asyncio.to_thread(self._write_end, run, error)
            else:
                debts = await self._patiently(lambda: self._write_end(run, error))
        except (StoreError, Stopped) as failure:
            # Nobody knows what is owed: such a run must not be called complete.
            away = failure if isinstance(failure, StoreError) else StoreUnreachable("The database is away.")
            error = error or away
        return Outcome(
            page=self._page,
            run=self._conclude(run, error, debts),
            reason=self._stop_reason,
            debts=debts,
            waiting=waiting,
        )

    def _renew(self, connection: Connection) -> bool:
        """Whether the lease is still this run's: else the Page is another's to write about."""
        now = self._clock.now()
        return renew_lease(connection, self._page.id, self._owner, now=now, seconds=LEASE_SECONDS)

    def _write_end(self, run: Run, error: InboxsyncError | None) -> Debts:
        with self._store.write() as connection:
            debts = self._read_debts(connection)
            is_ours = self._renew(connection)
            if is_ours and debts.is_empty and error is None and self._stop_reason is None:
                # An app that may see more tomorrow begins anew.
                forget_progress(connection, self._page)
                set_last_synced_at(connection, self._page, None, now=self._clock.now())
            ended = self._conclude(run, error, debts)
            update_run(connection, ended)
            if is_ours:
                self._note_token(connection, error, ended)
        return debts

    def _conclude(self, run: Run, error: InboxsyncError | None, debts: Debts) -> Run:
        is_cut_short = error is not None or self._stop_reason is not None
        return conclude(run, self._page, error=error, stopped=is_cut_short, debts=debts)

    def _read_debts(self, connection: Connection) -> Debts:
        page = self._page
        return Debts(
            owed=count_items(connection, page),
            examples=tuple(list_failed_items(connection, page, limit=3)),
            older=count_older(connection, page, messages=self._options.messages),
            is_empty=not has_conversations(connection, page),
        )

    def _note_token(self, connection: Connection, error: InboxsyncError | None, run: Run) -> None:
        """Mark the Page where a person must act, and unmark it where the token has worked."""
        now = self._clock.now()
        if isinstance(error, NeedsPerson) and not isinstance(error, TokenSealed):
            state = TokenState.INVALID if isinstance(error, TokenInvalid) else TokenState.NOT_PERMITTED
            reason = TokenReason(error.reason) if error.reason else TokenReason.OTHER
            problem = f"{error.message} {spelled_out(error.hint, self._page)}"
            set_token_state(connection, self._page, state, reason=reason, problem=problem, now=now)
        elif run.batches and self._page.token_state is not TokenState.VALID:
            set_token_state(connection, self._page, TokenState.VALID, reason=None, problem=None, now=now)
