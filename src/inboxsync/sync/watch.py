"""Looks at a run from beside while it goes: what Meta holds back, and whether somebody wants it to end."""

import asyncio
from datetime import timedelta

from inboxsync.clock import Clock
from inboxsync.errors import StoreError
from inboxsync.graph import Access, GraphClient, Waiting
from inboxsync.store import Store
from inboxsync.store.runs import is_cancel_asked
from inboxsync.sync.listener import Listener, in_words
from inboxsync.sync.stop import Stop

_SECONDS = 0.5
# So many looks at the wait for one at the database.
_LOOKS_A_QUESTION = 3
# A shorter wait costs less than laying the run down.
_WORTH_A_REST = timedelta(seconds=5)


class Watch:
    """One run, watched until the task is cancelled.

    `rests`: where Meta holds it back for longer, a worker lays it down, and others have its place meanwhile.
    """

    def __init__(
        self, *, store: Store, source: GraphClient, clock: Clock, stop: Stop, listener: Listener, rests: bool
    ) -> None:
        self._store = store
        self._source = source
        self._clock = clock
        self._stop = stop
        self._listener = listener
        self._rests = rests

    async def keep(self, access: Access, run_id: str) -> None:
        """Tell the listener of waits, end a run that could only wait, and one that somebody cancels."""
        told: Waiting | None = None
        looks = 0
        while True:
            await asyncio.sleep(_SECONDS)
            looks += 1
            if looks % _LOOKS_A_QUESTION == 0 and await asyncio.to_thread(self._is_cancelled, run_id):
                self._stop.cancel()
            waiting = self._source.budget.waiting(access)
            if waiting != told:
                self._listener.on_wait(waiting)
                told = waiting
            if waiting is None:
                continue
            if self._rests and waiting.until - self._clock.now() > _WORTH_A_REST:
                self._stop.pause(in_words(waiting))
            elif self._stop.comes_before(waiting.until):
                self._stop.ask(f"{in_words(waiting)}, which is beyond the time limit")

    def _is_cancelled(self, run_id: str) -> bool:
        try:
            with self._store.read() as connection:
                return is_cancel_asked(connection, run_id)
        except StoreError:  # the next batch meets the same, and says so
            return False
