"""Everything that is stored, a row at a time: for exports, archives and reports of any size.

Each stream is read from the caller's transaction, so all of them show one state of the database, and holds
a few hundred conversations in memory at most. Rows come by Page, then by Graph's ids, in the same order on
both databases.
"""

from inboxsync.store.streams.contacts import ContactRow, count_contacts, is_looked_through, iter_contacts
from inboxsync.store.streams.conversations import ConversationRow, count_conversations, iter_conversations
from inboxsync.store.streams.details import Detail
from inboxsync.store.streams.exchanges import Outline, iter_conversations_sent
from inboxsync.store.streams.messages import MessageRow, count_messages, iter_messages
from inboxsync.store.streams.quarters import iter_quarters
from inboxsync.store.streams.scope import Scope
from inboxsync.store.streams.threads import (
    Thread,
    ThreadMessage,
    count_threads,
    iter_thread_messages,
    iter_threads,
)

__all__ = [
    "ContactRow",
    "ConversationRow",
    "Detail",
    "MessageRow",
    "Outline",
    "Scope",
    "Thread",
    "ThreadMessage",
    "count_contacts",
    "count_conversations",
    "count_messages",
    "count_threads",
    "is_looked_through",
    "iter_contacts",
    "iter_conversations",
    "iter_conversations_sent",
    "iter_messages",
    "iter_quarters",
    "iter_thread_messages",
    "iter_threads",
]
