"""Proves that nothing is missing: lists the source again, as lightly as it can, and compares.

The same walk and the same closing sweeps as a sync, so that a list that moves meanwhile hides
nobody. What is missing goes to the ledger, so that the next sync brings just that. Whoever the
source no longer serves is marked gone, after a complete comparison and a question for each; nothing
is ever deleted.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec
import structlog

from inboxsync.clock import Clock
from inboxsync.errors import (
    AnswerFailed,
    ConversationMissing,
    PageNotVisible,
    PermissionMissing,
    SourceRefused,
)
from inboxsync.graph import Access, GraphClient
from inboxsync.model import Batch, Certificate, Item, Page, Phase, Span, Window
from inboxsync.store import Store
from inboxsync.store.certificates import put_certificate
from inboxsync.store.conversation_rows import mark_gone, new_id
from inboxsync.store.items import Older, count_items, count_older, get_item, put_item
from inboxsync.store.outlines import count_unreadable
from inboxsync.store.pages import count_page
from inboxsync.sync.batch_size import BatchSize
from inboxsync.sync.compare import Comparison, FolderFindings
from inboxsync.sync.context import Reading
from inboxsync.sync.fetch import Fetcher
from inboxsync.sync.lease import held_lease, new_owner
from inboxsync.sync.limits import Quota, StallGuard
from inboxsync.sync.plan import FOLDERS, INBOX, begin_walk
from inboxsync.sync.stop import Stop
from inboxsync.sync.walk import Fetched, ListWalk, TimeWindows

log = structlog.get_logger(__name__)

_MESSAGE_IDS = 100
_DEEP_BATCH = 50
_COMPARED = 25
# More than these are brought by a full sync with fewer calls than one by one.
_MOST_OWED = 500
_MOST_ASKED_FOR = 500


class _OtherList(Exception):
    """The source serves the inbox under this folder's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What a verification found; written down as the certificate's summary.

    `only_stored` are conversations that no list shows and that answer when asked for, or were too
    many to ask; `marked_gone` those that do not. `owed` counts the ledger by phase before it.
    """

    folders: tuple[FolderFindings, ...]
    is_deep: bool
    stored: int
    only_stored: tuple[str, ...] = ()
    marked_gone: tuple[str, ...] = ()
    missing_messages: dict[str, int] = field(default_factory=dict)
    counts_differ: int = 0
    owed: dict[str, int] = field(default_factory=dict)
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
        """Whether so much is missing that reading all again costs fewer calls than each by itself."""
        return self.missing > _MOST_OWED

    @property
    def is_complete(self) -> bool:
        """Whether everything that can be read is stored."""
        return not (self.missing or self.missing_messages or any(self.owed.values()))


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
        self._reading: Reading

    async def run(self, *, wait: bool) -> tuple[Certificate, Findings]:
        """List, compare, write down. Raises PageBusy, Stopped, and what the source or the store raises."""
        owner = new_owner()
        async with held_lease(self._store, self._clock, self._page, owner=owner, stop=self._stop, wait=wait):
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
            for folder in FOLDERS:
                await self._list(folder)
            await self._read_deeper()
            candidates = await asyncio.to_thread(self._comparison.only_stored)
            gone = [each for each in candidates[:_MOST_ASKED_FOR] if await self._is_gone(each)]
            return await self._reading.patiently(lambda: self._write_down(candidates, gone))

    async def _list(self, folder: str) -> None:
        """List one folder to its bottom, and its head again until nothing moves."""
        name = None if folder == INBOX else folder

        async def ask(span: Span, window: Window | None, *, limit: int, attempts: int | None) -> Batch:
            return await self._source.fetch_outline(
                self._reading.access,
                folder=name,
                window=window,
                after=span.cursor,
                limit=limit,
                message_ids=_MESSAGE_IDS if self._is_deep else 0,
                attempts=attempts,
            )

        async def compare(fetched: Fetched) -> None:
            if name is not None and fetched.walking.at_top and await self._is_inbox(fetched):
                raise _OtherList
            await asyncio.to_thread(self._comparison.add, folder, fetched.batch)
            self._on_batch(folder, self._comparison.of(folder).listed)

        size = BatchSize(_DEEP_BATCH if self._is_deep else None)
        walk = ListWalk(
            context=self._reading,
            fetcher=Fetcher(context=self._reading, folder=name, size=size, ask=ask),
            windows=TimeWindows(self._page.time_windows),
            quota=Quota(None),
            store=compare,
        )
        self._reading.stall.moved(f"the top of the folder {folder}")
        try:
            await walk.advance(begin_walk())
        except _OtherList:
            self._comparison.folders.pop(folder, None)
        except (SourceRefused, AnswerFailed, PermissionMissing, PageNotVisible):
            if name is None or self._comparison.of(folder).listed:
                raise
            del self._comparison.folders[folder]  # the Page has no such folder

    async def _is_inbox(self, fetched: Fetched) -> bool:
        """Whether a folder's first answer is the inbox's: a source ignores parameters it does not know."""
        is_first = fetched.walking.floor is None
        served = {each.conversation_id for each in fetched.batch.conversations[:_COMPARED]}
        if not is_first or not served or not self._comparison.has_listed(served):
            return False
        inbox = await self._source.fetch_conversation_times(self._reading.access, after=None, limit=_COMPARED)
        shared = served.intersection(each.conversation_id for each in inbox.conversations)
        return len(shared) * 2 > len(served)

    async def _read_deeper(self) -> None:
        """Read on in conversations that hold more messages than one list answer showed."""
        for conversation_id, _ in self._comparison.deeper():
            after, ids, is_told, has_next = None, [], False, True
            while not is_told and has_next:
                self._reading.stall.check()
                batch = await self._stop.unless_asked(
                    self._source.fetch_messages(
                        self._reading.access, conversation_id, after=after, limit=_MESSAGE_IDS, ids_only=True
                    )
                )
                ids += [message.message_id for message in batch.messages]
                after, has_next = batch.after, batch.has_next
                is_told = await asyncio.to_thread(
                    self._comparison.compare_messages, conversation_id, ids, is_whole=not has_next
                )
                self._reading.stall.moved(f"conversation {conversation_id}")

    async def _is_gone(self, conversation_id: str) -> bool:
        """Whether the source does not serve it when asked for it by name."""
        try:
            await self._stop.unless_asked(
                self._source.fetch_conversation(self._reading.access, conversation_id, messages=1)
            )
        except ConversationMissing:
            return True
        except AnswerFailed:
            return False
        return False

    def _write_down(self, candidates: list[str], gone: list[str]) -> tuple[Certificate, Findings]:
        comparison, page, now = self._comparison, self._page, self._clock.now()
        with self._store.write() as connection:
            mark_gone(connection, page, gone, now=now)
            findings = Findings(
                folders=tuple(comparison.folders.values()),
                is_deep=self._is_deep,
                stored=count_page(connection, page).conversations,
                only_stored=tuple(each for each in candidates if each not in set(gone)),
                marked_gone=tuple(gone),
                missing_messages=comparison.missing_messages,
                counts_differ=comparison.counts_differ,
                owed={phase.value: count for phase, count in count_items(connection, page).items()},
                older=count_older(connection, page, messages=0),
                unreadable_messages=count_unreadable(connection, page),
            )
            certificate = Certificate(
                id=new_id(),
                page_id=page.id,
                checked_at=now,
                is_complete=findings.is_complete,
                summary=msgspec.json.encode(findings).decode(),
            )
            put_certificate(connection, certificate)
            for item in _owed_by(findings):
                if get_item(connection, page, item.phase, item.conversation_id) is None:
                    put_item(connection, page, item, now=now)
        return certificate, findings


def _owed_by(findings: Findings) -> list[Item]:
    """Ledger items for what was found missing: the next sync brings just these."""
    if findings.needs_full_sync:
        return []
    found = [
        Item(conversation_id=graph_id, phase=Phase.CONVERSATION, folder=each.folder)
        for each in findings.folders
        for graph_id in sorted(each.missing | each.behind)
    ]
    gaps = [
        Item(conversation_id=graph_id, phase=Phase.GAP, folder=INBOX)
        for graph_id in findings.missing_messages
    ]
    return [*found, *gaps]
