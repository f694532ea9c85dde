"""Brings up to date what follows from the inbox, a batch at a time.

Every function works in the caller's transaction. All functions of one batch belong into one transaction: the
notes are removed from the queue in the transaction that stores what was derived from them.
"""

from inboxsync.store.derived.contacts import put_contacts, sum_contacts
from inboxsync.store.derived.details import Detail, put_details
from inboxsync.store.derived.facts import Facts, facts_of, put_facts
from inboxsync.store.derived.message_index import (
    Unindexed,
    index_messages,
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
    is_current,
    list_with_text,
    settle_region,
    take_conversations_again,
)

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
    "list_notes",
    "list_unindexed",
    "list_with_text",
    "lock_pages",
    "lock_queue",
    "put_contacts",
    "put_details",
    "put_facts",
    "remove_from_index",
    "remove_notes",
    "settle_index",
    "settle_region",
    "sum_contacts",
    "take_conversations_again",
]
