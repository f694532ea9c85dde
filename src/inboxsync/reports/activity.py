"""When people write: messages per day, and by weekday and hour."""

from collections import Counter
from dataclasses import dataclass
from datetime import date, datetime, tzinfo

from sqlalchemy import Connection

from inboxsync.store.reading import Scope, iter_quarters

_HOURS = 24
_WEEKDAYS = 7
_BUSIEST = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class DayCount:
    """Messages from contacts and from the Page on one day, in the report's time zone."""

    day: date
    messages_in: int
    messages_out: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BusyHour:
    """An hour of the week, Monday being 0, and the messages that contacts sent in it."""

    weekday: int
    hour: int
    messages_in: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """The report. `by_day` has the days that have messages.

    `week_in` and `week_out` have seven rows, from Monday on, of 24 hours; `busiest` are the hours of the
    week with most messages from contacts, the busiest first. `undated` counts messages without a known time.
    """

    zone: str
    since: datetime | None
    messages_in: int
    messages_out: int
    by_day: tuple[DayCount, ...]
    week_in: tuple[tuple[int, ...], ...]
    week_out: tuple[tuple[int, ...], ...]
    busiest: tuple[BusyHour, ...]
    undated: int


def activity(connection: Connection, scope: Scope, zone: tzinfo) -> Activity:
    """The report on these Pages: every readable message since `scope.since`."""
    days: dict[bool, Counter[date]] = {True: Counter(), False: Counter()}
    weeks: dict[bool, Counter[tuple[int, int]]] = {True: Counter(), False: Counter()}
    undated = 0
    for quarter in iter_quarters(connection, scope):
        counts = {False: quarter.from_contacts, True: quarter.from_page}
        if quarter.begins_at is None:
            undated += sum(counts.values())
            continue
        at = quarter.begins_at.astimezone(zone)
        for is_from_page, count in counts.items():
            days[is_from_page][at.date()] += count
            weeks[is_from_page][at.weekday(), at.hour] += count
    return Activity(
        zone=str(zone),
        since=scope.since,
        messages_in=days[False].total(),
        messages_out=days[True].total(),
        by_day=tuple(
            DayCount(day=day, messages_in=days[False][day], messages_out=days[True][day])
            for day in sorted({*days[False], *days[True]})
        ),
        week_in=_week(weeks[False]),
        week_out=_week(weeks[True]),
        busiest=_busiest(weeks[False]),
        undated=undated,
    )


def _week(counts: Counter[tuple[int, int]]) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(counts[day, hour] for hour in range(_HOURS)) for day in range(_WEEKDAYS))


def _busiest(counts: Counter[tuple[int, int]]) -> tuple[BusyHour, ...]:
    most = sorted(counts.items(), key=lambda each: (-each[1], each[0]))[:_BUSIEST]
    return tuple(BusyHour(weekday=day, hour=hour, messages_in=count) for (day, hour), count in most)
