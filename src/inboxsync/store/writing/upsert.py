"""Puts a batch of conversations, and the messages they bring, into the store.

Every write here may be repeated: the key of a conversation is (Page, Graph's id), that of a message
(conversation, Graph's id). The merge rule (`merge`) says what an answer may change in a stored row.

A conversation's messages are stored without a gap from its newest down to where its row says whether there
are older ones, except for what the backlog knows to be missing. `upsert_batch` reports every gap that it
makes; the caller puts it into the backlog in the same transaction.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection

from inboxsync.errors import StoreUnreachable
from inboxsync.model import Conversation, Counts, Message, Page, SourceRecord, reached_at
from inboxsync.store.connection.nul import messages_without_nul
from inboxsync.store.connection.types import format_utc
from inboxsync.store.writing.bulk import Bulk, BulkRow, Merged, Value, bulk_for
from inboxsync.store.writing.fingerprints import keep_fingerprint, note_fingerprints
from inboxsync.store.writing.merge import CONVERSATIONS, MESSAGES
from inboxsync.store.writing.prepared import (
    ALL_COLUMNS,
    CONVERSATION_COLUMNS,
    USUAL_COLUMNS,
    PreparedConversation,
    conversation_row,
    message_rows,
    prepare,
    prepared_without_nul,
    whole_rows,
)
from inboxsync.store.writing.stored import (
    NO_MESSAGES,
    StoredConversation,
    StoredMessages,
    look_up_conversations,
    look_up_messages,
    newest_message_ids,
)

# Several, because any of them may be deleted before the gap is closed.
_ANCHORS = 20
_OWN_COLUMNS = ("id", "conversation_id", *CONVERSATION_COLUMNS)
_NEW_COLUMNS = (*_OWN_COLUMNS, "fingerprint", "fingerprint_messages")


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundGap:
    """Messages of one conversation that the source has, and neither the batch nor the store.

    `conversation_id` is Graph's. `anchors` are the newest messages stored before: between the
    batch's messages and those there may be others, and meeting one closes the gap. Without any,
    everything below the batch's is missing. Where the answer `is_older` than what is stored, the gap
    is above it and the anchors are its own messages. `reached_at` is how far down the batch's
    messages go; None where none of them has a time.
    """

    conversation_id: str
    anchors: tuple[str, ...]
    is_new: bool
    is_older: bool = False
    reached_at: datetime | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What a batch did, and what is now known to be missing or not.

    `whole` are Graph's ids of the conversations that were served down to their bottom: nothing
    of them is missing, whatever was before. `in_backlog` are those that were in the backlog before.
    """

    counts: Counts
    found_gaps: tuple[FoundGap, ...] = ()
    whole: tuple[str, ...] = ()
    in_backlog: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class _Served:
    """A conversation of the batch that is looked at."""

    prepared: PreparedConversation
    fingerprints: str | None
    stored: StoredConversation | None

    @property
    def whole(self) -> Conversation:
        """All of it."""
        return self.prepared.whole()

    @property
    def is_older(self) -> bool:
        """Whether something newer is stored."""
        served_at = self.prepared.source_updated_at
        stored_at = self.stored.source_updated_at if self.stored is not None else None
        return served_at is not None and stored_at is not None and served_at < stored_at

    @property
    def may_have_gap(self) -> bool:
        """Whether messages may be missing between these and the stored ones, if none of these is stored.

        An older answer may be below all that is stored, down to the bottom.
        """
        return bool(self.whole.messages) if self.is_older else self.whole.has_older_messages

    def has_older(self, *, stands_alone: bool) -> bool:
        """Whether there are older messages than will be stored.

        If the conversation has stored messages, the batch does not show whether older ones than those exist.
        """
        before = self.stored is not None and self.stored.has_older_messages
        if self.whole.has_older_messages:
            return stands_alone or before
        return before and not self.reaches_bottom

    @property
    def reaches_bottom(self) -> bool:
        """Whether it has no older messages than those served."""
        # One that is served without any message is no proof that it has none: an answer may leave them out.
        return bool(self.whole.messages) and not self.whole.has_older_messages


