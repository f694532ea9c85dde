"""A list that is read by key, newest first."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Generic, TypeVar

from sqlalchemy import ColumnElement, Connection, Select, and_, or_, select

from inboxsync.store.put import fetch_rows
from inboxsync.store.tables import facebook_pages

R = TypeVar("R")
# When (None: not known), and the id that tells apart what has the same time.
Key = tuple[datetime | None, str]
# What stands for no time where a column must have one.
NO_TIME: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed(Generic[R]):
    """Some records of a list, and the key behind which the next ones stand; None at its end."""

    records: tuple[R, ...]
    next: Key | None


def keyed_batch(
    connection: Connection,
    query: Select[Any],
    at: ColumnElement[Any],
    row_id: ColumnElement[Any],
    *,
    after: Key | None,
    limit: int,
) -> list[Any]:
    """Rows of `query` behind `after`, by time and id, newest first; those without a time last."""
    order = (at.desc(), row_id.desc())
    found: list[Any] = []
    if after is None or after[0] is not None:
        timed = query.where(at.is_not(None)) if after is None else query.where(_behind(at, row_id, after))
        found = fetch_rows(connection, timed.order_by(*order).limit(limit))
    if len(found) < limit:
        timeless = query.where(at.is_(None)).order_by(row_id.desc())
        if after is not None and after[0] is None:
            timeless = timeless.where(row_id < after[1])
        found += fetch_rows(connection, timeless.limit(limit - len(found)))
    return found


def _behind(at: ColumnElement[Any], row_id: ColumnElement[Any], key: Key) -> ColumnElement[bool]:
    # Spelt so that an index on the time alone serves it, on both databases.
    return and_(at <= key[0], or_(at < key[0], row_id < key[1]))


def merged(
    connection: Connection,
    page_id: str | None,
    read: Callable[[str], Iterable[R]],
    key_of: Callable[[R], Key],
    *,
    limit: int,
) -> Listed[R]:
    """The list of one Page, or of all, put together from the beginnings of each.

    `read` returns up to `limit` + 1 records of a Page. An index over all Pages together would cost every
    write, and Pages are few.
    """
    if page_id is not None:
        found = list(read(page_id))
    else:
        page_ids = connection.execute(select(facebook_pages.c.id)).scalars().all()
        found = [each for one in page_ids for each in read(one)]
        found.sort(key=lambda each: _sortable(key_of(each)), reverse=True)
    kept = tuple(found[:limit])
    return Listed(records=kept, next=key_of(kept[-1]) if len(found) > limit and kept else None)


def _sortable(key: Key) -> tuple[bool, datetime, str]:
    at, row_id = key
    return at is not None, at or NO_TIME, row_id
