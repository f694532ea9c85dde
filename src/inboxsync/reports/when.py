"""Which time is asked for: since when, and in which time zone. Commands and the API read the same words."""

import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

from inboxsync.errors import SettingsInvalid
from inboxsync.zones import named_zone

_AGO: Final = re.compile(r"(\d{1,6})([hdw])")
_UNITS: Final = {"h": "hours", "d": "days", "w": "weeks"}


def parse_since(text: str, *, now: datetime, zone: tzinfo) -> datetime:
    """`2026-01-31`, `2026-01-31T12:00`, or a duration before now: `24h`, `30d`, `4w`.

    A day begins at midnight of `zone`, which is also used where a time names none. Raises SettingsInvalid.
    """
    try:
        if ago := _AGO.fullmatch(text.strip()):
            return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        at = datetime.fromisoformat(text.strip())
        return (at if at.tzinfo is not None else at.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise SettingsInvalid(
            f"{text!r} is not a time.",
            hint="Write it as 2026-01-31, 2026-01-31T12:00, or as 24h, 30d, 4w ago.",
        ) from None


def parse_zone(name: str) -> tzinfo:
    """A time zone by its name. Raises SettingsInvalid."""
    if (zone := named_zone(name)) is None:
        raise SettingsInvalid(
            f"{name!r} is not a time zone.", hint="Write it as Asia/Ho_Chi_Minh, Europe/Berlin or UTC."
        )
    return zone
