"""A list that is read by key, newest first."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Generic, TypeVar

from sqlalchemy import ColumnElement, Connection, Row, Select, or_, select

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


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyedList(Generic[R]):
    """A list by time and id, newest first, those without a time last; of each Page apart.

    `of_page` makes the query of one Page, by our id, or by the column of a query around it.
    """

    of_page: Callable[[str | ColumnElement[str]], Select[Any]]
    at: ColumnElement[Any]
    row_id: ColumnElement[Any]
    record: Callable[[Row[Any]], R]
    key_of: Callable[[R], Key]

    def read(
        self, connection: Connection, page_id: str | None, *, after: Key | None, limit: int
    ) -> Listed[R]:
        """What stands behind `after`, of one Page or of all, put together from the beginnings of each.

        An index over all Pages together would cost every write.
        """
        if page_id is not None:
            found = self._batch(connection, page_id, after=after, limit=limit + 1)
        else:
            leading = self._leading(connection, after=after, limit=limit + 1)
            found = [
                each for one in leading for each in self._batch(connection, one, after=after, limit=limit + 1)
            ]
            found.sort(key=lambda each: _sortable(self.key_of(each)), reverse=True)
        kept = tuple(found[:limit])
        return Listed(records=kept, next=self.key_of(kept[-1]) if len(found) > limit and kept else None)

    def _batch(self, connection: Connection, page_id: str, *, after: Key | None, limit: int) -> list[R]:
        query = self.of_page(page_id)
        found: list[Row[Any]] = []
        if after is None or after[0] is not None:
            timed = self._timed(query, after).order_by(self.at.desc(), self.row_id.desc())
            found = fetch_rows(connection, timed.limit(limit))
        if len(found) < limit:
            timeless = self._timeless(query, after).order_by(self.row_id.desc())
            found += fetch_rows(connection, timeless.limit(limit - len(found)))
        return [self.record(row) for row in found]

    def _leading(self, connection: Connection, *, after: Key | None, limit: int) -> Iterable[str]:
        """The Pages that the next `limit` records are of, whatever else these Pages have.

        So many Pages with the newest records have so many records already, none older than those.
        """
        query, leading = self.of_page(facebook_pages.c.id), dict[str, None]()
        if after is None or after[0] is not None:
            newest = self._timed(query, after).with_only_columns(self.at).order_by(self.at.desc())
            leading |= dict.fromkeys(_of_the_greatest(connection, newest, limit))
        if len(leading) < limit:
            last = self._timeless(query, after).with_only_columns(self.row_id).order_by(self.row_id.desc())
            leading |= dict.fromkeys(_of_the_greatest(connection, last, limit))
        return leading

    def _timed(self, query: Select[Any], after: Key | None) -> Select[Any]:
        if after is None:
            return query.where(self.at.is_not(None))
        # Spelt so that an index on the time alone serves it, on both databases.
        return query.where(self.at <= after[0], or_(self.at < after[0], self.row_id < after[1]))

    def _timeless(self, query: Select[Any], after: Key | None) -> Select[Any]:
        timeless = query.where(self.at.is_(None))
        return timeless.where(self.row_id < after[1]) if after and after[0] is None else timeless


def _of_the_greatest(connection: Connection, first: Select[Any], limit: int) -> list[str]:
    """The Pages whose `first` value is among the `limit` greatest, or is the least of these."""
    value = first.limit(1).correlate(facebook_pages).scalar_subquery()
    rows = connection.execute(select(facebook_pages.c.id, value))
    found = sorted(((each, page_id) for page_id, each in rows if each is not None), reverse=True)
    least = found[:limit][-1][0] if found else None
    return [page_id for each, page_id in found if each >= least]


def _sortable(key: Key) -> tuple[bool, datetime, str]:
    at, row_id = key
    return at is not None, at or NO_TIME, row_id
