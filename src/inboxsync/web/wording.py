"""Numbers, times and the backlog in words. Pure."""

from collections.abc import Mapping
from datetime import datetime, timedelta, tzinfo

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_SOON_SECONDS = 45
_WORTH_HOURS = 48
_LONG_DAYS = 30


def some(count: int, noun: str, plural: str | None = None) -> str:
    """`1 message`, `1,234 messages`."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def duration(seconds: float) -> str:
    """`8 s`, `2 min 5 s`, `3 h 10 min`, `12 days`."""
    whole = max(0, round(seconds))
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return _two(whole, _MINUTE, "min", 1, "s")
    if whole < _WORTH_HOURS * _HOUR:
        return _two(whole, _HOUR, "h", _MINUTE, "min")
    return some(round(whole / _DAY), "day")


def ago(at: datetime | None, now: datetime, zone: tzinfo) -> str:
    """`just now`, `12 min ago`, `in 4 min`, a date in `zone` if it is long ago; `never` for None."""
    if at is None:
        return "never"
    seconds = (now - at).total_seconds()
    if abs(seconds) < _SOON_SECONDS:
        return "just now" if seconds >= 0 else "any moment"
    if abs(seconds) > _LONG_DAYS * _DAY:
        return date_in_words(at, zone)
    said = _roughly(abs(seconds))
    return f"{said} ago" if seconds > 0 else f"in {said}"


def moment(at: datetime | None, zone: tzinfo) -> str:
    """`26 Nov 2026, 14:32`."""
    return f"{date_in_words(at, zone)}, {clock(at, zone)}" if at else "never"


def date_in_words(at: datetime, zone: tzinfo) -> str:
    """`26 Nov 2026`."""
    return f"{at.astimezone(zone):%-d %b %Y}"


def clock(at: datetime, zone: tzinfo) -> str:
    """`14:32`; an hour that a zone has twice says which: `01:30 (UTC+01:00)`."""
    local = at.astimezone(zone)
    if local.utcoffset() == local.replace(fold=not local.fold).utcoffset():
        return f"{local:%H:%M}"
    offset = f"{local:%z}"
    return f"{local:%H:%M} (UTC{offset[:3]}:{offset[3:5]})"


def days_left(at: datetime, now: datetime) -> int:
    """Whole days until then; 0 if the time has passed."""
    return max(0, (at - now) // timedelta(days=1))


def initials(name: str | None) -> str:
    """One or two letters for a person."""
    words = [word for word in (name or "").split() if word[0].isalpha()]
    return "".join(word[0] for word in (words[:1] + words[1:][-1:])).upper() or "?"


def backlog_in_words(backlog: Mapping[str, int]) -> str:
    """The backlog: `2 could not be read, 1 with messages missing in between`."""
    words = {
        "conversation": "could not be read",
        "gap": "with messages missing in between",
        "history": "with older messages missing",
    }
    return ", ".join(f"{count:,} {words.get(kind, kind)}" for kind, count in backlog.items() if count)


def _two(whole: int, unit: int, name: str, small: int, small_name: str) -> str:
    rest = whole % unit // small
    return f"{whole // unit} {name}" + (f" {rest} {small_name}" if rest else "")


def _roughly(seconds: float) -> str:
    if seconds < _HOUR:
        return f"{max(1, round(seconds / _MINUTE))} min"
    if seconds < _WORTH_HOURS * _HOUR:
        return f"{round(seconds / _HOUR)} h"
    return some(round(seconds / _DAY), "day")
