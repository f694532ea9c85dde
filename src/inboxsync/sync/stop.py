"""When a run must end early, and that it does so without losing anything."""

import asyncio
from collections.abc import Awaitable
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self, TypeVar

from inboxsync.clock import Clock

T = TypeVar("T")


class Stopped(Exception):
    """The run ends here; `reason` completes "stopped: ..."."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class EnoughFetched(Stopped):
    """The run, or this slice of it, has fetched as many conversations as it may."""


class Stop:
    """Asks a run to end: by a signal, or when its time is up.

    Time counts from entering the context, waits included. Nothing is interrupted while a
    batch is being stored; an answer that has not been stored is given up, which costs one call.
    `is_cancelled` says that somebody wants the run to end, `is_pause` that it is only laid down: where a
    worker executes it, it goes on by itself.
    """

    def __init__(self, *, clock: Clock, max_duration_seconds: float | None = None) -> None:
        self._clock = clock
        self._seconds = max_duration_seconds
        self._asked = asyncio.Event()
        self._timer: asyncio.Task[None] | None = None
        self._ends_at: datetime | None = None
        self.reason: str | None = None
        self.is_cancelled = False
        self.is_pause = False
        self.is_time_up = False

    async def __aenter__(self) -> Self:
        if self._seconds is not None:
            self._ends_at = self._clock.now() + timedelta(seconds=self._seconds)
            self._timer = asyncio.create_task(self._expire(self._seconds))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def ask(self, reason: str) -> None:
        """End at the next batch boundary. The first reason stands."""
        self.reason = self.reason or reason
        self._asked.set()

    def pause(self, reason: str) -> None:
        """Lay the run down at the next batch boundary."""
        if self.reason is None:
            self.is_pause = True
        self.ask(reason)

    def cancel(self) -> None:
        """Somebody wants the run to end, whatever else it stops for."""
        self.is_cancelled, self.reason = True, "it was cancelled"
        self._asked.set()

    def comes_before(self, at: datetime) -> bool:
        """Whether the run's time is up before then."""
        return self._ends_at is not None and self._ends_at < at

    async def unless_asked(self, work: Awaitable[T]) -> T:
        """The result of `work`; raises Stopped, and cancels it, where the stop comes first."""
        task = asyncio.ensure_future(work)
        asked = asyncio.ensure_future(self._asked.wait())
        try:
            await asyncio.wait({task, asked}, return_when=asyncio.FIRST_COMPLETED)
            # Asked comes first: on a fast source the next answer is always there already.
            if self._asked.is_set():
                raise Stopped(self.reason or "it was asked to")
            return task.result()
        finally:
            asked.cancel()
            task.cancel()

    async def _expire(self, seconds: float) -> None:
        await self._clock.sleep(seconds)
        self.is_time_up = True
        self.pause(f"the time limit of {seconds:g} s is reached")
