"""Applies fetched batches to the store.

The only module that writes archived data. A batch, the state that follows from it and
what it leaves owed are committed together or not at all, so a crash between two batches
costs one fetch and never a gap. Nothing here talks to the network.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection

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
    Problem,
    Run,
    Scanning,
)
from inboxsync.store import Store
from inboxsync.store.reading.summaries import count_listed_elsewhere
from inboxsync.store.state.backlog import (
    backlog_conversations,
    delete_backlog_item,
    get_backlog_item,
    list_backlog,
    put_backlog_item,
)
from inboxsync.store.state.list_positions import put_list_state
from inboxsync.store.state.pages import (
    has_conversations,
    set_batch_size,
    set_last_synced_at,
    set_time_windows,
)
from inboxsync.store.state.runs import update_run
from inboxsync.store.writing.conversation_rows import set_has_older_messages
from inboxsync.store.writing.upsert import FoundGap, upsert_batch, upsert_message_batch
from inboxsync.sync.lease import keep_lease
from inboxsync.sync.plan import backlog_since, is_full

# More bad ones than these are found again instead.
_MOST_KNOWN = 1000
INITIAL, INCREMENTAL, HISTORY = "initial_sync", "incremental_sync", "history_sync"


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnedSettings:
    """What a run has found out about its Page, to be remembered with the next batch."""

    batch_size: int | None
    time_windows: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingest:
    """Writes what is fetched of one Page, for the owner of its lease."""

    store: Store
    page: Page
    owner: str

    def apply_list(
        self,
        batch: Batch,
        *,
        folder: str,
        scanning: Scanning,
        state: Scanning | Following,
        completes_page: datetime | None,
        counts_unchanged: bool,
        learned: LearnedSettings | None,
        run: Run,
        now: datetime,
    ) -> Run:
        """Store a batch of a list with its progress and the run's totals; returns the run with it.

        `completes_page`: where this ends the last list of the run, what `last_synced_at` becomes.
        `learned` is given where it has changed. `counts_unchanged` is False for a second look at
        what this run has counted already.
        Blocks; call it from a thread. Raises LeaseLost.
        """
        with self.store.write() as connection:
            keep_lease(connection, self.page, self.owner, now=now)
            since = backlog_since(scanning, batch.answered_at)
            self._owe_unread(connection, batch, folder=folder, since=since, now=now)
            served = [each.conversation_id for each in batch.conversations]
            backlog = backlog_conversations(connection, self.page, served)
            written = upsert_batch(
                connection,
                self.page,
                batch.conversations,
                folder=folder,
                source=INITIAL if is_full(scanning) else INCREMENTAL,
                now=now,
                backlog=backlog,
            )
            self._open_gaps(connection, written.found_gaps, folder=folder, since=since, now=now)
            self._close(connection, backlog, (BacklogKind.CONVERSATION,))
            self._close(
                connection, backlog.intersection(written.whole), (BacklogKind.GAP, BacklogKind.HISTORY)
            )
            put_list_state(connection, self.page, folder, state, now=now)
            if learned is not None:
                set_batch_size(connection, self.page, learned.batch_size, now=now)
                set_time_windows(connection, self.page, learned.time_windows, now=now)
            self._complete(connection, completes_page, now=now)
            counts = written.counts if counts_unchanged else written.counts.without_unchanged()
            run = replace(run, counts=run.counts + counts, batches=run.batches + 1)
            update_run(connection, run)
        return run

    def apply_conversation(
        self, item: BacklogItem, conversation: Conversation, *, run: Run, now: datetime
    ) -> Run:
        """Store a conversation that was owed; what then is still missing of it is owed anew."""
        with self.store.write() as connection:
            keep_lease(connection, self.page, self.owner, now=now)
            written = upsert_batch(
                connection, self.page, [conversation], folder=item.folder, source=INCREMENTAL, now=now
            )
            delete_backlog_item(connection, self.page, item.kind, item.conversation_id)
            self._close(connection, written.whole, (BacklogKind.GAP, BacklogKind.HISTORY))
            self._open_gaps(connection, written.found_gaps, folder=item.folder, since=item.until_at, now=now)
            run = replace(run, counts=run.counts + written.counts, batches=run.batches + 1)
            update_run(connection, run)
        return run

    def apply_messages(
        self, item: BacklogItem, batch: MessageBatch, *, rest: BacklogItem | None, run: Run, now: datetime
    ) -> Run:
        """Store messages of one conversation and what is left of `item`; returns the run with them."""
        source = HISTORY if item.kind is BacklogKind.HISTORY else INCREMENTAL
        with self.store.write() as connection:
            keep_lease(connection, self.page, self.owner, now=now)
            new = upsert_message_batch(
                connection, self.page, item.conversation_id, batch.messages, source=source, now=now
            )
            if new is None:
                self._owe_conversation(connection, item, now=now)
            elif not batch.has_next:
                set_has_older_messages(connection, self.page, item.conversation_id, value=False, now=now)
                # History that went on from a cursor has not seen what has come above it since.
                read = (
                    (item.kind,)
                    if item.kind is BacklogKind.HISTORY
                    else (BacklogKind.GAP, BacklogKind.HISTORY)
                )
                self._close(connection, [item.conversation_id], read)
            elif rest is None:
                delete_backlog_item(connection, self.page, item.kind, item.conversation_id)
            else:
                put_backlog_item(connection, self.page, rest, now=now)
            run = replace(run, counts=run.counts + Counts(events=new or 0), batches=run.batches + 1)
            update_run(connection, run)
        return run

    def put_back(self, item: BacklogItem, *, now: datetime) -> None:
        """An attempt to bring something that is owed has failed; how far it had come stays."""
        with self.store.write() as connection:
            keep_lease(connection, self.page, self.owner, now=now)
            known = get_backlog_item(connection, self.page, item.kind, item.conversation_id)
            cursor = known.cursor if known else None
            # What has come further since it was read has not failed in a row.
            attempts = 1 if known and known.cursor != item.cursor else item.attempts
            put_backlog_item(connection, self.page, replace(item, cursor=cursor, attempts=attempts), now=now)

    def end_list(
        self, folder: str, state: ListState, *, completes_page: datetime | None, now: datetime
    ) -> None:
        """Note how a list stands that brought nothing to store."""
        with self.store.write() as connection:
            keep_lease(connection, self.page, self.owner, now=now)
            put_list_state(connection, self.page, folder, state, now=now)
            self._complete(connection, completes_page, now=now)

    def list_unreadable(self, *, now: datetime) -> dict[str, Problem]:
        """The conversations that failed every answer that would hold them, and with what."""
        with self.store.read() as connection:
            items = list_backlog(
                connection,
                self.page,
                BacklogKind.CONVERSATION,
                now=now,
                limit=_MOST_KNOWN,
                due_only=False,
            )
        return {item.conversation_id: item.problem for item in items if item.problem is not None}

    def is_mostly_elsewhere(self, batch: Batch, *, folder: str) -> bool:
        """Whether most of a folder's first answer is stored as another folder's, just as it is."""
        with self.store.read() as connection:
            elsewhere = count_listed_elsewhere(connection, self.page, batch.conversations, folder=folder)
        return elsewhere * 2 > len(batch.conversations)

    def _owe_unread(
        self, connection: Connection, batch: Batch, *, folder: str, since: datetime, now: datetime
    ) -> None:
        """Owe what was listed and could not be read."""
        for each in batch.unread:
            known = get_backlog_item(connection, self.page, BacklogKind.CONVERSATION, each.conversation_id)
            item = known or BacklogItem(
                conversation_id=each.conversation_id,
                kind=BacklogKind.CONVERSATION,
                folder=folder,
                until_at=since,
            )
            put_backlog_item(connection, self.page, replace(item, problem=each.problem), now=now)

    def _open_gaps(
        self,
        connection: Connection,
        found_gaps: Iterable[FoundGap],
        *,
        folder: str,
        since: datetime | None,
        now: datetime,
    ) -> None:
        """Owe what may lie between the messages served and those stored.

        A conversation that is new is owed down to `since`, or to when it was first listed and could
        not be read; what is older than that, but for the newest few, was not asked for. A gap that is
        open keeps its anchors, and is read from the top again: another has opened above it.
        """
        for found in found_gaps:
            until = self._backlog_until(connection, found, since) if found.is_new else None
            if found.is_new and (until is None or (found.reached_at and found.reached_at < until)):
                continue
            known = get_backlog_item(connection, self.page, BacklogKind.GAP, found.conversation_id)
            if known and found.is_older:
                known = replace(known, anchors=(), until_at=None)  # which of the two is deeper is not known
            gap = known or BacklogItem(
                conversation_id=found.conversation_id,
                kind=BacklogKind.GAP,
                folder=folder,
                anchors=found.anchors,
                until_at=until,
            )
            put_backlog_item(connection, self.page, replace(gap, cursor=None, next_attempt_at=None), now=now)

    def _backlog_until(
        self, connection: Connection, found: FoundGap, since: datetime | None
    ) -> datetime | None:
        """Down to where the messages of a conversation that is new are owed."""
        backlog = get_backlog_item(connection, self.page, BacklogKind.CONVERSATION, found.conversation_id)
        times = [at for at in (since, backlog.until_at if backlog else None) if at is not None]
        return min(times, default=None)

    def _owe_conversation(self, connection: Connection, item: BacklogItem, *, now: datetime) -> None:
        """The conversation whose messages came is not stored: somebody has deleted it from the store."""
        delete_backlog_item(connection, self.page, item.kind, item.conversation_id)
        known = get_backlog_item(connection, self.page, BacklogKind.CONVERSATION, item.conversation_id)
        backlog = BacklogItem(
            conversation_id=item.conversation_id,
            kind=BacklogKind.CONVERSATION,
            folder=item.folder,
            until_at=item.until_at,
        )
        put_backlog_item(connection, self.page, known or backlog, now=now)

    def _complete(self, connection: Connection, at: datetime | None, *, now: datetime) -> None:
        """Note that the Page is synced up to `at`; a Page of which nothing was ever listed is not."""
        if at is not None and has_conversations(connection, self.page):
            set_last_synced_at(connection, self.page, at, now=now)

    def _close(self, connection: Connection, graph_ids: Iterable[str], kinds: Iterable[BacklogKind]) -> None:
        for graph_id in graph_ids:
            for kind in kinds:
                delete_backlog_item(connection, self.page, kind, graph_id)
