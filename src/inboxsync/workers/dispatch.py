"""DBOS, as far as workers need it: each slice is executed by one worker, and a dead one's are taken over.

Imported only when a worker starts. DBOS is one in a process, so a worker is too. What it stores is ids and a
truth value: no token, no text of an error, nobody's name.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable
from datetime import datetime
from threading import Lock
from typing import Final

from dbos import DBOS, DBOSPortableJSONSerializer, EnqueueOptions, WorkflowSerializationFormat, WorkflowStatus
from sqlalchemy import Engine as Database

from inboxsync.errors import WorkerRunning
from inboxsync.model import RunTask, TaskQueue
from inboxsync.workers.outages import say_what_dbos_says
from inboxsync.workers.queues import queue_name, slots

# Which form of the workflow this is: to be raised where one begun by the form before cannot be gone on with.
WORKFLOW_VERSION: Final = "1"
_WORKFLOW = "execute_slice"
_POLL_SECONDS = 0.5
_THREADS = 8
_OPEN = ("ENQUEUED", "PENDING", "DELAYED")
_ENDED = ("SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED")
_PURGED_AT_ONCE = 500
_QUEUES = {queue_name(queue): queue for queue in TaskQueue}

# One step: executes a slice for some seconds; whether it is over.
Step = Callable[[str, int], Coroutine[None, None, bool]]

_one = Lock()


class Dispatcher:
    """DBOS in this process, from `launch` to `destroy`. Every method blocks: call it from a thread."""

    def __init__(
        self,
        database: Database,
        *,
        schema: str | None,
        worker_id: str,
        step: Step,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._database = database
        self._schema = schema
        self._worker_id = worker_id
        self._step = step
        self._loop = loop
        self._idle: frozenset[str] = frozenset()

    def launch(self, *, concurrency: int) -> None:
        """Make the tables where they are missing, and begin to take slices. Raises WorkerRunning."""
        if not _one.acquire(blocking=False):
            raise WorkerRunning("A worker runs in this process already, and DBOS allows one.")
        try:
            self._launch(concurrency)
        except BaseException:
            self.destroy(seconds=0)
            raise

    def _launch(self, concurrency: int) -> None:
        say_what_dbos_says()
        DBOS(
            config={
                "name": "inboxsync",
                "system_database_engine": self._database,
                "dbos_system_schema": self._schema,
                "executor_id": self._worker_id,
                "application_version": WORKFLOW_VERSION,
                "serializer": DBOSPortableJSONSerializer(),
                # A pooler in transaction mode has no LISTEN, and nothing here waits for a notification.
                "use_listen_notify": False,
                "max_executor_threads": _THREADS,
                "log_level": "ERROR",
            }
        )
        DBOS.workflow(name=_WORKFLOW, serialization_type=WorkflowSerializationFormat.PORTABLE)(
            _workflow(self._step, self._loop)
        )
        DBOS.launch()
        for name, queue in _QUEUES.items():
            DBOS.register_queue(
                name,
                worker_concurrency=slots(queue, concurrency),
                partition_concurrency=1,
                polling_interval_sec=_POLL_SECONDS,
                on_conflict="always_update",
            )

    def destroy(self, *, seconds: int) -> None:
        """Take no more slices, and end once those under way have, or after so long."""
        DBOS.destroy(destroy_registry=True, workflow_completion_timeout_sec=seconds)
        self._database.dispose()
        _one.release()

    def enqueue(self, tasks: Iterable[RunTask]) -> None:
        """Put these into their lanes' queues; one that is there already stays as it is."""
        for each in tasks:
            options: EnqueueOptions = {
                "workflow_name": _WORKFLOW,
                "queue_name": queue_name(each.queue),
                "workflow_id": workflow_id(each),
                "queue_partition_key": each.page_id,
                "serialization_type": WorkflowSerializationFormat.PORTABLE,
                # Without one DBOS gives it to none but the newest form it has ever seen: nobody, after a
                # step back to an earlier release.
                "app_version": WORKFLOW_VERSION,
            }
            DBOS.enqueue_workflow_with_options(options, each.run_id, each.number)

    def find_over(self, tasks: Collection[RunTask], *, versions: Collection[str]) -> list[RunTask]:
        """Those of these whose workflow has ended, or never was, or has a form that no worker executes.

        `versions` are the forms that are executed. A workflow of another is cancelled.
        """
        ids = [workflow_id(each) for each in tasks]
        found = DBOS.list_workflows(workflow_ids=ids, load_input=False, load_output=False) if ids else []
        unfinished = [each for each in found if each.status in _OPEN]
        foreign = {
            each.workflow_id for each in unfinished if each.app_version and each.app_version not in versions
        }
        if foreign:
            DBOS.cancel_workflows(sorted(foreign))
        open_ids = {each.workflow_id for each in unfinished} - foreign
        return [each for each in tasks if workflow_id(each) not in open_ids]

    def purge(self, *, before: datetime) -> int:
        """Forget workflows that ended before then; returns how many."""
        purged = 0
        while True:
            ended = DBOS.list_workflows(
                status=list(_ENDED),
                completed_before=before.isoformat(),
                name=_WORKFLOW,
                limit=_PURGED_AT_ONCE,
                load_input=False,
                load_output=False,
            )
            if not ended:
                return purged
            DBOS.delete_workflows([each.workflow_id for each in ended])
            purged += len(ended)

    def take_over(self, list_living: Callable[[], Collection[str]]) -> int:
        """Put the slices of workers that are not among the living back into their queues; how many.

        The living are asked for after the slices: whoever has begun one is among them by then.
        """
        begun = DBOS.list_workflows(status="PENDING", name=_WORKFLOW, load_input=False, load_output=False)
        if not begun:
            return 0
        living = list_living()
        left = [each for each in begun if each.executor_id not in living]
        _resume(left)
        return len(left)

    def take_back(self, at_work: Collection[tuple[str, int]]) -> int:
        """Put slices back into their queues that are this worker's by DBOS's word, and that it is not at.

        `at_work` has the run and number of those that it is at; returns how many were not. DBOS gives a
        workflow up where it cannot write a step down, and where it cannot write that down either the workflow
        stays begun: it would keep its Page from every other slice for as long as this worker lives. One that
        has only just begun or ended looks the same, so it has to look so twice.
        """
        begun = DBOS.list_workflows(
            status="PENDING",
            name=_WORKFLOW,
            executor_id=self._worker_id,
            load_input=False,
            load_output=False,
        )
        busy = {_name(run_id, number) for run_id, number in at_work}
        idle = {each.workflow_id: each for each in begun if each.workflow_id not in busy}
        left = [each for workflow, each in idle.items() if workflow in self._idle]
        self._idle = frozenset(idle)
        _resume(left)
        return len(left)


def workflow_id(of: RunTask) -> str:
    """The same for the same slice, so that it is executed once however often it is put into the queue."""
    return _name(of.run_id, of.number)


def _name(run_id: str, number: int) -> str:
    return f"{run_id}.{number}"


def _resume(left: Iterable[WorkflowStatus]) -> None:
    queues: dict[str, list[str]] = {}
    for each in left:
        queues.setdefault(each.queue_name or "", []).append(each.workflow_id)
    for name in _QUEUES.keys() & queues.keys():
        DBOS.resume_workflows(queues[name], queue_name=name)


def _workflow(execute: Step, loop: asyncio.AbstractEventLoop) -> Callable[[str, int], Awaitable[None]]:
    """The workflow: steps of some seconds each, until the slice is over.

    Where a slice stands is in the user's database, not here: a step that is repeated goes on from there.
    """

    async def execute_task(run_id: str, number: int) -> None:
        async def step() -> bool:
            # The slice lives on the worker's own loop, and goes on there between the steps.
            return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(execute(run_id, number), loop))

        while not await DBOS.run_step_async({"name": "advance"}, step):
            pass

    return execute_task
