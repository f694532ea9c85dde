"""Scans the lists of a Page that a run reads: the inbox first, then its other folders.

The others follow once the inbox is read to its bottom, never before: a conversation that the Page's owner
moves to a folder meanwhile is then in one of the two. They are read side by side, beside the catch-up scan of
the inbox, and stored after it.
"""

import asyncio
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field, replace
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
from inboxsync.model import Batch, Counts, Following, Problem, Scanning, Unserved
from inboxsync.store.writing.prepared import prepare
from inboxsync.sync.events import Stage
from inboxsync.sync.fetch import ConversationsCall, ListFetcher, Reading, TimeWindows
from inboxsync.sync.ingest import CallSettings, Ingest
from inboxsync.sync.list_scan import ListScan, TooBusy
from inboxsync.sync.plan import INBOX, BatchSize, is_catch_up, is_full, is_new
from inboxsync.sync.stop import ConversationLimit
from inboxsync.sync.write_queue import Fetched, RunWriter

log = structlog.get_logger(__name__)

_COMPARED = 25
_CIRCLE = Problem(
    code="list_in_circles",
    message="Meta's list led back to a place that was read already. That was taken for its end.",
    hint="What was listed is stored. If conversations are missing, run a full sync later: `--mode full`.",
)


class FolderIgnored(Exception):
    """The source served the inbox under the name of another folder."""


@dataclass(slots=True, kw_only=True)
class _Shared:
    """What the lists of one run share. `open` are those that do not follow the source yet.

    `messages` newest ones come with each conversation in a catch-up scan.
    """

    messages: int
    size: BatchSize
    windows: TimeWindows
    noted_settings: CallSettings
    expects_changes: bool
    open: set[str]
    failures: list[SourceError] = field(default_factory=list)
    too_busy: TooBusy | None = None
    inbox_synced_at: datetime | None = None
    inbox_is_scanned: asyncio.Event = field(default_factory=asyncio.Event)
    inbox_is_done: asyncio.Event = field(default_factory=asyncio.Event)
    # One list is written at a time.
    writing: asyncio.Lock = field(default_factory=asyncio.Lock)

    def page_synced_at(self, folder: str) -> datetime | None:
        """What `last_synced_at` becomes where this is the last list to follow; None: others do not yet."""
        is_last = self.open <= {folder} and not self.failures and self.too_busy is None
        return self.inbox_synced_at if is_last else None


