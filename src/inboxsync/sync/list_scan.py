"""Walks one list: fetches what `plan` asks for and has it stored.

The next batch is on its way while the last one is being written (`storing`), so that the source's
pace, not the disk's, decides the speed. Where one answer takes longer than the pace
allows and the source can be asked for a stretch of time, the list is cut into spans
that are read side by side, each in a lane of its own. Where it cannot, light calls scout ahead
for cursors, and the blocks between them are read side by side.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from inboxsync.errors import AnswerFailed, AnswerTooLarge, CursorRefused, SourceRefused
from inboxsync.model import Batch, Following, Span, Walking
from inboxsync.sync.context import Reading
from inboxsync.sync.fetch import Fetcher, WindowsIgnored
from inboxsync.sync.limits import Quota
from inboxsync.sync.plan import one_chain, plan_cut, plan_next, plan_span
from inboxsync.sync.prefetch import SCOUTED, Block, ScoutLost
from inboxsync.sync.segments import Lane, age_of, seconds_of, window_of
from inboxsync.sync.stop import EnoughFetched, Stopped
from inboxsync.sync.write_queue import Fetched, Storing

if TYPE_CHECKING:
    from datetime import datetime

# On a Page where every sweep takes several answers, so many in one run; then it is said.
_MOST_SWEEPS = 20
_MOST_REENTRIES = 3


class TooBusy(Stopped):
    """More has moved in every sweep than one answer holds: the list cannot be caught up with now."""


@dataclass(slots=True)
class TimeWindows:
    """Whether this Page's lists can be asked for a stretch of time; None: not tried yet."""

    are_honoured: bool | None


