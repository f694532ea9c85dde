"""Lists that are read by key, newest first."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Generic, TypeVar

from sqlalchemy import ColumnElement, Connection, Integer, Row, Select, bindparam, or_, select

from inboxsync.store.connection.statements import fetch_rows
from inboxsync.store.connection.types import NO_TIME
from inboxsync.store.tables import facebook_pages

R = TypeVar("R")
# A time (None: not known), and the id that distinguishes records with the same time.
Key = tuple[datetime | None, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed(Generic[R]):
    """Some records of a list, and the key to continue behind; None at its end."""

    records: tuple[R, ...]
    next: Key | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KeyedList(Generic[R]):
    """A list by time and id, newest first, records without a time last; one for each Page.

    `of_page` makes the query of one Page, by our id or by the column of an outer query. Make one list for all
    readers of the same: its statements are built once, because building them takes longer than the answer.
    """

    of_page: Callable[[ColumnElement[str]], Select[Any]]
    at: ColumnElement[Any]
    row_id: ColumnElement[Any]
    record: Callable[[Row[Any]], R]
    key_of: Callable[[R], Key]

    def read(
        self, connection: Connection, page_id: str | None, *, after: Key | None, limit: int
    ) -> Listed[R]:
        """The records behind `after`, of one Page or of all; of all, they are merged from each Page's list.

        An index over all Pages would slow down every write.
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
        found: list[Row[Any]] = []
        values, has_timed = _values(after) | {"page_id": page_id}, _has_timed(after)
        if has_timed:
            timed = _rows_of_page(self, is_timed=True, is_behind=after is not None)
            found = fetch_rows(connection, timed, values | {"most": limit})
        if len(found) < limit:
            timeless = _rows_of_page(self, is_timed=False, is_behind=not has_timed)
            found += fetch_rows(connection, timeless, values | {"most": limit - len(found)})
        return [self.record(row) for row in found]

    def _leading(self, connection: Connection, *, after: Key | None, limit: int) -> Iterable[str]:
        """The Pages that the next `limit` records belong to.

        The `limit` Pages with the newest first record have `limit` records that are at least as new.
        """
        values, has_timed, leading = _values(after), _has_timed(after), dict[str, None]()
        if has_timed:
            newest = _first_of_each_page(self, is_timed=True, is_behind=after is not None)
            leading |= dict.fromkeys(_of_the_greatest(connection.execute(newest, values), limit))
        if len(leading) < limit:
            last = _first_of_each_page(self, is_timed=False, is_behind=not has_timed)
            leading |= dict.fromkeys(_of_the_greatest(connection.execute(last, values), limit))
        return leading

    def ordered(self, page_id: ColumnElement[str], *, is_timed: bool, is_behind: bool) -> Select[Any]:
        """The rows of a Page that have a time, or those without; all of them, or those behind a key."""
        query = self.of_page(page_id)
        at, row_id = bindparam("after_at", type_=self.at.type), bindparam("after_id", type_=self.row_id.type)
        if is_timed:
            query = query.order_by(self.at.desc(), self.row_id.desc())
            if not is_behind:
                return query.where(self.at.is_not(None))
            # Written so that an index on the time alone is enough, on both databases.
            return query.where(self.at <= at, or_(self.at < at, self.row_id < row_id))
        query = query.where(self.at.is_(None)).order_by(self.row_id.desc())
        return query.where(self.row_id < row_id) if is_behind else query


@lru_cache(maxsize=200)
def _rows_of_page(listed: KeyedList[Any], *, is_timed: bool, is_behind: bool) -> Select[Any]:
    page_id, most = bindparam("page_id", type_=facebook_pages.c.id.type), bindparam("most", type_=Integer)
    return listed.ordered(page_id, is_timed=is_timed, is_behind=is_behind).limit(most)


@lru_cache(maxsize=200)
def _first_of_each_page(listed: KeyedList[Any], *, is_timed: bool, is_behind: bool) -> Select[str, Any]:
    rows = listed.ordered(facebook_pages.c.id, is_timed=is_timed, is_behind=is_behind)
    first = rows.with_only_columns(listed.at if is_timed else listed.row_id).limit(1)
    return select(facebook_pages.c.id, first.correlate(facebook_pages).scalar_subquery())


def _has_timed(after: Key | None) -> bool:
    """Whether records with a time may follow this key; if not, it is among those without."""
    return after is None or after[0] is not None


def _values(after: Key | None) -> dict[str, object]:
    return {"after_at": after[0], "after_id": after[1]} if after is not None else {}


def _of_the_greatest(values: Iterable[Row[str, Any]], limit: int) -> list[str]:
    """The Pages whose value is among the `limit` greatest, or equal to the smallest of these."""
    found = sorted(((each, page_id) for page_id, each in values if each is not None), reverse=True)
    least = found[:limit][-1][0] if found else None
    return [page_id for each, page_id in found if each >= least]


def _sortable(key: Key) -> tuple[bool, datetime, str]:
    at, row_id = key
    return at is not None, at or NO_TIME, row_id
