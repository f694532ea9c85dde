"""Looks at a run from beside while it goes: what Meta holds back, and whether somebody wants it to end."""

import asyncio
from datetime import timedelta

from inboxsync.clock import Clock
from inboxsync.errors import StoreError
from inboxsync.graph import Access, GraphClient, Waiting
from inboxsync.model import Run
from inboxsync.store import Store
from inboxsync.store.state.leases import get_lease
from inboxsync.store.state.runs import is_cancel_asked
from inboxsync.sync.events import Listener, WaitEnded, WaitStarted, describe_waiting
from inboxsync.sync.stop import Stop

_SECONDS = 0.5
# So many looks at the wait for one at the database.
_LOOKS_A_QUESTION = 3
# A shorter wait costs less than laying the run down.
_WORTH_SUSPENDING = timedelta(seconds=5)


class RunMonitor:
    """One run, watched until the task is cancelled.

    `rests_of`: who has the Page's lease, where a worker executes the run. It is then laid down where Meta
    holds it back for longer, so that others have its place meanwhile; and where the lease is no longer that
    owner's, as the worker was frozen or the Page removed: nothing it still asked for could be stored.
    """

    def __init__(
        self,
        *,
        store: Store,
        source: GraphClient,
        clock: Clock,
        stop: Stop,
        listener: Listener,
        suspends_for: str | None,
    ) -> None:
        self._store = store
        self._source = source
        self._clock = clock
        self._stop = stop
        self._listener = listener
        self._suspends_for = suspends_for

    async def keep(self, access: Access, run: Run) -> None:
        """Tell the listener of waits, end a run that could only wait, and one that somebody cancels."""
        told: Waiting | None = None
        looks = 0
        while True:
            await asyncio.sleep(_SECONDS)
            looks += 1
            if looks % _LOOKS_A_QUESTION == 0:
                await check_requests(self._store, run, stop=self._stop, owner=self._suspends_for)
            waiting = self._source.rate_limiter.waiting(access)
            if waiting != told:
                self._listener(WaitEnded() if waiting is None else WaitStarted(waiting=waiting))
                told = waiting
            if waiting is None:
                continue
            if self._suspends_for is not None and waiting.until - self._clock.now() > _WORTH_SUSPENDING:
                self._stop.pause(describe_waiting(waiting))
            elif self._stop.comes_before(waiting.until):
                self._stop.ask(f"{describe_waiting(waiting)}, which is beyond the time limit")


async def check_requests(store: Store, run: Run, *, stop: Stop, owner: str | None) -> None:
    """End a run that somebody has cancelled; lay one down whose Page its owner no longer has."""
    is_cancelled, is_lost = await asyncio.to_thread(_look, store, run, owner)
    if is_cancelled:
        stop.cancel()
    if is_lost:
        stop.pause("its Page is no longer this worker's")


def _look(store: Store, run: Run, owner: str | None) -> tuple[bool, bool]:
    try:
        with store.read() as connection:
            holder = get_lease(connection, run.page_id) if owner is not None else None
            is_lost = owner is not None and (holder is None or holder.owner != owner)
            return is_cancel_asked(connection, run.id), is_lost
    except StoreError:  # the next batch meets the same, and says so
        return False, False
