"""Reads the segments of one list side by side, so that as many calls are under way as the call rate allows.

A `SegmentReader` reads one segment, in one chain of calls. Where one chain is too slow there are two ways to
more of them. Where the source honours time windows, a segment is cut in two. Where it does not, light
calls prefetch: a light answer of 200 conversations costs one call and brings the cursor where the next 200
begin; two heavy calls fetch what lies before it, a *chunk*. That is three calls for 200 conversations instead
of two, but they can be under way at the same time. A cursor might be bound to the limit or the fields it
was made with (graph-facts 8): each chunk is compared with the ids that the light answer had, and where
they differ the list is read on in one chain.
"""

import asyncio
from collections import deque
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from inboxsync.errors import AnswerFailed, AnswerTooLarge, CursorRefused, SourceRefused
from inboxsync.model import Batch, Scanning, Segment, Window
from inboxsync.sync.fetch import ListFetcher, Reading, TimeWindows, WindowsIgnored
from inboxsync.sync.plan import is_at_top, one_chain, plan_cut, plan_segment
from inboxsync.sync.stop import ConversationLimit

# What a light call asks for; a source may serve less (graph-facts 1.3-8).
PREFETCHED = 200
_SECOND = timedelta(seconds=1)
# Where a batch is smaller than this, too much of it would come again if the next were asked for by time.
_WORTH_A_WINDOW = 20
_MOST_REENTRIES = 3


class PrefetchLost(Exception):
    """A cursor of a light answer does not lead to the same conversations in a heavy call."""


@dataclass(slots=True)
class Chunk:
    """The conversations between two cursors, as a light answer had them.

    `left` of them are still to come; `end` is the time of the last one.
    """

    left: int
    end: datetime | None
    ids: frozenset[str]
    is_untouched: bool = True

    @classmethod
    def of(cls, summary: Batch) -> "Chunk":
        """The chunk of a light answer."""
        ids = frozenset(each.conversation_id for each in summary.conversations)
        return cls(left=len(summary.conversations), end=summary.reached_at, ids=ids)

    def rest(self, segment: Segment, batch: Batch) -> Segment | None:
        """What is left of the chunk's segment once `batch` is stored; None: nothing.

        A conversation that has moved up since does not come, so the end counts by time too. Raises
        PrefetchLost where the first batch has none of the conversations of the light answer.
        """
        served = {each.conversation_id for each in batch.conversations}
        served.update(each.conversation_id for each in batch.unread)
        if self.is_untouched and served and self.ids.isdisjoint(served):
            raise PrefetchLost
        self.is_untouched = self.is_untouched and not served
        self.left -= len(served)
        times = [at for at in (segment.position, batch.reached_at) if at is not None]
        position = min(times, default=None)
        is_past_end = self.end is None or position is None or position <= self.end
        if not batch.has_next or (self.left <= 0 and is_past_end):
            return None
        return replace(segment, position=position, cursor=batch.after)


