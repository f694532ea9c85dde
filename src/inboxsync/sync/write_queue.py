"""Has what a walk fetches stored, in order, while the walk goes on.

One write at a time. What comes while the database is still at the one before is stored together with
the next, in one transaction: its beginning, its lease, its state and its commit cost as much for one
answer as for eight. That happens only where the source is faster than the database; Meta is not.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import chain

from inboxsync.model import Batch, Following, Scanning

# So many answers may wait for the one that is being stored, the last of them before it is handed over. A
# kill costs these, what is being stored, and the calls under way.
_MOST_TOGETHER = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """A batch, the walk that asked for it, and where the list stands once it is stored."""

    scanning: Scanning
    batch: Batch
    state: Scanning | Following


class WriteQueue:
    """What is being stored, and what waits for that. `store` is given one batch at a time."""

    def __init__(self, store: Callable[[Fetched], Awaitable[None]]) -> None:
        self._store = store
        self._waiting: list[Fetched] = []
        self._under_way: asyncio.Future[None] | None = None

    @property
    def under_way(self) -> set[asyncio.Future[None]]:
        """What has to end before what waits is stored; empty where nothing waits."""
        return {self._under_way} if self._under_way is not None and self._waiting else set()

    async def add(self, fetched: Fetched) -> None:
        """Have a batch stored; waits where too many do. Raises what kept one before it from that."""
        self._waiting.append(fetched)
        if len(self._waiting) >= _MOST_TOGETHER and self._under_way is not None:
            await asyncio.wait({self._under_way})
        self.go_on()

    def go_on(self) -> None:
        """Begin to store what waits, if nothing is being stored. Raises what kept the last from that."""
        if self._under_way is not None:
            if not self._under_way.done():
                return
            ended, self._under_way = self._under_way, None
            ended.result()
        if self._waiting:
            together, self._waiting = self._waiting, []
            self._under_way = asyncio.ensure_future(self._store(_joined(together)))
            # At once, and not when somebody looks: the database is what takes longest.
            self._under_way.add_done_callback(self._ended)

    def _ended(self, work: asyncio.Future[None]) -> None:
        """Go on, unless it failed: then whoever asks next is told."""
        if work is self._under_way and not work.cancelled() and work.exception() is None:
            self.go_on()

    async def settle(self) -> None:
        """Wait until everything is stored. Raises what kept it from that; the rest is then let go."""
        try:
            while self._under_way is not None:
                await self._under_way
                self.go_on()
        finally:
            self._waiting, self._under_way = [], None


def _joined(fetched: Sequence[Fetched]) -> Fetched:
    """Answers of one walk as if they were one: asked for by the first, leading where the last does."""
    first, last = fetched[0], fetched[-1]
    if first is last:
        return first
    batches = [each.batch for each in fetched]
    batch = Batch(
        conversations=tuple(chain.from_iterable(each.conversations for each in batches)),
        answered_at=first.batch.answered_at,
        after=last.batch.after,
        has_next=last.batch.has_next,
        dropped=tuple(chain.from_iterable(each.dropped for each in batches)),
        unread=tuple(chain.from_iterable(each.unread for each in batches)),
        depth=last.batch.reached_at,
        is_whole=all(each.is_whole for each in batches),
    )
    return Fetched(scanning=first.scanning, batch=batch, state=last.state)
