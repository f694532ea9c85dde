"""Messages by day, and by weekday and hour: for charts and reports."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Integer,
    String,
    case,
    cast,
    extract,
    func,
    select,
)

from inboxsync.store.connection.statements import is_postgresql
from inboxsync.store.connection.types import NO_TIME
from inboxsync.store.derived import has_notes
from inboxsync.store.reading.scope import Scope, iter_rows
from inboxsync.store.tables import messages, messenger_conversations
from inboxsync.store.tables import page_activity as table

# All time zones of today differ from UTC by whole quarters of an hour.
_QUARTER: Final = timedelta(minutes=15)


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageCount:
    """Messages of one day."""

    day: date
    from_contacts: int
    from_page: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HourCount:
    """Messages of one hour of one weekday; Monday is 0."""

    weekday: int
    hour: int
    from_contacts: int
    from_page: int


class Quarter(NamedTuple):
    """Messages of one quarter of an hour; `begins_at` is None for messages without a known time."""

    begins_at: datetime | None
    from_contacts: int
    from_page: int


def messages_by_day(
    connection: Connection,
    page_id: str | None,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    zone: tzinfo = UTC,
) -> list[MessageCount]:
    """Days that have messages, the oldest first, of one Page or all; `until` is exclusive."""
    days: dict[date, list[int]] = {}
    for at, from_contacts, from_page in _dated(connection, page_id, since, until):
        counts = days.setdefault(at.astimezone(zone).date(), [0, 0])
        counts[0] += from_contacts
        counts[1] += from_page
    return [
        MessageCount(day=day, from_contacts=counts[0], from_page=counts[1])
        for day, counts in sorted(days.items())
    ]


def messages_by_weekday_and_hour(
    connection: Connection,
    page_id: str | None,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    zone: tzinfo = UTC,
) -> list[HourCount]:
    """All 168 hours of the week, beginning with Monday's first, of one Page or all; `until` is exclusive."""
    hours = {(weekday, hour): [0, 0] for weekday in range(7) for hour in range(24)}
    for at, from_contacts, from_page in _dated(connection, page_id, since, until):
        local = at.astimezone(zone)
        counts = hours[local.weekday(), local.hour]
        counts[0] += from_contacts
        counts[1] += from_page
    return [
        HourCount(weekday=weekday, hour=hour, from_contacts=counts[0], from_page=counts[1])
        for (weekday, hour), counts in hours.items()
    ]


def iter_quarters(connection: Connection, scope: Scope) -> Iterator[Quarter]:
    """Quarters of an hour of these Pages that have messages, as of now, in any order."""
    since = scope.since
    is_whole = since is None or not since.astimezone(UTC).timestamp() % _QUARTER.total_seconds()
    if is_whole and not has_notes(connection):
        yield from _counted(connection, scope.page_ids, since, None)
    else:
        yield from _counted_now(connection, scope)


def _dated(
    connection: Connection, page_id: str | None, since: datetime | None, until: datetime | None
) -> Iterator[tuple[datetime, int, int]]:
    for at, from_contacts, from_page in _counted(
        connection, None if page_id is None else [page_id], since, until
    ):
        if at is not None:
            yield at, from_contacts, from_page


def _counted(
    connection: Connection, page_ids: Collection[str] | None, since: datetime | None, until: datetime | None
) -> Iterator[Quarter]:
    """As the last derive pass left them."""
    query = select(table.c.begins_at, func.sum(table.c.from_contacts), func.sum(table.c.from_page))
    if page_ids is not None:
        query = query.where(table.c.page_id.in_(page_ids))
    if since is not None:
        query = query.where(table.c.begins_at >= max(since, NO_TIME + _QUARTER))
    if until is not None:
        query = query.where(table.c.begins_at < until)
    for at, from_contacts, from_page in connection.execute(query.group_by(table.c.begins_at)):
        yield Quarter(at if at > NO_TIME else None, int(from_contacts), int(from_page))


def _counted_now(connection: Connection, scope: Scope) -> Iterator[Quarter]:
    """From the messages: the last derive pass may have been before some of them."""
    quarter = _quarter(connection)
    is_from_page = messages.c.is_from_page
    query: Any = (
        select(quarter, func.count(case((~is_from_page, 1))), func.count(case((is_from_page, 1))))
        .select_from(messages.join(messenger_conversations))
        .where(messenger_conversations.c.page_id.in_(scope.page_ids), messages.c.is_readable)
        .group_by(quarter)
    )
    if scope.since is not None:
        query = query.where(messages.c.sent_at >= scope.since)
    for number, from_contacts, from_page in iter_rows(connection, query):
        at = NO_TIME + number * _QUARTER if number is not None else None
        yield Quarter(at, from_contacts, from_page)


def _quarter(connection: Connection) -> ColumnElement[int]:
    """The number of the quarter since 1970 that a message was sent in."""
    seconds = int(_QUARTER.total_seconds())
    if is_postgresql(connection):
        return cast(func.floor(extract("epoch", messages.c.sent_at) / seconds), BigInteger)
    # `sent_at` is text there.
    return cast(func.strftime("%s", cast(messages.c.sent_at, String)), Integer).op("/")(seconds)
