"""Puts a batch of conversations, and the messages they bring, into the store.

Everything here is an upsert that may be repeated: the key of a conversation is
(Page, Graph's id), that of a message (conversation, Graph's id). An older answer never
overwrites a newer one, and an absent value never overwrites a present one.

A conversation's messages are stored without a hole from its newest down to where its
row says whether there are older ones, save for what the ledger (`items`) knows to be
missing. `upsert_batch` tells of every hole that it makes; the caller notes it in the
same transaction.
"""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection

from inboxsync.model import Conversation, Counts, Message, Page, SourceRecord, reached_at
from inboxsync.store.connection.statements import is_postgresql
from inboxsync.store.writing.conversation_rows import StoredConversation, stored_conversations
from inboxsync.store.writing.fingerprints import find_as_stored, forget_fingerprint, note_fingerprints
from inboxsync.store.writing.message_rows import newest_message_ids
from inboxsync.store.writing.prepared import PreparedConversation, prepare
from inboxsync.store.writing.rows import ComparedRows, Rows

# Several, because any of them may be deleted before the gap is closed.
_ANCHORS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundGap:
    """Messages of one conversation that the source has, and neither the batch nor the store.

    `conversation_id` is Graph's. `anchors` are the newest messages stored before: between the
    batch's messages and those there may be others, and meeting one closes the gap. Without any,
    everything below the batch's is missing. Of an answer that `is_older` than what is stored, the
    anchors are its own messages: the hole is above them. `reached_at` is how far down the batch's
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
    of them is missing, whatever was before.
    """

    counts: Counts
    found_gaps: tuple[FoundGap, ...] = ()
    whole: tuple[str, ...] = ()


def upsert_batch(
    connection: Connection,
    page: Page,
    conversations: Sequence[SourceRecord],
    *,
    folder: str,
    source: str,
    now: datetime,
    backlog: Container[str] = (),
) -> Written:
    """Store conversations of one Page and folder in the caller's transaction.

    `source` is written on messages that are new (`initial_sync`, `incremental_sync`). Of `owed`
    (Graph's ids) something is known to be missing: they are looked at even if they are served as
    they were before. The others of these are passed over.
    """
    rows = _rows_for(connection)
    # A list that moves while it is walked may serve one conversation twice, the newer first.
    listed: dict[str, PreparedConversation] = {}
    for each in conversations:
        listed.setdefault(each.conversation_id, prepare(each))
    fingerprints = {i: each.fingerprint() for i, each in listed.items()}
    stored = stored_conversations(connection, page, listed)
    may_pass = {i: fingerprint for i, fingerprint in fingerprints.items() if i not in backlog}
    passed = find_as_stored(connection, may_pass, stored, folder=folder)
    fresh = [each for i, each in listed.items() if i not in passed]
    all_prepared: dict[str, PreparedConversation] = {}
    for each, prepared in zip(fresh, rows.conversations(fresh), strict=True):
        all_prepared.setdefault(prepared.conversation_id, prepared)
        fingerprints.setdefault(prepared.conversation_id, fingerprints[each.conversation_id])
    served = {i: prepared.whole() for i, prepared in all_prepared.items()}
    stored = {i: have for i, have in stored.items() if i in served}
    rows.look_up([(have.id, served[i].messages) for i, have in stored.items()])
    gaps = _find_gaps(connection, served, stored, rows)

    new = {i: prepared for i, prepared in all_prepared.items() if i not in stored}
    current = {i: have for i, have in stored.items() if not _is_older(served[i], have)}
    changed = [
        (have, (served[i], _has_older(served[i], stands_alone=gaps.get(i) == ())))
        for i, have in current.items()
    ]
    updated = rows.put_conversations(
        page, [(prepared, fingerprints[i]) for i, prepared in new.items()], changed, folder=folder, now=now
    )
    others = [(have.id, served[i].messages) for i, have in stored.items()]
    events = rows.put_messages(list(new.values()), others, source=source, now=now)
    # What an older answer brings is not what the source would serve again.
    note_fingerprints(
        connection, {have.id: fingerprints[i] if i in current else None for i, have in stored.items()}
    )
    return Written(
        counts=Counts(
            fetched=len(served) + len(passed),
            inserted=len(new),
            updated=updated,
            unchanged=len(served) + len(passed) - len(new) - updated,
            events=events,
        ),
        found_gaps=_found_gaps(served, new, current, gaps),
        whole=tuple(i for i in served if _reaches_bottom(served[i]) and (i in new or i in current)),
    )


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
    have = stored_conversations(connection, page, [conversation_id]).get(conversation_id)
    if have is None:
        return None
    rows = _rows_for(connection)
    served = [(have.id, rows.messages(messages))]
    rows.look_up(served)
    forget_fingerprint(connection, have.id)
    return rows.put_messages([], served, source=source, now=now)


def _rows_for(connection: Connection) -> Rows:
    """How rows are written on the database at hand."""
    if not is_postgresql(connection):
        return ComparedRows(connection)
    # The driver, whose import takes a tenth of a second, is for those who use it.
    from inboxsync.store.writing.copied_rows import CopiedRows  # noqa: PLC0415

    return CopiedRows(connection)


def _find_gaps(
    connection: Connection,
    served: Mapping[str, Conversation],
    stored: Mapping[str, StoredConversation],
    rows: Rows,
) -> dict[str, tuple[str, ...]]:
    """The stored conversations that the batch does not join on to, each with its anchors."""
    apart = {
        graph_id: have.id
        for graph_id, have in stored.items()
        if _may_part(served[graph_id], have) and not rows.meets_stored(have.id)
    }
    if not apart:
        return {}
    anchors = newest_message_ids(connection, apart.values(), limit=_ANCHORS)
    return {graph_id: anchors.get(row_id, ()) for graph_id, row_id in apart.items()}


def _may_part(conversation: Conversation, have: StoredConversation) -> bool:
    """Whether, where its messages meet none that is stored, others may lie between the two.

    An older answer may lie below all that is stored, down to the very bottom.
    """
    return bool(conversation.messages) if _is_older(conversation, have) else conversation.has_older_messages


def _found_gaps(
    served: Mapping[str, Conversation],
    new: Container[str],
    current: Container[str],
    gaps: Mapping[str, tuple[str, ...]],
) -> tuple[FoundGap, ...]:
    found = []
    for graph_id, conversation in served.items():
        if graph_id not in gaps and not (graph_id in new and conversation.has_older_messages):
            continue
        is_older = graph_id not in new and graph_id not in current
        own = tuple(message.message_id for message in conversation.messages[:_ANCHORS])
        gap = FoundGap(
            conversation_id=graph_id,
            anchors=own if is_older else gaps.get(graph_id, ()),
            is_new=graph_id in new,
            is_older=is_older,
            reached_at=reached_at(conversation.messages),
        )
        found.append(gap)
    return tuple(found)


def _has_older(conversation: Conversation, *, stands_alone: bool) -> bool | None:
    """Whether a stored conversation has older messages than will be stored; None: as it was.

    A batch that joins on to what is stored, or that a gap parts from it, tells nothing of what
    lies below that.
    """
    if conversation.has_older_messages:
        return True if stands_alone else None
    return False if _reaches_bottom(conversation) else None


def _reaches_bottom(conversation: Conversation) -> bool:
    # One that is served without any message is no proof that it has none: an answer may leave them out.
    return bool(conversation.messages) and not conversation.has_older_messages


def _is_older(conversation: Conversation, have: StoredConversation) -> bool:
    served_at, stored_at = conversation.source_updated_at, have.source_updated_at
    return served_at is not None and stored_at is not None and served_at < stored_at
