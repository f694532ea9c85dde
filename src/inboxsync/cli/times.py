"""Times and time zones as people write them."""

import re
from datetime import UTC, datetime, timedelta, tzinfo

from inboxsync.clock import named_zone
from inboxsync.errors import SettingsInvalid
from inboxsync.settings import Settings

_AGO = re.compile(r"(\d{1,6})([hdw])")
_UNITS = {"h": "hours", "d": "days", "w": "weeks"}


def parse_since(text: str, *, now: datetime, zone: tzinfo) -> datetime:
    """`2026-01-31`, `2026-01-31T12:00`, or a span before now: `24h`, `30d`, `4w`.

    A day begins at midnight of `zone`, which is also meant where a time names none. Raises SettingsInvalid.
    """
    try:
        if ago := _AGO.fullmatch(text.strip()):
            return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        at = datetime.fromisoformat(text.strip())
        return (at if at.tzinfo is not None else at.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise SettingsInvalid(
            f"{text!r} is no time.", hint="Write it as 2026-01-31, 2026-01-31T12:00, or as 24h, 30d, 4w ago."
        ) from None


def parse_zone(name: str | None, settings: Settings) -> tzinfo:
    """A time zone by its name, else as the settings say. Raises SettingsInvalid."""
    if name is None:
        return settings.zone
    if (zone := named_zone(name)) is None:
        raise SettingsInvalid(
            f"{name!r} is no time zone.", hint="Write it as Asia/Ho_Chi_Minh, Europe/Berlin or UTC."
        )
    return zone
