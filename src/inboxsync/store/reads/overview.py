"""Totals of every Page, cheap at any size."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, func, select

from inboxsync.model import Page
from inboxsync.store.pages import list_pages
from inboxsync.store.tables import (
    UNREAD,
    contacts,
    conversation_facts,
    messenger_conversations,
    page_activity,
    sync_items,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PageOverview:
    """One Page in numbers.

    Conversations, unread ones and what is owed are as of now; contacts, messages and the unanswered as of
    the last pass.
    """

    page: Page
    conversations: int
    unread: int
    owed: int
    contacts: int
    messages: int
    unanswered: int


def list_overviews(connection: Connection) -> list[PageOverview]:
    """Every Page in the order in which they were added.

    Messages are summed up from `page_activity`: to count a million rows takes a second.
    """
    conversations, facts = messenger_conversations.c.page_id, conversation_facts.c
    messages = func.sum(page_activity.c.from_contacts + page_activity.c.from_page)
    numbers = {
        "conversations": _counts(connection, select(conversations, func.count()).group_by(conversations)),
        "unread": _counts(
            connection, select(conversations, func.count()).where(UNREAD).group_by(conversations)
        ),
        "owed": _counts(
            connection, select(sync_items.c.page_id, func.count()).group_by(sync_items.c.page_id)
        ),
        "contacts": _counts(
            connection, select(contacts.c.page_id, func.count()).group_by(contacts.c.page_id)
        ),
        "messages": _counts(
            connection, select(page_activity.c.page_id, messages).group_by(page_activity.c.page_id)
        ),
        "unanswered": _counts(
            connection,
            select(facts.page_id, func.count())
            .where(facts.unanswered_since_at.is_not(None))
            .group_by(facts.page_id),
        ),
    }
    return [
        PageOverview(page=page, **{name: found.get(page.id, 0) for name, found in numbers.items()})
        for page in list_pages(connection)
    ]


def _counts(connection: Connection, query: Select[Any]) -> Mapping[str, int]:
    return {page_id: int(count) for page_id, count in connection.execute(query)}
