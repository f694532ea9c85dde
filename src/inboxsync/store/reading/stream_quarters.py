"""How many messages were sent in each quarter of an hour: all of today's time zones differ by whole ones."""

from collections.abc import Iterator
from typing import Any, Final

from sqlalchemy import BigInteger, ColumnElement, Connection, Integer, String, cast, extract, func, select

from inboxsync.store.connection.statements import is_postgresql
from inboxsync.store.reading.scope import Scope, iter_rows
from inboxsync.store.tables import messages, messenger_conversations

_SECONDS: Final = 900


def iter_quarters(connection: Connection, scope: Scope) -> Iterator[tuple[int | None, bool, int]]:
    """Quarters of an hour since 1970 (None: unknown), whether the Page wrote, and how many messages."""
    quarter = _quarter(connection)
    query: Any = (
        select(quarter, messages.c.is_from_page, func.count())
        .select_from(messages.join(messenger_conversations))
        .where(messenger_conversations.c.page_id.in_(scope.page_ids), messages.c.is_readable)
        .group_by(quarter, messages.c.is_from_page)
    )
    if scope.since is not None:
        query = query.where(messages.c.sent_at >= scope.since)
    for row in iter_rows(connection, query):
        at, is_from_page, count = tuple(row)
        yield at, is_from_page, count


def _quarter(connection: Connection) -> ColumnElement[int]:
    if is_postgresql(connection):
        return cast(func.floor(extract("epoch", messages.c.sent_at) / _SECONDS), BigInteger)
    # `sent_at` as the text it is there.
    seconds = cast(func.strftime("%s", cast(messages.c.sent_at, String)), Integer)
    return seconds.op("/")(_SECONDS)
