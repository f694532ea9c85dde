"""Conversations to be read by a person: newest first, each with all its messages."""

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, func, select

from inboxsync.model import Page
from inboxsync.store.reading.scope import iter_rows
from inboxsync.store.reading.thread import IS_GAP, Gap, gap_of
from inboxsync.store.tables import backlog, messages
from inboxsync.store.tables import messenger_conversations as table


class Thread(NamedTuple):
    """A conversation's head; `row_id` is ours, the other ids are Graph's. `gap` is owed in its middle."""

    row_id: str
    conversation_id: str
    contact_id: str | None
    contact_name: str | None
    folder: str
    status: str
    last_message: str | None
    last_message_at: datetime | None
    has_older_messages: bool
    gap: Gap | None


class ThreadMessage(NamedTuple):
    """A message of it; one that is not `is_readable` has a time at most. The rest as in `MessageRow`."""

    message_id: str
    sent_at: datetime | None
    is_from_page: bool
    is_readable: bool
    sender_name: str | None
    text: str | None
    attachments: str | None
    shares: str | None
    sticker: str | None
    reactions: str | None
    story: str | None


def count_threads(connection: Connection, page: Page) -> int:
    """How many `iter_threads` brings."""
    query = select(func.count()).select_from(table).where(table.c.page_id == page.id)
    return int(connection.execute(query).scalar_one())


def iter_threads(connection: Connection, page: Page) -> Iterator[Thread]:
    """The conversations of a Page, newest first."""
    query = (
        select(
            table.c.id,
            table.c.conversation_id,
            table.c.sender_id,
            table.c.sender_name,
            table.c.folder,
            table.c.conversation_status,
            table.c.last_message,
            table.c.last_message_time,
            table.c.has_older_messages,
            backlog.c.anchors,
            backlog.c.created_at,
            backlog.c.error_message,
        )
        .outerjoin(backlog, IS_GAP)
        .where(table.c.page_id == page.id)
        .order_by(table.c.last_message_time.desc().nulls_last(), table.c.conversation_id)
    )
    for row in iter_rows(connection, query):
        gap = None
        if row.created_at is not None:
            gap = gap_of(connection, row.id, row.anchors, row.created_at, row.error_message)
        yield Thread._make([*row[:-3], gap])


def iter_thread_messages(connection: Connection, row_id: str) -> Iterator[ThreadMessage]:
    """The messages of a conversation (our id), oldest first; those without a time last."""
    query = (
        select(
            messages.c.message_id,
            messages.c.sent_at,
            messages.c.is_from_page,
            messages.c.is_readable,
            messages.c.sender_name,
            messages.c.text,
            messages.c.attachments,
            messages.c.shares,
            messages.c.sticker,
            messages.c.reactions,
            messages.c.story,
        )
        .where(messages.c.conversation_id == row_id)
        .order_by(messages.c.sent_at.nulls_last(), messages.c.is_from_page, messages.c.message_id)
    )
    return map(ThreadMessage._make, iter_rows(connection, query))
