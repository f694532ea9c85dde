"""A worker: executes slices of runs, several side by side, and tells that it lives."""

import asyncio
import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from itertools import count
from typing import TYPE_CHECKING

import structlog
from sqlalchemy.exc import DBAPIError

from inboxsync.engine import Engine
from inboxsync.errors import InboxsyncError
from inboxsync.model import WorkerInfo
from inboxsync.store.connection.faults import store_error
from inboxsync.store.state.workers import delete_worker, put_worker
from inboxsync.sync import new_owner
from inboxsync.workers.deriving import Deriving
from inboxsync.workers.outages import Outage
from inboxsync.workers.task import TaskExecution

if TYPE_CHECKING:
    from inboxsync.graph import GraphClient
    from inboxsync.workers.dispatch import Dispatcher
    from inboxsync.workers.maintenance import Maintenance

log = structlog.get_logger(__name__)

# One step of a slice.
STEP_SECONDS = 10.0
_HEARTBEAT_SECONDS = 1.0
_DISPATCH_DUE_SECONDS = 0.5
_LOOK_SECONDS = 1.0
_STUCK_SECONDS = 10.0
_SCHEDULE_SECONDS = 1.0
_PURGE_SECONDS = 3600.0
# So long a worker that ends goes on deriving: others, or the next one, go on from there.
_LAST_DERIVING_SECONDS = 5.0


