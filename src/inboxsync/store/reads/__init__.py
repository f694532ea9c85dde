"""What people look at: lists that stay fast at any size, one conversation, totals.

Lists are read by key: `after` is the key of the last record seen, so that what comes or goes meanwhile
neither repeats nor hides another. Records are frozen; keys are plain tuples.
"""

from inboxsync.store.reads.activity import (
    HourCount,
    MessageCount,
    messages_by_day,
    messages_by_weekday_and_hour,
)
from inboxsync.store.reads.contacts import (
    ContactDetail,
    ContactFilter,
    ContactRecord,
    get_contact,
    list_contact_details,
    list_contacts,
)
from inboxsync.store.reads.conversations import (
    ConversationFilter,
    ConversationRecord,
    get_conversation,
    list_conversations,
)
from inboxsync.store.reads.listed import Key, Listed
from inboxsync.store.reads.overview import PageOverview, get_overview, list_overviews
from inboxsync.store.reads.thread import Gap, MessageRecord, list_gaps, list_messages

__all__ = [
    "ContactDetail",
    "ContactFilter",
    "ContactRecord",
    "ConversationFilter",
    "ConversationRecord",
    "Gap",
    "HourCount",
    "Key",
    "Listed",
    "MessageCount",
    "MessageRecord",
    "PageOverview",
    "get_contact",
    "get_conversation",
    "get_overview",
    "list_contact_details",
    "list_contacts",
    "list_conversations",
    "list_gaps",
    "list_messages",
    "list_overviews",
    "messages_by_day",
    "messages_by_weekday_and_hour",
]
