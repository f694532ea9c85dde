"""Scans one list until it follows the source: a full scan or what is left of it, then catch-up scans.

A scan ends at its lower bound. Conversations may have moved to the top meanwhile, so a catch-up scan of
the list's head follows, down to the snapshot time of the scan before. Once a catch-up scan fits into one
answer, nothing can have moved inside it: the list is `Following`. That may be a light answer: what it lists
is then fetched in parts.

The next call is under way while the last answer is written, so that the source's call rate decides the speed,
and not the disk. Which calls are under way is decided in `segments`, what they bring in `fetch`, what follows
from it in `plan`; it is stored through a `WriteQueue`.
"""

import asyncio
from dataclasses import replace
from typing import Protocol

from inboxsync.model import Batch, Following, Scanning
from inboxsync.sync.fetch import ListFetcher, Reading, TimeWindows, WindowsIgnored
from inboxsync.sync.plan import plan_next
from inboxsync.sync.segments import PrefetchLost, SegmentReader, SegmentReaders
from inboxsync.sync.stop import ConversationLimit, Stopped
from inboxsync.sync.write_queue import Fetched, WriteQueue

# On a Page where every catch-up scan takes several answers, so many in one run; then the run says so.
_MOST_CATCH_UPS = 20
# After so many of them, a catch-up scan begins with a light answer, which lists more at once.
_HEAVY_CATCH_UPS = 2


class TooBusy(Stopped):
    """More moves during every catch-up scan than one answer holds: the list cannot be caught up with now."""


class BatchWriter(Protocol):
    """Where the batches of one list go."""

    async def prepare(self, batch: Batch) -> Batch:
        """Do what needs no database; this may run beside the writing of another batch."""

    async def write(self, fetched: Fetched) -> None:
        """Write a batch with the list state that follows from it; called for one at a time, in order."""


class ListScan:
    """One list on its way from `Scanning` to `Following`; `may_prefetch` as in `SegmentReaders`."""

    def __init__(
        self,
        *,
        reading: Reading,
        fetcher: ListFetcher,
        windows: TimeWindows,
        conversation_limit: ConversationLimit,
        writer: BatchWriter,
        may_prefetch: bool = True,
    ) -> None:
        self._reading = reading
        self._fetcher = fetcher
        self._limit = conversation_limit
        self._writer = writer
        self._write_queue = WriteQueue(writer.write)
        self._readers = SegmentReaders(
            reading=reading,
            fetcher=fetcher,
            windows=windows,
            conversation_limit=conversation_limit,
            may_prefetch=may_prefetch,
        )
        # The source led back to a place that was read already: that was the end of what can be listed.
        self.went_in_circles = False
        self._scanning: Scanning
        self._state: Scanning | Following

    async def run(self, scanning: Scanning) -> Following:
        """Scan until everything is stored. Raises Stopped, or what the source or the store raises.

        Raises TooBusy where the list moves faster than it is read.
        """
        for number in range(1 + _MOST_CATCH_UPS):
            self._fetcher.light_heads = number > _HEAVY_CATCH_UPS
            state = await self._scan(scanning)
            if isinstance(state, Following):
                return state
            scanning, self._readers.is_closing = state, True
        raise TooBusy(
            f"the Page is too busy: after {_MOST_CATCH_UPS} catch-up scans of its head, more had moved"
        )

    async def _scan(self, scanning: Scanning) -> Scanning | Following:
        """Read every segment of one scan; returns the state that follows."""
        readers = self._readers
        try:
            self._scanning = self._state = readers.start(scanning)
            while readers.calls:
                await self._reading.stop.unless_asked(
                    asyncio.wait(
                        self._write_queue.under_way.union(readers.calls), return_when=asyncio.FIRST_COMPLETED
                    )
                )
                self._write_queue.write_next()
                for call in readers.answered():
                    # Taking one may have dropped the others.
                    if (reader := readers.pop(call)) is not None:
                        await self._take(reader, call)
            if readers.are_held_back:
                raise self._limit.reached()
            await self._write_queue.finish()
            return self._state
        finally:
            await readers.drop_calls()
            await self._write_queue.finish()  # what has come is stored, whatever ends the scan

    async def _take(self, reader: SegmentReader, call: asyncio.Task[Batch]) -> None:
        """Plan what follows from an answer, send the next call, then have the answer stored."""
        try:
            batch = call.result()
            if not reader.is_prefetch and reader.repeats(batch):
                self.went_in_circles = True
                batch = replace(batch, has_next=False)
            rest = reader.rest(batch)
        except WindowsIgnored:
            self._scanning = await self._readers.give_up_windows(reader, self._scanning)
            return
        except PrefetchLost:
            self._scanning = await self._readers.give_up_prefetching(reader, self._scanning)
            return
        if reader.is_prefetch:
            self._readers.take_prefetched(reader, batch, rest)
            return
        batch = self._readers.take(reader, batch, rest)
        segments = self._readers.segments()
        state = plan_next(self._scanning, segments, batch)
        fetched = Fetched(scanning=self._scanning, batch=batch, state=state)
        if segments and isinstance(state, Scanning):
            self._scanning = state
        self._readers.send_calls()
        await self._store(fetched)

    async def _store(self, fetched: Fetched) -> None:
        """Prepare a batch beside the writing of those before it, then have it written after them."""
        fetched = replace(fetched, batch=await self._writer.prepare(fetched.batch))
        self._state = fetched.state
        await self._write_queue.add(fetched)
