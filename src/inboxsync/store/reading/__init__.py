"""What people look at: lists that stay fast at any size, one conversation, totals.

Lists are read by key: `after` is the key of the last record seen, so that what comes or goes meanwhile
neither repeats nor hides another. Records are frozen; keys are plain tuples.
"""

from inboxsync.store.reading.activity import (
    HourCount,
    MessageCount,
    messages_by_day,
    messages_by_weekday_and_hour,
)
from inboxsync.store.reading.contacts import (
    ContactDetail,
    ContactFilter,
    ContactRecord,
    get_contact,
    list_contact_details,
    list_contacts,
)
from inboxsync.store.reading.conversations import (
    ConversationFilter,
    ConversationRecord,
    get_conversation,
    list_conversations,
)
from inboxsync.store.reading.lists import Key, Listed
from inboxsync.store.reading.overview import PageOverview, get_overview, list_overviews
from inboxsync.store.reading.scope import Scope
from inboxsync.store.reading.stream_contacts import (
    ContactRow,
    count_contacts,
    is_looked_through,
    iter_contacts,
)
from inboxsync.store.reading.stream_conversations import (
    ConversationRow,
    count_conversations,
    iter_conversations,
)
from inboxsync.store.reading.stream_details import Detail
from inboxsync.store.reading.stream_exchanges import Summary, iter_conversations_sent
from inboxsync.store.reading.stream_messages import MessageRow, count_messages, iter_messages
from inboxsync.store.reading.stream_quarters import iter_quarters
from inboxsync.store.reading.stream_threads import (
    Thread,
    ThreadMessage,
    count_threads,
    iter_thread_messages,
    iter_threads,
)
from inboxsync.store.reading.thread import Gap, MessageRecord, list_gaps, list_messages

__all__ = [
    "ContactDetail",
    "ContactFilter",
    "ContactRecord",
    "ContactRow",
    "ConversationFilter",
    "ConversationRecord",
    "ConversationRow",
    "Detail",
    "Gap",
    "HourCount",
    "Key",
    "Listed",
    "MessageCount",
    "MessageRecord",
    "MessageRow",
    "PageOverview",
    "Scope",
    "Summary",
    "Thread",
    "ThreadMessage",
    "count_contacts",
    "count_conversations",
    "count_messages",
    "count_threads",
    "get_contact",
    "get_conversation",
    "get_overview",
    "is_looked_through",
    "iter_contacts",
    "iter_conversations",
    "iter_conversations_sent",
    "iter_messages",
    "iter_quarters",
    "iter_thread_messages",
    "iter_threads",
    "list_contact_details",
    "list_contacts",
    "list_conversations",
    "list_gaps",
    "list_messages",
    "list_overviews",
    "messages_by_day",
    "messages_by_weekday_and_hour",
]
