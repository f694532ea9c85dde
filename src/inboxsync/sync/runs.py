"""One run: from what is known of a Page to a result that says what was done and what is owed."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime

import structlog

from inboxsync.clock import Clock
from inboxsync.errors import (
    InboxsyncError,
    NeedsPerson,
    SourceUnreachable,
    StoreError,
    TokenInvalid,
    Unexpected,
)
from inboxsync.graph import Access, GraphClient
from inboxsync.model import Counts, Mode, Page, Platform, Problem, Run, RunStatus, TokenState, Walking
from inboxsync.store import Store
from inboxsync.store.conversation_rows import new_id
from inboxsync.store.pages import get_page, set_token_state
from inboxsync.store.progress import get_progress
from inboxsync.store.runs import close_unended_runs, start_run, update_run
from inboxsync.sync.ingest import Ingest
from inboxsync.sync.listener import BatchStored, Listener
from inboxsync.sync.plan import is_full, is_sweep, plan_start
from inboxsync.sync.stop import Stop, Stopped
from inboxsync.sync.walk import Fetched, ListWalk

log = structlog.get_logger(__name__)

# The list that Meta serves where no folder is asked for.
INBOX = "inbox"


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncOptions:
    """What a caller may choose. `messages` is how many of each conversation's newest come with it."""

    mode: Mode = Mode.AUTO
    messages: int = 10
    max_conversations: int | None = None


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
        self._ingest = Ingest(store=store, page=page, folder=INBOX)
        self._began = clock.monotonic()
        self._first_walk = True
        self._access: Access | None = None
        self._run: Run
        self.stop_reason: str | None = None

    @property
    def blocked_until(self) -> datetime | None:
        """Until when the source's allowance holds this sync back; None when it does not."""
        waiting = self._source.budget.waiting(self._access) if self._access else None
        return waiting.until if waiting else None

    async def run(self) -> Run:
        """Sync until complete, stopped or failed. What goes wrong on the way is in the result."""
        walking = await asyncio.to_thread(self._start)
        self._listener.on_start(self._run)
        error = None
        try:
            access = await asyncio.to_thread(self._open_access, self._page)
            self._access, self._calls_before = access, replace(self._source.counts(access))
            await self._walk(access).advance(walking)
        except Stopped as stopped:
            self.stop_reason = stopped.reason
        except InboxsyncError as failure:
            error = failure
        except Exception as bug:
            log.exception("unexpected error")
            error = Unexpected(f"Something unexpected went wrong: {type(bug).__name__}.")
        ended = self._conclude(error)
        await asyncio.to_thread(self._note_end, ended, error)
        self._listener.on_end(ended, reason=self.stop_reason)
        return ended

    def _start(self) -> Walking:
        """Read how far the list has come and note that a run begins."""
        with self._store.write() as connection:
            page = get_page(connection, self._page.id)
            walking = plan_start(
                get_progress(connection, page, INBOX),
                mode=self._options.mode,
                resync_asked=page.last_synced_at is None,
            )
            self._run = Run(
                id=new_id(),
                page_id=page.id,
                facebook_page_id=page.facebook_page_id,
                platform=page.platform.value,
                mode=Mode.FULL if is_full(walking) else Mode.INCREMENTAL,
                status=RunStatus.RUNNING,
                started_at=self._clock.now(),
            )
            close_unended_runs(connection, page.id)
            start_run(connection, self._run)
        return walking

    def _walk(self, access: Access) -> ListWalk:
        return ListWalk(
            source=self._source,
            access=access,
            messages=self._options.messages,
            max_conversations=self._options.max_conversations,
            stop=self._stop,
            store=self._store_batch,
        )

    async def _store_batch(self, fetched: Fetched) -> None:
        began = self._clock.monotonic()
        self._run, counts = await asyncio.to_thread(self._apply, fetched)
        if fetched.batch.dropped and not self._run.problems:
            self._run = replace(self._run, problems=(_dropped(fetched),))
        if isinstance(fetched.progress, Walking) and fetched.progress.at_top:
            self._first_walk = False  # what a later sweep finds unchanged, this run has counted already
        usage = self._source.budget.usage(self._access) if self._access else None
        self._listener.on_batch(
            BatchStored(
                run=self._run,
                batch=counts,
                seconds=self._clock.monotonic() - began,
                is_sweep=is_sweep(fetched.walking),
                frontier=fetched.batch.reached_at,
                allowance_used_percent=usage.percent if usage else None,
            )
        )

    def _apply(self, fetched: Fetched) -> tuple[Run, Counts]:
        return self._ingest.apply(
            fetched.batch,
            progress=fetched.progress,
            run=self._so_far(),
            is_full=is_full(fetched.walking),
            counts_unchanged=self._first_walk,
            now=self._clock.now(),
        )

    def _so_far(self) -> Run:
        so_far = replace(self._run, duration_seconds=self._clock.monotonic() - self._began)
        if self._access is None:
            return so_far
        calls, before = self._source.counts(self._access), self._calls_before
        return replace(so_far, calls=calls.made - before.made, refused_calls=calls.refused - before.refused)

    def _conclude(self, error: InboxsyncError | None) -> Run:
        """The run as it ended.

        Partial where it was stopped, or the source could not be reached after something had
        been stored: the next run goes on from there. Failed where it would fail again.
        """
        page = self._page
        ended = replace(self._so_far(), finished_at=self._clock.now(), status=RunStatus.COMPLETE)
        if error is None and self.stop_reason is None:
            return replace(ended, problems=(*ended.problems, *_doubts(ended)))
        go_on = f"inboxsync sync {page.facebook_page_id}"
        if isinstance(error, NeedsPerson):
            go_on = f"inboxsync pages add {page.facebook_page_id}"
            go_on += f" --platform {page.platform}" if page.platform is not Platform.MESSENGER else ""
        may_go_on = error is None or (isinstance(error, SourceUnreachable) and ended.batches > 0)
        problems = (Problem(code=error.code, message=error.message, hint=error.hint),) if error else ()
        return replace(
            ended,
            status=RunStatus.PARTIAL if may_go_on else RunStatus.FAILED,
            problems=(*ended.problems, *problems),
            next=go_on,
        )

    def _note_end(self, run: Run, error: InboxsyncError | None) -> None:
        # A store that fails has been reported already; that this cannot be written either is no news.
        with suppress(StoreError), self._store.write() as connection:
            update_run(connection, run)
            if isinstance(error, NeedsPerson):
                state = TokenState.INVALID if isinstance(error, TokenInvalid) else TokenState.NOT_PERMITTED
                problem = f"{error.message} {error.hint}"
                set_token_state(connection, self._page, state, problem=problem, now=self._clock.now())
            elif run.batches and self._page.token_state is not TokenState.VALID:
                set_token_state(connection, self._page, TokenState.VALID, problem=None, now=self._clock.now())


def _doubts(run: Run) -> tuple[Problem, ...]:
    """What looks like success and may not be (graph-facts 5): an empty list under Standard Access."""
    if run.mode is Mode.INCREMENTAL or run.counts.fetched:
        return ()
    return (
        Problem(
            code="nothing_listed",
            message="The source listed no conversation at all.",
            hint="If the Page has some, the app has only Standard Access: request Advanced Access for "
            "pages_messaging (Instagram: instagram_manage_messages).",
        ),
    )


def _dropped(fetched: Fetched) -> Problem:
    first = fetched.batch.dropped[0]
    return Problem(
        code="unreadable_record",
        message=f"The source served a {first.what} that could not be kept: {first.why}.",
        hint="Everything else is stored; nothing can be done about it here.",
    )
