"""Verifies that nothing is missing: lists the source again, with light calls, and compares.

The same scans as a sync, catch-up scans included, so that no conversation is missed in a list that moves
meanwhile. What is missing goes to the backlog, so that the next sync fetches only that. A conversation that
the source no longer serves is marked gone, after a complete comparison and a call for each; nothing is ever
deleted.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

import msgspec
import structlog
from sqlalchemy import Connection

from inboxsync.clock import Clock
from inboxsync.errors import (
    AnswerFailed,
    AnswerTooLarge,
    ConversationMissing,
    CursorRefused,
    MessageUnreadable,
    PageNotVisible,
    PermissionMissing,
    SourceRefused,
)
from inboxsync.graph import Access, GraphClient
from inboxsync.model import (
    NOT_STORED,
    BacklogItem,
    BacklogKind,
    Batch,
    Following,
    History,
    ListState,
    Page,
    Problem,
    Verification,
)
from inboxsync.store import Store
from inboxsync.store.connection.types import new_id
from inboxsync.store.reading.summaries import count_unreadable, oldest_stored_at, summaries_of
from inboxsync.store.state.backlog import (
    Older,
    count_backlog,
    delete_backlog_item,
    get_backlog_item,
    list_backlog,
    list_failed_backlog,
    put_backlog_item,
)
from inboxsync.store.state.conversations import mark_active, mark_gone
from inboxsync.store.state.leases import keep_lease
from inboxsync.store.state.list_positions import list_states
from inboxsync.store.state.pages import count_page, put_verification, set_last_synced_at
from inboxsync.sync.backlog import problem_of
from inboxsync.sync.compare import Comparison, FolderFindings
from inboxsync.sync.events import CallRetried, Listener, ignore
from inboxsync.sync.fetch import ListFetcher, MessageFetcher, Reading, SummaryCall, TimeWindows
from inboxsync.sync.lease import held_lease, new_owner
from inboxsync.sync.list_scan import ListScan
from inboxsync.sync.page_lists import FolderIgnored, refuse_inbox
from inboxsync.sync.plan import FOLDERS, INBOX, BatchSize, begin_scan, followed_since, is_new
from inboxsync.sync.progress import expected_listed
from inboxsync.sync.stop import ConversationLimit, SourceWait, StallGuard, Stop, WaitReport
from inboxsync.sync.write_queue import Fetched

log = structlog.get_logger(__name__)

_MESSAGE_IDS = 100
# Reading the messages of one conversation is a call; a list answer has this many conversations.
_MESSAGES_WEIGH = 50
_MOST_SHARE = 0.99
_DEEP_BATCH = 50
# For more than these a full sync takes fewer calls than one call each.
_MOST_BACKLOG = 500
_MOST_ASKED_FOR = 500
_NOT_STORED = Problem(
    code=NOT_STORED,
    message="Meta lists it, and it was not stored when that was checked.",
    hint="The next sync fetches it.",
)
# Failures of one conversation: the next one may succeed.
_OF_ONE_CONVERSATION = (
    AnswerFailed,
    AnswerTooLarge,
    ConversationMissing,
    CursorRefused,
    MessageUnreadable,
    SourceRefused,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What a verification found; stored as the summary of its report.

    `only_stored` are conversations that no list has and that answer when asked for, or were too
    many to ask; `marked_gone` those that do not answer, and `returned` were so marked and are listed again.
    `backlog` counts its items by kind before the verification. `refused` are conversations that cannot be
    read, each with why, as far as that is known. `is_in_backlog`: all of it is in the backlog now; else it
    was too much. Where nothing at all is listed of a Page that is stored, nothing is verified and no
    conversation marked.
    """

    folders: tuple[FolderFindings, ...]
    is_deep: bool
    stored: int
    only_stored: tuple[str, ...] = ()
    marked_gone: tuple[str, ...] = ()
    returned: tuple[str, ...] = ()
    missing_messages: dict[str, int] = field(default_factory=dict)
    counts_differ: int = 0
    backlog: dict[str, int] = field(default_factory=dict)
    refused: dict[str, Problem] = field(default_factory=dict)
    older: Older | None = None
    unreadable_messages: int = 0
    is_in_backlog: bool = True

    @property
    def listed(self) -> int:
        """Conversations that the source lists."""
        return sum(folder.listed for folder in self.folders)

    @property
    def missing(self) -> int:
        """Conversations that are listed and not stored, or not as they are now."""
        return sum(each.different for each in self.folders)

    @property
    def needs_full_sync(self) -> bool:
        """Whether so much was lost that reading everything again costs fewer calls than one for each."""
        return sum(len(folder.lost) for folder in self.folders) > _MOST_BACKLOG

    @property
    def is_complete(self) -> bool:
        """Whether everything is stored that could be read when the verification began."""
        missing = self.missing - sum(len(each.came_since) for each in self.folders)
        unread = any(folder.unread or folder.dropped for folder in self.folders)
        is_blind = not self.listed and bool(self.only_stored)
        return not (missing or self.missing_messages or unread or is_blind or any(self.backlog.values()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """How far a verification has come: in this list, and over all lists so far.

    `expected` is about how many will be listed, where that is known. `differences` are conversations that are
    not stored as they are listed. Of `of` conversations the messages are read by their own calls, of `done`
    they are.
    """

    folder: str
    listed: int
    expected: int | None
    differences: int
    reached_at: datetime | None
    calls: int
    quota_used_percent: int | None
    done: int = 0
    of: int = 0

    @property
    def share(self) -> float | None:
        """How much is compared, of what is known to be there; None where that is unknown."""
        if not self.expected or self.expected < self.listed:
            return None
        done, of = self.done * _MESSAGES_WEIGH, self.of * _MESSAGES_WEIGH
        return min(_MOST_SHARE, (self.listed + done) / (self.expected + of))


@dataclass(frozen=True, slots=True)
class _Comparer:
    """Compares the batches of one list with the store (a `BatchWriter`)."""

    reading: Reading
    comparison: Comparison
    folder: str
    on_batch: Callable[[str, datetime | None], None]

    async def prepare(self, batch: Batch) -> Batch:
        """Nothing."""
        return batch

    async def write(self, fetched: Fetched) -> None:
        """Compare a batch; nothing is written before the report."""
        if self.folder != INBOX and is_new(fetched.scanning) and self._may_be_inbox(fetched):
            await refuse_inbox(self.reading, fetched.batch)
        await asyncio.to_thread(self.comparison.add, self.folder, fetched.batch)
        self.on_batch(self.folder, fetched.batch.reached_at)

    def _may_be_inbox(self, fetched: Fetched) -> bool:
        """Whether most of a folder's first answer has been listed already."""
        served = {each.conversation_id for each in fetched.batch.conversations}
        return fetched.scanning.lower_bound is None and bool(served) and self.comparison.has_listed(served)


class PageVerify:
    """Verifies one Page, once."""

    def __init__(
        self,
        *,
        store: Store,
        source: GraphClient,
        clock: Clock,
        page: Page,
        open_access: Callable[[Page], Access],
        stop: Stop,
        stall_calls: int,
        source_away_seconds: float,
        is_deep: bool,
        on_batch: Callable[[Compared], None],
        listener: Listener = ignore,
        owner: str | None = None,
    ) -> None:
        self._store = store
        self._source = source
        self._clock = clock
        self._page = page
        self._open_access = open_access
        self._stop = stop
        self._stall_calls = stall_calls
        self._source_away_seconds = source_away_seconds
        self._is_deep = is_deep
        self._on_batch = on_batch
        self._listener = listener
        self._comparison = Comparison(store=store, page=page, is_deep=is_deep)
        self._owner = owner or new_owner()
        self._reading: Reading
        self._expected: int | None = None
        self._calls_made: Callable[[], int] = int

    async def run(self, *, wait: bool) -> tuple[Verification, Findings]:
        """List, compare, write the report. Raises PageBusy, Stopped, and what source and store raise."""
        async with held_lease(
            self._store, self._clock, self._page, owner=self._owner, stop=self._stop, wait=wait
        ):
            access = await asyncio.to_thread(self._open_access, self._page)
            counts = self._source.counts(access)
            calls_before = counts.made
            self._calls_made = lambda: counts.made - calls_before
            self._reading = Reading(
                source=self._source,
                access=access,
                clock=self._clock,
                page=self._page,
                stop=self._stop,
                stall=StallGuard(lambda: counts.made - counts.refused, most=self._stall_calls),
                source_wait=SourceWait(
                    clock=self._clock,
                    stop=self._stop,
                    answered=lambda: counts.answered,
                    longest_seconds=self._source_away_seconds,
                    listener=self._listener,
                ),
            )
            watching = asyncio.create_task(WaitReport(self._source, access, self._listener).watch())
            try:
                with self._source.watched(access, lambda retry: self._listener(CallRetried(retry=retry))):
                    return await self._compare()
            finally:
                watching.cancel()

    async def _compare(self) -> tuple[Verification, Findings]:
        """Everything that calls the source, and the report."""
        states, self._expected = await asyncio.to_thread(self._known)
        self._comparison.synced_to = {name: followed_since(each) for name, each in states.items()}
        self._comparison.watermarks = {
            name: each.watermark for name, each in states.items() if isinstance(each, Following)
        }
        for folder in FOLDERS:
            await self._list(folder)
        await self._compare_messages()
        candidates = await asyncio.to_thread(self._comparison.only_stored)
        asked = candidates[:_MOST_ASKED_FOR] + await asyncio.to_thread(self._unlisted_backlog)
        if not any(each.listed for each in self._comparison.folders.values()):
            asked = []  # rather an app that may see nothing than a Page that everyone has left
        gone = [each for each in asked if await self._is_gone(each)]
        return await self._reading.with_retries(lambda: self._write_report(candidates, gone))

    def _tell(self, folder: str, reached_at: datetime | None, *, done: int = 0) -> None:
        """Tell how far it has come."""
        usage = self._source.rate_limiter.usage(self._reading.access)
        self._on_batch(
            Compared(
                folder=folder,
                listed=sum(each.listed for each in self._comparison.folders.values()),
                expected=self._expected,
                differences=self._comparison.differences(),
                reached_at=reached_at,
                calls=self._calls_made(),
                quota_used_percent=usage.percent if usage else None,
                done=done,
                of=len(self._comparison.to_read()),
            )
        )

    async def _list(self, folder: str) -> None:
        """List one folder to its bottom, and its head again until nothing moves."""
        reading, name = self._reading, None if folder == INBOX else folder
        message_ids = _MESSAGE_IDS if self._is_deep else 0
        fetcher = ListFetcher(
            reading=reading,
            folder=name,
            size=BatchSize(_DEEP_BATCH if self._is_deep else None),
            call=SummaryCall(reading=reading, folder=name, message_ids=message_ids),
        )
        scan = ListScan(
            reading=reading,
            fetcher=fetcher,
            windows=TimeWindows(self._page.time_windows),
            conversation_limit=ConversationLimit(None),
            writer=_Comparer(reading, self._comparison, folder, self._tell),
            may_prefetch=False,
        )
        reading.stall.moved(f"the top of the folder {folder}")
        try:
            await scan.run(begin_scan())
        except FolderIgnored:
            self._comparison.folders.pop(folder, None)
        except (SourceRefused, AnswerFailed, PermissionMissing, PageNotVisible):
            if name is None or self._comparison.of(folder).listed:
                raise
            del self._comparison.folders[folder]  # the Page has no such folder

    async def _compare_messages(self) -> None:
        """Read the messages of conversations that have more of them than one list answer brought."""
        to_read = self._comparison.to_read()
        self._expected = sum(each.listed for each in self._comparison.folders.values())
        for done, (conversation_id, folder) in enumerate(to_read):
            self._tell(folder, None, done=done)
            try:
                await self._stop.unless_asked(self._read_messages(conversation_id, folder))
            except _OF_ONE_CONVERSATION as failure:
                log.warning("not compared", conversation_id=conversation_id, why=failure.message)
                self._comparison.of(folder).unread.add(conversation_id)
                self._comparison.problems[conversation_id] = problem_of(failure)

    async def _read_messages(self, conversation_id: str, folder: str) -> None:
        fetcher = MessageFetcher(self._reading, conversation_id, ids_only=True)
        after, ids, is_compared, has_next = None, dict[str, None](), False, True
        while not is_compared and has_next:
            batch = await fetcher.fetch(after)
            self._comparison.of(folder).dropped += len(batch.dropped)
            ids |= dict.fromkeys(message.message_id for message in batch.messages)
            after, has_next = batch.after, batch.has_next
            is_compared = await asyncio.to_thread(
                self._comparison.compare_messages, conversation_id, tuple(ids), is_whole=not has_next
            )
            self._reading.stall.moved(f"conversation {conversation_id}")

    def _known(self) -> tuple[dict[str, ListState], int | None]:
        """The state of each list, and about how many conversations will be listed."""
        with self._store.read() as connection:
            return list_states(connection, self._page), expected_listed(connection, self._page)

    def _unlisted_backlog(self) -> list[str]:
        """Conversations of the backlog that were never stored, and that no list has any more."""
        with self._store.read() as connection:
            items = list_backlog(
                connection,
                self._page,
                BacklogKind.CONVERSATION,
                now=self._clock.now(),
                limit=_MOST_ASKED_FOR,
                due_only=False,
            )
            stored = summaries_of(connection, self._page, [item.conversation_id for item in items])
        ids = [item.conversation_id for item in items]
        return [each for each in ids if each not in stored and not self._comparison.lists(each)]

    async def _is_gone(self, conversation_id: str) -> bool:
        """Whether the source does not serve it when asked for it by its id."""
        try:
            await self._stop.unless_asked(
                self._source.fetch_conversation(self._reading.access, conversation_id, messages=1)
            )
        except ConversationMissing:
            return True
        except _OF_ONE_CONVERSATION:
            return False
        return False

    def _write_report(self, candidates: list[str], gone: list[str]) -> tuple[Verification, Findings]:
        comparison, page, now = self._comparison, self._page, self._clock.now()
        with self._store.write() as connection:
            keep_lease(connection, page, self._owner, now=now)
            mark_gone(connection, page, gone, now=now)
            mark_active(connection, page, comparison.returned, now=now)
            only_stored = tuple(each for each in candidates if each not in set(gone))
            for each in set(gone).difference(candidates):  # there is nothing to fetch
                delete_backlog_item(connection, page, BacklogKind.CONVERSATION, each)
            marked_gone = tuple(each for each in candidates if each in set(gone))
            findings = self._findings(connection, only_stored=only_stored, marked_gone=marked_gone)
            verification = Verification(
                id=new_id(),
                page_id=page.id,
                checked_at=now,
                is_complete=findings.is_complete,
                summary=msgspec.json.encode(findings).decode(),
            )
            put_verification(connection, verification)
            if findings.needs_full_sync:
                set_last_synced_at(connection, page, None, now=now)  # the next sync reads everything again
            else:
                self._add_to_backlog(connection, findings, now=now)
        return verification, findings

    def _findings(
        self, connection: Connection, *, only_stored: tuple[str, ...], marked_gone: tuple[str, ...]
    ) -> Findings:
        comparison, page = self._comparison, self._page
        return Findings(
            folders=tuple(comparison.folders.values()),
            is_deep=self._is_deep,
            stored=count_page(connection, page).conversations,
            only_stored=only_stored,
            marked_gone=marked_gone,
            returned=tuple(sorted(comparison.returned)),
            missing_messages=comparison.missing_messages,
            counts_differ=comparison.counts_differ,
            backlog={kind.value: count for kind, count in count_backlog(connection, page).items()},
            older=comparison.older,
            refused=self._refused(connection),
            unreadable_messages=count_unreadable(connection, page),
            is_in_backlog=sum(each.different for each in comparison.folders.values()) <= _MOST_BACKLOG,
        )

    def _refused(self, connection: Connection) -> dict[str, Problem]:
        """Conversations that cannot be read, with why: found now, or by the syncs before."""
        failed = list_failed_backlog(connection, self._page, limit=_MOST_ASKED_FOR)
        known = {
            each.conversation_id: each.problem
            for each in failed
            if each.problem is not None and each.kind is BacklogKind.CONVERSATION
        }
        return known | self._comparison.problems

    def _add_to_backlog(self, connection: Connection, findings: Findings, *, now: datetime) -> None:
        for item in self._missing_items(connection, findings):
            # A gap that is open already may end above what is missing now.
            is_gap = item.kind is BacklogKind.GAP
            if is_gap or get_backlog_item(connection, self._page, item.kind, item.conversation_id) is None:
                put_backlog_item(connection, self._page, item, now=now)

    def _missing_items(self, connection: Connection, findings: Findings) -> list[BacklogItem]:
        """Backlog items for what was found missing: the next sync fetches only these."""
        # Where it is more than that, they are new: the next sync reads them anyway.
        found = [
            BacklogItem(
                conversation_id=graph_id,
                kind=BacklogKind.CONVERSATION,
                folder=each.folder,
                until_at=self._comparison.synced_to.get(each.folder),
                problem=findings.refused.get(graph_id, _NOT_STORED if graph_id in each.lost else None),
            )
            for each in findings.folders
            for graph_id in sorted(
                each.missing | each.behind | each.unread if findings.is_in_backlog else each.unread
            )
        ]
        return [*found, *(self._gap(connection, graph_id) for graph_id in findings.missing_messages)]

    def _gap(self, connection: Connection, graph_id: str) -> BacklogItem:
        """What a conversation misses, down to its oldest stored message: older ones were not asked for."""
        summary = summaries_of(connection, self._page, [graph_id]).get(graph_id)
        is_cut = summary is not None and summary.has_older_messages and self._page.history is History.NEWEST
        until = oldest_stored_at(connection, self._page, graph_id) if is_cut else None
        return BacklogItem(conversation_id=graph_id, kind=BacklogKind.GAP, folder=INBOX, until_at=until)