class Worker:
    """Executes runs in this process, on the loop that it is started on, until it is drained.

    `concurrency` is how many Pages are worked on side by side. The queue keeps one number for all workers:
    that of the worker that was started last. One worker a process: DBOS allows no second.
    """

    def __init__(self, engine: Engine, *, concurrency: int = 8, schedules: bool = True) -> None:
        self._engine = engine
        self._concurrency = concurrency
        self._schedules = schedules
        self.id = new_owner()
        self._tasks: dict[tuple[str, int], tuple[TaskExecution, asyncio.Task[None]]] = {}
        self._numbers = count(1)
        self._deriving = Deriving(engine)
        self._open = AsyncExitStack()
        self._loops: list[asyncio.Task[None]] = []
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="inboxsync-worker")
        self._dispatcher: Dispatcher | None = None
        self._source: GraphClient
        self._is_draining = False

    async def start(self) -> None:
        """Begin to take slices. Raises WorkerRunning, and what opening the database raises."""
        # DBOS takes a quarter of a second to import: nobody else waits for that.
        from inboxsync.workers.dispatch import WORKFLOW_VERSION, Dispatcher  # noqa: PLC0415
        from inboxsync.workers.maintenance import Maintenance  # noqa: PLC0415

        now = self._engine.clock.now()
        self._info = WorkerInfo(
            id=self.id,
            version=WORKFLOW_VERSION,
            concurrency=self._concurrency,
            started_at=now,
            heartbeat_at=now,
        )
        database, schema = self._engine.queue_database()
        dispatcher = Dispatcher(
            database,
            schema=schema,
            worker_id=self.id,
            step=self._step,
            loop=asyncio.get_running_loop(),
        )
        try:
            self._source = await self._open.enter_async_context(self._engine.source())
            await self._aside(self._beat)  # before the first slice can be this worker's
            await asyncio.to_thread(dispatcher.launch, concurrency=self._concurrency)
        except BaseException:
            await self._open.aclose()
            raise
        self._dispatcher = dispatcher
        maintenance = Maintenance(self._engine, dispatcher, worker_id=self.id)
        self._loops = [
            asyncio.create_task(self._live()),
            asyncio.create_task(self._attend(maintenance)),
        ]
        self._deriving.ask()  # what one that was killed has left
        log.info("worker started", worker=self.id, concurrency=self._concurrency)

    async def drain(self, seconds: float = 30.0) -> None:
        """Take no more slices, lay down those under way at their next batch, and end.

        After `seconds` it ends all the same: what is under way then goes on elsewhere from its last batch.
        """
        if self._dispatcher is None:
            return
        log.info("worker drains", worker=self.id, tasks=len(self._tasks))
        self._is_draining = True
        ends_at = time.monotonic() + seconds
        for task_run, _ in self._tasks.values():
            task_run.pause("its worker stops")
        for loop in self._loops[1:]:
            loop.cancel()
        await asyncio.to_thread(self._dispatcher.destroy, seconds=max(1, math.ceil(seconds)))
        await self._deriving.close(min(ends_at - time.monotonic(), _LAST_DERIVING_SECONDS))
        for _, task in self._tasks.values():
            task.cancel()
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(
            *self._loops, *(task for _, task in self._tasks.values()), return_exceptions=True
        )
        self._dispatcher = None
        await self._open.aclose()
        await self._aside(self._say_good_bye)
        self._threads.shutdown(wait=False)
        log.info("worker ended", worker=self.id)

    async def _step(self, run_id: str, number: int) -> bool:
        """Execute a slice for some seconds; whether it is over."""
        key = run_id, number
        if key not in self._tasks:
            task_run = TaskExecution(
                self._engine,
                self._source,
                run_id=run_id,
                number=number,
                worker_id=self.id,
                owner=f"{self.id}.{next(self._numbers)}",
            )
            if self._is_draining:
                task_run.pause("its worker stops")
            task = asyncio.create_task(task_run.run())
            self._tasks[key] = task_run, task
            # Not in the step: DBOS gives a workflow up whose step it could not write down, and the slice ends
            # all the same.
            task.add_done_callback(lambda ended: self._ended(key, ended))
        task_run, task = self._tasks[key]
        done, _ = await asyncio.wait({task}, timeout=STEP_SECONDS)
        if not done:
            await task_run.give_way()
        return bool(done)

    def _ended(self, key: tuple[str, int], task: asyncio.Task[None]) -> None:
        self._tasks.pop(key, None)
        if task.cancelled():
            return
        self._deriving.ask()
        if (failure := task.exception()) is not None:
            # What was stored is stored; the common duties hand the slice over anew.
            known = isinstance(failure, InboxsyncError)
            log.error("a slice failed", run_id=key[0], why=str(failure), exc_info=None if known else failure)

    async def _attend(self, maintenance: "Maintenance") -> None:
        """Do the common duties while they are this worker's."""
        chores = [
            _Chore(_SCHEDULE_SECONDS if self._schedules else math.inf, maintenance.start_due),
            _Chore(_STUCK_SECONDS, maintenance.free_stuck),
            _Chore(_PURGE_SECONDS, maintenance.purge),
        ]
        look = _Chore(_LOOK_SECONDS, maintenance.find_dead)
        own = _Chore(_STUCK_SECONDS, self._take_back)
        outage = Outage("the common duties wait", "the common duties go on")
        is_first = False
        while True:
            try:
                if own.is_due():
                    await self._aside(own.work)
                is_looking = look.is_due()
                if is_looking:
                    is_first = bool(await self._aside(maintenance.find_dead))
                if is_first:
                    for chore in chores:
                        if chore.is_due():
                            await self._aside(chore.work)
                    await self._aside(maintenance.dispatch_due)
            except Exception as failure:  # noqa: BLE001 - a database that is away comes back, and the loop goes on
                outage.met(_why(failure, where=self._engine.store.where))
            else:
                if is_looking or is_first:  # else nothing was asked of the database
                    outage.passed()
            await asyncio.sleep(_DISPATCH_DUE_SECONDS)

    async def _live(self) -> None:
        """Say every second that this worker lives."""
        outage = Outage("not told that it lives", "told again that it lives")
        while True:
            try:
                await self._aside(self._beat)
            except Exception as failure:  # noqa: BLE001 - a worker that no longer says so is taken for dead
                outage.met(_why(failure, where=self._engine.store.where))
            else:
                outage.passed()
            await asyncio.sleep(_HEARTBEAT_SECONDS)

    def _take_back(self) -> None:
        """Have slices executed anew that DBOS has given up without a word; each worker its own."""
        if self._dispatcher is None:
            return
        taken = self._dispatcher.take_back(tuple(self._tasks))
        if taken:
            log.warning("slices were given up half-way: they are taken up again", tasks=taken)

    async def _aside(self, work: Callable[[], object]) -> object:
        """Run it in a thread that no batch waits for or keeps busy: a late heartbeat is taken for a death."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def _beat(self) -> None:
        now = self._engine.clock.now()
        with self._engine.store.write() as connection:
            put_worker(connection, replace(self._info, heartbeat_at=now))

    def _say_good_bye(self) -> None:
        with self._engine.store.write() as connection:
            delete_worker(connection, self.id)


@dataclass(slots=True)
class _Chore:
    """Something to be done every so many seconds; never where that is infinity."""

    seconds: float
    work: Callable[[], object]
    _done: float = -math.inf

    def is_due(self) -> bool:
        now = time.monotonic()
        if now - self._done < self.seconds or self.seconds == math.inf:
            return False
        self._done = now
        return True


def _why(failure: Exception, *, where: str) -> str:
    """A sentence of ours; of another's error the type alone, as its text may hold values."""
    if isinstance(failure, DBAPIError):
        failure = store_error(failure, where=where)  # DBOS's, which is not translated
    return failure.message if isinstance(failure, InboxsyncError) else type(failure).__name__
