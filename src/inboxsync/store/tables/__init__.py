"""The schema. It lives in the user's database, so it is a public API.

Three names are given (`facebook_pages`, `messenger_conversations`,
`contact_interaction_events`) and the SQL that people already run on them works
unchanged on SQLite and PostgreSQL. Ids of ours are UUIDv7 as text, so that they
insert in order; Meta's ids are text, compared case-sensitively. Every column says in
its comment what it holds; on SQLite the comment is kept in the table's own SQL.
"""

from inboxsync.store.tables.access import api_keys, dashboard_instance, ended_sessions
from inboxsync.store.tables.base import VERSION_TABLE, metadata, not_by_index
from inboxsync.store.tables.derived import (
    contact_details,
    contact_words,
    contacts,
    conversation_facts,
    derive_queue,
    detail_region,
    message_index,
    page_activity,
    page_totals,
    search_folding,
)
from inboxsync.store.tables.inbox import (
    BESIDE_INBOX,
    HAS_OLDER,
    UNREAD,
    facebook_pages,
    messages,
    messenger_conversations,
)
from inboxsync.store.tables.sync import (
    backlog,
    list_positions,
    page_leases,
    quotas,
    sync_run_events,
    sync_runs,
    verifications,
)
from inboxsync.store.tables.work import page_schedules, run_tasks, workers

__all__ = [
    "BESIDE_INBOX",
    "HAS_OLDER",
    "UNREAD",
    "VERSION_TABLE",
    "api_keys",
    "backlog",
    "contact_details",
    "contact_words",
    "contacts",
    "conversation_facts",
    "dashboard_instance",
    "derive_queue",
    "detail_region",
    "ended_sessions",
    "facebook_pages",
    "list_positions",
    "message_index",
    "messages",
    "messenger_conversations",
    "metadata",
    "not_by_index",
    "page_activity",
    "page_leases",
    "page_schedules",
    "page_totals",
    "quotas",
    "run_tasks",
    "search_folding",
    "sync_run_events",
    "sync_runs",
    "verifications",
    "workers",
]
