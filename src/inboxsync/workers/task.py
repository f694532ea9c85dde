"""Tasks of runs, as a worker executes them: begin, sync or verify, and decide what follows.

A run begins in the queue `newest`, where it reads the newest conversations of its Page. It continues in
`scan`, and reads older messages in `history`. So the first conversations of a Page do not wait until other
Pages are read to the bottom.
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import count
from typing import Final

import structlog

from inboxsync.engine import Engine
from inboxsync.errors import InboxsyncError, LeaseLost, PageBusy, PageUnknown, StoreError
from inboxsync.graph import GraphClient
from inboxsync.model import Page, Run, RunKind, RunRequest, RunTask, TaskQueue
from inboxsync.store.state.pages import get_page
from inboxsync.store.state.runs import get_run
from inboxsync.store.state.tasks import begin_task, end_tasks, get_task, is_any_waiting, next_task
from inboxsync.sync import Outcome, Stop, Suspension, TaskOptions, log_event
from inboxsync.workers.queue import end_cancelled
from inboxsync.workers.verifying import RunVerify

log = structlog.get_logger(__name__)

# So many conversations are a Page's newest.
_NEWEST_CONVERSATIONS: Final = 50
# After so long a task releases its slot if other tasks wait for it.
_TURN_SECONDS: Final = 60.0
_LOOK_SECONDS = 10.0
_AWAY_SECONDS: Final = 20.0
_BUSY_PAUSE = timedelta(seconds=3)
_LOST_PAUSE = timedelta(seconds=2)
# A wait for Meta is cut into short pieces: someone may cancel the run, or Meta may allow calls again.
_LONGEST_WAIT = timedelta(minutes=1)
_FIRST_PAUSE = timedelta(seconds=5)
_LONGEST_PAUSE = timedelta(minutes=10)
# So many tasks in a row may be cut short without a batch stored between them; then the run ends.
_MOST_FAILURES = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A task that this worker has begun."""

    task: RunTask
    run: Run
    page: Page

    @property
    def request(self) -> RunRequest:
        """What was asked for."""
        return self.run.request or RunRequest()


@dataclass(frozen=True, slots=True)
class Following:
    """The task that follows a task, in the same run."""

    queue: TaskQueue
    due_at: datetime
    failures: int = 0


