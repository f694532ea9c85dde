"""What one worker does for all: start due runs, dispatch tasks, recover lost ones, delete old rows.

The worker that runs longest does it. If two think so for a moment, nothing is done twice: every change is a
conditional statement, and a task has one name.
"""

import asyncio
import math
import time
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

import structlog
from sqlalchemy.exc import DBAPIError

from inboxsync.engine import Engine
from inboxsync.errors import InboxsyncError
from inboxsync.model import RunTask, TaskQueue, WorkerInfo
from inboxsync.store.connection.faults import store_error
from inboxsync.store.state.runs import delete_runs
from inboxsync.store.state.schedules import delete_idle_runs
from inboxsync.store.state.tasks import (
    delete_worker,
    list_begun,
    list_due,
    list_waiting,
    list_workers,
    mark_dispatched,
    next_task,
    repeat_tasks_of_the_dead,
)
from inboxsync.sync import is_gone
from inboxsync.workers.dispatch import Dispatcher
from inboxsync.workers.schedules import start_due

log = structlog.get_logger(__name__)

# A worker without a heartbeat for so long is dead, or frozen: its leases are fenced.
DEAD_SECONDS: Final = 8.0
# Longer pauses between two looks count as this: the observer was frozen itself, or had no database.
_LONGEST_LOOK_SECONDS = 3.0
_ROUND_SECONDS = 0.5
_SCHEDULE_SECONDS = 1.0
_LOST_SECONDS = 10.0
_PURGE_SECONDS = 3600.0
_DISPATCHED_AT_ONCE = 100
# Lost tasks are looked for among those of each queue that are to begin next.
_LOOKED_AT = 100
_LOST_AFTER = timedelta(seconds=15)
# Thousands of Pages that are synced every few minutes would leave millions of rows a day.
_KEEP_IDLE = timedelta(hours=6)
_KEEP_RUNS = timedelta(days=90)
_KEEP_WORKFLOWS = timedelta(hours=1)


@dataclass(slots=True)
class WorkerRegistry:
    """Which workers live, seen from one of them.

    It uses only its own clock: the time at which it saw a heartbeat change. And time counts only while its
    own heartbeat changes: no worker can write one while a database is away or locked.
    """

    worker_id: str
    monotonic: Callable[[], float] = time.monotonic
    _seen: dict[str, tuple[object, float]] = field(default_factory=dict)
    _own_beat: object = None
    _looked_at: float | None = None
    _watched_seconds: float = 0.0

    def look(self, workers: list[WorkerInfo]) -> tuple[list[WorkerInfo], list[WorkerInfo]]:
        """The living and the dead among these."""
        self._watch(workers)
        now = self._watched_seconds
        known = {each.id for each in workers}
        self._seen = {worker_id: seen for worker_id, seen in self._seen.items() if worker_id in known}
        living: list[WorkerInfo] = []
        dead: list[WorkerInfo] = []
        for each in workers:
            beat, since = self._seen.get(each.id, (None, now))
            if beat != each.heartbeat_at:
                beat, since = each.heartbeat_at, now
            self._seen[each.id] = beat, since
            is_dead = each.id != self.worker_id and (is_gone(each.id) or now - since > DEAD_SECONDS)
            (dead if is_dead else living).append(each)
        return living, dead

    def _watch(self, workers: list[WorkerInfo]) -> None:
        """Count the time in which other workers could have written a heartbeat."""
        now = self.monotonic()
        passed = now - self._looked_at if self._looked_at is not None else 0.0
        own_beat = next((each.heartbeat_at for each in workers if each.id == self.worker_id), None)
        if own_beat == self._own_beat:
            return  # its next heartbeat shows that the database was there
        self._watched_seconds += min(passed, _LONGEST_LOOK_SECONDS)
        self._own_beat, self._looked_at = own_beat, now