class PageLists:
    """The lists of one run.

    Of `unreadable` conversations it is known that every answer with them fails. `messages` newest ones come
    with each conversation, `full_messages` in a full scan.
    """

    def __init__(
        self,
        *,
        reading: Reading,
        ingest: Ingest,
        writer: RunWriter,
        conversation_limit: ConversationLimit,
        unreadable: Mapping[str, Problem],
        messages: int,
        full_messages: int,
    ) -> None:
        self._reading = reading
        self._ingest = ingest
        self._writer = writer
        self._limit = conversation_limit
        self._full_messages = full_messages
        self._unreadable = dict(unreadable)
        page = reading.page
        size, windows = BatchSize(page.batch_size), TimeWindows(page.time_windows)
        self._shared = _Shared(
            messages=messages,
            size=size,
            windows=windows,
            noted_settings=CallSettings(batch_size=size.current, time_windows=windows.are_honoured),
            expects_changes=page.last_synced_at is None,
            open=set(),
        )

    async def scan(self, lists: Mapping[str, Scanning]) -> None:
        """Scan every list until it follows the source.

        A list that fails does not stop the next: see `raise_failure`. Raises Stopped, and what would make
        every list fail.
        """
        shared = self._shared
        shared.open = set(lists)
        if INBOX not in lists or is_catch_up(lists[INBOX]):
            shared.inbox_is_scanned.set()
        if INBOX not in lists:
            shared.inbox_is_done.set()
        if self._limit.most is not None:
            for folder, scanning in lists.items():  # the inbox first, as `plan_lists` has them
                await self._scan_in_turn(folder, scanning)
        else:
            await _side_by_side(*(self._scan_in_turn(*each) for each in lists.items()))

    def raise_failure(self) -> None:
        """Raise what kept a list from following the source, if anything did."""
        if self._shared.failures:
            raise self._shared.failures[0]
        if self._shared.too_busy is not None:
            raise self._shared.too_busy

    async def _scan_in_turn(self, folder: str, scanning: Scanning) -> None:
        """Scan a list when its turn has come; note what stopped it, where the others may continue."""
        shared = self._shared
        if folder != INBOX:
            await shared.inbox_is_scanned.wait()
        try:
            await self._scan_list(folder, scanning)
        except (SourceRefused, AnswerFailed, AnswerTooLarge, CursorRefused) as failure:
            shared.failures.append(failure)
        except TooBusy as too_busy:
            shared.too_busy = too_busy
        finally:
            if folder == INBOX:
                shared.inbox_is_scanned.set()
                shared.inbox_is_done.set()

    async def _scan_list(self, folder: str, scanning: Scanning) -> None:
        reading, name = self._reading, None if folder == INBOX else folder
        messages = self._full_messages if is_full(scanning) else self._shared.messages
        fetcher = ListFetcher(
            reading=reading,
            folder=name,
            size=self._shared.size,
            call=ConversationsCall(reading=reading, folder=name, messages=messages),
            unreadable=self._unreadable,
            on_failure=partial(self._writer.batch_failed, folder=folder),
        )
        writer = ListWriter(
            reading=reading, ingest=self._ingest, writer=self._writer, shared=self._shared, folder=folder
        )
        scan = ListScan(
            reading=reading,
            fetcher=fetcher,
            windows=self._shared.windows,
            conversation_limit=self._limit,
            writer=writer,
        )
        reading.stall.moved(f"the top of the folder {folder}")
        is_untried = folder != INBOX and is_full(scanning) and is_new(scanning)
        try:
            await scan.run(scanning)
            if scan.went_in_circles:
                self._writer.note_problem(_CIRCLE)
        except FolderIgnored:
            await self._skip_folder(folder, "it serves the inbox instead")
        except (SourceRefused, PermissionMissing, PageNotVisible) as failure:
            if not is_untried or writer.has_written:
                raise
            # Raises where the source refuses more than this folder.
            await reading.source.fetch_conversation_times(reading.access, after=None, limit=1)
            await self._skip_folder(folder, failure.message)

    async def _skip_folder(self, folder: str, why: str) -> None:
        """Note that the source has no such folder, and continue without it."""
        log.info("the source has no such folder", folder=folder, why=why)
        async with self._shared.writing:
            synced_at = self._shared.page_synced_at(folder)
            end = partial(self._ingest.end_list, folder, Unserved(), synced_at=synced_at)
            await self._reading.with_retries(end)
            self._shared.open.discard(folder)
            (await self._writer.progress()).end_list(folder)


