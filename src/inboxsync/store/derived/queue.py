"""Rows of `derive_queue`: what has changed since the last pass. Triggers write them."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, delete, insert, select

from inboxsync.store.connection.statements import Among, is_postgresql, select_among
from inboxsync.store.tables import conversation_facts, facebook_pages, messenger_conversations
from inboxsync.store.tables import derive_queue as table


class Note(NamedTuple):
    """A conversation (our id) that has changed; of a message that was changed or deleted, also which.

    `sent_at` is that message's time before the change: its place in the index.
    """

    seq: int
    conversation_id: str
    message_id: str | None
    sent_at: datetime | None


def has_notes(connection: Connection) -> bool:
    """Whether anything has changed."""
    return bool(list_notes(connection, after=0, limit=1))


def lock_queue(connection: Connection) -> None:
    """Let one pass at a time work; held to the transaction's end. SQLite has one writer anyway."""
    if is_postgresql(connection):
        # To compile statements of a few milliseconds would take longer than to execute them.
        connection.exec_driver_sql(
            "SET LOCAL jit = off; SELECT pg_advisory_xact_lock(hashtext('inboxsync derive'))"
        )


def lock_pages(connection: Connection, conversation_ids: Collection[str]) -> None:
    """Let the Pages of these conversations (our ids) not be removed before the transaction's end."""
    if not is_postgresql(connection):
        return
    rows = list(select_among(connection, _pages, conversation_ids))
    # The facts say which Page a deleted conversation belonged to.
    if deleted := set(conversation_ids).difference(row_id for row_id, _ in rows):
        rows += select_among(connection, _pages_of_facts, deleted)
    list(select_among(connection, _locked_pages, sorted({page_id for _, page_id in rows})))


def list_notes(connection: Connection, *, after: int, limit: int) -> list[Note]:
    """The oldest notes behind the number `after`.

    A pass says how far it has come: PostgreSQL would read over all that were deleted before.
    """
    rows = connection.execute(select(table).where(table.c.seq > after).order_by(table.c.seq).limit(limit))
    return list(map(Note._make, rows.all()))


def remove_notes(connection: Connection, notes: Sequence[Note], *, unfinished: Collection[str]) -> int:
    """Remove these notes, save for one of each conversation that is `unfinished`.

    Returns the number behind which the next notes stand.
    """
    # What a note says of a message is done. Where that is all, the conversation gets a note without one.
    kept = {note.conversation_id: note.seq for note in reversed(notes) if note.message_id is None}
    kept = {row_id: seq for row_id, seq in kept.items() if row_id in unfinished}
    stay = set(kept.values())
    seqs = [note.seq for note in notes if note.seq not in stay]
    connection.execute(delete(table).where(table.c.seq.in_(seqs)))
    if missing := sorted(set(unfinished).difference(kept)):
        connection.execute(insert(table), [{"conversation_id": each} for each in missing])
    return min(stay) - 1 if stay else notes[-1].seq


def _pages(among: Among) -> Select[Any]:
    conversations = messenger_conversations.c
    return select(conversations.id, conversations.page_id).where(among(conversations.id))


def _pages_of_facts(among: Among) -> Select[Any]:
    facts = conversation_facts.c
    return select(facts.conversation_id, facts.page_id).where(among(facts.conversation_id))


def _locked_pages(among: Among) -> Select[str]:
    return (
        select(facebook_pages.c.id)
        .where(among(facebook_pages.c.id))
        .with_for_update(key_share=True, read=True)
    )
