"""Walks one list: fetches what `plan` asks for and has it stored.

The next batch is on its way while the last one is being written, so that the source's
pace, not the disk's, decides the speed.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from inboxsync.errors import AnswerTooLarge, CursorRefused, SourceRefused
from inboxsync.graph import Access, GraphClient
from inboxsync.model import Batch, Following, Walking
from inboxsync.sync.plan import plan_next
from inboxsync.sync.stop import Stop, Stopped

LARGEST_BATCH = 100
# On a Page where every sweep takes several answers, so many in one run; then it is said.
_MOST_SWEEPS = 10
_MOST_REENTRIES = 3
_GROW_AFTER = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """A batch, the walk that asked for it, and where the list stands once it is stored."""

    walking: Walking
    batch: Batch
    progress: Walking | Following


class BatchSize:
    """How many conversations to ask for: halves where that was too much, grows back slowly."""

    def __init__(self, largest: int = LARGEST_BATCH) -> None:
        self._largest = largest
        self._good = 0
        self.current = largest

    def shrink(self) -> bool:
        """Ask for half as many; False where that is no longer possible."""
        self._good = 0
        if self.current == 1:
            return False
        self.current //= 2
        return True

    def succeeded(self) -> None:
        """An answer came; after several in a row, ask for a little more."""
        self._good += 1
        if self._good >= _GROW_AFTER and self.current < self._largest:
            self._good = 0
            self.current = min(self._largest, self.current + max(1, self.current // 2))


class ListWalk:
    """One list on its way from `Walking` to `Following`.

    `store` is given every batch, in order.
    """

    def __init__(
        self,
        *,
        source: GraphClient,
        access: Access,
        messages: int,
        max_conversations: int | None,
        stop: Stop,
        store: Callable[[Fetched], Awaitable[None]],
    ) -> None:
        self._source = source
        self._access = access
        self._messages = messages
        self._max = max_conversations
        self._stop = stop
        self._store = store
        self._size = BatchSize()
        self._fetched = 0
        self._sweeps = 0
        self._reentries = 0

    async def advance(self, walking: Walking) -> Following:
        """Go on until everything is stored. Raises Stopped, or what the source or the store raises."""
        fetching = asyncio.create_task(self._fetch(walking))
        try:
            while True:
                fetched = await self._stop.unless_asked(fetching)
                limit = self._limit_reached(fetched)
                if isinstance(fetched.progress, Walking) and limit is None:
                    fetching = asyncio.create_task(self._fetch(fetched.progress))
                await self._store(fetched)
                if isinstance(fetched.progress, Following):
                    return fetched.progress
                if limit is not None:
                    raise Stopped(limit)
        finally:
            fetching.cancel()
            await asyncio.gather(fetching, return_exceptions=True)

    async def _fetch(self, walking: Walking) -> Fetched:
        """The next batch of this walk, whatever it takes to get it."""
        while True:
            try:
                batch = await self._fetch_once(walking)
            except AnswerTooLarge:
                if not self._size.shrink():
                    raise
                continue
            except CursorRefused:
                walking = await self._reenter(walking)
                continue
            self._size.succeeded()
            return Fetched(walking=walking, batch=batch, progress=plan_next(walking, batch))

    async def _fetch_once(self, walking: Walking) -> Batch:
        batch = await self._source.fetch_conversations(
            self._access, after=walking.cursor, limit=self._batch_limit(walking), messages=self._messages
        )
        if batch.has_next and batch.after == walking.cursor:
            raise CursorRefused(
                "The source handed out the cursor it was given: it would answer the same for ever."
            )
        return batch

    async def _reenter(self, walking: Walking) -> Walking:
        """The same walk with a new cursor: light answers from the top down to the frontier.

        The answer that reaches the frontier is fetched again in full, so nothing around it is lost.
        """
        self._reentries += 1
        if walking.cursor is None or self._reentries > _MOST_REENTRIES:
            raise SourceRefused(
                "The source refuses its own cursors: the list cannot be read past this point."
            )
        after = None
        while walking.frontier is not None:
            batch = await self._source.fetch_conversation_times(
                self._access, after=after, limit=self._size.current
            )
            has_arrived = batch.oldest_at is not None and batch.oldest_at <= walking.frontier
            if has_arrived or not batch.has_next:
                break
            after = batch.after
        return replace(walking, cursor=after)

    def _batch_limit(self, walking: Walking) -> int:
        if self._max is None or walking.at_top:
            return self._size.current
        return max(1, min(self._size.current, self._max - self._fetched))

    def _limit_reached(self, fetched: Fetched) -> str | None:
        """Why the run must end after this batch; None where it may go on.

        A walk that has just arrived is not cut off from its closing sweep for being at the limit.
        """
        self._fetched += len(fetched.batch.conversations)
        following = fetched.progress
        if not isinstance(following, Walking):
            return None
        if not following.at_top:
            is_full = self._max is not None and self._fetched >= self._max
            return f"the limit of {self._max} conversations is reached" if is_full else None
        self._sweeps += 1
        if self._sweeps > _MOST_SWEEPS:
            return f"the Page is too busy: after {_MOST_SWEEPS} sweeps of its head, more had moved"
        return None
