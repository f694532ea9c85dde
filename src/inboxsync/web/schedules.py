"""When each Page is synced by itself, as the forms offer and tell it."""

from typing import Final

from inboxsync.model import Schedule
from inboxsync.web.wording import duration
from inboxsync.workers import EVERY_SECONDS

EVERY: Final = {
    "60": "every minute",
    "300": "every 5 minutes",
    "900": "every 15 minutes",
    "3600": "every hour",
    "21600": "every 6 hours",
    "86400": "every day",
}


def every_of(schedule: Schedule) -> tuple[str, str]:
    """How often, as the form has it and in words."""
    every = str(schedule.every_seconds or EVERY_SECONDS)
    return every, EVERY.get(every) or f"every {duration(int(every))}"
