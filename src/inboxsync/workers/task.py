"""One slice of a run, as a worker executes it: begin, sync, and say what follows."""

import asyncio
import random
import time
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog

from inboxsync.engine import Engine
from inboxsync.errors import InboxsyncError, LeaseLost, PageBusy, PageUnknown
from inboxsync.graph import GraphClient
from inboxsync.model import Page, Run, RunKind, RunRequest, RunTask, TaskQueue
from inboxsync.store.state.pages import get_page
from inboxsync.store.state.runs import get_run
from inboxsync.store.state.tasks import begin_task, end_tasks, get_task, is_anybody_waiting, next_task
from inboxsync.sync import Outcome, Stop, Suspension, TaskOptions, log_event
from inboxsync.workers.queue import end_cancelled
from inboxsync.workers.queues import NEWEST_CONVERSATIONS, TURN_SECONDS
from inboxsync.workers.verifying import RunVerify

log = structlog.get_logger(__name__)

_BUSY_PAUSE = timedelta(seconds=3)
_LOST_PAUSE = timedelta(seconds=2)
# A wait for Meta in short pieces: somebody may cancel it, or the allowance come back.
_LONGEST_WAIT = timedelta(minutes=1)
_FIRST_PAUSE = timedelta(seconds=5)
_LONGEST_PAUSE = timedelta(minutes=10)
# So many slices in a row may be cut short without a batch between them; then the run ends.
_MOST_FAILURES = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A slice that this worker has begun."""

    task: RunTask
    run: Run
    page: Page

    @property
    def request(self) -> RunRequest:
        """What was asked for."""
        return self.run.request or RunRequest()


class TaskExecution:
    """Executes one slice, once, on the worker's loop."""

    def __init__(
        self, engine: Engine, source: GraphClient, *, run_id: str, number: int, worker_id: str, owner: str
    ) -> None:
        self._engine = engine
        self._store = engine.store
        self._source = source
        self._run_id = run_id
        self._number = number
        self._worker_id = worker_id
        self._owner = owner
        self._stop: Stop | None = None
        self._pause: str | None = None
        self._began = time.monotonic()
        self._queue: TaskQueue | None = None

    def pause(self, reason: str) -> None:
        """Lay the run down at its next batch."""
        self._pause = reason
        if self._stop is not None:
            self._stop.pause(reason)

    async def give_way(self) -> None:
        """Lay the run down if its turn is over and another waits for the place."""
        queue = self._queue
        if queue is None or queue is TaskQueue.VERIFY or time.monotonic() - self._began < TURN_SECONDS:
            return
        if await asyncio.to_thread(self._is_anybody_waiting, queue):
            self.pause("another Page has its turn")

    async def run(self) -> None:
        """Execute it, and note what follows: another slice, or the end."""
        begun = await asyncio.to_thread(self._begin)
        if begun is None:
            return
        self._queue = begun.task.queue
        try:
            outcome = await self._execute(begun)
        except PageBusy:
            await self._follow(begun.task.queue, after=_BUSY_PAUSE, failures=begun.task.failures)
        except LeaseLost as lost:
            log.info("another worker has taken over", run_id=self._run_id, why=lost.message)
            await self._follow(begun.task.queue, after=_LOST_PAUSE, failures=begun.task.failures)
        except PageUnknown:  # and everything of it is gone with it
            log.info("its Page was removed", run_id=self._run_id)
        else:
            await self._conclude(begun, outcome)

    def _begin(self) -> Begun | None:
        """None where this slice is no longer the run's next one, or the run is over."""
        with self._store.write() as connection:
            known, run = get_task(connection, self._run_id), get_run(connection, self._run_id)
            if known is None or run is None or known.number != self._number:
                return None
            if not run.status.is_open:
                end_tasks(connection, run.id)
                return None
            if run.cancel_asked_at is not None:
                end_cancelled(connection, run, now=self._engine.clock.now())
                return None
            begin_task(connection, known, worker_id=self._worker_id)
            return Begun(task=known, run=run, page=get_page(connection, run.page_id))

    async def _execute(self, begun: Begun) -> Outcome:
        await self._engine.refresh_quotas(self._source)
        seconds = begun.request.max_duration_seconds
        async with self._engine.stop(max_duration_seconds=seconds) as stop:
            self._stop = stop
            if self._pause is not None:
                stop.pause(self._pause)
            if begun.run.kind is RunKind.VERIFY:
                return await RunVerify(
                    self._engine, self._source, begun.run, begun.page, owner=self._owner, stop=stop
                ).run()
            return await self._sync(begun, stop)

    async def _sync(self, begun: Begun, stop: Stop) -> Outcome:
        request, queue = begun.request, begun.task.queue
        options = self._engine.sync_options(
            mode=request.mode,
            messages=request.messages,
            max_conversations=request.max_conversations,
            history=request.history,
        )
        part = TaskOptions(
            run_id=begun.run.id,
            owner=self._owner,
            most_conversations=NEWEST_CONVERSATIONS if queue is TaskQueue.NEWEST else None,
            reads_history=queue is TaskQueue.HISTORY,
            suspends_on_failure=begun.task.failures < _MOST_FAILURES,
        )
        one = self._engine.page_sync(
            self._source,
            begun.page,
            options=options,
            stop=stop,
            listener=log_event,
            task_options=part,
        )
        return await one.run()

    async def _conclude(self, begun: Begun, outcome: Outcome) -> None:
        suspension, queue = outcome.suspension, begun.task.queue
        if suspension is None:
            await asyncio.to_thread(self._end)
            return
        if suspension.has_failed:
            moved = outcome.run.batches > begun.run.batches
            failures = 1 if moved else begun.task.failures + 1
            pause = min(_FIRST_PAUSE * 2 ** (failures - 1), _LONGEST_PAUSE)
            await self._follow(queue, after=pause, failures=failures)
            return
        await self._follow(
            _queue_after(queue, suspension, is_laid_down=self._pause is not None), until=suspension.until
        )

    async def _follow(
        self,
        queue: TaskQueue,
        *,
        after: timedelta = timedelta(0),
        until: datetime | None = None,
        failures: int = 0,
    ) -> None:
        """Let the next slice follow, unless another worker has taken this one over."""
        now = self._engine.clock.now()
        due_at = now + after
        if until is not None:
            # Not all that wait for the same hour at the same moment.
            due_at = min(until, now + _LONGEST_WAIT) + timedelta(seconds=random.uniform(0, 1))  # noqa: S311

        def write() -> None:
            with self._store.write() as connection:
                known = get_task(connection, self._run_id)
                if known is not None and known.worker_id == self._worker_id:
                    mine = replace(known, number=self._number)
                    next_task(connection, mine, queue=queue, due_at=due_at, failures=failures)

        await asyncio.to_thread(write)

    def _end(self) -> None:
        """No slice follows; but where the end of the run could not be written, the next one writes it."""
        now = self._engine.clock.now()
        with self._store.write() as connection:
            known, run = get_task(connection, self._run_id), get_run(connection, self._run_id)
            if known is None or known.number != self._number:
                return
            if run is not None and run.status.is_open:
                due_at = now + _FIRST_PAUSE
                next_task(connection, known, queue=known.queue, due_at=due_at, failures=known.failures + 1)
            else:
                end_tasks(connection, self._run_id)

    def _is_anybody_waiting(self, queue: TaskQueue) -> bool:
        try:
            with self._store.read() as connection:
                return is_anybody_waiting(connection, queue, now=self._engine.clock.now())
        except InboxsyncError:
            return False


def _queue_after(queue: TaskQueue, suspension: Suspension, *, is_laid_down: bool) -> TaskQueue:
    """Where a run goes on: what it is laid down for from outside, or has to wait for, changes nothing."""
    if suspension.wants_history:
        return TaskQueue.HISTORY
    if is_laid_down or suspension.until is not None:
        return queue
    return TaskQueue.SCAN if queue is TaskQueue.NEWEST else queue
