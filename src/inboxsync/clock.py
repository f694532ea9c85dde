"""Time, as something that can be handed in.

Whatever waits or stamps takes a `Clock`, so that a test decides what time it is
and no test ever sleeps.
"""

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol


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
