"""Stores fetched batches: the only module of `sync` that writes conversations and messages.

A batch, the list state that follows from it and what it adds to the backlog are committed together or not at
all, so a crash between two batches costs one call and never leaves a gap. Each transaction first renews the
lease (fencing). Nothing here talks to the network; everything here blocks, so call it from a thread.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection

from inboxsync.clock import Clock
from inboxsync.model import (
    BacklogItem,
    BacklogKind,
    Batch,
    Conversation,
    Counts,
    Following,
    ListState,
    MessageBatch,
    Page,
    Run,
    Scanning,
)
from inboxsync.store import Store
from inboxsync.store.state.backlog import (
    delete_backlog_item,
    get_backlog_item,
    put_backlog_item,
)
from inboxsync.store.state.conversations import set_has_older_messages
from inboxsync.store.state.leases import keep_lease
from inboxsync.store.state.list_positions import put_list_state
from inboxsync.store.state.pages import (
    has_conversations,
    set_batch_size,
    set_last_synced_at,
    set_time_windows,
)
from inboxsync.store.state.runs import update_run
from inboxsync.store.writing.stored import look_up_conversations
from inboxsync.store.writing.upsert import FoundGap, Written, upsert_batch, upsert_message_batch
from inboxsync.sync.plan import backlog_since, is_full

# What a conversation that is read to its bottom no longer misses.
_MESSAGES = (BacklogKind.GAP, BacklogKind.HISTORY)
INITIAL, INCREMENTAL, HISTORY = "initial_sync", "incremental_sync", "history_sync"


@dataclass(frozen=True, slots=True, kw_only=True)
class CallSettings:
    """How the source is best asked for this Page's lists, as a run has found out; kept for the next run."""

    batch_size: int | None
    time_windows: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingest:
    """Stores what is fetched of one Page, as `owner` of its lease. Every write raises LeaseLost."""

    store: Store
    clock: Clock
    page: Page
    owner: str

    @contextmanager
    def _write(self) -> Iterator[tuple[Connection, datetime]]:
        """A transaction that renews the lease first, and its time."""
        now = self.clock.now()
        with self.store.write() as connection:
            keep_lease(connection, self.page, self.owner, now=now)
            yield connection, now

    def store_list_batch(
        self,
        run: Run,
        batch: Batch,
        *,
        folder: str,
        scanning: Scanning,
        state: Scanning | Following,
        synced_at: datetime | None,
        counts_unchanged: bool,
        new_settings: CallSettings | None,
    ) -> Run:
        """Store a batch of a list, the state that follows and the run's totals; returns the run with them.

        `synced_at`: what `last_synced_at` becomes, where this ends the last list of the run. `new_settings`
        is given where they may have changed. `counts_unchanged` is False where this run has counted these
        conversations already.
        """
        with self._write() as (connection, now):
            since = backlog_since(scanning, batch.answered_at)
            self._add_unread(connection, batch, folder=folder, since=since, now=now)
            written = upsert_batch(
                connection,
                self.page,
                batch.conversations,
                folder=folder,
                source=INITIAL if is_full(scanning) else INCREMENTAL,
                now=now,
            )
            self._add_gaps(connection, written, folder=folder, since=since, now=now)
            self._remove(connection, written.in_backlog, (BacklogKind.CONVERSATION,))
            self._remove(connection, written.in_backlog.intersection(written.whole), _MESSAGES)
            put_list_state(connection, self.page, folder, state, now=now)
            if new_settings is not None:
                set_batch_size(connection, self.page, new_settings.batch_size, now=now)
                set_time_windows(connection, self.page, new_settings.time_windows, now=now)
            self._set_synced(connection, synced_at, now=now)
            run = _with_batch(run, written.counts, counts_unchanged=counts_unchanged)
            update_run(connection, run)
        return run

    def store_conversation(self, run: Run, item: BacklogItem, conversation: Conversation) -> Run:
        """Store a conversation of the backlog; what is then still missing of it is added again."""
        with self._write() as (connection, now):
            written = upsert_batch(
                connection, self.page, [conversation], folder=item.folder, source=INCREMENTAL, now=now
            )
            delete_backlog_item(connection, self.page, item.kind, item.conversation_id)
            self._remove(connection, written.whole, _MESSAGES)
            self._add_gaps(connection, written, folder=item.folder, since=item.until_at, now=now)
            run = _with_batch(run, written.counts)
            update_run(connection, run)
        return run

    def store_messages(
        self, run: Run, item: BacklogItem, batch: MessageBatch, *, rest: BacklogItem | None
    ) -> Run:
        """Store messages of one conversation and what is left of `item`; returns the run with them."""
        source = HISTORY if item.kind is BacklogKind.HISTORY else INCREMENTAL
        with self._write() as (connection, now):
            new = upsert_message_batch(
                connection, self.page, item.conversation_id, batch.messages, source=source, now=now
            )
            if new is None:
                self._add_deleted_conversation(connection, item, now=now)
            elif not batch.has_next:
                set_has_older_messages(connection, self.page, item.conversation_id, value=False, now=now)
                # History that continued from a cursor has not seen what has come above it since.
                read = (item.kind,) if item.kind is BacklogKind.HISTORY else _MESSAGES
                self._remove(connection, [item.conversation_id], read)
            elif rest is None:
                delete_backlog_item(connection, self.page, item.kind, item.conversation_id)
            else:
                put_backlog_item(connection, self.page, rest, now=now)
            run = _with_batch(run, Counts(events=new or 0))
            update_run(connection, run)
        return run

    def postpone(self, item: BacklogItem) -> None:
        """Note that an attempt to fetch this item has failed; how far it had come is kept."""
        with self._write() as (connection, now):
            stored = get_backlog_item(connection, self.page, item.kind, item.conversation_id)
            cursor = stored.cursor if stored else None
            # One that has come further since it was read has not failed several times in a row.
            attempts = 1 if stored and stored.cursor != item.cursor else item.attempts
            put_backlog_item(connection, self.page, replace(item, cursor=cursor, attempts=attempts), now=now)

    def end_list(self, folder: str, state: ListState, *, synced_at: datetime | None) -> None:
        """Note the state of a list that brought nothing to store."""
        with self._write() as (connection, now):
            put_list_state(connection, self.page, folder, state, now=now)
            self._set_synced(connection, synced_at, now=now)

    def is_mostly_elsewhere(self, batch: Batch, *, folder: str) -> bool:
        """Whether most of a folder's first answer is stored in another folder, with the same times."""
        served = {each.conversation_id: each.source_updated_at for each in batch.conversations}
        with self.store.read() as connection:
            stored, _ = look_up_conversations(connection, self.page, dict.fromkeys(served))
        elsewhere = [
            have
            for graph_id, have in stored.items()
            if have.folder != folder and have.source_updated_at == served.get(graph_id)
        ]
        return len(elsewhere) * 2 > len(batch.conversations)

    def _add_unread(
        self, connection: Connection, batch: Batch, *, folder: str, since: datetime, now: datetime
    ) -> None:
        """Add to the backlog what could not be read in a list, from the time at which it was first listed."""
        for each in batch.unread:
            stored = get_backlog_item(connection, self.page, BacklogKind.CONVERSATION, each.conversation_id)
            item = stored or BacklogItem(
                conversation_id=each.conversation_id,
                kind=BacklogKind.CONVERSATION,
                folder=folder,
                until_at=since,
            )
            put_backlog_item(connection, self.page, replace(item, problem=each.problem), now=now)

    def _add_gaps(
        self,
        connection: Connection,
        written: Written,
        *,
        folder: str,
        since: datetime | None,
        now: datetime,
    ) -> None:
        """Add to the backlog what may be missing between the messages served and those stored.

        Of a new conversation it is wanted down to `since`, or to when it was first listed and could not be
        read; what is older, but for the newest few, was not asked for. A gap that is open keeps its anchors,
        and is read from the top again: another one has opened above it.
        """
        for found in written.found_gaps:
            # Most have nothing in the backlog: for these it is not asked.
            has_item = found.conversation_id in written.in_backlog
            until = self._wanted_until(connection, found, since, has_item=has_item) if found.is_new else None
            if found.is_new and (until is None or (found.reached_at and found.reached_at < until)):
                continue
            stored = None
            if has_item:
                stored = get_backlog_item(connection, self.page, BacklogKind.GAP, found.conversation_id)
            if stored and found.is_older:
                stored = replace(stored, anchors=(), until_at=None)  # which of the two is deeper is unknown
            gap = stored or BacklogItem(
                conversation_id=found.conversation_id,
                kind=BacklogKind.GAP,
                folder=folder,
                anchors=found.anchors,
                until_at=until,
            )
            put_backlog_item(connection, self.page, replace(gap, cursor=None, next_attempt_at=None), now=now)

    def _wanted_until(
        self, connection: Connection, found: FoundGap, since: datetime | None, *, has_item: bool
    ) -> datetime | None:
        """Down to which time the messages of a new conversation are wanted."""
        item = None
        if has_item:
            item = get_backlog_item(connection, self.page, BacklogKind.CONVERSATION, found.conversation_id)
        times = [at for at in (since, item.until_at if item else None) if at is not None]
        return min(times, default=None)

    def _add_deleted_conversation(self, connection: Connection, item: BacklogItem, *, now: datetime) -> None:
        """Messages of a conversation came that someone has deleted from the store: it is fetched again."""
        delete_backlog_item(connection, self.page, item.kind, item.conversation_id)
        stored = get_backlog_item(connection, self.page, BacklogKind.CONVERSATION, item.conversation_id)
        again = BacklogItem(
            conversation_id=item.conversation_id,
            kind=BacklogKind.CONVERSATION,
            folder=item.folder,
            until_at=item.until_at,
        )
        put_backlog_item(connection, self.page, stored or again, now=now)

    def _remove(self, connection: Connection, graph_ids: Iterable[str], kinds: Iterable[BacklogKind]) -> None:
        for graph_id in graph_ids:
            for kind in kinds:
                delete_backlog_item(connection, self.page, kind, graph_id)

    def _set_synced(self, connection: Connection, at: datetime | None, *, now: datetime) -> None:
        """Note that the Page is synced up to `at`; a Page of which nothing was ever listed is not."""
        if at is not None and has_conversations(connection, self.page):
            set_last_synced_at(connection, self.page, at, now=now)


def _with_batch(run: Run, batch: Counts, *, counts_unchanged: bool = True) -> Run:
    """The run with one batch more."""
    before, unchanged = run.counts, batch.unchanged if counts_unchanged else 0
    counts = Counts(
        fetched=before.fetched + batch.fetched - batch.unchanged + unchanged,
        inserted=before.inserted + batch.inserted,
        updated=before.updated + batch.updated,
        unchanged=before.unchanged + unchanged,
        events=before.events + batch.events,
    )
    return replace(run, counts=counts, batches=run.batches + 1)
