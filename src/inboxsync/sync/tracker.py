"""Keeps the totals of a run while it goes, and tells the listener."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from inboxsync.clock import Clock
from inboxsync.errors import InboxsyncError
from inboxsync.graph import Access, GraphClient
from inboxsync.model import Counts, Problem, Run
from inboxsync.store import Store
from inboxsync.store.state.runs import get_run
from inboxsync.sync.events import BatchFailed, BatchStored, Listener, Stage
from inboxsync.sync.stop import Stop
from inboxsync.sync.waiting import with_retries


class RunTracker:
    """The run as it stands: with its earlier slices, and without calls made before it began."""

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
    ) -> None:
        self.run = run
        self._store = store
        self._stop = stop
        self._source = source
        self._access = access
        self._clock = clock
        self._listener = listener
        self._began = clock.monotonic()
        self._writing = asyncio.Lock()
        self._calls_before = replace(source.counts(access)) if access else None
        self._before = run

    def so_far(self) -> Run:
        """The run with its duration and calls until now."""
        run = replace(
            self.run,
            duration_seconds=self._before.duration_seconds + self._clock.monotonic() - self._began,
            updated_at=self._clock.now(),
        )
        if self._access is None or self._calls_before is None:
            return run
        calls, before = self._source.counts(self._access), self._calls_before
        return replace(
            run,
            calls=self._before.calls + calls.made - before.made,
            refused_calls=self._before.refused_calls + calls.refused - before.refused,
        )

    def calls_made(self) -> int:
        """Calls of this run that were sent and not refused for their rate."""
        run = self.so_far()
        return run.calls - run.refused_calls

    def note_problem(self, problem: Problem) -> None:
        """Something to report at the end; the first of a kind stands for all."""
        if all(known.code != problem.code for known in self.run.problems):
            self.run = replace(self.run, problems=(*self.run.problems, problem))

    def batch_failed(self, failure: InboxsyncError, *, folder: str) -> None:
        """A batch failed, and what it held is asked for in parts or owed."""
        self._listener(BatchFailed(failure=failure, folder=folder))

    async def store(
        self,
        write: Callable[[Run], Run],
        *,
        stage: Stage,
        folder: str,
        position: datetime | None,
    ) -> None:
        """Run `write`, which stores a batch with the run's totals, in a thread, one at a time.

        Once it has begun it is not interrupted: what the database holds and what is counted agree. It is
        run again while the database is away.
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
        self._listener(
            BatchStored(
                run=self.run,
                batch=_difference(self.run.counts, before),
                seconds=self._clock.monotonic() - began,
                stage=stage,
                folder=folder,
                position=position,
                quota_used_percent=usage.percent if usage else None,
            )
        )


class _Once:
    """A batch that is written once, however often it is tried.

    A connection that is lost while a transaction is being committed does not tell whether it was: the
    run's own row, written in the same transaction, does.
    """

    def __init__(self, write: Callable[[Run], Run], run: Run, store: Store) -> None:
        self._write = write
        self._run = run
        self._store = store
        self._has_failed = False

    def __call__(self) -> Run:
        if self._has_failed and (landed := self._find()) is not None:
            return landed
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
