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
    Note,
    Unindexed,
    forget_details,
    has_notes,
    index_messages,
    is_current,
    is_folded,
    last_region,
    list_keys,
    list_notes,
    list_texts,
    list_to_fold,
    list_to_search,
    list_unindexed,
    list_with_text,
    lock_pages,
    lock_queue,
    note_folded,
    note_searched,
    put_contacts,
    put_details,
    put_facts,
    remove_from_index,
    remove_notes,
    settle_folding,
    settle_index,
    settle_region,
)
from inboxsync.sync.texts import Texts

# A transaction should take some tenths of a second: on SQLite a sync waits for it. A new conversation is
# noted twice, for its own row and for its messages, not far apart.
_NOTES_A_BATCH = 1000
_MESSAGES_A_BATCH = 5000
# Conversations that are searched again in one transaction.
_AGAIN_A_BATCH = 500
_ALL = 2**62
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


class _Ahead(NamedTuple):
    """What a batch has read before it took the lock: notes, and the messages of theirs that are not indexed.

    `unfinished` conversations have more messages than a batch takes. Without notes, `again` are conversations
    to be folded or searched again.
    """

    notes: list[Note]
    found: list[Unindexed]
    unfinished: set[str]
    again: list[str]
    texts: Texts


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
        ahead = self._read_ahead(after)
        with self.store.write() as connection:
            lock_queue(connection)
            settle_folding(connection)
            texts = ahead.texts.in_region(settle_region(connection, self.region))
            notes = list_notes(connection, after=after, limit=self.notes_a_batch)
            if not set(ahead.notes).issubset(notes) or (notes and not ahead.notes):
                # Another pass was here meanwhile: what there is now is read first. More notes do not matter.
                return _Batch(next_after=after)
            if not notes:
                # Another pass did it while this one waited for the lock; or only what is done again is left.
                if not has_notes(connection):
                    _do_again(connection, ahead.again, texts)
                return _Batch()
            noted = {note.conversation_id for note in ahead.notes}
            lock_pages(connection, noted)
            changed = _changed_messages(ahead.notes)
            remove_from_index(connection, changed)
            found = _found(connection, ahead)
            index_messages(connection, found, terms=texts.terms)
            before = {(row_id, message_id) for row_id, message_id, _ in changed}
            put_details(connection, texts.details(found), instead_of=before)
            put_contacts(connection, put_facts(connection, noted - ahead.unfinished))
            next_after = remove_notes(connection, ahead.notes, unfinished=ahead.unfinished)
        return _Batch(notes=len(ahead.notes), messages=len(found), next_after=next_after)

    def _read_ahead(self, after: int) -> _Ahead:
        """Read what the next batch needs, before it takes the lock."""
        found: list[Unindexed] = []
        unfinished: set[str] = set()
        again: list[str] = []
        with self.store.read() as connection:
            texts = Texts(self.region or last_region(connection))
            notes = list_notes(connection, after=after, limit=self.notes_a_batch)
            if notes:
                noted = {note.conversation_id for note in notes}
                found = list_unindexed(connection, noted, limit=self.messages_a_batch + 1)
                if len(found) > self.messages_a_batch:
                    # The conversation of the one too many, and those behind it, continue in the next batch.
                    continued = found.pop().conversation_id
                    unfinished = {each for each in noted if each >= continued}
                others = list_texts(connection, _changed_messages(notes))
            elif again := list_to_fold(connection, limit=_AGAIN_A_BATCH):
                others = list_texts(connection, list_keys(connection, again))
            else:
                again = list_to_search(connection, limit=_AGAIN_A_BATCH)
                others = list_with_text(connection, again)
        texts.read([*found, *others])
        return _Ahead(notes=notes, found=found, unfinished=unfinished, again=again, texts=texts)


def _found(connection: Connection, ahead: _Ahead) -> list[Unindexed]:
    """What was read ahead, with what of it is to be looked up again.

    A message that was changed or deleted meanwhile has a note of its own, behind these: it is found to be
    wrong and put right by a later batch. But a new one has no note where the queue's last is of its own
    conversation. And those that were just taken from the index were not read ahead.
    """
    again = {note.conversation_id for note in ahead.notes if note.message_id is not None}
    again = (again | {ahead.notes[-1].conversation_id}) - ahead.unfinished
    found = [each for each in ahead.found if each.conversation_id not in again]
    return found + list_unindexed(connection, again, limit=_ALL)


def _do_again(connection: Connection, ids: list[str], texts: Texts) -> None:
    """Fold or search these conversations again: by newer rules, or for the region that is new.

    Nothing, where they are not those that are next: then these are read first.
    """
    if not is_folded(connection):
        if ids == list_to_fold(connection, limit=_AGAIN_A_BATCH):
            _fold_again(connection, ids, texts)
    elif ids == list_to_search(connection, limit=_AGAIN_A_BATCH):
        _search_again(connection, ids, texts)


def _fold_again(connection: Connection, ids: list[str], texts: Texts) -> None:
    note_folded(connection, ids)
    if not ids:
        return
    lock_pages(connection, ids)
    remove_from_index(connection, list_keys(connection, ids))
    # All of them: no note says which are missing.
    index_messages(connection, list_unindexed(connection, ids, limit=_ALL), terms=texts.terms)
    put_contacts(connection, put_facts(connection, ids))


def _search_again(connection: Connection, ids: list[str], texts: Texts) -> None:
    note_searched(connection, ids)
    if not ids:
        return
    lock_pages(connection, ids)
    had = forget_details(connection, ids)
    details = texts.details(list_with_text(connection, ids))
    put_details(connection, details, instead_of=())
    put_contacts(connection, put_facts(connection, had | {each.conversation_id for each in details}))


def _changed_messages(notes: list[Note]) -> list[tuple[str, str, datetime | None]]:
    return [
        (note.conversation_id, note.message_id, note.sent_at) for note in notes if note.message_id is not None
    ]