class TaskExecution:
    """Executes one task, once, on the worker's loop."""

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

    def pause(self, reason: str) -> None:
        """Suspend the run at its next batch."""
        self._pause = reason
        if self._stop is not None:
            self._stop.pause(reason)

    async def run(self) -> None:
        """Execute it, and note what follows: another task, or the end of the run."""
        begun = await asyncio.to_thread(self._begin)
        if begun is None:
            return
        turn = asyncio.create_task(self._end_turn(begun.task.queue))
        try:
            outcome = await self._execute(begun)
            following = self._following(begun, outcome)
        except PageBusy:
            following = self._again(begun, after=_BUSY_PAUSE)
        except LeaseLost as lost:
            log.info("another worker has taken over", run_id=self._run_id, why=lost.message)
            following = self._again(begun, after=_LOST_PAUSE)
        except PageUnknown:  # its rows were deleted with it
            log.info("its Page was removed", run_id=self._run_id)
            return
        finally:
            turn.cancel()
        await asyncio.to_thread(self._conclude, begun.task, following)

    def _begin(self) -> Begun | None:
        """None if this is no longer the next task of the run, or if the run has ended."""
        with self._store.write() as connection:
            task, run = get_task(connection, self._run_id), get_run(connection, self._run_id)
            if task is None or run is None or task.number != self._number:
                return None
            if not run.status.is_open:
                end_tasks(connection, run.id)
                return None
            if run.cancel_asked_at is not None:
                end_cancelled(connection, run, now=self._engine.clock.now())
                return None
            if not begin_task(connection, task, worker_id=self._worker_id):
                return None
            begun = replace(task, worker_id=self._worker_id)
            return Begun(task=begun, run=run, page=get_page(connection, run.page_id))

    async def _end_turn(self, queue: TaskQueue) -> None:
        """Suspend the run when its turn is over and another task waits for the slot."""
        if queue is TaskQueue.VERIFY:
            return  # it would begin again
        seconds = _TURN_SECONDS
        while True:
            await asyncio.sleep(seconds)
            if await asyncio.to_thread(self._is_any_waiting, queue):
                self.pause("another Page has its turn")
                return
            seconds = _LOOK_SECONDS

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
        # A source that is away longer than that suspends the run: others get its slot meanwhile.
        options = replace(options, source_away_seconds=min(options.source_away_seconds, _AWAY_SECONDS))
        task_options = TaskOptions(
            run_id=begun.run.id,
            owner=self._owner,
            most_conversations=_NEWEST_CONVERSATIONS if queue is TaskQueue.NEWEST else None,
            reads_history=queue is TaskQueue.HISTORY,
            suspends_on_failure=begun.task.failures < _MOST_FAILURES,
        )
        sync = self._engine.page_sync(
            self._source,
            begun.page,
            options=options,
            stop=stop,
            listener=log_event,
            task_options=task_options,
        )
        return await sync.run()

    def _following(self, begun: Begun, outcome: Outcome) -> Following | None:
        """What follows a task that ended in order; None if the run has ended."""
        suspension, queue = outcome.suspension, begun.task.queue
        if suspension is None:
            return None
        if suspension.has_failed:
            has_moved = outcome.run.batches > begun.run.batches
            failures = 1 if has_moved else begun.task.failures + 1
            pause = min(_FIRST_PAUSE * 2 ** (failures - 1), _LONGEST_PAUSE)
            return Following(queue, self._engine.clock.now() + pause, failures)
        queue = _queue_after(queue, suspension, is_paused=self._pause is not None)
        return Following(queue, self._due_at(suspension.until))

    def _again(self, begun: Begun, *, after: timedelta) -> Following:
        """Repeat the task later: another process works on the Page."""
        return Following(begun.task.queue, self._engine.clock.now() + after, begun.task.failures)

    def _due_at(self, until: datetime | None) -> datetime:
        now = self._engine.clock.now()
        if until is None:
            return now
        # Tasks that wait for the same hour do not begin at the same moment.
        jitter = timedelta(seconds=random.uniform(0, 1))  # noqa: S311 - spreads load
        return min(until, now + _LONGEST_WAIT) + jitter

    def _conclude(self, task: RunTask, following: Following | None) -> None:
        """Note what follows, unless this task is no longer this worker's."""
        with self._store.write() as connection:
            run = get_run(connection, self._run_id)
            if following is None and run is not None and run.status.is_open:
                # The end of the run could not be written: the next task writes it.
                due_at = self._engine.clock.now() + _FIRST_PAUSE
                following = Following(task.queue, due_at, task.failures + 1)
            if following is None:
                end_tasks(connection, self._run_id)
            else:
                next_task(
                    connection,
                    task,
                    queue=following.queue,
                    due_at=following.due_at,
                    failures=following.failures,
                )

    def _is_any_waiting(self, queue: TaskQueue) -> bool:
        try:
            with self._store.read() as connection:
                return is_any_waiting(connection, queue, now=self._engine.clock.now())
        except StoreError:
            return False


class Tasks:
    """The tasks that one worker executes. `running` has each by its run and number.

    Set `source` before the first task. `on_end` is called after each.
    """

    source: GraphClient

    def __init__(self, engine: Engine, *, worker_id: str, on_end: Callable[[], None]) -> None:
        self.running: dict[tuple[str, int], tuple[TaskExecution, asyncio.Task[None]]] = {}
        self._engine = engine
        self._worker_id = worker_id
        self._on_end = on_end
        self._numbers = count(1)
        self._is_draining = False

    async def execute(self, run_id: str, number: int) -> None:
        """Execute a task to its end."""
        execution = TaskExecution(
            self._engine,
            self.source,
            run_id=run_id,
            number=number,
            worker_id=self._worker_id,
            owner=f"{self._worker_id}.{next(self._numbers)}",
        )
        if self._is_draining:
            execution.pause("its worker stops")
        key = run_id, number
        task = asyncio.create_task(execution.run())
        self.running[key] = execution, task
        task.add_done_callback(lambda ended: self._ended(key, ended))
        await asyncio.wait({task})  # not the task itself: what DBOS cancels may still end at its next batch

    def drain(self) -> None:
        """Suspend the runs being executed at their next batch."""
        self._is_draining = True
        for execution, _ in self.running.values():
            execution.pause("its worker stops")

    def _ended(self, key: tuple[str, int], task: asyncio.Task[None]) -> None:
        self.running.pop(key, None)
        if task.cancelled():
            return
        self._on_end()
        if (failure := task.exception()) is not None:
            # What was stored is stored; maintenance repeats the task.
            known = isinstance(failure, InboxsyncError)
            log.error("a task failed", run_id=key[0], why=str(failure), exc_info=None if known else failure)


def _queue_after(queue: TaskQueue, suspension: Suspension, *, is_paused: bool) -> TaskQueue:
    """Where a run continues: a pause that others asked for, or a wait, does not change it."""
    if suspension.wants_history:
        return TaskQueue.HISTORY
    if is_paused or suspension.until is not None:
        return queue
    return TaskQueue.SCAN if queue is TaskQueue.NEWEST else queue