def upsert_batch(
    connection: Connection,
    page: Page,
    conversations: Iterable[SourceRecord],
    *,
    folder: str,
    source: str,
    now: datetime,
) -> Written:
    """Store conversations of one Page and folder in the caller's transaction.

    `source` is written on messages that are new (`initial_sync`, `incremental_sync`). What is served just
    as it is stored is skipped, unless something of it is in the backlog.
    """
    return _BatchUpsert(connection, page, folder=folder, source=source, now=now).run(conversations)


def upsert_message_batch(
    connection: Connection,
    page: Page,
    conversation_id: str,
    messages: Sequence[Message],
    *,
    source: str,
    now: datetime,
) -> int | None:
    """Store messages of one conversation (Graph's id) in the caller's transaction.

    Returns how many were new; None where the conversation is not stored.
    """
    have = look_up_conversations(connection, page, {conversation_id: None})[0].get(conversation_id)
    if have is None:
        return None
    bulk = bulk_for(connection)
    held = {have.id: messages if bulk.holds_nul else messages_without_nul(tuple(messages))}
    found = look_up_messages(connection, held)
    merged = _merge_messages(bulk, held, found, {"source": source, "created_at": format_utc(now)})
    keep_fingerprint(connection, have.id, merged)
    return merged.new


class _BatchUpsert:
    """One batch in one transaction: what is new, what is stored, and what lies between the two."""

    def __init__(
        self, connection: Connection, page: Page, *, folder: str, source: str, now: datetime
    ) -> None:
        self._connection = connection
        self._bulk = bulk_for(connection)
        self._page = page
        self._folder = folder
        self._of_messages: dict[str, Value] = {"source": source, "created_at": format_utc(now)}
        self._of_conversations: dict[str, Value] = {
            "page_id": page.id,
            "platform": page.platform.value,
            "folder": folder,
            "created_at": format_utc(now),
            "updated_at": format_utc(now),
        }

    def run(self, conversations: Iterable[SourceRecord]) -> Written:
        # A list that moves while it is scanned may serve one conversation twice, the newer first.
        listed: dict[str, PreparedConversation] = {}
        for each in conversations:
            listed.setdefault(each.conversation_id, prepare(each))
        fingerprints = {graph_id: each.fingerprint() for graph_id, each in listed.items()}
        stored, in_backlog = look_up_conversations(self._connection, self._page, fingerprints)
        served = self._changed(listed, stored, in_backlog)
        skipped = len(listed) - len(served)

        new = [each for each in served.values() if each.stored is None]
        known = {each.stored.id: each for each in served.values() if each.stored is not None}
        events = self._insert(new)
        updated = 0
        anchors: dict[str, tuple[str, ...]] = {}
        if known:
            merged, anchors = self._merge(known)
            updated, events = merged.changed, events + merged.new
        fetched = len(served) + skipped
        return Written(
            counts=Counts(
                fetched=fetched,
                inserted=len(new),
                updated=updated,
                unchanged=fetched - len(new) - updated,
                events=events,
            ),
            found_gaps=tuple(_gaps(served, anchors)),
            whole=tuple(i for i, each in served.items() if each.reaches_bottom and not each.is_older),
            in_backlog=in_backlog,
        )

    def _changed(
        self,
        listed: Mapping[str, PreparedConversation],
        stored: Mapping[str, StoredConversation],
        in_backlog: Collection[str],
    ) -> dict[str, _Served]:
        """Those that differ from the stored ones, without characters that the database cannot hold."""
        served: dict[str, _Served] = {}
        for graph_id, each in listed.items():
            have = stored.get(graph_id)
            is_as_served = have is not None and have.is_as_served and have.folder == self._folder
            if is_as_served and graph_id not in in_backlog:
                continue
            held = each if self._bulk.holds_nul or not each.may_hold_nul() else prepared_without_nul(each)
            have = stored.get(held.conversation_id)
            served.setdefault(held.conversation_id, _Served(held, each.fingerprints(), have))
        return served

    def _insert(self, new: Sequence[_Served]) -> int:
        """Insert conversations that are new; returns how many messages they have."""
        rows: list[BulkRow] = []
        usual: list[BulkRow] = []
        others: list[BulkRow] = []
        for each in new:
            prepared = each.prepared
            row, messages = prepared.rows()
            count = len(messages.usual) + len(messages.others)
            rows.append((prepared.row_id, prepared.conversation_id, *row, each.fingerprints, count))
            usual += messages.usual
            others += messages.others
        self._bulk.insert(CONVERSATIONS.table, _NEW_COLUMNS, rows, self._of_conversations)
        self._bulk.insert(MESSAGES.table, USUAL_COLUMNS, usual, self._of_messages)
        self._bulk.insert(MESSAGES.table, ALL_COLUMNS, others, self._of_messages)
        return len(usual) + len(others)

    def _merge(self, known: Mapping[str, _Served]) -> tuple[Merged, dict[str, tuple[str, ...]]]:
        """Bring stored conversations (our ids) up to date, with their messages.

        Returns how many conversations were changed and how many messages were new; and the conversations
        with a gap, each with its anchors.
        """
        messages = {row_id: each.whole.messages for row_id, each in known.items()}
        found = look_up_messages(self._connection, messages)
        anchors = self._find_gaps(known, found)
        changed = self._merge_conversations(known, anchors)
        new = _merge_messages(self._bulk, messages, found, self._of_messages).new
        # What an older answer brings is not what the source would serve again.
        noted = {i: None if each.is_older else each.fingerprints for i, each in known.items()}
        note_fingerprints(self._connection, noted)
        return Merged(new=new, changed=changed), anchors

    def _find_gaps(
        self, known: Mapping[str, _Served], found: Mapping[str, StoredMessages]
    ) -> dict[str, tuple[str, ...]]:
        """The conversations (our ids) with a gap, each with its anchors.

        None of the served messages is stored (`found`), so others may be missing between the two.
        """
        with_gap = [
            i for i, each in known.items() if each.may_have_gap and not found.get(i, NO_MESSAGES).meets
        ]
        newest = newest_message_ids(self._connection, with_gap, limit=_ANCHORS)
        return {row_id: newest.get(row_id, ()) for row_id in with_gap}

    def _merge_conversations(
        self, known: Mapping[str, _Served], anchors: Mapping[str, tuple[str, ...]]
    ) -> int:
        """Returns how many rows differed."""
        rows: list[BulkRow] = []
        for row_id, each in known.items():
            if not each.is_older:
                has_older = each.has_older(stands_alone=anchors.get(row_id) == ())
                row = conversation_row(each.whole, has_older=has_older)
                # An id that is not stored: the key of the merge is the other one.
                rows.append((each.prepared.row_id, each.prepared.conversation_id, *row))
        same = self._of_conversations
        merged = self._bulk.merge(CONVERSATIONS, _OWN_COLUMNS, rows, same, stored=len(rows))
        if merged.new:
            raise StoreUnreachable("A conversation was deleted while it was being stored.")
        return merged.changed


def _merge_messages(
    bulk: Bulk,
    conversations: Mapping[str, Iterable[Message]],
    found: Mapping[str, StoredMessages],
    same: Mapping[str, Value],
) -> Merged:
    """Insert messages of conversations (our ids) or bring them up to date; `found` was looked up."""
    rows = [
        row
        for row_id, messages in conversations.items()
        for row in whole_rows(message_rows(row_id, messages))
    ]
    stored = sum(each.count for each in found.values())
    return bulk.merge(MESSAGES, ALL_COLUMNS, rows, same, stored=stored)


def _gaps(served: Mapping[str, _Served], anchors: Mapping[str, tuple[str, ...]]) -> Iterator[FoundGap]:
    for graph_id, each in served.items():
        whole, is_new = each.whole, each.stored is None
        above = anchors.get(each.stored.id) if each.stored is not None else None
        if above is None and not (is_new and whole.has_older_messages):
            continue
        own = tuple(message.message_id for message in whole.messages[:_ANCHORS])
        yield FoundGap(
            conversation_id=graph_id,
            anchors=own if each.is_older else above or (),
            is_new=is_new,
            is_older=each.is_older,
            reached_at=reached_at(whole.messages),
        )
