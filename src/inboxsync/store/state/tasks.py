"""Rows of `run_tasks`: what the workers are to do next, one row for each run that they have.

A slice is named by its run and its number, and every step from one to the next is one
conditional statement: whoever comes with an old number changes nothing.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from inboxsync.model import RunTask, TaskQueue
from inboxsync.store.connection.statements import is_postgresql
from inboxsync.store.connection.types import UtcDateTime
from inboxsync.store.tables import facebook_pages
from inboxsync.store.tables import run_tasks as table


def lock_page(connection: Connection, page_id: str) -> None:
    """Let nobody else hand over a run of this Page until the transaction ends."""
    if is_postgresql(connection):  # SQLite has one writer
        row = select(facebook_pages.c.id).where(facebook_pages.c.id == page_id)
        connection.execute(row.with_for_update(key_share=True))


def add_task(connection: Connection, first: RunTask) -> None:
    """Hand a run to the workers."""
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
    """The slice of a run; None where the workers do not have it, or no longer."""
    return _one(connection, table.c.run_id == run_id)


def get_task_of_page(connection: Connection, page_id: str) -> RunTask | None:
    """The slice of the run of this Page that the workers have; None where they have none."""
    return _one(connection, table.c.page_id == page_id)


def list_due(connection: Connection, queue: TaskQueue, *, now: datetime, limit: int) -> list[RunTask]:
    """Slices that may begin and that nobody has put into the queue yet, those that wait longest first."""
    due = (
        select(table)
        .where(table.c.queue == queue.value, table.c.dispatched_at.is_(None), table.c.due_at <= now)
        .order_by(table.c.due_at, table.c.run_id)
        .limit(limit)
    )
    return [_task(row) for row in connection.execute(due)]


def list_dispatched(connection: Connection, *, before: datetime) -> list[RunTask]:
    """Slices that were put into the queue before then and have not ended."""
    handed = select(table).where(table.c.dispatched_at < before).order_by(table.c.run_id)
    return [_task(row) for row in connection.execute(handed)]


def count_unbegun(connection: Connection) -> dict[TaskQueue, tuple[int, datetime]]:
    """How many of each lane wait in the queue for a worker to begin them, and since when the first does."""
    rows = connection.execute(
        select(table.c.queue, func.count(), func.min(table.c.dispatched_at, type_=UtcDateTime))
        .where(table.c.dispatched_at.is_not(None), table.c.worker_id.is_(None))
        .group_by(table.c.queue)
    )
    return {TaskQueue(queue): (count, since) for queue, count, since in rows}


def is_anybody_waiting(connection: Connection, queue: TaskQueue, *, now: datetime) -> bool:
    """Whether another slice of this lane could begin now if there were a slot for it."""
    waiting = select(table.c.run_id).where(
        table.c.queue == queue.value, table.c.worker_id.is_(None), table.c.due_at <= now
    )
    return connection.execute(waiting.limit(1)).first() is not None


def mark_dispatched(connection: Connection, tasks: Iterable[RunTask], *, now: datetime) -> None:
    """These are in the queue."""
    for each in tasks:
        connection.execute(update(table).where(*_is(each)).values(dispatched_at=now))


def begin_task(connection: Connection, begun: RunTask, *, worker_id: str) -> bool:
    """A worker begins it; False where it is another's turn by now, or the run has ended."""
    return connection.execute(update(table).where(*_is(begun)).values(worker_id=worker_id)).rowcount == 1


def next_task(
    connection: Connection, ended: RunTask, *, queue: TaskQueue, due_at: datetime, failures: int = 0
) -> bool:
    """Let another slice follow this one; False where one does already."""
    followed = connection.execute(
        update(table)
        .where(*_is(ended))
        .values(
            queue=queue.value,
            number=ended.number + 1,
            due_at=due_at,
            dispatched_at=None,
            worker_id=None,
            failures=failures,
        )
    )
    return followed.rowcount == 1


def hasten_task(
    connection: Connection, waiting: RunTask, *, due_at: datetime, unless_due_after: datetime
) -> None:
    """Let a slice that only waits for its turn come before others; one that must not begin yet does not."""
    connection.execute(
        update(table)
        .where(*_is(waiting), table.c.dispatched_at.is_(None), table.c.due_at <= unless_due_after)
        .values(due_at=due_at)
    )


def end_tasks(connection: Connection, run_id: str) -> None:
    """The run has ended: no slice follows."""
    connection.execute(delete(table).where(table.c.run_id == run_id))


def _is(one: RunTask) -> tuple[Any, ...]:
    return table.c.run_id == one.run_id, table.c.number == one.number


def _one(connection: Connection, *where: Any) -> RunTask | None:  # noqa: ANN401 - conditions
    row = connection.execute(select(table).where(*where)).one_or_none()
    return _task(row) if row is not None else None


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
