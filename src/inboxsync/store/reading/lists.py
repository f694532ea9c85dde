"""Lists that are read by key: newest first, or in another order."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, Generic, TypeVar

from sqlalchemy import ColumnElement, Connection, Integer, Row, Select, bindparam, func, literal, or_, select

from inboxsync.store.connection.statements import fetch_rows
from inboxsync.store.tables import facebook_pages

R = TypeVar("R")
# A time (None: not known), and the id that distinguishes records with the same time. Lists in another order
# have a text or a number in the place of the time.
Key = tuple[datetime | str | int | None, str]
# Counting ends here: more is "more than", because to count a million takes longer than to show a page of it.
MOST_COUNTED: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed(Generic[R]):
    """Some records of a list, and the key to continue behind; None at its end."""

    records: tuple[R, ...]
    next: Key | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KeyedList(Generic[R]):
    """A list by time and id, newest first, records without a time last; one for each Page.

    `at` may be any column that an index orders. `is_rising`: the least comes first. Where the column is never
    empty, `has_timeless` is False: to look for what has no time, a database might read all that has.

    `of_page` makes the query of one Page, by our id or by the column of an outer query. Make one list for all
    readers of the same: its statements are built once, because building them takes longer than the answer.
    """

    of_page: Callable[[ColumnElement[str]], Select[Any]]
    at: ColumnElement[Any]
    row_id: ColumnElement[Any]
    record: Callable[[Row[Any]], R]
    key_of: Callable[[R], Key]
    is_rising: bool = False
    has_timeless: bool = True

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
            found.sort(key=lambda each: _sortable(self.key_of(each), is_rising=self.is_rising))
            found = found if self.is_rising else found[::-1]
        kept = tuple(found[:limit])
        return Listed(records=kept, next=self.key_of(kept[-1]) if len(found) > limit and kept else None)

    def _batch(self, connection: Connection, page_id: str, *, after: Key | None, limit: int) -> list[R]:
        found: list[Row[Any]] = []
        values, has_timed = _values(after) | {"page_id": page_id}, _has_timed(after)
        if has_timed:
            timed = _rows_of_page(self, is_timed=True, is_behind=after is not None)
            found = fetch_rows(connection, timed, values | {"most": limit})
        if len(found) < limit and self.has_timeless:
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
            rows = connection.execute(newest, values)
            leading |= dict.fromkeys(_of_the_first(rows, limit, is_rising=self.is_rising))
        if len(leading) < limit and self.has_timeless:
            last = _first_of_each_page(self, is_timed=False, is_behind=not has_timed)
            rows = connection.execute(last, values)
            leading |= dict.fromkeys(_of_the_first(rows, limit, is_rising=self.is_rising))
        return leading

    def ordered(self, page_id: ColumnElement[str], *, is_timed: bool, is_behind: bool) -> Select[Any]:
        """The rows of a Page that have a time, or those without; all of them, or those behind a key."""
        query = self.of_page(page_id)
        at, row_id = bindparam("after_at", type_=self.at.type), bindparam("after_id", type_=self.row_id.type)
        if is_timed:
            if not is_behind:
                return query.where(self.at.is_not(None)).order_by(*self._in_order(self.at, self.row_id))
            # Written so that an index on the time alone is enough, on both databases.
            if self.is_rising:
                query = query.where(self.at >= at, or_(self.at > at, self.row_id > row_id))
            else:
                query = query.where(self.at <= at, or_(self.at < at, self.row_id < row_id))
            return query.order_by(*self._in_order(self.at, self.row_id))
        query = query.where(self.at.is_(None)).order_by(*self._in_order(self.row_id))
        if not is_behind:
            return query
        return query.where(self.row_id > row_id if self.is_rising else self.row_id < row_id)

    def _in_order(self, *columns: ColumnElement[Any]) -> list[ColumnElement[Any]]:
        return [column.asc() if self.is_rising else column.desc() for column in columns]

    def count(self, connection: Connection, page_ids: Collection[str], *, most: int = MOST_COUNTED) -> int:
        """How many records the lists of these Pages have together; `most` + 1 where there are more."""
        found = 0
        for page_id in page_ids:
            left = most + 1 - found
            values = {"page_id": page_id, "most": left}
            found += int(connection.execute(_count_of_page(self), values).scalar_one())
            if found > most:
                break
        return found


def part_of(
    records: Iterable[R],
    key_of: Callable[[R], Key],
    *,
    after: Key | None,
    limit: int,
    is_rising: bool = False,
) -> Listed[R]:
    """A page of a list of which all records are at hand, in the order that a `KeyedList` has."""
    found = sorted(records, key=lambda each: _sortable(key_of(each), is_rising=is_rising))
    found = found if is_rising else found[::-1]
    if after is not None:
        last = _sortable(after, is_rising=is_rising)
        places = (_sortable(key_of(each), is_rising=is_rising) for each in found)
        found = [
            each
            for each, place in zip(found, places, strict=True)
            if (place > last if is_rising else place < last)
        ]
    return Listed(records=tuple(found[:limit]), next=key_of(found[limit - 1]) if len(found) > limit else None)


@lru_cache(maxsize=200)
def _rows_of_page(listed: KeyedList[Any], *, is_timed: bool, is_behind: bool) -> Select[Any]:
    page_id, most = bindparam("page_id", type_=facebook_pages.c.id.type), bindparam("most", type_=Integer)
    return listed.ordered(page_id, is_timed=is_timed, is_behind=is_behind).limit(most)


@lru_cache(maxsize=200)
def _count_of_page(listed: KeyedList[Any]) -> Select[int]:
    page_id, most = bindparam("page_id", type_=facebook_pages.c.id.type), bindparam("most", type_=Integer)
    rows = listed.of_page(page_id).with_only_columns(literal(1).label("one")).limit(most)
    return select(func.count()).select_from(rows.subquery())


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


def _of_the_first(values: Iterable[Row[str, Any]], limit: int, *, is_rising: bool) -> list[str]:
    """The Pages whose value is among the first `limit`, or equal to the last of these."""
    known = [(each, page_id) for page_id, each in values if each is not None]
    found = sorted(known, reverse=not is_rising)
    last = found[:limit][-1][0] if found else None
    return [page_id for each, page_id in found if (each <= last if is_rising else each >= last)]


def _sortable(key: Key, *, is_rising: bool = False) -> tuple[bool, Any, str]:
    """Sorts as the list does, once it is turned round where it falls; what has no time comes last."""
    at, row_id = key
    return (at is None) is is_rising, at, row_id
