"""Which part of a database is read, and how it is read in pieces that fit into memory."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, Select, select

from inboxsync.model import Page
from inboxsync.store.tables import messenger_conversations as conversations

# Conversations that are read together, with their messages.
CONVERSATIONS_AT_ONCE: Final = 200
_ROWS_AT_ONCE = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """These Pages, and only what is not older than `since`; None: everything.

    The time of a conversation or a contact is that of its newest message.
    """

    pages: tuple[Page, ...]
    since: datetime | None = None

    @property
    def page_ids(self) -> list[str]:
        """Our ids of the Pages."""
        return [page.id for page in self.pages]


def iter_rows(connection: Connection, query: Select[*tuple[Any, ...]]) -> Iterator[Any]:
    """The rows of a query, some at a time: PostgreSQL keeps the others until they are asked for."""
    rows = connection.execute(query, execution_options={"yield_per": _ROWS_AT_ONCE})
    try:
        yield from rows
    finally:
        # A reader that stopped in the middle may have closed the connection already.
        if not connection.closed:
            rows.close()


def iter_id_chunks(
    connection: Connection, page: Page, *conditions: ColumnElement[bool]
) -> Iterator[list[str]]:
    """Our ids of a Page's conversations, in the order of Graph's ids, some at a time.

    The database sorts them once, and has to hold no more than these two columns.
    """
    query = (
        select(conversations.c.id)
        .where(conversations.c.page_id == page.id, *conditions)
        .order_by(conversations.c.conversation_id)
    )
    for chunk in iter_chunks(iter_rows(connection, query), CONVERSATIONS_AT_ONCE):
        yield [row_id for (row_id,) in chunk]


def iter_chunks(rows: Iterator[Row[Any]], size: int) -> Iterator[Sequence[Row[Any]]]:
    """The rows in lists of this size."""
    chunk: list[Row[Any]] = []
    for row in rows:
        chunk.append(row)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
