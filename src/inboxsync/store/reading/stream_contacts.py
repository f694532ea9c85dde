"""Contacts: everybody who has a conversation with a Page, once for each Page."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, Select, func, select

from inboxsync.model import Exchange, Page, merged
from inboxsync.store.derived import has_notes, is_settled
from inboxsync.store.reading.scope import CONVERSATIONS_AT_ONCE, Scope, iter_chunks, iter_rows
from inboxsync.store.reading.stream_details import Detail, details_of, newest_of_each
from inboxsync.store.reading.stream_exchanges import Summary, exchanges_of
from inboxsync.store.tables import messenger_conversations as table


class ContactRow(NamedTuple):
    """One contact of one Page; `contact_id` is Graph's, scoped to the Page or app.

    `name` is what the participants of the newest conversation that tells one say; None: withheld.
    `details` are as far as the messages have been looked through: see `is_looked_through`.
    """

    page: Page
    contact_id: str
    name: str | None
    conversations: int
    last_message_at: datetime | None
    has_older_messages: bool
    exchange: Exchange
    details: tuple[Detail, ...]


def count_contacts(connection: Connection, scope: Scope) -> int:
    """How many `iter_contacts` brings."""
    count = 0
    for page in scope.pages:
        found = _contact_ids(page, scope).order_by(None).subquery()
        count += int(connection.execute(select(func.count()).select_from(found)).scalar_one())
    return count


def iter_contacts(connection: Connection, scope: Scope) -> Iterator[ContactRow]:
    """The contacts, by Page and Graph's id."""
    for page in scope.pages:
        ids = iter_rows(connection, _contact_ids(page, scope))
        for chunk in iter_chunks(ids, CONVERSATIONS_AT_ONCE):
            yield from _contacts(connection, page, [row.sender_id for row in chunk])


def is_looked_through(connection: Connection) -> bool:
    """Whether every stored message has been searched for phone numbers and e-mail addresses."""
    return not has_notes(connection) and is_settled(connection, None)


def _contact_ids(page: Page, scope: Scope) -> Select[Any]:
    query = (
        select(table.c.sender_id)
        .where(table.c.page_id == page.id, table.c.sender_id.is_not(None))
        .group_by(table.c.sender_id)
        .order_by(table.c.sender_id)
    )
    newest = func.max(table.c.last_message_time, type_=table.c.last_message_time.type)
    return query.having(newest >= scope.since) if scope.since is not None else query


def _contacts(connection: Connection, page: Page, contact_ids: Sequence[str]) -> Iterator[ContactRow]:
    query: Select[Any] = (
        select(
            table.c.sender_id,
            table.c.id,
            table.c.sender_name,
            table.c.last_message_time,
            table.c.has_older_messages,
            table.c.conversation_status,
        )
        .where(table.c.page_id == page.id, table.c.sender_id.in_(contact_ids))
        .order_by(table.c.last_message_time.desc().nulls_last(), table.c.conversation_id)
    )
    rows_of: dict[str, list[Row[Any]]] = {}
    for row in connection.execute(query):
        rows_of.setdefault(row.sender_id, []).append(row)
    summaries = {row.id: Summary.of(row) for rows in rows_of.values() for row in rows}
    exchanges = exchanges_of(connection, summaries)
    details = details_of(connection, summaries)
    for contact_id in contact_ids:
        rows = rows_of[contact_id]
        yield ContactRow(
            page=page,
            contact_id=contact_id,
            name=next((row.sender_name for row in rows if row.sender_name), None),
            conversations=len(rows),
            last_message_at=rows[0].last_message_time,
            has_older_messages=any(row.has_older_messages for row in rows),
            exchange=merged(exchanges[row.id] for row in rows),
            details=newest_of_each(detail for row in rows for detail in details.get(row.id, ())),
        )
