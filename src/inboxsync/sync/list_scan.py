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
from inboxsync.model import Batch, Following, Scanning, Segment
from inboxsync.sync.context import Reading
from inboxsync.sync.fetch import Fetcher, WindowsIgnored
from inboxsync.sync.limits import ConversationLimit
from inboxsync.sync.plan import one_chain, plan_cut, plan_next, plan_segment
from inboxsync.sync.prefetch import PREFETCHED, Chunk, PrefetchLost
from inboxsync.sync.segments import SegmentReader, age_of, seconds_of, window_of
from inboxsync.sync.stop import EnoughFetched, Stopped
from inboxsync.sync.write_queue import Fetched, WriteQueue

if TYPE_CHECKING:
    from datetime import datetime

# On a Page where every sweep takes several answers, so many in one run; then it is said.
_MOST_CATCH_UPS = 20
_MOST_REENTRIES = 3


class TooBusy(Stopped):
    """More has moved in every sweep than one answer holds: the list cannot be caught up with now."""


@dataclass(slots=True)
class TimeWindows:
    """Whether this Page's lists can be asked for a stretch of time; None: not tried yet."""

    are_honoured: bool | None


class ListScan:
    """One list on its way from `Walking` to `Following`.

    `store` is given every batch, one at a time, each with the state that follows from it (see
    `Storing`), and before that `prepare`, which may run beside the storing of another.
    `may_scout` is for answers that are heavy: a light list gains nothing from lighter calls.
    """

    def __init__(
        self,
        *,
        context: Reading,
        fetcher: Fetcher,
        windows: TimeWindows,
        conversation_limit: ConversationLimit,
        store: Callable[[Fetched], Awaitable[None]],
        prepare: Callable[[Batch], Awaitable[Batch]] | None = None,
        may_prefetch: bool = True,
    ) -> None:
        self._context = context
        self._fetcher = fetcher
        self._windows = windows
        self._conversation_limit = conversation_limit
        self._write_queue = WriteQueue(store)
        self._prepare = prepare
        self._may_prefetch = may_prefetch
        # Where heavy answers ended, and the cursors that lead on from there.
        self._chunk_ends: dict[object, str | None] = {}
        self._is_closing = False  # the closing sweeps are not held to the quota
        self._scanning: Scanning
        self._state: Scanning | Following
        self._waiting: deque[SegmentReader] = deque()
        self._busy: dict[asyncio.Task[Batch], SegmentReader] = {}
        self._top: datetime | None = None  # the newest that came

    async def advance(self, scanning: Scanning) -> Following:
        """Go on until everything is stored. Raises Stopped, or what the source or the store raises.

        Raises TooBusy where the list moves faster than it is read.
        """
        for _ in range(1 + _MOST_CATCH_UPS):
            state = await self._read(scanning)
            if isinstance(state, Following):
                return state
            scanning, self._is_closing = state, True
        raise TooBusy(f"the Page is too busy: after {_MOST_CATCH_UPS} sweeps of its head, more had moved")

    async def _read(self, scanning: Scanning) -> Scanning | Following:
        """Read every span of one walk; returns what comes after it."""
        if len(scanning.segments) > 1 and not self._windows.are_honoured:
            # Where windows were never honoured, the spans are a scout's, and their cursors the list's own.
            scanning = one_chain(scanning, keeps_cursor=self._windows.are_honoured is False)
        self._scanning = self._state = scanning
        by_time = len(scanning.segments) > 1
        self._waiting = deque(
            SegmentReader(segment=segment, by_time=by_time, is_resumed=not segment.at_top)
            for segment in scanning.segments
        )
        try:
            self._open_readers()
            while self._busy:
                await self._context.stop.unless_asked(
                    asyncio.wait(
                        self._write_queue.under_way.union(self._busy), return_when=asyncio.FIRST_COMPLETED
                    )
                )
                self._write_queue.go_on()
                for task in [task for task in self._busy if task.done()]:
                    # Taking one may have dropped the others.
                    if (reader := self._busy.pop(task, None)) is not None:
                        await self._take(reader, task)
            if self._waiting:
                raise EnoughFetched(f"the limit of {self._conversation_limit.most} conversations is reached")
            await self._write_queue.settle()
            return self._state
        finally:
            await self._drop_readers()
            await self._write_queue.settle()  # what has come is stored, whatever ends the walk

    async def _take(self, reader: SegmentReader, task: asyncio.Task[Batch]) -> None:
        """Plan on from an answer, send the next call out, then have the answer stored.

        It is decoded while those before it are still being written.
        """
        try:
            batch = task.result()
            rest = (
                reader.chunk.rest(reader.segment, batch)
                if reader.chunk
                else plan_segment(reader.segment, batch)
            )
        except WindowsIgnored:
            await self._forget_windows(reader)
            return
        except PrefetchLost:
            await self._forget_prefetching(reader)
            return
        if reader.is_prefetch:
            self._take_prefetched(reader, batch, rest)
            return
        if reader.chunk is not None and rest is None:
            self._chunk_ends[reader.chunk.end] = batch.after
        if reader.is_probe:
            reader.is_probe, self._windows.are_honoured = False, True
        self._give_back(reader, used=len(batch.conversations))
        if reader.is_peek and rest is not None:
            raise EnoughFetched(f"the limit of {self._conversation_limit.most} conversations is reached")
        batch = reader.note(batch)
        self._top = max(filter(None, (self._top, batch.newest_at)), default=None)
        if rest is None or rest.position != reader.segment.position:
            self._context.stall.moved(batch.reached_at)
        if rest is not None:
            reader.go_on(rest, served=len(batch.conversations))
            self._waiting.appendleft(reader)
        segments = sorted((each.segment for each in (*self._busy.values(), *self._waiting)), key=age_of)
        fetched = Fetched(
            scanning=self._scanning, batch=batch, state=plan_next(self._scanning, segments, batch)
        )
        if segments and isinstance(fetched.state, Scanning):
            self._scanning = fetched.state
        self._open_readers()
        await self._store_next(fetched)

    async def _store_next(self, fetched: Fetched) -> None:
        """Have a batch stored, after those before it."""
        if self._prepare is not None:
            fetched = replace(fetched, batch=await self._prepare(fetched.batch))
        self._state = fetched.state
        await self._write_queue.add(fetched)

    def _take_prefetched(self, reader: SegmentReader, batch: Batch, rest: Segment | None) -> None:
        """A block has been found: it is read next, while the scout goes on."""
        if batch.conversations:
            self._context.stall.moved(batch.reached_at)
        if batch.conversations or rest is None:  # an end is believed where a heavy answer finds it too
            self._waiting.append(SegmentReader(segment=reader.segment, chunk=Chunk.of(batch)))
        if rest is not None:
            reader.segment = rest
            self._waiting.append(reader)
        self._open_readers()

    def _open_readers(self) -> None:
        """Send out as many calls as the pace has room for."""
        if not self._waiting and not self._busy:
            return
        wanted = self._context.readers_wanted()
        while len(self._busy) < max(1, wanted):
            reader = self._waiting.popleft() if self._waiting else self._cut_reader(wanted)
            if reader is None:
                return
            if not self._launch(reader, may_probe=wanted > 1):
                self._waiting.appendleft(reader)
                return

    def _launch(self, reader: SegmentReader, *, may_probe: bool) -> bool:
        """Send a lane's next call out; False where the quota does not allow one now."""
        most = self._most(reader)
        if most is None:
            return False
        if may_probe and self._windows.are_honoured is None and reader.segment.position and not self._busy:
            reader.by_time = reader.is_probe = True
        was_prefetch, reader.is_prefetch = reader.is_prefetch, may_probe and self._is_for_a_prefetch(reader)
        if reader.is_prefetch:
            most = 0
            if not was_prefetch:
                self._chunk_ends[reader.segment.position] = reader.segment.cursor
        reader.is_peek = self._conversation_limit.left == 0 and not self._is_closing
        reader.asked = 0 if self._is_closing else most
        self._conversation_limit.take(reader.asked)
        self._busy[asyncio.create_task(self._fetch(reader, most))] = reader
        return True

    def _is_for_a_prefetch(self, reader: SegmentReader) -> bool:
        """Whether light calls go ahead in this lane: the chain of a source that honours no windows."""
        if reader.is_resumed:
            return False  # a cursor from an earlier run may be stale: the end that it finds is doubted
        is_chain = (
            reader.chunk is None and reader.segment.cursor is not None and reader.segment.position is not None
        )
        return (
            is_chain
            and self._may_prefetch
            and self._windows.are_honoured is False
            and self._conversation_limit.left != 0
        )

    def _most(self, reader: SegmentReader) -> int | None:
        size = self._fetcher.size.current
        if reader.chunk is not None and reader.chunk.left > 0:
            size = min(size, reader.chunk.left)
        left = self._conversation_limit.left
        if left is None or self._is_closing:
            return size
        if left == 0 and reader.segment.at_top:
            return 1  # an empty folder must not keep a run from being complete
        return min(size, left) or None

    def _cut_reader(self, wanted: int) -> SegmentReader | None:
        """A new lane: the older half of the span that has most left; None where none is worth a cut."""
        if wanted < 2 or not self._windows.are_honoured:  # noqa: PLR2004 - one lane needs no cut
            return None
        size, top = self._fetcher.size.current, self._top
        cuts = [
            (reader, cut)
            for reader in self._busy.values()
            if (rate := reader.per_second) is not None
            and (cut := plan_cut(reader.segment, per_second=rate, batch_size=size, top=top)) is not None
        ]
        if not cuts:
            return None
        reader, (newer, older) = max(
            cuts, key=lambda each: seconds_of(each[1][0]) * (each[0].per_second or 0)
        )
        reader.segment, reader.by_time, reader.is_cut = newer, True, True
        return SegmentReader(segment=older, by_time=True)

    async def _fetch(self, reader: SegmentReader, most: int) -> Batch:
        """A lane's next batch; finds its place anew where its cursor has died."""
        segment = replace(reader.segment, cursor=None) if reader.is_probe else reader.segment
        for _ in range(1 + _MOST_REENTRIES):
            try:
                segment = await self._enter(reader, segment)
                if reader.is_prefetch:
                    return await self._fetcher.look(segment, most=PREFETCHED)
                batch = await self._fetcher.fetch(segment, window=reader.window, most=most)
                self._doubt_end(reader, segment, batch)
            except (CursorRefused, AnswerFailed, AnswerTooLarge) as failure:
                if reader.is_prefetch or reader.chunk is not None:
                    raise PrefetchLost from None
                if not isinstance(failure, CursorRefused):
                    raise
                reader.by_time, reader.window = bool(self._windows.are_honoured and segment.position), None
                reader.is_resumed = False
                segment = replace(segment, cursor=None)
            except SourceRefused:
                if reader.window is not None:
                    raise WindowsIgnored from None
                raise
            else:
                return batch
        raise SourceRefused("The source refuses its own cursors: the list cannot be read on.")

    async def _enter(self, reader: SegmentReader, segment: Segment) -> Segment:
        """The span with a place to go on from: its cursor, its time, or what light answers find."""
        if segment.cursor is not None or segment.position is None:
            return segment
        if reader.by_time:
            reader.window = window_of(segment)
            return segment
        reader.window = None
        return await self._fetcher.reenter(segment)

    def _doubt_end(self, reader: SegmentReader, segment: Segment, batch: Batch) -> None:
        """An end that is empty, where something must be: no end.

        What a source does with a stale cursor is not documented, nor what with a bound it half knows.
        """
        if batch.has_next or batch.conversations:
            return
        if reader.is_probe:
            raise WindowsIgnored
        if reader.is_resumed and segment.cursor is not None:
            raise CursorRefused("The source found nothing where the last run stopped.")

    def _give_back(self, reader: SegmentReader, *, used: int = 0) -> None:
        if not self._is_closing:
            self._conversation_limit.give_back(reader.asked - used)

    async def _forget_windows(self, reader: SegmentReader) -> None:
        """Go on without time windows: in one chain, from the newest gap."""
        self._windows.are_honoured = False
        if reader.is_probe:
            reader.is_probe, reader.by_time, reader.window = False, False, None
            self._waiting.appendleft(reader)
        else:
            await self._drop_readers()
            self._scanning = one_chain(self._scanning)
            self._waiting = deque([SegmentReader(segment=self._scanning.segments[0])])
        self._give_back(reader)
        self._open_readers()

    async def _forget_prefetching(self, reader: SegmentReader) -> None:
        """Go on without a scout: in one chain, from the newest gap, by a cursor of a heavy answer's own."""
        self._may_prefetch = False
        self._give_back(reader)
        readers = sorted(
            (reader, *self._busy.values(), *self._waiting), key=lambda each: age_of(each.segment)
        )
        await self._drop_readers()
        newest = readers[0]
        is_own = newest.chunk is not None and not newest.chunk.is_untouched
        cursor = newest.segment.cursor if is_own else self._chunk_ends.get(newest.segment.position)
        chain = replace(
            one_chain(self._scanning).segments[0], position=newest.segment.position, cursor=cursor
        )
        self._scanning = replace(self._scanning, segments=(chain,))
        self._waiting = deque([SegmentReader(segment=chain)])
        self._open_readers()

    async def _drop_readers(self) -> None:
        for task, reader in self._busy.items():
            task.cancel()
            self._give_back(reader)
        await asyncio.gather(*self._busy, return_exceptions=True)
        self._busy.clear()
