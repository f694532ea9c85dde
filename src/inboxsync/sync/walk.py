"""Walks one list: fetches what `plan` asks for and has it stored.

The next batch is on its way while the last one is being written, so that the source's
pace, not the disk's, decides the speed.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime

from inboxsync.errors import AnswerTooLarge, CursorRefused, SourceRefused, Stalled
from inboxsync.graph import Access, GraphClient
from inboxsync.model import Batch, Following, Walking
from inboxsync.sync.batch_size import BatchSize
from inboxsync.sync.plan import plan_next
from inboxsync.sync.stop import Stop, Stopped

# On a Page where every sweep takes several answers, so many in one run; then it is said.
_MOST_SWEEPS = 20
_MOST_REENTRIES = 3
# Lists have been seen that always have a next part and never anything new in it (graph-facts 1.8).
_MOST_IDLE_ANSWERS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """A batch, the walk that asked for it, and where the list stands once it is stored."""

    walking: Walking
    batch: Batch
    progress: Walking | Following


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
        self._stall = _StallGuard()
        self._answers = 0
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
        has_lost_its_place = False
        while True:
            try:
                if has_lost_its_place:
                    walking, has_lost_its_place = await self._reenter(walking), False
                batch = await self._fetch_once(walking)
            except AnswerTooLarge:
                if not self._size.shrink():
                    raise
            except CursorRefused:
                self._reentries += 1
                if walking.cursor is None or self._reentries > _MOST_REENTRIES:
                    raise SourceRefused(
                        "The source refuses its own cursors: the list cannot be read on."
                    ) from None
                has_lost_its_place = True
            else:
                self._size.succeeded()
                self._answers += 1
                progress = plan_next(walking, batch)
                if isinstance(progress, Walking):
                    self._stall.note(progress.frontier, is_new_walk=progress.at_top)
                return Fetched(walking=walking, batch=batch, progress=progress)

    async def _fetch_once(self, walking: Walking) -> Batch:
        """One batch. Raises CursorRefused too where the cursor led nowhere without saying so."""
        batch = await self._source.fetch_conversations(
            self._access, after=walking.cursor, limit=self._batch_limit(walking), messages=self._messages
        )
        if batch.has_next and batch.after == walking.cursor:
            raise CursorRefused(
                "The source handed out the cursor it was given: it would answer the same for ever."
            )
        if (
            walking.cursor is not None
            and not self._answers
            and not batch.has_next
            and not batch.conversations
        ):
            # What a source does with a stale cursor is not documented: an end that is empty is no end.
            raise CursorRefused("The source found nothing where the last run stopped.")
        return batch

    async def _reenter(self, walking: Walking) -> Walking:
        """The same walk with a new cursor: light answers from the top down to the frontier.

        The answer that reaches the frontier is fetched again in full, so nothing around it is lost.
        """
        after = None
        stall = _StallGuard()
        while walking.frontier is not None:
            batch = await self._source.fetch_conversation_times(
                self._access, after=after, limit=self._size.current
            )
            has_arrived = batch.reached_at is not None and batch.reached_at <= walking.frontier
            if has_arrived or not batch.has_next:
                break
            stall.note(batch.reached_at, is_new_walk=False)
            after = batch.after
        return replace(walking, cursor=after)

    def _batch_limit(self, walking: Walking) -> int:
        """Never more than the run may still fetch; the closing sweeps are not held to that."""
        if self._max is None or (walking.at_top and self._sweeps):
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


class _StallGuard:
    """Counts answers that bring a walk no further down."""

    def __init__(self) -> None:
        self._lowest: datetime | None = None
        self._idle = 0

    def note(self, reached: datetime | None, *, is_new_walk: bool) -> None:
        """An answer reached down to here. Raises Stalled after too many that went no further."""
        if is_new_walk:
            self._lowest, self._idle = None, 0
        elif reached is not None and (self._lowest is None or reached < self._lowest):
            self._lowest, self._idle = reached, 0
        else:
            self._idle += 1
        if self._idle >= _MOST_IDLE_ANSWERS:
            where = f"{self._lowest:%Y-%m-%d %H:%M:%S} UTC" if self._lowest else "the top"
            raise Stalled(f"{_MOST_IDLE_ANSWERS} answers in a row brought the walk no further than {where}.")
