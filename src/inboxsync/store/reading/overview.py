"""Totals of each Page, fast at any size."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import ColumnElement, Connection, Select, func, select

from inboxsync.model import Page
from inboxsync.store.state.backlog import MEANING
from inboxsync.store.state.pages import list_pages
from inboxsync.store.tables import (
    UNREAD,
    backlog,
    contacts,
    conversation_facts,
    messenger_conversations,
    page_activity,
)

# The column of the Page, and the query that counts for each.
_Counted = tuple[ColumnElement[str], Select[str, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class PageOverview:
    """One Page in numbers.

    Conversations, unread ones and the backlog are as of now; contacts, messages and unanswered ones as of the
    last derive pass.
    """

    page: Page
    conversations: int
    unread: int
    backlog: int
    contacts: int
    messages: int
    unanswered: int


def list_overviews(connection: Connection, pages: Sequence[Page] | None = None) -> list[PageOverview]:
    """These Pages in their order; without `pages` all, in the order in which they were added.

    Messages are summed up from `page_activity`: counting a million rows would take a second.
    """
    page_ids = None if pages is None else [page.id for page in pages]
    numbers = {name: _counts(connection, query, page_ids) for name, query in _COUNTED.items()}
    return [
        PageOverview(page=page, **{name: found.get(page.id, 0) for name, found in numbers.items()})
        for page in (list_pages(connection) if pages is None else pages)
    ]


def get_overview(connection: Connection, page: Page) -> PageOverview:
    """One Page in numbers; the other Pages are not read."""
    (found,) = list_overviews(connection, [page])
    return found


def _counted(
    page_id: ColumnElement[str], number: ColumnElement[int], *conditions: ColumnElement[bool]
) -> _Counted:
    query: Select[str, int] = select(page_id, number).where(*conditions).group_by(page_id)
    return page_id, query


_COUNTED: Final = {
    "conversations": _counted(messenger_conversations.c.page_id, func.count()),
    "unread": _counted(messenger_conversations.c.page_id, func.count(), UNREAD),
    # What is only new the next sync brings anyway: no one has to look at it.
    "backlog": _counted(backlog.c.page_id, func.count(), MEANING != "new"),
    "contacts": _counted(contacts.c.page_id, func.count()),
    "messages": _counted(
        page_activity.c.page_id, func.sum(page_activity.c.from_contacts + page_activity.c.from_page)
    ),
    "unanswered": _counted(
        conversation_facts.c.page_id, func.count(), conversation_facts.c.unanswered_since_at.is_not(None)
    ),
}


def _counts(
    connection: Connection,
    counted: _Counted,
    page_ids: Sequence[str] | None,
) -> Mapping[str, int]:
    page_id, query = counted
    if page_ids is not None:
        # Each of these tables has an index that begins with the Page: only the rows shown are read.
        query = query.where(page_id.in_(page_ids))
    return {found: int(count) for found, count in connection.execute(query)}
