"""What of a database is asked for, and how it is read without holding it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, Select

from inboxsync.model import Page

# Conversations whose messages are asked for together.
CONVERSATIONS_AT_ONCE: Final = 200
_ROWS_AT_ONCE = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """These Pages, and of them what has happened since; None: from the beginning.

    A conversation or a contact has happened when its newest message was sent.
    """

    pages: tuple[Page, ...]
    since: datetime | None = None

    @property
    def page_ids(self) -> list[str]:
        """Our ids of the Pages."""
        return [page.id for page in self.pages]


def iter_rows(connection: Connection, query: Select[*tuple[Any, ...]]) -> Iterator[Any]:
    """The rows of a query as they come: PostgreSQL keeps those that were not asked for yet."""
    rows = connection.execute(query, execution_options={"yield_per": _ROWS_AT_ONCE})
    try:
        yield from rows
    finally:
        # Whoever gave up in the middle may have closed the connection before this is cleared away.
        if not connection.closed:
            rows.close()


def iter_chunks(rows: Iterator[Row[Any]], size: int) -> Iterator[Sequence[Row[Any]]]:
    """So many rows at a time."""
    chunk: list[Row[Any]] = []
    for row in rows:
        chunk.append(row)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
