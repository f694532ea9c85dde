"""Brings up to date what follows from the inbox, a batch at a time.

Every function works in the caller's transaction. All functions of one batch belong into one transaction: the
notes are removed from the queue in the transaction that stores what was derived from them.
"""

from sqlalchemy import Connection

from inboxsync.store.derived.contacts import put_contacts, sum_contacts
from inboxsync.store.derived.details import Detail, put_details
from inboxsync.store.derived.facts import Facts, facts_of, put_facts
from inboxsync.store.derived.folding import (
    is_folded,
    list_keys,
    list_to_fold,
    note_folded,
    settle_folding,
)
from inboxsync.store.derived.message_index import (
    Unindexed,
    index_messages,
    list_texts,
    list_unindexed,
    remove_from_index,
    settle_index,
)
from inboxsync.store.derived.queue import (
    Note,
    has_notes,
    list_notes,
    lock_pages,
    lock_queue,
    remove_notes,
)
from inboxsync.store.derived.region import (
    forget_details,
    is_settled,
    last_region,
    list_to_search,
    list_with_text,
    note_searched,
    settle_region,
)


def is_current(connection: Connection, region: str | None = None) -> bool:
    """Whether everything that is stored was derived from, for this region; None: for the last one."""
    return not has_notes(connection) and is_settled(connection, region) and is_folded(connection)


__all__ = [
    "Detail",
    "Facts",
    "Note",
    "Unindexed",
    "facts_of",
    "forget_details",
    "has_notes",
    "index_messages",
    "is_current",
    "is_folded",
    "is_settled",
    "last_region",
    "list_keys",
    "list_notes",
    "list_texts",
    "list_to_fold",
    "list_to_search",
    "list_unindexed",
    "list_with_text",
    "lock_pages",
    "lock_queue",
    "note_folded",
    "note_searched",
    "put_contacts",
    "put_details",
    "put_facts",
    "remove_from_index",
    "remove_notes",
    "settle_folding",
    "settle_index",
    "settle_region",
    "sum_contacts",
]
