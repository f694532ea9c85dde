"""Derives what follows from the inbox: the search's index, contact details, facts, contacts.

A pass beside the sync, never within it: triggers note which conversations have changed, and this brings up
to date what follows, a batch a transaction. A batch takes its notes from the queue in the transaction that
stores what was derived, so a kill anywhere loses nothing, and what is done twice comes to the same.
"""

from dataclasses import dataclass, field
from datetime import datetime

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
    is_settled,
    list_notes,
    list_unindexed,
    list_with_text,
    lock,
    put_contacts,
    put_details,
    put_facts,
    remove_from_index,
    replace_notes,
    settle_index,
    settle_region,
    take_conversations_again,
)
from inboxsync.sync.details import details_in

# So that a transaction takes some tenths of a second: on SQLite a sync waits for it. A conversation that is
# new is noted twice, as it comes and as its messages do, and not far apart.
_NOTES_A_BATCH = 1000
_MESSAGES_A_BATCH = 5000
# Conversations that are looked through anew in one transaction.
_AGAIN_A_BATCH = 500
# From so many new messages on the index is worth being put in order at once.
_MANY_MESSAGES = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Derived:
    """What a pass did; `is_current` where nothing was left to do."""

    notes: int = 0
    messages: int = 0
    is_current: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Derive:
    """The pass, for one store; `region` is where a phone number without its country's is taken to be.

    None: where the last pass that was told a region took it to be. Another one than that pass was told has
    everything looked through anew.
    """

    store: Store
    clock: Clock
    region: str | None = None
    notes_a_batch: int = field(default=_NOTES_A_BATCH)
    messages_a_batch: int = field(default=_MESSAGES_A_BATCH)

    def run(self, *, max_seconds: float | None = None) -> Derived:
        """Bring everything up to date, or as much as fits into this time; at least one batch.

        Blocks; call it from a thread. Several at once are one after the other.
        """
        began = self.clock.monotonic()
        notes = messages = 0
        is_current = self._is_current()
        while not is_current:
            batch = self._batch()
            notes, messages = notes + batch.notes, messages + batch.messages
            is_current = self._is_current()
            if max_seconds is not None and self.clock.monotonic() - began >= max_seconds:
                break
        if messages >= _MANY_MESSAGES:
            with self.store.write() as connection:
                settle_index(connection)
        return Derived(notes=notes, messages=messages, is_current=is_current)

    def _is_current(self) -> bool:
        with self.store.read() as connection:
            return not has_notes(connection) and is_settled(connection, self.region)

    def _batch(self) -> Derived:
        with self.store.write() as connection:
            lock(connection)
            region = settle_region(connection, self.region)
            notes = list_notes(connection, limit=self.notes_a_batch)
            if not notes:
                # Another pass has done it while this one waited for the lock; or no more than this is left.
                _look_again(connection, region)
                return Derived()
            noted = {note.conversation_id for note in notes}
            changed = _changed_messages(notes)
            remove_from_index(connection, changed)
            found = list_unindexed(connection, noted, limit=self.messages_a_batch)
            # Where there are more, the last conversation, and those behind it, have their turn again.
            is_cut = len(found) == self.messages_a_batch
            unfinished = {each for each in noted if is_cut and each >= found[-1].conversation_id}
            index_messages(connection, found)
            before = {(row_id, message_id) for row_id, message_id, _ in changed}
            put_details(connection, _details(found, region), instead_of=before)
            put_contacts(connection, put_facts(connection, noted - unfinished))
            replace_notes(connection, notes, unfinished=unfinished)
        return Derived(notes=len(notes), messages=len(found))


def _look_again(connection: Connection, region: str | None) -> None:
    """Look through some of the conversations that another region was named for."""
    ids = take_conversations_again(connection, limit=_AGAIN_A_BATCH)
    if not ids:
        return
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