@dataclass(slots=True, eq=False)
class SegmentReader:
    """One segment that is being read.

    `window` is the time window that its cursor was made with; None where it only follows the cursor.
    `by_time`: it may ask for a time window. `is_cut`: it lost its lower part while a call is under way.
    `checks_for_more`: it asks for one conversation more than the run may fetch. A reader with
    `is_prefetch` makes light calls only; what they find is read by readers with a `chunk`. `cursors` are
    those that its answers led to.
    """

    segment: Segment
    by_time: bool = False
    window: Window | None = None
    is_resumed: bool = False
    is_probe: bool = False
    is_cut: bool = False
    checks_for_more: bool = False
    is_prefetch: bool = False
    chunk: Chunk | None = None
    asked: int = 0
    per_second: float | None = None
    last_seen: frozenset[tuple[str, object]] = frozenset()
    cursors: set[str] = field(default_factory=set)

    def rest(self, batch: Batch) -> Segment | None:
        """What is left of the segment once `batch` is stored; None: nothing. Raises PrefetchLost."""
        return self.chunk.rest(self.segment, batch) if self.chunk else plan_segment(self.segment, batch)

    def repeats(self, batch: Batch) -> bool:
        """Whether the answer leads back to a cursor that this reader has followed; remembers it."""
        if batch.after is None or batch.is_part or self.by_time:
            return False
        is_repeated = batch.has_next and batch.after in self.cursors
        self.cursors.add(batch.after)
        return is_repeated

    def continue_with(self, rest: Segment, batch: Batch) -> None:
        """Continue with what is left of the segment after an answer.

        By time, unless the position stays the same: a cursor of a time window may count from the window's
        top, and a conversation that gets a message leaves the window. Parts of a summary go by cursor.
        """
        has_moved = rest.position != self.segment.position
        is_worth_it = len(batch.conversations) >= _WORTH_A_WINDOW and not batch.is_part
        if self.is_cut or (self.by_time and has_moved and is_worth_it):
            rest = replace(rest, cursor=None)
        self.segment, self.is_cut, self.is_resumed = rest, False, False

    def without_repeated(self, batch: Batch) -> Batch:
        """The batch without what this reader's last one had already; remembers this one."""
        times = [each.source_updated_at for each in batch.conversations if each.source_updated_at is not None]
        if times:
            seconds = (max(times) - min(times)).total_seconds()
            now = max(1, len(times) - 1) / max(seconds, 1.0)
            # One answer may be dense by chance: those before count as well.
            self.per_second = now if self.per_second is None else (self.per_second + now) / 2
        before = self.last_seen
        self.last_seen = frozenset(
            (each.conversation_id, each.source_updated_at) for each in batch.conversations
        )
        if before.isdisjoint(self.last_seen):
            return batch
        fresh = tuple(
            each
            for each in batch.conversations
            if (each.conversation_id, each.source_updated_at) not in before
        )
        return replace(batch, conversations=fresh)


