"""Derives what follows from the inbox: the search index, contact details, facts, contacts, totals.

The pass runs beside the sync and is no part of it. Triggers note which conversations have changed. The pass
brings up to date what follows from them, one transaction for each batch of notes. A batch removes its notes
in the transaction that stores what was derived, so a kill at any point loses nothing. Deriving something
twice gives the same result.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection

from inboxsync.clock import Clock
from inboxsync.store import Store
from inboxsync.store.derived import (
    Detail,
    Note,
    Unindexed,
    forget_details,
    has_notes,
    index_messages,
    is_current,
    list_notes,
    list_unindexed,
    list_with_text,
    lock_pages,
    lock_queue,
    put_contacts,
    put_details,
    put_facts,
    remove_from_index,
    remove_notes,
    settle_index,
    settle_region,
    take_conversations_again,
)
from inboxsync.sync.details import details_in

# A transaction should take some tenths of a second: on SQLite a sync waits for it. A new conversation is
# noted twice, for its own row and for its messages, not far apart.
_NOTES_A_BATCH = 1000
_MESSAGES_A_BATCH = 5000
# Conversations that are searched again in one transaction.
_AGAIN_A_BATCH = 500
# From so many new messages on it pays to tidy the index at once.
_MANY_MESSAGES = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Derived:
    """What a pass did; `is_current` where nothing was left to do.

    `unsettled` messages were indexed since the index was last tidied up.
    """

    notes: int = 0
    messages: int = 0
    is_current: bool = True
    unsettled: int = 0


class _Batch(NamedTuple):
    """What one transaction did; `next_after` is where the next one reads the queue on."""

    notes: int = 0
    messages: int = 0
    next_after: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Derive:
    """The pass over one store; `region` is the country of phone numbers that are written without one.

    None: the region of the last pass that was given one. For a new region everything is searched again.
    """

    store: Store
    clock: Clock
    region: str | None = None
    notes_a_batch: int = field(default=_NOTES_A_BATCH)
    messages_a_batch: int = field(default=_MESSAGES_A_BATCH)

    def run(self, *, max_seconds: float | None = None, unsettled: int = 0) -> Derived:
        """Bring everything up to date, or as much as fits into this time; at least one batch.

        `unsettled` is what the pass before has left. Blocks; call it from a thread. Several at once run one
        after the other.
        """
        began = self.clock.monotonic()
        notes = messages = after = 0
        is_done = self._is_current()
        while not is_done:
            batch = self._batch(after)
            notes, messages, after = notes + batch.notes, messages + batch.messages, batch.next_after
            # At the end of the queue: others may have committed notes with lower numbers since.
            is_done = not batch.notes and self._is_current()
            if max_seconds is not None and self.clock.monotonic() - began >= max_seconds:
                break
        unsettled += messages
        # Only at the end: to refresh the statistics of a large index takes seconds.
        if is_done and unsettled >= _MANY_MESSAGES:
            with self.store.write() as connection:
                settle_index(connection)
            unsettled = 0
        return Derived(notes=notes, messages=messages, is_current=is_done, unsettled=unsettled)

    def _is_current(self) -> bool:
        with self.store.read() as connection:
            return is_current(connection, self.region)

    def _batch(self, after: int) -> _Batch:
        with self.store.write() as connection:
            lock_queue(connection)
            region = settle_region(connection, self.region)
            notes = list_notes(connection, after=after, limit=self.notes_a_batch)
            if not notes:
                # Another pass did it while this one waited for the lock; or only a new region is left.
                if not has_notes(connection):
                    _search_again(connection, region)
                return _Batch()
            noted = {note.conversation_id for note in notes}
            lock_pages(connection, noted)
            changed = _changed_messages(notes)
            remove_from_index(connection, changed)
            found = list_unindexed(connection, noted, limit=self.messages_a_batch + 1)
            unfinished: set[str] = set()
            if len(found) > self.messages_a_batch:
                # The conversation of the one too many, and those behind it, continue in the next batch.
                continued = found.pop().conversation_id
                unfinished = {each for each in noted if each >= continued}
            index_messages(connection, found)
            before = {(row_id, message_id) for row_id, message_id, _ in changed}
            put_details(connection, _details(found, region), instead_of=before)
            put_contacts(connection, put_facts(connection, noted - unfinished))
            next_after = remove_notes(connection, notes, unfinished=unfinished)
        return _Batch(notes=len(notes), messages=len(found), next_after=next_after)


def _search_again(connection: Connection, region: str | None) -> None:
    """Search some of the conversations again, for the region that was set since they were searched."""
    ids = take_conversations_again(connection, limit=_AGAIN_A_BATCH)
    if not ids:
        return
    lock_pages(connection, ids)
    had = forget_details(connection, ids)
    details = _details(list_with_text(connection, ids), region)
    put_details(connection, details, instead_of=())
    put_contacts(connection, put_facts(connection, had | {each.conversation_id for each in details}))


def _details(messages: list[Unindexed], region: str | None) -> list[Detail]:
    return [
        Detail(
            page_id=each.page_id,
            conversation_id=each.conversation_id,
            message_id=each.message_id,
            sent_at=each.sent_at,
            kind=kind,
            value=value,
        )
        for each in messages
        if each.text and not each.is_from_page
        for kind, value in details_in(each.text, region=region)
    ]


def _changed_messages(notes: list[Note]) -> list[tuple[str, str, datetime | None]]:
    return [
        (note.conversation_id, note.message_id, note.sent_at) for note in notes if note.message_id is not None
    ]
