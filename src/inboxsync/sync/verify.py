"""Proves that nothing is missing: lists the source again, as lightly as it can, and compares.

The same walk and the same closing sweeps as a sync, so that a list that moves meanwhile hides
nobody. What is missing goes to the ledger, so that the next sync brings just that. Whoever the
source no longer serves is marked gone, after a complete comparison and a question for each; nothing
is ever deleted.
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
from inboxsync.model import BacklogItem, BacklogKind, Batch, History, Page, Segment, Verification, Window
from inboxsync.store import Store
from inboxsync.store.reading.summaries import count_unreadable, oldest_stored_at, summaries_of
from inboxsync.store.state.backlog import (
    Older,
    count_backlog,
    delete_backlog_item,
    get_backlog_item,
    list_backlog,
    put_backlog_item,
)
from inboxsync.store.state.list_positions import list_states
from inboxsync.store.state.pages import count_page, set_last_synced_at
from inboxsync.store.state.verifications import put_verification
from inboxsync.store.writing.conversation_rows import mark_active, mark_gone, new_id
from inboxsync.sync.batch_size import BatchSize
from inboxsync.sync.compare import Comparison, FolderFindings
from inboxsync.sync.context import Reading
from inboxsync.sync.edge import MessagesEdge
from inboxsync.sync.fetch import Fetcher
from inboxsync.sync.folders import FolderIgnored, refuse_inbox
from inboxsync.sync.lease import held_lease, keep_lease, new_owner
from inboxsync.sync.limits import ConversationLimit, StallGuard
from inboxsync.sync.list_scan import ListScan, TimeWindows
from inboxsync.sync.plan import FOLDERS, INBOX, begin_scan, followed_since
from inboxsync.sync.stop import Stop
from inboxsync.sync.write_queue import Fetched

log = structlog.get_logger(__name__)

_MESSAGE_IDS = 100
_DEEP_BATCH = 50
# More than these are brought by a full sync with fewer calls than one by one.
_MOST_BACKLOG = 500
_MOST_ASKED_FOR = 500
# What one conversation meets, and the next may not.
_OF_ONE = (AnswerFailed, AnswerTooLarge, ConversationMissing, CursorRefused, MessageUnreadable, SourceRefused)


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What a verification found; written down as the certificate's summary.

    `only_stored` are conversations that no list shows and that answer when asked for, or were too
    many to ask; `marked_gone` those that do not, and `returned` were so marked and are listed again.
    `owed` counts the ledger by phase before it. Where nothing at all is listed of a Page that is
    stored, nothing is proved and nobody marked.
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
    older: Older | None = None
    unreadable_messages: int = 0

    @property
    def listed(self) -> int:
        """Conversations that the source lists."""
        return sum(folder.listed for folder in self.folders)

    @property
    def missing(self) -> int:
        """Conversations that are listed and not stored, or not as they are now."""
        return sum(len(each.missing) + len(each.behind) for each in self.folders)

    @property
    def needs_full_sync(self) -> bool:
        """Whether so much was lost that reading all again costs fewer calls than each by itself."""
        return sum(folder.lost for folder in self.folders) > _MOST_BACKLOG

    @property
    def is_complete(self) -> bool:
        """Whether everything that can be read is stored."""
        unread = any(folder.unread for folder in self.folders)
        is_blind = not self.listed and bool(self.only_stored)
        return not (self.missing or self.missing_messages or unread or is_blind or any(self.backlog.values()))


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
        is_deep: bool,
        on_batch: Callable[[str, int], None],
        owner: str | None = None,
    ) -> None:
        self._store = store
        self._source = source
        self._clock = clock
        self._page = page
        self._open_access = open_access
        self._stop = stop
        self._stall_calls = stall_calls
        self._is_deep = is_deep
        self._on_batch = on_batch
        self._comparison = Comparison(store=store, page=page, is_deep=is_deep)
        self._owner = owner or new_owner()
        self._reading: Reading

    async def run(self, *, wait: bool) -> tuple[Verification, Findings]:
        """List, compare, write down. Raises PageBusy, Stopped, and what the source or the store raises."""
        async with held_lease(
            self._store, self._clock, self._page, owner=self._owner, stop=self._stop, wait=wait
        ):
            access = await asyncio.to_thread(self._open_access, self._page)
            counts = self._source.counts(access)
            self._reading = Reading(
                source=self._source,
                access=access,
                clock=self._clock,
                page=self._page,
                stop=self._stop,
                stall=StallGuard(lambda: counts.made - counts.refused, most=self._stall_calls),
            )
            self._comparison.synced_to = await asyncio.to_thread(self._synced_to)
            for folder in FOLDERS:
                await self._list(folder)
            await self._read_deeper()
            candidates = await asyncio.to_thread(self._comparison.only_stored)
            asked = candidates[:_MOST_ASKED_FOR] + await asyncio.to_thread(self._backlog_and_unlisted)
            if not any(each.listed for each in self._comparison.folders.values()):
                asked = []  # more likely an app that may see nobody than a Page that everybody has left
            gone = [each for each in asked if await self._is_gone(each)]
            return await self._reading.with_retries(lambda: self._write_down(candidates, gone))

    async def _list(self, folder: str) -> None:
        """List one folder to its bottom, and its head again until nothing moves."""
        name = None if folder == INBOX else folder

        async def ask(segment: Segment, window: Window | None, *, limit: int, attempts: int | None) -> Batch:
            return await self._source.fetch_summary(
                self._reading.access,
                folder=name,
                window=window,
                after=segment.cursor,
                limit=limit,
                message_ids=_MESSAGE_IDS if self._is_deep else 0,
                attempts=attempts,
            )

        async def compare(fetched: Fetched) -> None:
            if name is not None and fetched.scanning.at_top and self._may_be_inbox(fetched):
                await refuse_inbox(self._reading, fetched.batch)
            await asyncio.to_thread(self._comparison.add, folder, fetched.batch)
            self._on_batch(folder, self._comparison.of(folder).listed)

        size = BatchSize(_DEEP_BATCH if self._is_deep else None)
        scan = ListScan(
            context=self._reading,
            fetcher=Fetcher(context=self._reading, folder=name, size=size, ask=ask),
            windows=TimeWindows(self._page.time_windows),
            conversation_limit=ConversationLimit(None),
            store=compare,
            may_prefetch=False,
        )
        self._reading.stall.moved(f"the top of the folder {folder}")
        try:
            await scan.advance(begin_scan())
        except FolderIgnored:
            self._comparison.folders.pop(folder, None)
        except (SourceRefused, AnswerFailed, PermissionMissing, PageNotVisible):
            if name is None or self._comparison.of(folder).listed:
                raise
            del self._comparison.folders[folder]  # the Page has no such folder

    def _may_be_inbox(self, fetched: Fetched) -> bool:
        """Whether most of a folder's first answer has been listed already."""
        served = {each.conversation_id for each in fetched.batch.conversations}
        return fetched.scanning.lower_bound is None and bool(served) and self._comparison.has_listed(served)

    async def _read_deeper(self) -> None:
        """Read on in conversations that hold more messages than one list answer showed."""
        for conversation_id, folder in self._comparison.deeper():
            try:
                await self._stop.unless_asked(self._read_messages(conversation_id))
            except _OF_ONE as failure:
                log.warning("not compared", conversation_id=conversation_id, why=failure.message)
                self._comparison.of(folder).unread.add(conversation_id)

    async def _read_messages(self, conversation_id: str) -> None:
        edge = MessagesEdge(self._reading, conversation_id, ids_only=True)
        after, ids, is_told, has_next = None, dict[str, None](), False, True
        while not is_told and has_next:
            batch = await edge.fetch(after)
            ids |= dict.fromkeys(message.message_id for message in batch.messages)
            after, has_next = batch.after, batch.has_next
            is_told = await asyncio.to_thread(
                self._comparison.compare_messages, conversation_id, tuple(ids), is_whole=not has_next
            )
            self._reading.stall.moved(f"conversation {conversation_id}")

    def _synced_to(self) -> dict[str, datetime | None]:
        with self._store.read() as connection:
            states = list_states(connection, self._page)
        return {folder: followed_since(each) for folder, each in states.items()}

    def _backlog_and_unlisted(self) -> list[str]:
        """Conversations that are owed, were never stored, and that no list shows any more."""
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
        backlog = [item.conversation_id for item in items if item.conversation_id not in stored]
        return [each for each in backlog if not self._comparison.lists(each)]

    async def _is_gone(self, conversation_id: str) -> bool:
        """Whether the source does not serve it when asked for it by name."""
        try:
            await self._stop.unless_asked(
                self._source.fetch_conversation(self._reading.access, conversation_id, messages=1)
            )
        except ConversationMissing:
            return True
        except _OF_ONE:
            return False
        return False

    def _write_down(self, candidates: list[str], gone: list[str]) -> tuple[Verification, Findings]:
        comparison, page, now = self._comparison, self._page, self._clock.now()
        with self._store.write() as connection:
            keep_lease(connection, page, self._owner, now=now)
            mark_gone(connection, page, gone, now=now)
            mark_active(connection, page, comparison.returned, now=now)
            only_stored = tuple(each for each in candidates if each not in set(gone))
            for each in set(gone).difference(candidates):
                delete_backlog_item(
                    connection, page, BacklogKind.CONVERSATION, each
                )  # there is nothing to bring
            findings = Findings(
                folders=tuple(comparison.folders.values()),
                is_deep=self._is_deep,
                stored=count_page(connection, page).conversations,
                only_stored=only_stored,
                marked_gone=tuple(each for each in candidates if each in set(gone)),
                returned=tuple(sorted(comparison.returned)),
                missing_messages=comparison.missing_messages,
                counts_differ=comparison.counts_differ,
                backlog={phase.value: count for phase, count in count_backlog(connection, page).items()},
                older=comparison.older,
                unreadable_messages=count_unreadable(connection, page),
            )
            verification = Verification(
                id=new_id(),
                page_id=page.id,
                checked_at=now,
                is_complete=findings.is_complete,
                summary=msgspec.json.encode(findings).decode(),
            )
            put_verification(connection, verification)
            if findings.needs_full_sync:
                set_last_synced_at(connection, page, None, now=now)  # the next sync reads all again
            for item in () if findings.needs_full_sync else self._backlog_by(connection, findings):
                # A gap that is open already may end above what is missing now.
                if (
                    item.kind is BacklogKind.GAP
                    or get_backlog_item(connection, page, item.kind, item.conversation_id) is None
                ):
                    put_backlog_item(connection, page, item, now=now)
        return verification, findings

    def _backlog_by(self, connection: Connection, findings: Findings) -> list[BacklogItem]:
        """Ledger items for what was found missing: the next sync brings just these."""
        is_much = findings.missing > _MOST_BACKLOG  # new, so the next sync comes across them anyway
        found = [
            BacklogItem(
                conversation_id=graph_id,
                kind=BacklogKind.CONVERSATION,
                folder=each.folder,
                until_at=self._comparison.synced_to.get(each.folder),
            )
            for each in findings.folders
            for graph_id in sorted(each.unread if is_much else each.missing | each.behind | each.unread)
        ]
        return [*found, *(self._gap(connection, graph_id) for graph_id in findings.missing_messages)]

    def _gap(self, connection: Connection, graph_id: str) -> BacklogItem:
        """What a conversation lacks, down to its oldest stored message: older ones were not asked for."""
        summary = summaries_of(connection, self._page, [graph_id]).get(graph_id)
        is_cut = summary is not None and summary.has_older_messages and self._page.history is History.NEWEST
        until = oldest_stored_at(connection, self._page, graph_id) if is_cut else None
        return BacklogItem(conversation_id=graph_id, kind=BacklogKind.GAP, folder=INBOX, until_at=until)
