"""Rows of `derive_queue`: what has changed since it was last looked at. Triggers write them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select

from inboxsync.store.connection.statements import is_postgresql
from inboxsync.store.tables import conversation_facts, messenger_conversations
from inboxsync.store.tables import derive_queue as table


@dataclass(frozen=True, slots=True)
class Note:
    """A conversation (our id) that has changed; of a message that was changed or deleted, also which.

    `sent_at` is that message's time before the change: its place in the index.
    """

    seq: int
    conversation_id: str
    message_id: str | None
    sent_at: datetime | None


def has_notes(connection: Connection) -> bool:
    """Whether anything has changed."""
    return connection.execute(select(table.c.seq).limit(1)).first() is not None


def lock(connection: Connection) -> None:
    """Let one pass at a time do this, and no Page be removed meanwhile; held to the transaction's end.

    On SQLite the writer is alone anyway.
    """
    if is_postgresql(connection):
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtext('inboxsync derive'))")
        connection.exec_driver_sql("SELECT 1 FROM facebook_pages FOR KEY SHARE")


def list_notes(connection: Connection, *, limit: int) -> list[Note]:
    """The oldest notes."""
    rows = connection.execute(select(table).order_by(table.c.seq).limit(limit))
    return [Note(*row) for row in rows.all()]


def replace_notes(connection: Connection, notes: Sequence[Note], *, unfinished: Collection[str]) -> None:
    """Take these notes from the queue; conversations that are `unfinished` are noted anew.

    The notes are a stretch of the queue, but others may have put theirs between them since.
    """
    seqs = [note.seq for note in notes]
    connection.execute(delete(table).where(table.c.seq.in_(seqs)))
    if unfinished:
        connection.execute(insert(table), [{"conversation_id": each} for each in sorted(unfinished)])


def note_all(connection: Connection) -> None:
    """Note every conversation, and every one that is no more, as changed."""
    for column in (messenger_conversations.c.id, conversation_facts.c.conversation_id):
        connection.execute(insert(table).from_select(["conversation_id"], select(column).order_by(column)))
