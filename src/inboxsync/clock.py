"""Time, as something that can be handed in.

Whatever waits or stamps takes a `Clock`, so that a test decides what time it is
and no test ever sleeps.
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
    """The three things we ask of time."""

    def now(self) -> datetime:
        """The wall clock: aware, UTC."""

    def monotonic(self) -> float:
        """Seconds that never run backwards; only differences mean anything."""

    async def sleep(self, seconds: float) -> None:
        """Give the loop away for `seconds`."""


class SystemClock:
    """The machine's own time."""

    def now(self) -> datetime:
        """The wall clock: aware, UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds that never run backwards; only differences mean anything."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Give the loop away for `seconds`."""
        await asyncio.sleep(seconds)


def named_zone(name: str) -> tzinfo | None:
    """The time zone of this name; None where there is none."""
    if name == "UTC":
        return UTC  # which needs no data
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def local_zone() -> tzinfo:
    """The machine's own, as TZ or the system's setting names it; UTC where neither does."""
    named = os.environ.get("TZ", "").removeprefix(":") or str(_LOCAL_FILE.resolve()).partition("zoneinfo/")[2]
    return named_zone(named) or UTC
