"""DBOS, as far as workers need it: one of them executes each task, in the order in which tasks are due.

Imported only when a worker starts. DBOS exists once in a process, and so does a worker. What DBOS stores are
ids and numbers: no token, no text of an error, no name of a person.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable
from datetime import UTC, datetime
from threading import Lock
from typing import Final

import structlog
from dbos import DBOS, DBOSPortableJSONSerializer, EnqueueOptions, WorkflowSerializationFormat, WorkflowStatus
from sqlalchemy import Engine as Database
from sqlalchemy.exc import DBAPIError

from inboxsync.errors import WorkerRunning
from inboxsync.model import RunTask, TaskQueue

log = structlog.get_logger(__name__)

# DBOS gives a task only to workers of the same version. Raise it if older workers cannot execute new tasks.
WORKFLOW_VERSION: Final = "1"
_WORKFLOW = "execute_task"
_POLL_SECONDS = 0.5
_THREADS = 8
_ENDED = ("SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED")
_PURGED_AT_ONCE = 500
# DBOS takes the lowest priority first, of 1 to 2^31 - 1: seconds since then last until 2094.
_PRIORITIES_BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
# A verification compares whole lists and cannot be divided: few at a time.
_VERIFICATIONS = 2

# Executes a task, by its run and number, to its end.
Execute = Callable[[str, int], Coroutine[None, None, None]]

_one = Lock()


class Dispatcher:
    """DBOS in this process, from `launch` to `destroy`. Every method blocks: call it from a thread."""

    def __init__(
        self,
        database: Database,
        *,
        schema: str | None,
        worker_id: str,
        execute: Execute,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._database = database
        self._schema = schema
        self._worker_id = worker_id
        self._execute = execute
        self._loop = loop

    def launch(self, *, concurrency: int) -> None:
        """Create the tables if they are missing, and begin to take tasks. Raises WorkerRunning."""
        if not _one.acquire(blocking=False):
            raise WorkerRunning("A worker runs in this process already, and DBOS allows one.")
        try:
            self._launch(concurrency)
        except BaseException:
            self.destroy(seconds=0)
            raise

    def _launch(self, concurrency: int) -> None:
        _log_what_dbos_logs()
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
            _workflow(self._execute, self._loop)
        )
        DBOS.launch()
        for queue in TaskQueue:
            DBOS.register_queue(
                _queue_name(queue),
                worker_concurrency=_slots(queue, concurrency),
                polling_interval_sec=_POLL_SECONDS,
                on_conflict="always_update",
            )

    def destroy(self, *, seconds: int) -> None:
        """Take no more tasks, and end when those being executed have ended, or after so long."""
        DBOS.destroy(destroy_registry=True, workflow_completion_timeout_sec=seconds)
        self._database.dispose()
        _one.release()

    def dispatch(self, tasks: Iterable[RunTask]) -> None:
        """Put these into their queues; a task that is there already stays as it is."""
        for each in tasks:
            options: EnqueueOptions = {
                "workflow_name": _WORKFLOW,
                "queue_name": _queue_name(each.queue),
                # The same name each time, so that a task is executed once, however often it is dispatched.
                "workflow_id": workflow_id(each),
                "priority": max(1, int((each.due_at - _PRIORITIES_BEGIN).total_seconds())),
                "serialization_type": WorkflowSerializationFormat.PORTABLE,
                # Without one, DBOS gives it only to the newest version that was ever registered: after a
                # downgrade that is no worker.
                "app_version": WORKFLOW_VERSION,
            }
            DBOS.enqueue_workflow_with_options(options, each.run_id, each.number)

    def find_lost(
        self, waiting: Collection[RunTask], *, living: Collection[str], begun_before: datetime
    ) -> list[RunTask]:
        """Those of these tasks, dispatched and not begun, that no worker is going to begin.

        Their workflow is missing or has ended, has another version, or was taken by a worker that is not
        among the `living`. What a living worker took before `begun_before` it will not begin either: DBOS
        forgets a workflow if the database fails as it is taken.
        """
        if not waiting:
            return []
        found = DBOS.list_workflows(
            workflow_ids=[workflow_id(each) for each in waiting], load_input=False, load_output=False
        )
        limit = begun_before.timestamp() * 1000
        coming = {each.workflow_id for each in found if _is_coming(each, living, limit)}
        return [each for each in waiting if workflow_id(each) not in coming]

    def purge(self, *, before: datetime, at_work: Collection[RunTask]) -> int:
        """Delete workflows that ended before then, or began before then and are not `at_work`; how many."""
        at = before.isoformat()
        purged = 0
        while ended := DBOS.list_workflows(
            status=list(_ENDED),
            completed_before=at,
            name=_WORKFLOW,
            limit=_PURGED_AT_ONCE,
            load_input=False,
            load_output=False,
        ):
            DBOS.delete_workflows([each.workflow_id for each in ended])
            purged += len(ended)
        # Those of dead workers, and those whose end DBOS could not write: they stay PENDING and never end.
        begun = DBOS.list_workflows(
            status="PENDING", dequeued_before=at, name=_WORKFLOW, load_input=False, load_output=False
        )
        busy = {workflow_id(each) for each in at_work}
        left = [each.workflow_id for each in begun if each.workflow_id not in busy]
        if left:
            DBOS.delete_workflows(left)
        return purged + len(left)


def workflow_id(task: RunTask) -> str:
    """`run.number`: no other task has it."""
    return f"{task.run_id}.{task.number}"


def _queue_name(queue: TaskQueue) -> str:
    return f"inboxsync-{queue.value}"


def _slots(queue: TaskQueue, concurrency: int) -> int:
    """How many tasks of this queue a worker executes at the same time."""
    match queue:
        case TaskQueue.HISTORY:
            return max(1, concurrency // 2)
        case TaskQueue.VERIFY:
            return min(_VERIFICATIONS, concurrency)
    return concurrency


def _is_coming(workflow: WorkflowStatus, living: Collection[str], begun_before: float) -> bool:
    if workflow.status == "ENQUEUED":
        return workflow.app_version == WORKFLOW_VERSION
    return (
        workflow.status == "PENDING"
        and workflow.executor_id in living
        and (workflow.dequeued_at or 0) > begun_before
    )


def _workflow(execute: Execute, loop: asyncio.AbstractEventLoop) -> Callable[[str, int], Awaitable[None]]:
    """The workflow: one task, on the worker's own loop.

    It has no steps that DBOS would record: where a run stands is in the user's database.
    """

    async def execute_task(run_id: str, number: int) -> None:
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(execute(run_id, number), loop))

    return execute_task


class _DbosLines(logging.Handler):
    """Writes a line of ours for each of DBOS's.

    While the database is away DBOS writes hundreds of lines of traceback, for a workflow that is dispatched
    again anyway. Of a driver's error only the type is logged: its text may hold a statement's values.
    """

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        message = record.getMessage().strip().partition("\n")[0].rstrip(":")
        if error is None:
            log.warning("the queue has a problem", message=message)
        else:
            traceback = None if isinstance(error, DBAPIError) else error
            log.warning(
                "the queue has a problem", message=message, why=type(error).__name__, exc_info=traceback
            )


def _log_what_dbos_logs() -> None:
    """Call it before DBOS is made: DBOS writes to stderr unless its logger has a handler."""
    logger = logging.getLogger("dbos")
    logger.handlers[:] = [_DbosLines(level=logging.ERROR)]
    logger.propagate = False