class Maintenance:
    """One worker's part of it. `at_work` has the run and number of each task that this worker executes."""

    def __init__(
        self,
        engine: Engine,
        dispatcher: Dispatcher,
        *,
        worker_id: str,
        at_work: Callable[[], Collection[tuple[str, int]]],
        schedules: bool,
    ) -> None:
        self._engine = engine
        self._store = engine.store
        self._dispatcher = dispatcher
        self._worker_id = worker_id
        self._at_work = at_work
        self._registry = WorkerRegistry(worker_id)
        self._living: list[WorkerInfo] = []
        self._own = _Chore(_LOST_SECONDS, self._repeat_own_lost_tasks)
        self._chores = [
            _Chore(_SCHEDULE_SECONDS if schedules else math.inf, lambda: start_due(engine)),
            _Chore(_LOST_SECONDS, self._repeat_lost_tasks),
            _Chore(_PURGE_SECONDS, self._purge),
        ]

    async def run(self, threads: ThreadPoolExecutor) -> None:
        """Do it in one of these threads, round after round, until cancelled."""
        outage = Outage("maintenance waits", "maintenance continues")
        while True:
            try:
                await asyncio.get_running_loop().run_in_executor(threads, self._round)
            except Exception as failure:  # noqa: BLE001 - a database that is away comes back, and the loop continues
                outage.met(failure, where=self._store.where)
            else:
                outage.passed()
            await asyncio.sleep(_ROUND_SECONDS)

    def _round(self) -> None:
        self._own.do_if_due()
        if not self._find_dead():
            return
        for each in self._chores:
            each.do_if_due()
        self._dispatch_due()

    def _find_dead(self) -> bool:
        """Look which workers live, and remove the dead; whether the rest is this worker's to do."""
        with self._store.read() as connection:
            self._living, dead = self._registry.look(list_workers(connection))
        if not self._living or self._living[0].id != self._worker_id:
            return False
        for each in dead:
            log.warning("a worker is dead: others continue its runs", worker=each.id)
            with self._store.write() as connection:
                delete_worker(connection, each.id)
        return True

    def _dispatch_due(self) -> None:
        """Put tasks that are due into the workers' queue."""
        now = self._engine.clock.now()
        with self._store.read() as connection:
            due = list_due(connection, now=now, limit=_DISPATCHED_AT_ONCE)
        if due:
            self._dispatcher.dispatch(due)
            with self._store.write() as connection:
                mark_dispatched(connection, due, now=now)

    def _repeat_own_lost_tasks(self) -> None:
        """Repeat what this worker has begun and no longer executes: it could not note what follows."""
        with self._store.read() as connection:
            begun = list_begun(connection, worker_id=self._worker_id)
        at_work = set(self._at_work())  # asked for after those: one that has ended since has noted it
        self._repeat([each for each in begun if (each.run_id, each.number) not in at_work])

    def _repeat_lost_tasks(self) -> None:
        """Repeat tasks that no worker executes, or is going to execute."""
        now = self._engine.clock.now()
        with self._store.write() as connection:
            if tasks := repeat_tasks_of_the_dead(connection):
                log.warning("tasks of dead workers are repeated", tasks=tasks)
        for queue in TaskQueue:
            with self._store.read() as connection:
                waiting = list_waiting(
                    connection, queue, dispatched_before=now - _LOST_AFTER, limit=_LOOKED_AT
                )
                living = {each.id for each in list_workers(connection)}
            self._repeat(self._dispatcher.find_lost(waiting, living=living, begun_before=now - _LOST_AFTER))

    def _repeat(self, lost: list[RunTask]) -> None:
        for each in lost:
            with self._store.write() as connection:
                if next_task(
                    connection, each, queue=each.queue, due_at=each.due_at, failures=each.failures + 1
                ):
                    log.warning("a task was lost: it is repeated", run_id=each.run_id)

    def _purge(self) -> None:
        """Delete what will not be asked for: old runs, and workflows that have ended."""
        now = self._engine.clock.now()
        with self._store.write() as connection:
            delete_idle_runs(connection, before=now - _KEEP_IDLE)
            delete_runs(connection, before=now - _KEEP_RUNS)
        with self._store.read() as connection:
            at_work = list_begun(connection)
        workflows = self._dispatcher.purge(before=now - _KEEP_WORKFLOWS, at_work=at_work)
        log.info("ended workflows are deleted", workflows=workflows)


@dataclass(slots=True)
class _Chore:
    """Something to do every so many seconds; never if that is infinity."""

    seconds: float
    work: Callable[[], object]
    _done: float = -math.inf

    def do_if_due(self) -> None:
        now = time.monotonic()
        if now - self._done >= self.seconds and self.seconds != math.inf:
            self._done = now
            self.work()


@dataclass(slots=True)
class Outage:
    """Something that is tried every second: an hour without a database is reported once, not 3,600 times."""

    failing: str
    continuing: str
    _why: str | None = None

    def met(self, failure: Exception, *, where: str) -> None:
        """It failed; logged if that is new. Of others' errors only the type: their text may hold values."""
        if isinstance(failure, DBAPIError):
            failure = store_error(failure, where=where)  # DBOS's, which is not translated
        why = failure.message if isinstance(failure, InboxsyncError) else type(failure).__name__
        if why != self._why:
            log.warning(self.failing, why=why)
        self._why = why

    def passed(self) -> None:
        """It worked; logged if it had failed."""
        if self._why is not None:
            log.info(self.continuing)
        self._why = None
