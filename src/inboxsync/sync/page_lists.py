"""Walks the lists of a Page that a run reads: the inbox first, then its other folders.

The others follow once the inbox is read to its bottom, never before: whatever its owner files away
meanwhile is then in the one or in the other. They are read side by side, beside the sweep of the inbox's
head, and stored after it.
"""

import asyncio
from collections.abc import Coroutine, Mapping
from dataclasses import KW_ONLY, dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any

import structlog

from inboxsync.errors import (
    AnswerFailed,
    AnswerTooLarge,
    CursorRefused,
    PageNotVisible,
    PermissionMissing,
    SourceError,
    SourceRefused,
)
from inboxsync.model import Batch, Counts, Following, Problem, Run, Scanning, Segment, Unserved, Window
from inboxsync.store.writing.prepared import prepare
from inboxsync.sync.batch_size import BatchSize
from inboxsync.sync.context import RunContext
from inboxsync.sync.events import Stage
from inboxsync.sync.fetch import Fetcher
from inboxsync.sync.folders import FolderIgnored, refuse_inbox
from inboxsync.sync.ingest import LearnedSettings
from inboxsync.sync.limits import ConversationLimit
from inboxsync.sync.list_scan import ListScan, TimeWindows, TooBusy
from inboxsync.sync.plan import INBOX, is_catch_up, is_full
from inboxsync.sync.write_queue import Fetched

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class PageLists:
    """The lists of one run.

    `messages` newest ones come with each conversation, `full_messages` in a walk to the bottom.
    `too_busy` is set where one could not be caught up with; that stops neither the next nor the ledger.
    """

    context: RunContext
    _: KW_ONLY
    conversation_limit: ConversationLimit
    size: BatchSize
    windows: TimeWindows
    messages: int
    full_messages: int
    too_busy: TooBusy | None = None
    _failures: list[SourceError] = field(default_factory=list)
    _learned: LearnedSettings | None = None
    _open: set[str] = field(init=False)
    _stored: set[str] = field(default_factory=set)
    _looked_at: set[str] = field(default_factory=set)
    _was_news: bool = field(init=False)
    _inbox_at: datetime | None = None
    _inbox_is_scanned: asyncio.Event = field(default_factory=asyncio.Event)
    _inbox_is_done: asyncio.Event = field(default_factory=asyncio.Event)
    _writing: asyncio.Lock = field(default_factory=asyncio.Lock)
    _known_bad: dict[str, Problem] = field(default_factory=dict)

    async def scan(self, lists: Mapping[str, Scanning]) -> list[SourceError]:
        """Bring every list to where it follows the source; returns what kept some from it.

        A list that fails does not stop the next. Raises Stopped, and what no list would survive.
        """
        self._open = set(lists)
        self._was_news = self.context.page.last_synced_at is None
        list_unreadable = partial(self.context.ingest.list_unreadable, now=self.context.clock.now())
        self._known_bad |= await self.context.with_retries(list_unreadable)
        if INBOX not in lists or is_catch_up(lists[INBOX]):
            self._inbox_is_scanned.set()
        if INBOX not in lists:
            self._inbox_is_done.set()
        if self.conversation_limit.most is not None:
            for folder, scanning in lists.items():  # the inbox first, as `plan_lists` has them
                await self._scan_list(folder, scanning)
        else:
            await _side_by_side(*(self._scan_list(*each) for each in lists.items()))
        return self._failures

    async def _scan_list(self, folder: str, scanning: Scanning) -> None:
        """Walk a list when its time has come; what keeps it from its end is noted, if others may go on."""
        if folder != INBOX:
            await self._inbox_is_scanned.wait()
        try:
            await self._scan_one(folder, scanning)
        except (SourceRefused, AnswerFailed, AnswerTooLarge, CursorRefused) as failure:
            self._failures.append(failure)
        except TooBusy as moving:
            self.too_busy = moving
        finally:
            if folder == INBOX:
                self._inbox_is_scanned.set()
                self._inbox_is_done.set()

    async def _scan_one(self, folder: str, scanning: Scanning) -> None:
        name = None if folder == INBOX else folder
        messages = self.full_messages if is_full(scanning) else self.messages

        async def ask(segment: Segment, window: Window | None, *, limit: int, attempts: int | None) -> Batch:
            return await self.context.source.fetch_conversations(
                self.context.access,
                folder=name,
                window=window,
                after=segment.cursor,
                limit=limit,
                messages=messages,
                attempts=attempts,
            )

        fetcher = Fetcher(
            context=self.context,
            folder=name,
            size=self.size,
            ask=ask,
            known_bad=self._known_bad,
            on_failure=partial(self.context.tracker.batch_failed, folder=folder),
        )

        async def store(fetched: Fetched) -> None:
            await self._store(folder, fetched)

        scan = ListScan(
            context=self.context,
            fetcher=fetcher,
            windows=self.windows,
            conversation_limit=self.conversation_limit,
            store=store,
            prepare=self._prepare,
        )
        self.context.stall.moved(f"the top of the folder {folder}")
        is_untried = folder != INBOX and is_full(scanning) and scanning.at_top
        try:
            await scan.advance(scanning)
        except FolderIgnored:
            await self._leave(folder, "it serves the inbox in its place")
        except (SourceRefused, PermissionMissing, PageNotVisible) as failure:
            if not is_untried or folder in self._stored:
                raise
            # Raises where it is not for this folder that the source refuses.
            await self.context.source.fetch_conversation_times(self.context.access, after=None, limit=1)
            await self._leave(folder, failure.message)

    async def _prepare(self, batch: Batch) -> Batch:
        """Do what needs no database, so that the writer does not wait for it.

        Where what came last was stored already, so will this be: then it is not decoded at all. Of a Page
        that was synced before, that is to be expected.
        """
        return await asyncio.to_thread(_prepared, batch, is_news=self._was_news)

    async def _store(self, folder: str, fetched: Fetched) -> None:
        batch, scanning, state = fetched.batch, fetched.scanning, fetched.state
        if folder != INBOX:
            await self._inbox_is_done.wait()  # who is listed in both belongs to the folder
        if folder != INBOX and scanning.at_top and is_full(scanning) and batch.conversations:
            await self._compare_with_inbox(folder, batch)
        async with self._writing:
            await self._write(folder, fetched)
        self._stored.add(folder)
        if folder == INBOX and (isinstance(state, Following) or is_catch_up(state)):
            self._inbox_is_scanned.set()
        if batch.dropped:
            self.context.tracker.note_problem(_dropped(batch))
        if isinstance(state, Scanning) and state.at_top:
            self._looked_at.add(folder)  # what a later sweep finds unchanged, this run has counted already

    async def _write(self, folder: str, fetched: Fetched) -> None:
        batch, scanning, state = fetched.batch, fetched.scanning, fetched.state
        completes_page = self._completes(folder, state)
        learned = LearnedSettings(batch_size=self.size.current, time_windows=self.windows.are_honoured)
        is_news, self._learned = learned != self._learned, learned

        def write(run: Run) -> Run:
            return self.context.ingest.apply_list(
                batch,
                folder=folder,
                scanning=scanning,
                state=state,
                completes_page=completes_page,
                counts_unchanged=folder not in self._looked_at,
                learned=learned if is_news else None,
                run=run,
                now=self.context.clock.now(),
            )

        stage = Stage.CATCH_UP if is_catch_up(scanning) else Stage.FULL_SCAN
        before = self.context.tracker.run.counts
        await self.context.tracker.store(write, stage=stage, folder=folder, position=batch.reached_at)
        self._was_news = _are_news(before, self.context.tracker.run.counts)
        if self._was_news:
            self.context.stall.moved(batch.reached_at)
        if isinstance(state, Following):
            self._open.discard(folder)

    def _completes(self, folder: str, state: Scanning | Following) -> datetime | None:
        """What `last_synced_at` becomes with this batch; None while a list is still to be read."""
        if not isinstance(state, Following):
            return None
        if folder == INBOX:
            self._inbox_at = state.watermark
        return self._page_completed_at(folder)

    def _page_completed_at(self, folder: str) -> datetime | None:
        """What `last_synced_at` becomes where this list is the last one to come to its end."""
        is_all = self._open <= {folder} and not self._failures and self.too_busy is None
        return self._inbox_at if is_all else None

    async def _leave(self, folder: str, why: str) -> None:
        """Note that the source has no such folder, and go on without it."""
        log.info("the source does not tell this folder apart", folder=folder, why=why)
        async with self._writing:
            end = partial(
                self.context.ingest.end_list,
                folder,
                Unserved(),
                completes_page=self._page_completed_at(folder),
                now=self.context.clock.now(),
            )
            await self.context.with_retries(end)
            self._open.discard(folder)

    async def _compare_with_inbox(self, folder: str, batch: Batch) -> None:
        """Raise FolderIgnored where what came is the inbox: a source ignores parameters it does not know.

        Asked of the source only where most of it is stored as another folder's: the owner may have
        moved conversations since.
        """
        if not await self.context.with_retries(
            partial(self.context.ingest.is_mostly_elsewhere, batch, folder=folder)
        ):
            return
        await refuse_inbox(self.context, batch)


async def _side_by_side(*works: Coroutine[Any, Any, None]) -> None:
    """All of them at once; the first that fails ends the others, and what it raised is raised."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _prepared(batch: Batch, *, is_news: bool) -> Batch:
    all_prepared = tuple(map(prepare, batch.conversations))
    for each in all_prepared:
        each.fingerprint()
        if is_news:
            each.rows()
    return replace(batch, conversations=all_prepared)


def _are_news(before: Counts, after: Counts) -> bool:
    """Whether anything came that was not stored: a gain, wherever the list stands."""
    return (before.inserted, before.updated, before.events) != (after.inserted, after.updated, after.events)


def _dropped(batch: Batch) -> Problem:
    first = batch.dropped[0]
    return Problem(
        code="unreadable_record",
        message=f"The source served a {first.what} that could not be kept: {first.why}.",
        hint="Everything else is stored; nothing can be done about it here.",
    )
