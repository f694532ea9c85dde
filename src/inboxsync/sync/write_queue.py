"""Writes what a run fetches: in order, one transaction at a time, each batch exactly once.

A list's batches wait in a `WriteQueue` while the list is read on. What comes while the database is still
writing is written together with the next, in one transaction: its beginning, its lease, its list state and
its commit cost as much for one answer as for eight. That happens only where the source is faster than the
database; Meta is not. `RunWriter` writes for the whole run, and keeps its totals.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import chain

from inboxsync.clock import Clock
from inboxsync.errors import InboxsyncError, StoreError
from inboxsync.graph import Access, CallCounts, GraphClient
from inboxsync.model import Batch, Counts, Following, Problem, Run, Scanning
from inboxsync.store import Store
from inboxsync.store.state.runs import get_run
from inboxsync.sync.events import BatchFailed, BatchStored, Listener, Stage
from inboxsync.sync.progress import RunProgress
from inboxsync.sync.stop import Stop, with_retries

# So many answers may wait for the one that is being written, the last of them before it joins the queue. A
# kill loses these, the one that is being written, and the calls under way.
_MOST_TOGETHER = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """A batch, the scan that asked for it, and the state of the list once the batch is stored."""

    scanning: Scanning
    batch: Batch
    state: Scanning | Following


class WriteQueue:
    """The batches of one list that wait to be written. `write` is called for one at a time."""

    def __init__(self, write: Callable[[Fetched], Awaitable[None]]) -> None:
        self._write = write
        self._waiting: list[Fetched] = []
        self._under_way: asyncio.Future[None] | None = None

    @property
    def under_way(self) -> set[asyncio.Future[None]]:
        """What must end before those that wait are written; empty where none waits."""
        return {self._under_way} if self._under_way is not None and self._waiting else set()

    async def add(self, fetched: Fetched) -> None:
        """Have a batch written; waits where too many wait already. Raises what an earlier write raised."""
        self._waiting.append(fetched)
        if len(self._waiting) >= _MOST_TOGETHER and self._under_way is not None:
            await asyncio.wait({self._under_way})
        self.write_next()

    def write_next(self) -> None:
        """Begin to write what waits, if nothing is being written. Raises what the last write raised."""
        if self._under_way is not None:
            if not self._under_way.done():
                return
            ended, self._under_way = self._under_way, None
            ended.result()
        if self._waiting:
            together, self._waiting = self._waiting, []
            self._under_way = asyncio.ensure_future(self._write(_joined(together)))
            # At once, and not at the next answer: the database is what takes longest.
            self._under_way.add_done_callback(self._ended)

    def _ended(self, write: asyncio.Future[None]) -> None:
        """Write what waits, unless this write failed: the next call of this object raises that."""
        if write is self._under_way and not write.cancelled() and write.exception() is None:
            self.write_next()

    async def finish(self) -> None:
        """Wait until everything is written. Raises what a write raised; the rest is then dropped."""
        try:
            while self._under_way is not None:
                await self._under_way
                self.write_next()
        finally:
            self._waiting, self._under_way = [], None


def _joined(fetched: Sequence[Fetched]) -> Fetched:
    """Answers of one scan as if they were one: asked for by the first, and ending where the last does."""
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
        is_part=last.batch.is_part,
    )
    return Fetched(scanning=first.scanning, batch=batch, state=last.state)


class RunWriter:
    """Writes the batches of one run, whatever they are of, and keeps the run's totals.

    `run` has those of the earlier tasks of the run; calls made before it began do not count.
    """

    def __init__(
        self,
        run: Run,
        *,
        store: Store,
        source: GraphClient,
        access: Access | None,
        clock: Clock,
        stop: Stop,
        listener: Listener,
        open_progress: Callable[[], RunProgress],
    ) -> None:
        self.run = run
        self._open_progress = open_progress
        self._progress: RunProgress | None = None
        self._opening = asyncio.Lock()
        self._store = store
        self._stop = stop
        self._source = source
        self._access = access
        self._clock = clock
        self._listener = listener
        self._began = clock.monotonic()
        self._writing = asyncio.Lock()
        self._calls = source.counts(access) if access else CallCounts()
        self._calls_before = replace(self._calls)
        self._before = run

    def so_far(self) -> Run:
        """The run with its duration and calls until now."""
        calls, before = self._calls, self._calls_before
        return replace(
            self.run,
            duration_seconds=self._before.duration_seconds + self._clock.monotonic() - self._began,
            updated_at=self._clock.now(),
            calls=self._before.calls + calls.made - before.made,
            refused_calls=self._before.refused_calls + calls.refused - before.refused,
        )

    def calls_made(self) -> int:
        """Calls of this run that were sent and not refused for their rate."""
        run = self.so_far()
        return run.calls - run.refused_calls

    def note_problem(self, problem: Problem) -> None:
        """Report a problem at the end of the run, once for each code."""
        if all(known.code != problem.code for known in self.run.problems):
            self.run = replace(self.run, problems=(*self.run.problems, problem))

    def batch_failed(self, failure: InboxsyncError, *, folder: str) -> None:
        """Report a batch that failed: it is bisected, or its conversation goes to the backlog."""
        self._listener(BatchFailed(failure=failure, folder=folder))

    async def progress(self) -> RunProgress:
        """How far the run has come. Counted only once something is stored: no call waits for it."""
        async with self._opening:
            if self._progress is None:
                try:
                    self._progress = await asyncio.to_thread(self._open_progress)
                except StoreError:  # the next batch meets the same, and reports it
                    self._progress = RunProgress(self._clock)
            return self._progress

    async def write(
        self,
        write: Callable[[Run], Run],
        *,
        stage: Stage,
        folder: str,
        position: datetime | None,
        state: Scanning | Following | None = None,
    ) -> None:
        """Call `write` in a thread: it stores a batch with the run's totals, and returns the run with them.

        `state` is that of the list, where the batch is of one. Once begun it is not interrupted, so that what
        the database holds and what is counted agree. It is called again while the database is away.
        """
        began = self._clock.monotonic()
        async with self._writing:
            before = self.run.counts
            once = _Once(write, self.so_far(), self._store)
            writing = asyncio.ensure_future(with_retries(once, clock=self._clock, stop=self._stop))
            try:
                run = await asyncio.shield(writing)
            except asyncio.CancelledError:
                self.run = replace(await writing, problems=self.run.problems)
                raise
            self.run = replace(run, problems=self.run.problems)
        usage = self._source.rate_limiter.usage(self._access) if self._access else None
        progress, shown = await self.progress(), self.so_far()
        if state is not None:
            progress.list_read(folder, state)
        self._listener(
            BatchStored(
                run=shown,
                batch=_difference(self.run.counts, before),
                seconds=self._clock.monotonic() - began,
                stage=stage,
                folder=folder,
                position=position,
                quota_used_percent=usage.percent if usage else None,
                progress=progress.now(fetched=shown.counts.fetched, calls=shown.calls),
            )
        )


class _Once:
    """A batch that is written once, however often it is tried.

    A connection that is lost during a commit does not say whether the transaction is committed: the run's
    own row, written in the same transaction, does.
    """

    def __init__(self, write: Callable[[Run], Run], run: Run, store: Store) -> None:
        self._write = write
        self._run = run
        self._store = store
        self._has_failed = False

    def __call__(self) -> Run:
        if self._has_failed and (written := self._find()) is not None:
            return written
        self._has_failed = True
        return self._write(self._run)

    def _find(self) -> Run | None:
        with self._store.read() as connection:
            stored = get_run(connection, self._run.id)
        if stored is None or stored.batches <= self._run.batches:
            return None
        return replace(self._run, counts=stored.counts, batches=stored.batches)


def _difference(after: Counts, before: Counts) -> Counts:
    return Counts(
        fetched=after.fetched - before.fetched,
        inserted=after.inserted - before.inserted,
        updated=after.updated - before.updated,
        unchanged=after.unchanged - before.unchanged,
        events=after.events - before.events,
    )
