"""The clock, as a parameter.

Code that waits or needs the time takes a `Clock`, so that tests can set the time and never sleep.
"""

import asyncio
import time
from datetime import UTC, datetime, tzinfo
from typing import Protocol


class Clock(Protocol):
    """The time, and waiting. `zone` is the zone in which times are told to people."""

    zone: tzinfo

    def now(self) -> datetime:
        """The wall clock: aware, UTC."""

    def monotonic(self) -> float:
        """Seconds that never go back; only differences have a meaning."""

    async def sleep(self, seconds: float) -> None:
        """Wait for `seconds` without blocking the event loop."""


class SystemClock:
    """The machine's own time."""

    def __init__(self, zone: tzinfo = UTC) -> None:
        self.zone = zone

    def now(self) -> datetime:
        """The wall clock: aware, UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds that never go back; only differences have a meaning."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait for `seconds` without blocking the event loop."""
        await asyncio.sleep(seconds)
