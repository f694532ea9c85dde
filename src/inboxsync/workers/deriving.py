"""Derives what follows from the messages, beside the slices: one pass at a time, however many end at once."""

import asyncio

import structlog

from inboxsync.engine import Engine
from inboxsync.errors import InboxsyncError

log = structlog.get_logger(__name__)

# A worker that is asked to stop ends after so long at the latest, however much is left.
_PART_SECONDS = 1.0


class Deriving:
    """Brings the search and the contacts up to date whenever it is asked to.

    Of all workers one derives at a time. Were it a part of each slice, the others would wait with a slot and
    a thread each, and the batches of other Pages behind them.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._is_asked = False
        self._is_closing = False
        self._task: asyncio.Task[None] | None = None

    def ask(self) -> None:
        """Derive what has come; at once, or after the pass under way."""
        self._is_asked = True
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._derive())

    async def close(self, seconds: float) -> None:
        """End once everything is derived, or after about so long: the next pass makes up for the rest."""
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=max(0.0, seconds))
            self._is_closing = True
            await self._task

    async def _derive(self) -> None:
        while self._is_asked and not self._is_closing:
            self._is_asked = False
            try:
                derived = await asyncio.to_thread(self._engine.derive, max_seconds=_PART_SECONDS)
            except Exception as failure:  # noqa: BLE001 - the runs stand, and the next pass makes up for it
                known = isinstance(failure, InboxsyncError)
                log.warning("not derived", why=str(failure) if known else type(failure).__name__)
            else:
                self._is_asked = self._is_asked or not derived.is_current
