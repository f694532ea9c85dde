"""Messages by day, and by weekday and hour: for charts."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, tzinfo

from sqlalchemy import Connection, func, select

from inboxsync.store.connection.types import NO_TIME
from inboxsync.store.tables import page_activity as table


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


def messages_by_day(
    connection: Connection,
    page_id: str | None,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    zone: tzinfo = UTC,
) -> list[MessageCount]:
    """Days that have messages, the oldest first, of a Page or of all; `until` is exclusive."""
    days: dict[date, list[int]] = {}
    for at, from_contacts, from_page in _quarters(connection, page_id, since, until):
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
    """All 168 hours of the week from Monday's first on, of a Page or of all; `until` is exclusive."""
    hours = {(weekday, hour): [0, 0] for weekday in range(7) for hour in range(24)}
    for at, from_contacts, from_page in _quarters(connection, page_id, since, until):
        local = at.astimezone(zone)
        counts = hours[local.weekday(), local.hour]
        counts[0] += from_contacts
        counts[1] += from_page
    return [
        HourCount(weekday=weekday, hour=hour, from_contacts=counts[0], from_page=counts[1])
        for (weekday, hour), counts in hours.items()
    ]


def _quarters(
    connection: Connection, page_id: str | None, since: datetime | None, until: datetime | None
) -> Iterator[tuple[datetime, int, int]]:
    """Quarters of an hour with messages: some time zones are apart by no whole hour."""
    query = select(table.c.begins_at, func.sum(table.c.from_contacts), func.sum(table.c.from_page)).where(
        table.c.begins_at > NO_TIME
    )
    if page_id is not None:
        query = query.where(table.c.page_id == page_id)
    if since is not None:
        query = query.where(table.c.begins_at >= since)
    if until is not None:
        query = query.where(table.c.begins_at < until)
    for at, from_contacts, from_page in connection.execute(query.group_by(table.c.begins_at)):
        yield at, int(from_contacts), int(from_page)