class ListWalk:
    """One list on its way from `Walking` to `Following`.

    `store` is given every batch, one at a time, each with the progress that follows from it (see
    `Storing`), and before that `prepare`, which may run beside the storing of another.
    `may_scout` is for answers that are heavy: a light list gains nothing from lighter calls.
    """

    def __init__(
        self,
        *,
        context: Reading,
        fetcher: Fetcher,
        windows: TimeWindows,
        quota: Quota,
        store: Callable[[Fetched], Awaitable[None]],
        prepare: Callable[[Batch], Awaitable[Batch]] | None = None,
        may_scout: bool = True,
    ) -> None:
        self._context = context
        self._fetcher = fetcher
        self._windows = windows
        self._quota = quota
        self._storing = Storing(store)
        self._prepare = prepare
        self._may_scout = may_scout
        # Where heavy answers ended, and the cursors that lead on from there.
        self._block_ends: dict[object, str | None] = {}
        self._is_closing = False  # the closing sweeps are not held to the quota
        self._walking: Walking
        self._progress: Walking | Following
        self._waiting: deque[Lane] = deque()
        self._busy: dict[asyncio.Task[Batch], Lane] = {}
        self._top: datetime | None = None  # the newest that came

    async def advance(self, walking: Walking) -> Following:
        """Go on until everything is stored. Raises Stopped, or what the source or the store raises.

        Raises TooBusy where the list moves faster than it is read.
        """
        for _ in range(1 + _MOST_SWEEPS):
            progress = await self._read(walking)
            if isinstance(progress, Following):
                return progress
            walking, self._is_closing = progress, True
        raise TooBusy(f"the Page is too busy: after {_MOST_SWEEPS} sweeps of its head, more had moved")

    async def _read(self, walking: Walking) -> Walking | Following:
        """Read every span of one walk; returns what comes after it."""
        if len(walking.spans) > 1 and not self._windows.are_honoured:
            # Where windows were never honoured, the spans are a scout's, and their cursors the list's own.
            walking = one_chain(walking, keeps_cursor=self._windows.are_honoured is False)
        self._walking = self._progress = walking
        by_time = len(walking.spans) > 1
        self._waiting = deque(
            Lane(span=span, by_time=by_time, is_resumed=not span.at_top) for span in walking.spans
        )
        try:
            self._open_lanes()
            while self._busy:
                await self._context.stop.unless_asked(
                    asyncio.wait(
                        self._storing.under_way.union(self._busy), return_when=asyncio.FIRST_COMPLETED
                    )
                )
                self._storing.go_on()
                for task in [task for task in self._busy if task.done()]:
                    # Taking one may have dropped the others.
                    if (lane := self._busy.pop(task, None)) is not None:
                        await self._take(lane, task)
            if self._waiting:
                raise EnoughFetched(f"the limit of {self._quota.most} conversations is reached")
            await self._storing.settle()
            return self._progress
        finally:
            await self._drop_lanes()
            await self._storing.settle()  # what has come is stored, whatever ends the walk

    async def _take(self, lane: Lane, task: asyncio.Task[Batch]) -> None:
        """Plan on from an answer, send the next call out, then have the answer stored.

        It is decoded while those before it are still being written.
        """
        try:
            batch = task.result()
            rest = lane.block.rest(lane.span, batch) if lane.block else plan_span(lane.span, batch)
        except WindowsIgnored:
            await self._forget_windows(lane)
            return
        except ScoutLost:
            await self._forget_scouting(lane)
            return
        if lane.is_scout:
            self._take_scouted(lane, batch, rest)
            return
        if lane.block is not None and rest is None:
            self._block_ends[lane.block.end] = batch.after
        if lane.is_probe:
            lane.is_probe, self._windows.are_honoured = False, True
        self._give_back(lane, used=len(batch.conversations))
        if lane.is_peek and rest is not None:
            raise EnoughFetched(f"the limit of {self._quota.most} conversations is reached")
        batch = lane.note(batch)
        self._top = max(filter(None, (self._top, batch.newest_at)), default=None)
        if rest is None or rest.frontier != lane.span.frontier:
            self._context.stall.moved(batch.reached_at)
        if rest is not None:
            lane.go_on(rest, served=len(batch.conversations))
            self._waiting.appendleft(lane)
        spans = sorted((each.span for each in (*self._busy.values(), *self._waiting)), key=age_of)
        fetched = Fetched(walking=self._walking, batch=batch, progress=plan_next(self._walking, spans, batch))
        if spans and isinstance(fetched.progress, Walking):
            self._walking = fetched.progress
        self._open_lanes()
        await self._hand_over(fetched)

    async def _hand_over(self, fetched: Fetched) -> None:
        """Have a batch stored, after those before it."""
        if self._prepare is not None:
            fetched = replace(fetched, batch=await self._prepare(fetched.batch))
        self._progress = fetched.progress
        await self._storing.add(fetched)

    def _take_scouted(self, lane: Lane, batch: Batch, rest: Span | None) -> None:
        """A block has been found: it is read next, while the scout goes on."""
        if batch.conversations:
            self._context.stall.moved(batch.reached_at)
        if batch.conversations or rest is None:  # an end is believed where a heavy answer finds it too
            self._waiting.append(Lane(span=lane.span, block=Block.of(batch)))
        if rest is not None:
            lane.span = rest
            self._waiting.append(lane)
        self._open_lanes()

    def _open_lanes(self) -> None:
        """Send out as many calls as the pace has room for."""
        if not self._waiting and not self._busy:
            return
        wanted = self._context.lanes_wanted()
        while len(self._busy) < max(1, wanted):
            lane = self._waiting.popleft() if self._waiting else self._cut_lane(wanted)
            if lane is None:
                return
            if not self._launch(lane, may_probe=wanted > 1):
                self._waiting.appendleft(lane)
                return

    def _launch(self, lane: Lane, *, may_probe: bool) -> bool:
        """Send a lane's next call out; False where the quota does not allow one now."""
        most = self._most(lane)
        if most is None:
            return False
        if may_probe and self._windows.are_honoured is None and lane.span.frontier and not self._busy:
            lane.by_time = lane.is_probe = True
        was_scout, lane.is_scout = lane.is_scout, may_probe and self._is_for_a_scout(lane)
        if lane.is_scout:
            most = 0
            if not was_scout:
                self._block_ends[lane.span.frontier] = lane.span.cursor
        lane.is_peek = self._quota.left == 0 and not self._is_closing
        lane.asked = 0 if self._is_closing else most
        self._quota.take(lane.asked)
        self._busy[asyncio.create_task(self._fetch(lane, most))] = lane
        return True

    def _is_for_a_scout(self, lane: Lane) -> bool:
        """Whether light calls go ahead in this lane: the chain of a source that honours no windows."""
        if lane.is_resumed:
            return False  # a cursor from an earlier run may be stale: the end that it finds is doubted
        is_chain = lane.block is None and lane.span.cursor is not None and lane.span.frontier is not None
        return is_chain and self._may_scout and self._windows.are_honoured is False and self._quota.left != 0

    def _most(self, lane: Lane) -> int | None:
        size = self._fetcher.size.current
        if lane.block is not None and lane.block.left > 0:
            size = min(size, lane.block.left)
        left = self._quota.left
        if left is None or self._is_closing:
            return size
        if left == 0 and lane.span.at_top:
            return 1  # an empty folder must not keep a run from being complete
        return min(size, left) or None

    def _cut_lane(self, wanted: int) -> Lane | None:
        """A new lane: the older half of the span that has most left; None where none is worth a cut."""
        if wanted < 2 or not self._windows.are_honoured:  # noqa: PLR2004 - one lane needs no cut
            return None
        size, top = self._fetcher.size.current, self._top
        cuts = [
            (lane, cut)
            for lane in self._busy.values()
            if (rate := lane.per_second) is not None
            and (cut := plan_cut(lane.span, per_second=rate, batch_size=size, top=top)) is not None
        ]
        if not cuts:
            return None
        lane, (newer, older) = max(cuts, key=lambda each: seconds_of(each[1][0]) * (each[0].per_second or 0))
        lane.span, lane.by_time, lane.is_cut = newer, True, True
        return Lane(span=older, by_time=True)

    async def _fetch(self, lane: Lane, most: int) -> Batch:
        """A lane's next batch; finds its place anew where its cursor has died."""
        span = replace(lane.span, cursor=None) if lane.is_probe else lane.span
        for _ in range(1 + _MOST_REENTRIES):
            try:
                span = await self._enter(lane, span)
                if lane.is_scout:
                    return await self._fetcher.look(span, most=SCOUTED)
                batch = await self._fetcher.fetch(span, window=lane.window, most=most)
                self._doubt_end(lane, span, batch)
            except (CursorRefused, AnswerFailed, AnswerTooLarge) as failure:
                if lane.is_scout or lane.block is not None:
                    raise ScoutLost from None
                if not isinstance(failure, CursorRefused):
                    raise
                lane.by_time, lane.window = bool(self._windows.are_honoured and span.frontier), None
                lane.is_resumed = False
                span = replace(span, cursor=None)
            except SourceRefused:
                if lane.window is not None:
                    raise WindowsIgnored from None
                raise
            else:
                return batch
        raise SourceRefused("The source refuses its own cursors: the list cannot be read on.")

    async def _enter(self, lane: Lane, span: Span) -> Span:
        """The span with a place to go on from: its cursor, its time, or what light answers find."""
        if span.cursor is not None or span.frontier is None:
            return span
        if lane.by_time:
            lane.window = window_of(span)
            return span
        lane.window = None
        return await self._fetcher.reenter(span)

    def _doubt_end(self, lane: Lane, span: Span, batch: Batch) -> None:
        """An end that is empty, where something must be: no end.

        What a source does with a stale cursor is not documented, nor what with a bound it half knows.
        """
        if batch.has_next or batch.conversations:
            return
        if lane.is_probe:
            raise WindowsIgnored
        if lane.is_resumed and span.cursor is not None:
            raise CursorRefused("The source found nothing where the last run stopped.")

    def _give_back(self, lane: Lane, *, used: int = 0) -> None:
        if not self._is_closing:
            self._quota.give_back(lane.asked - used)

    async def _forget_windows(self, lane: Lane) -> None:
        """Go on without time windows: in one chain, from the newest gap."""
        self._windows.are_honoured = False
        if lane.is_probe:
            lane.is_probe, lane.by_time, lane.window = False, False, None
            self._waiting.appendleft(lane)
        else:
            await self._drop_lanes()
            self._walking = one_chain(self._walking)
            self._waiting = deque([Lane(span=self._walking.spans[0])])
        self._give_back(lane)
        self._open_lanes()

    async def _forget_scouting(self, lane: Lane) -> None:
        """Go on without a scout: in one chain, from the newest gap, by a cursor of a heavy answer's own."""
        self._may_scout = False
        self._give_back(lane)
        lanes = sorted((lane, *self._busy.values(), *self._waiting), key=lambda each: age_of(each.span))
        await self._drop_lanes()
        newest = lanes[0]
        is_own = newest.block is not None and not newest.block.is_untouched
        cursor = newest.span.cursor if is_own else self._block_ends.get(newest.span.frontier)
        chain = replace(one_chain(self._walking).spans[0], frontier=newest.span.frontier, cursor=cursor)
        self._walking = replace(self._walking, spans=(chain,))
        self._waiting = deque([Lane(span=chain)])
        self._open_lanes()

    async def _drop_lanes(self) -> None:
        for task, lane in self._busy.items():
            task.cancel()
            self._give_back(lane)
        await asyncio.gather(*self._busy, return_exceptions=True)
        self._busy.clear()
