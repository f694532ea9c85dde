"""Derives what follows from the messages, beside the tasks: one pass at a time, whatever ends at once."""

import asyncio

import structlog

from inboxsync.engine import Engine
from inboxsync.errors import InboxsyncError

log = structlog.get_logger(__name__)

# A worker that is asked to stop waits no longer than this, however much is left.
_PART_SECONDS = 1.0


class Deriving:
    """Brings the search and the contacts up to date whenever it is asked to.

    One of all workers derives at a time. If deriving were a part of each task, the other workers would wait,
    each with a slot and a thread, and the batches of other Pages behind them.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._is_asked = False
        self._is_closing = False
        self._unsettled = 0
        self._task: asyncio.Task[None] | None = None

    def ask(self) -> None:
        """Derive from what has come, at once or after the pass that is running."""
        self._is_asked = True
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._derive())

    async def close(self, seconds: float) -> None:
        """End when everything is derived, or after about so long: the next pass does the rest."""
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=max(0.0, seconds))
            self._is_closing = True
            await self._task

    async def _derive(self) -> None:
        while self._is_asked and not self._is_closing:
            self._is_asked = False
            try:
                derived = await asyncio.to_thread(
                    self._engine.derive, max_seconds=_PART_SECONDS, unsettled=self._unsettled
                )
            except Exception as failure:  # noqa: BLE001 - the runs are stored, and the next pass tries again
                known = isinstance(failure, InboxsyncError)
                log.warning("not derived", why=str(failure) if known else type(failure).__name__)
            else:
                self._unsettled = derived.unsettled
                self._is_asked = self._is_asked or not derived.is_current