@dataclass(slots=True, kw_only=True)
class ListWriter:
    """Writes the batches of one list (a `BatchWriter`). `has_written`: at least one is stored."""

    reading: Reading
    ingest: Ingest
    writer: RunWriter
    shared: _Shared
    folder: str
    has_written: bool = False
    _has_counted: bool = False
    _is_compared: bool = False

    async def prepare(self, batch: Batch) -> Batch:
        """Do what needs no database, so that the writing does not wait for it.

        Where the last batch was stored unchanged already, this one probably is too: then it is not decoded.
        Of a Page that was synced before, that is to be expected.
        """
        shared = self.shared
        return await asyncio.to_thread(
            _prepared, batch, newest=shared.messages, has_changes=shared.expects_changes
        )

    async def write(self, fetched: Fetched) -> None:
        """Write a batch when its turn has come."""
        shared, batch, scanning, state = self.shared, fetched.batch, fetched.scanning, fetched.state
        if self.folder != INBOX:
            await shared.inbox_is_done.wait()  # a conversation that is listed in both belongs to the folder
            if not self.has_written and not (is_new(scanning) and is_full(scanning)):
                self._is_compared = True  # it was, when this scan began
            if not self._is_compared and batch.conversations:
                await self._compare_with_inbox(batch)
                self._is_compared = True
        async with shared.writing:
            await self._write(fetched)
        self.has_written = True
        if self.folder == INBOX and (isinstance(state, Following) or is_catch_up(state)):
            shared.inbox_is_scanned.set()
        if batch.dropped:
            self.writer.note_problem(_dropped(batch))
        if isinstance(state, Scanning) and is_new(state) and not batch.is_part:
            self._has_counted = True  # what a later scan finds unchanged, this run has counted already

    async def _write(self, fetched: Fetched) -> None:
        shared, batch, scanning, state = self.shared, fetched.batch, fetched.scanning, fetched.state
        if self.folder == INBOX and isinstance(state, Following):
            shared.inbox_synced_at = state.watermark
        settings = CallSettings(batch_size=shared.size.current, time_windows=shared.windows.are_honoured)
        synced_at = shared.page_synced_at(self.folder) if isinstance(state, Following) else None
        are_new = settings != shared.noted_settings or synced_at is not None
        shared.noted_settings = settings
        store = partial(
            self.ingest.store_list_batch,
            batch=batch,
            folder=self.folder,
            scanning=scanning,
            state=state,
            synced_at=synced_at,
            counts_unchanged=not self._has_counted,
            new_settings=settings if are_new else None,
        )
        stage = Stage.CATCH_UP if is_catch_up(scanning) else Stage.FULL_SCAN
        before = self.writer.run.counts
        await self.writer.write(
            store, stage=stage, folder=self.folder, position=batch.reached_at, state=state
        )
        shared.expects_changes = _have_changed(before, self.writer.run.counts)
        if shared.expects_changes:
            self.reading.stall.moved(batch.reached_at)
        if isinstance(state, Following):
            shared.open.discard(self.folder)

    async def _compare_with_inbox(self, batch: Batch) -> None:
        """Raise FolderIgnored where the batch is the inbox: a source ignores parameters it does not know.

        The source is asked only where most of the batch is stored as another folder's: the Page's owner may
        have moved conversations since.
        """
        is_elsewhere = partial(self.ingest.is_mostly_elsewhere, batch, folder=self.folder)
        if await self.reading.with_retries(is_elsewhere):
            await refuse_inbox(self.reading, batch)


async def refuse_inbox(reading: Reading, batch: Batch) -> None:
    """Ask for the newest of the inbox, and raise FolderIgnored where most of a folder's newest are those.

    A source ignores parameters that it does not know, and `folder` may be one of them (graph-facts 1.3-4):
    then every folder is the inbox once more.
    """
    newest = {each.conversation_id for each in batch.conversations[:_COMPARED]}
    inbox = await reading.source.fetch_conversation_times(reading.access, after=None, limit=_COMPARED)
    shared = newest.intersection(each.conversation_id for each in inbox.conversations)
    if len(shared) * 2 > len(newest):
        raise FolderIgnored


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


def _prepared(batch: Batch, *, newest: int, has_changes: bool) -> Batch:
    """`newest`: how many messages of each conversation later answers bring."""
    all_prepared = tuple(prepare(each, newest=newest) for each in batch.conversations)
    for each in all_prepared:
        each.fingerprint()
        if has_changes:
            each.rows()
            each.fingerprints()
    return replace(batch, conversations=all_prepared)


def _have_changed(before: Counts, after: Counts) -> bool:
    """Whether anything came that was not stored: a gain, whatever the list's position is."""
    return (before.inserted, before.updated, before.events) != (after.inserted, after.updated, after.events)


def _dropped(batch: Batch) -> Problem:
    first = batch.dropped[0]
    return Problem(
        code="unreadable_record",
        message=f"The source served a {first.what} that could not be stored: {first.why}.",
        hint="Everything else is stored; nothing can be done about it here.",
    )
