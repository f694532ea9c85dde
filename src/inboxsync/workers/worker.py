"""A worker: executes tasks of runs, several at the same time, and writes a heartbeat."""

import asyncio
import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from inboxsync import __version__
from inboxsync.engine import Engine
from inboxsync.errors import InboxsyncError
from inboxsync.model import WorkerInfo
from inboxsync.store.state.tasks import delete_worker, put_worker
from inboxsync.sync import new_owner
from inboxsync.workers.deriving import Deriving
from inboxsync.workers.task import Tasks

if TYPE_CHECKING:
    from inboxsync.workers.dispatch import Dispatcher
    from inboxsync.workers.maintenance import Outage

log = structlog.get_logger(__name__)

_HEARTBEAT_SECONDS = 1.0
# A worker that ends derives for so long: others, or the next one, continue from there.
_LAST_DERIVING_SECONDS = 5.0


class Worker:
    """Executes runs in this process, on the loop that it is started on, until it is drained.

    `concurrency` is how many Pages are worked on at the same time. The queue keeps one number for all
    workers: that of the worker that was started last. One worker in a process: DBOS allows no second.
    """

    def __init__(self, engine: Engine, *, concurrency: int = 8, schedules: bool = True) -> None:
        self._engine = engine
        self._concurrency = concurrency
        self._schedules = schedules
        self.id = new_owner()
        self._deriving = Deriving(engine)
        self._open = AsyncExitStack()
        self._loops: list[asyncio.Task[None]] = []
        # No batch waits for these threads or keeps them busy: a late heartbeat would look like a death.
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="inboxsync-worker")
        self._dispatcher: Dispatcher | None = None
        self._tasks: Tasks

    async def start(self) -> None:
        """Begin to take tasks. Raises WorkerRunning, and what opening the database raises."""
        # DBOS takes a quarter of a second to import: only a worker waits for that.
        from inboxsync.workers.dispatch import Dispatcher  # noqa: PLC0415
        from inboxsync.workers.maintenance import Maintenance, Outage  # noqa: PLC0415

        now = self._engine.clock.now()
        self._info = WorkerInfo(
            id=self.id,
            version=__version__,
            concurrency=self._concurrency,
            started_at=now,
            heartbeat_at=now,
        )
        self._tasks = Tasks(self._engine, worker_id=self.id, on_end=self._deriving.ask)
        database, schema = self._engine.queue_database()
        dispatcher = Dispatcher(
            database,
            schema=schema,
            worker_id=self.id,
            execute=self._tasks.execute,
            loop=asyncio.get_running_loop(),
        )
        try:
            self._tasks.source = await self._open.enter_async_context(self._engine.source())
            await self._aside(self._beat)  # before the first task can be this worker's
            await asyncio.to_thread(dispatcher.launch, concurrency=self._concurrency)
        except BaseException:
            await self._open.aclose()
            with suppress(InboxsyncError):
                await self._aside(self._leave)
            raise
        self._dispatcher = dispatcher
        maintenance = Maintenance(
            self._engine,
            dispatcher,
            worker_id=self.id,
            at_work=lambda: tuple(self._tasks.running),
            schedules=self._schedules,
        )
        self._loops = [
            asyncio.create_task(self._live(Outage("heartbeat not written", "heartbeat written again"))),
            asyncio.create_task(maintenance.run(self._threads)),
        ]
        self._deriving.ask()  # what a worker that was killed has left
        log.info("worker started", worker=self.id, concurrency=self._concurrency)

    async def drain(self, seconds: float = 30.0) -> None:
        """Take no more tasks, suspend the runs being executed at their next batch, and end.

        After `seconds` it ends in any case: another worker continues those runs from their last batch.
        """
        if self._dispatcher is None:
            return
        log.info("worker drains", worker=self.id, tasks=len(self._tasks.running))
        ends_at = time.monotonic() + seconds
        self._tasks.drain()
        heartbeat, *others = self._loops
        await _cancel(*others)
        # DBOS looks once a second whether it may end: without a task there is nothing to wait for.
        await asyncio.to_thread(
            self._dispatcher.destroy, seconds=math.ceil(seconds) if self._tasks.running else 0
        )
        self._dispatcher = None
        await self._deriving.close(min(ends_at - time.monotonic(), _LAST_DERIVING_SECONDS))
        await _cancel(heartbeat, *(task for _, task in self._tasks.running.values()))
        await self._open.aclose()
        await self._aside(self._leave)
        self._threads.shutdown(wait=False)
        log.info("worker ended", worker=self.id)

    async def _live(self, outage: "Outage") -> None:
        """Write a heartbeat every second."""
        while True:
            try:
                await self._aside(self._beat)
            except Exception as failure:  # noqa: BLE001 - without heartbeats others take this worker for dead
                outage.met(failure, where=self._engine.store.where)
            else:
                outage.passed()
            await asyncio.sleep(_HEARTBEAT_SECONDS)

    async def _aside(self, work: Callable[[], None]) -> None:
        await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def _beat(self) -> None:
        now = self._engine.clock.now()
        with self._engine.store.write() as connection:
            put_worker(connection, replace(self._info, heartbeat_at=now))

    def _leave(self) -> None:
        with self._engine.store.write() as connection:
            delete_worker(connection, self.id)


async def _cancel(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