class SegmentReaders:
    """The readers of one list: those that wait for their next call, and those whose call is under way.

    `may_prefetch` is for answers that are heavy: a light list gains nothing from lighter calls.
    `is_closing`: the closing catch-up scans are not held to the conversation limit.
    """

    def __init__(
        self,
        *,
        reading: Reading,
        fetcher: ListFetcher,
        windows: TimeWindows,
        conversation_limit: ConversationLimit,
        may_prefetch: bool,
    ) -> None:
        self._reading = reading
        self._fetcher = fetcher
        self._windows = windows
        self._limit = conversation_limit
        self._may_prefetch = may_prefetch
        self.is_closing = False
        self._waiting: deque[SegmentReader] = deque()
        self._busy: dict[asyncio.Task[Batch], SegmentReader] = {}
        # Where heavy answers ended, and the cursors that lead on from there.
        self._chunk_ends: dict[object, str | None] = {}
        self._newest_at: datetime | None = None

    @property
    def calls(self) -> set[asyncio.Task[Batch]]:
        """The calls under way."""
        return set(self._busy)

    @property
    def are_held_back(self) -> bool:
        """Whether there is more to read that the conversation limit forbids."""
        return bool(self._waiting) and not self._busy

    def segments(self) -> list[Segment]:
        """What is still to be read, newest first."""
        return sorted((each.segment for each in (*self._busy.values(), *self._waiting)), key=_age_of)

    def start(self, scanning: Scanning) -> Scanning:
        """Send the first calls of a scan; returns the scan as it is read."""
        if len(scanning.segments) > 1 and not self._windows.are_honoured:
            # Where windows were never honoured, the segments are of a prefetch, with cursors of the whole
            # list.
            scanning = one_chain(scanning, keeps_cursor=self._windows.are_honoured is False)
        by_time = len(scanning.segments) > 1
        self._waiting = deque(
            SegmentReader(segment=segment, by_time=by_time, is_resumed=not is_at_top(segment))
            for segment in scanning.segments
        )
        self.send_calls()
        return scanning

    def answered(self) -> list[asyncio.Task[Batch]]:
        """The calls that have ended."""
        return [call for call in self._busy if call.done()]

    def pop(self, call: asyncio.Task[Batch]) -> SegmentReader | None:
        """The reader of a call that has ended; None where it was dropped meanwhile."""
        return self._busy.pop(call, None)

    def take(self, reader: SegmentReader, batch: Batch, rest: Segment | None) -> Batch:
        """Take a reader's answer and let it wait for its next call; returns what the answer has that is new.

        Raises EnoughFetched where the run may fetch no more and there is more.
        """
        if reader.chunk is not None and rest is None:
            self._chunk_ends[reader.chunk.end] = batch.after
        if reader.is_probe:
            reader.is_probe, self._windows.are_honoured = False, True
        self._give_back(reader, used=len(batch.conversations))
        if reader.checks_for_more and rest is not None:
            raise self._limit.reached()
        batch = reader.without_repeated(batch)
        self._newest_at = max(filter(None, (self._newest_at, batch.newest_at)), default=None)
        if rest is None or rest.position != reader.segment.position:
            self._reading.stall.moved(batch.reached_at)
        if rest is not None:
            reader.continue_with(rest, batch)
            self._waiting.appendleft(reader)
        return batch

    def take_prefetched(self, reader: SegmentReader, summary: Batch, rest: Segment | None) -> None:
        """Read the chunk of a light answer next, while the prefetch continues."""
        if summary.conversations:
            self._reading.stall.moved(summary.reached_at)
        if summary.conversations or rest is None:  # an end counts only where a heavy answer has it too
            self._waiting.append(SegmentReader(segment=reader.segment, chunk=Chunk.of(summary)))
        if rest is not None:
            reader.segment = rest
            self._waiting.append(reader)
        self.send_calls()

    def send_calls(self) -> None:
        """Send as many calls as the call rate has room for."""
        if not self._waiting and not self._busy:
            return
        wanted = self._reading.readers_wanted()
        while len(self._busy) < max(1, wanted):
            reader = self._waiting.popleft() if self._waiting else self._cut_segment(wanted)
            if reader is None:
                return
            if not self._send_call(reader, is_side_by_side=wanted > 1):
                self._waiting.appendleft(reader)
                return

    def _send_call(self, reader: SegmentReader, *, is_side_by_side: bool) -> bool:
        """Send a reader's next call; False where the conversation limit forbids it now."""
        most = self._most(reader)
        if most is None:
            return False
        is_untried = self._windows.are_honoured is None and reader.segment.position is not None
        if is_side_by_side and is_untried and not self._busy:
            reader.by_time = reader.is_probe = True
        was_prefetch, reader.is_prefetch = reader.is_prefetch, is_side_by_side and self._can_prefetch(reader)
        if reader.is_prefetch:
            most = 0
            if not was_prefetch:
                self._chunk_ends[reader.segment.position] = reader.segment.cursor
        reader.checks_for_more = self._limit.left == 0 and not self.is_closing
        reader.asked = 0 if self.is_closing else most
        self._limit.take(reader.asked)
        self._busy[asyncio.create_task(self._fetch(reader, most))] = reader
        return True

    def _can_prefetch(self, reader: SegmentReader) -> bool:
        """Whether light calls can run ahead here: it is the chain of a source that honours no windows."""
        if reader.is_resumed:
            return False  # a cursor of an earlier run may be stale: the end that it leads to is checked first
        is_chain = (
            reader.chunk is None and reader.segment.cursor is not None and reader.segment.position is not None
        )
        return (
            is_chain and self._may_prefetch and self._windows.are_honoured is False and self._limit.left != 0
        )

    def _most(self, reader: SegmentReader) -> int | None:
        """How many conversations its next call may ask for; None: none now."""
        size = self._fetcher.size.current
        if reader.chunk is not None and reader.chunk.left > 0:
            size = min(size, reader.chunk.left)
        left = self._limit.left
        if left is None or self.is_closing:
            return size
        if left == 0 and is_at_top(reader.segment):
            return 1  # an empty folder must not keep a run from being complete
        return min(size, left) or None

    def _cut_segment(self, wanted: int) -> SegmentReader | None:
        """A reader of the older half of the longest segment; None where none is worth a cut."""
        if wanted < 2 or not self._windows.are_honoured:  # noqa: PLR2004 - one reader needs no cut
            return None
        size, newest_at = self._fetcher.size.current, self._newest_at
        cuts = [
            (reader, cut)
            for reader in self._busy.values()
            if (rate := reader.per_second) is not None
            and (cut := plan_cut(reader.segment, per_second=rate, batch_size=size, top=newest_at)) is not None
        ]
        if not cuts:
            return None
        reader, (newer, older) = max(
            cuts, key=lambda each: _seconds_of(each[1][0]) * (each[0].per_second or 0)
        )
        reader.segment, reader.by_time, reader.is_cut = newer, True, True
        return SegmentReader(segment=older, by_time=True)

    async def _fetch(self, reader: SegmentReader, most: int) -> Batch:
        """A reader's next batch; finds its position again where its cursor has died."""
        segment = replace(reader.segment, cursor=None) if reader.is_probe else reader.segment
        for _ in range(1 + _MOST_REENTRIES):
            try:
                segment = await self._locate(reader, segment)
                if reader.is_prefetch:
                    return await self._fetcher.fetch_summary(segment, most=PREFETCHED)
                batch = await self._fetcher.fetch(segment, window=reader.window, most=most)
                _check_end(reader, segment, batch)
            except (CursorRefused, AnswerFailed, AnswerTooLarge) as failure:
                if reader.is_prefetch or reader.chunk is not None:
                    raise PrefetchLost from None
                if not isinstance(failure, CursorRefused):
                    raise
                reader.by_time, reader.window = bool(self._windows.are_honoured and segment.position), None
                reader.is_resumed = False
                reader.cursors.clear()  # the place is found again, by the same cursors
                segment = replace(segment, cursor=None)
            except SourceRefused:
                if reader.window is not None:
                    raise WindowsIgnored from None
                raise
            else:
                return batch
        raise SourceRefused("The source refuses its own cursors: the list cannot be read on.")

    async def _locate(self, reader: SegmentReader, segment: Segment) -> Segment:
        """The segment with a place to continue from: its cursor, its time, or what light answers find."""
        if segment.cursor is not None or segment.position is None:
            return segment
        if reader.by_time:
            reader.window = _window_of(segment)
            return segment
        reader.window = None
        return await self._fetcher.find_position(segment)

    async def give_up_windows(self, reader: SegmentReader, scanning: Scanning) -> Scanning:
        """Continue without time windows, in one chain from the newest gap; returns the scan as it is then."""
        self._windows.are_honoured = False
        if reader.is_probe:
            reader.is_probe, reader.by_time, reader.window = False, False, None
            self._waiting.appendleft(reader)
        else:
            await self.drop_calls()
            scanning = one_chain(scanning)
            self._waiting = deque([SegmentReader(segment=scanning.segments[0])])
        self._give_back(reader)
        self.send_calls()
        return scanning

    async def give_up_prefetching(self, reader: SegmentReader, scanning: Scanning) -> Scanning:
        """Continue in one chain from the newest gap, by a cursor of a heavy answer; returns the scan then."""
        self._may_prefetch = False
        self._give_back(reader)
        readers = (reader, *self._busy.values(), *self._waiting)
        newest = min(readers, key=lambda each: _age_of(each.segment))
        await self.drop_calls()
        is_own = newest.chunk is not None and not newest.chunk.is_untouched
        cursor = newest.segment.cursor if is_own else self._chunk_ends.get(newest.segment.position)
        chain = replace(one_chain(scanning).segments[0], position=newest.segment.position, cursor=cursor)
        self._waiting = deque([SegmentReader(segment=chain)])
        self.send_calls()
        return replace(scanning, segments=(chain,))

    async def drop_calls(self) -> None:
        """Cancel every call under way."""
        for call, reader in self._busy.items():
            call.cancel()
            self._give_back(reader)
        await asyncio.gather(*self._busy, return_exceptions=True)
        self._busy.clear()

    def _give_back(self, reader: SegmentReader, *, used: int = 0) -> None:
        if not self.is_closing:
            self._limit.give_back(reader.asked - used)


def _check_end(reader: SegmentReader, segment: Segment, batch: Batch) -> None:
    """Raise where an end is empty and something must be there: then it is no end.

    What a source does with a stale cursor is not documented, nor what it does with a bound that it does not
    fully support.
    """
    if batch.has_next or batch.conversations:
        return
    if reader.is_probe:
        raise WindowsIgnored
    if reader.is_resumed and segment.cursor is not None:
        raise CursorRefused("The source found nothing where the last run stopped.")


def _window_of(segment: Segment) -> Window:
    """What to ask for to continue this segment: with the second of its position once more."""
    return Window(before=segment.position + _SECOND if segment.position else None, after=segment.lower_bound)


def _age_of(segment: Segment) -> float:
    """Orders segments newest first."""
    return -segment.position.timestamp() if segment.position is not None else float("-inf")


def _seconds_of(segment: Segment) -> float:
    """How much `updated_time` a segment spans; 0 where an end is not known."""
    if segment.position is None or segment.lower_bound is None:
        return 0.0
    return (segment.position - segment.lower_bound).total_seconds()
