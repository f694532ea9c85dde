"""Rows of `run_tasks`, what the workers have to do next, and of `workers`, the processes that do it.

Each run has one row of `run_tasks`. Every change from one task to the next is one conditional statement, so a
caller that comes with an old number, or with a task that another worker has begun, changes nothing.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, delete, insert, select, update

from inboxsync.model import RunTask, TaskQueue, WorkerInfo
from inboxsync.store.connection.statements import is_postgresql, put_row
from inboxsync.store.tables import facebook_pages, page_leases, workers
from inboxsync.store.tables import run_tasks as table


def lock_page(connection: Connection, page_id: str) -> None:
    """Let no one else enqueue a run of this Page until the transaction ends."""
    if is_postgresql(connection):  # SQLite has one writer
        row = select(facebook_pages.c.id).where(facebook_pages.c.id == page_id)
        connection.execute(row.with_for_update(key_share=True))


def add_task(connection: Connection, first: RunTask) -> None:
    """Give a run to the workers, with its first task."""
    connection.execute(
        insert(table),
        {
            "run_id": first.run_id,
            "page_id": first.page_id,
            "queue": first.queue.value,
            "number": first.number,
            "due_at": first.due_at,
        },
    )


def get_task(connection: Connection, run_id: str) -> RunTask | None:
    """The task of a run; None if the workers do not have this run, or no longer."""
    return next(iter(_list(connection, table.c.run_id == run_id)), None)


def get_task_of_page(connection: Connection, page_id: str) -> RunTask | None:
    """The task of the run of this Page that the workers have; None if they have none."""
    return next(iter(_list(connection, table.c.page_id == page_id)), None)


def list_due(connection: Connection, *, now: datetime, limit: int) -> list[RunTask]:
    """Tasks that may begin and are not dispatched yet, the longest due first."""
    return _list(connection, table.c.dispatched_at.is_(None), table.c.due_at <= now, limit=limit)


def list_waiting(
    connection: Connection, queue: TaskQueue, *, dispatched_before: datetime, limit: int
) -> list[RunTask]:
    """Tasks of a queue, dispatched before then, that no worker has begun; the longest due first."""
    return _list(
        connection,
        table.c.queue == queue.value,
        table.c.dispatched_at < dispatched_before,
        table.c.worker_id.is_(None),
        limit=limit,
    )


def list_begun(connection: Connection, *, worker_id: str | None = None) -> list[RunTask]:
    """Tasks that a worker has begun and that have not ended; only those of one worker if it is named."""
    is_begun = table.c.worker_id == worker_id if worker_id is not None else table.c.worker_id.is_not(None)
    return _list(connection, is_begun)


def is_any_waiting(connection: Connection, queue: TaskQueue, *, now: datetime) -> bool:
    """Whether another task of this queue could begin now if there were a slot for it."""
    is_waiting = table.c.queue == queue.value, table.c.worker_id.is_(None), table.c.due_at <= now
    return bool(_list(connection, *is_waiting, limit=1))


def mark_dispatched(connection: Connection, tasks: Iterable[RunTask], *, now: datetime) -> None:
    """Note that these are in the workers' queue."""
    for each in tasks:
        connection.execute(update(table).where(*_is(each)).values(dispatched_at=now))


def begin_task(connection: Connection, task: RunTask, *, worker_id: str) -> bool:
    """Note that a worker begins it; False if another worker has, or if it is no longer the next task."""
    begun = update(table).where(*_is(task), table.c.worker_id.is_(None)).values(worker_id=worker_id)
    return connection.execute(begun).rowcount == 1


def next_task(
    connection: Connection, ended: RunTask, *, queue: TaskQueue, due_at: datetime, failures: int = 0
) -> bool:
    """Let another task follow this one; False if one does already, or if this one changed hands."""
    values: dict[str, Any] = {"queue": queue.value, "due_at": due_at, "failures": failures}
    followed = connection.execute(
        update(table)
        .where(*_is(ended), table.c.worker_id.is_not_distinct_from(ended.worker_id))
        .values(**values, number=ended.number + 1, dispatched_at=None, worker_id=None)
    )
    return followed.rowcount == 1


def repeat_tasks_of_the_dead(connection: Connection) -> int:
    """Let another task follow each one that was begun by a worker that has no row any more; how many."""
    living = select(workers.c.id)
    repeated = connection.execute(
        update(table)
        .where(table.c.worker_id.is_not(None), table.c.worker_id.not_in(living))
        .values(
            number=table.c.number + 1,
            failures=table.c.failures + 1,
            dispatched_at=None,
            worker_id=None,
        )
    )
    return repeated.rowcount


def end_tasks(connection: Connection, run_id: str) -> None:
    """The run has ended: no task follows."""
    connection.execute(delete(table).where(table.c.run_id == run_id))


def put_worker(connection: Connection, worker: WorkerInfo) -> None:
    """Write a worker's heartbeat."""
    row = {
        "id": worker.id,
        "version": worker.version,
        "concurrency": worker.concurrency,
        "started_at": worker.started_at,
        "heartbeat_at": worker.heartbeat_at,
    }
    put_row(connection, workers, row, keep=("started_at",))


def list_workers(connection: Connection) -> list[WorkerInfo]:
    """Every worker that has not ended properly, the longest running first."""
    rows = connection.execute(select(workers).order_by(workers.c.started_at, workers.c.id))
    return [
        WorkerInfo(
            id=row.id,
            version=row.version,
            concurrency=row.concurrency,
            started_at=row.started_at,
            heartbeat_at=row.heartbeat_at,
        )
        for row in rows
    ]


def delete_worker(connection: Connection, worker_id: str) -> None:
    """A worker has ended, or was found dead: its leases are broken and its tasks are repeated elsewhere."""
    connection.execute(delete(workers).where(workers.c.id == worker_id))
    connection.execute(
        delete(page_leases).where(page_leases.c.owner.startswith(f"{worker_id}.", autoescape=True))
    )
    repeat_tasks_of_the_dead(connection)


def _is(task: RunTask) -> tuple[ColumnElement[bool], ...]:
    return table.c.run_id == task.run_id, table.c.number == task.number


def _list(connection: Connection, *where: ColumnElement[bool], limit: int | None = None) -> list[RunTask]:
    query = select(table).where(*where).order_by(table.c.due_at, table.c.run_id).limit(limit)
    return [_task(row) for row in connection.execute(query)]


def _task(row: Row[Any]) -> RunTask:
    return RunTask(
        run_id=row.run_id,
        page_id=row.page_id,
        queue=TaskQueue(row.queue),
        number=row.number,
        due_at=row.due_at,
        dispatched_at=row.dispatched_at,
        worker_id=row.worker_id,
        failures=row.failures,
    )
