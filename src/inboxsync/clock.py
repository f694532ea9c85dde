"""The clock, as a parameter.

Code that waits or needs the time takes a `Clock`, so that tests can set the time and never sleep.
"""

import asyncio
import os
import time
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_LOCAL_FILE = Path("/etc/localtime")


class Clock(Protocol):
    """The time, and waiting."""

    def now(self) -> datetime:
        """The wall clock: aware, UTC."""

    def monotonic(self) -> float:
        """Seconds that never go back; only differences have a meaning."""

    async def sleep(self, seconds: float) -> None:
        """Wait for `seconds` without blocking the event loop."""


class SystemClock:
    """The machine's own time."""

    def now(self) -> datetime:
        """The wall clock: aware, UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds that never go back; only differences have a meaning."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait for `seconds` without blocking the event loop."""
        await asyncio.sleep(seconds)


def named_zone(name: str) -> tzinfo | None:
    """The time zone of this name; None if there is none."""
    if name == "UTC":
        return UTC  # needs no time zone data
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def local_zone() -> tzinfo:
    """The machine's time zone, from TZ or the system's setting; UTC without either."""
    named = os.environ.get("TZ", "").removeprefix(":") or str(_LOCAL_FILE.resolve()).partition("zoneinfo/")[2]
    return named_zone(named) or UTC
