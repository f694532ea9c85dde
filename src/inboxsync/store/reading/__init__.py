"""Reads what people look at: pages of lists that stay fast at any size, one record, totals, and streams.

Each thing has one record and one SELECT, for pages of a list and for streams alike. Lists are read by key:
`after` is the key of the last record seen, so what comes or goes meanwhile neither repeats nor hides another.
Streams (`iter_...`) yield everything in a fixed order, and hold only a small part of it in memory.
"""

from inboxsync.store.reading.activity import (
    HourCount,
    MessageCount,
    Quarter,
    iter_quarters,
    messages_by_day,
    messages_by_weekday_and_hour,
)
from inboxsync.store.reading.contacts import (
    ContactDetail,
    ContactFilter,
    ContactOrder,
    ContactRecord,
    count_contacts,
    count_listed_contacts,
    details_of_contacts,
    get_contact,
    iter_contacts,
    list_contact_details,
    list_contacts,
)
from inboxsync.store.reading.conversations import (
    ConversationFilter,
    ConversationOrder,
    ConversationRecord,
    Thread,
    count_conversations,
    count_listed_conversations,
    get_conversation,
    iter_conversations,
    iter_threads,
    list_conversations,
)
from inboxsync.store.reading.gaps import Gap, list_gaps
from inboxsync.store.reading.lists import MOST_COUNTED, Key, Listed
from inboxsync.store.reading.messages import (
    MessageRecord,
    StreamedMessage,
    count_messages,
    iter_messages,
    iter_messages_of,
    iter_said,
    iter_sent,
    list_messages,
    messages_of_ids,
)
from inboxsync.store.reading.names import MOST_PEOPLE, People, find_people
from inboxsync.store.reading.overview import PageOverview, get_overview, list_overviews
from inboxsync.store.reading.page_index import (
    EXPIRES_SOON,
    PROBLEMS,
    PageEntry,
    PageOrder,
    PageState,
    count_states,
    entries_in,
    list_page_entries,
    sorted_entries,
)
from inboxsync.store.reading.scope import Scope

__all__ = [
    "EXPIRES_SOON",
    "MOST_COUNTED",
    "MOST_PEOPLE",
    "PROBLEMS",
    "ContactDetail",
    "ContactFilter",
    "ContactOrder",
    "ContactRecord",
    "ConversationFilter",
    "ConversationOrder",
    "ConversationRecord",
    "Gap",
    "HourCount",
    "Key",
    "Listed",
    "MessageCount",
    "MessageRecord",
    "PageEntry",
    "PageOrder",
    "PageOverview",
    "PageState",
    "People",
    "Quarter",
    "Scope",
    "StreamedMessage",
    "Thread",
    "count_contacts",
    "count_conversations",
    "count_listed_contacts",
    "count_listed_conversations",
    "count_messages",
    "count_states",
    "details_of_contacts",
    "entries_in",
    "find_people",
    "get_contact",
    "get_conversation",
    "get_overview",
    "iter_contacts",
    "iter_conversations",
    "iter_messages",
    "iter_messages_of",
    "iter_quarters",
    "iter_said",
    "iter_sent",
    "iter_threads",
    "list_contact_details",
    "list_contacts",
    "list_conversations",
    "list_gaps",
    "list_messages",
    "list_overviews",
    "list_page_entries",
    "messages_by_day",
    "messages_by_weekday_and_hour",
    "messages_of_ids",
    "sorted_entries",
]
