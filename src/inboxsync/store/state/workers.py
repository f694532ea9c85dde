"""Rows of `workers`: the processes that execute runs."""

from sqlalchemy import Connection, delete, select

from inboxsync.model import WorkerInfo
from inboxsync.store.connection.statements import put_row
from inboxsync.store.state.tasks import repeat_tasks_of_the_dead
from inboxsync.store.tables import page_leases
from inboxsync.store.tables import workers as table


def put_worker(connection: Connection, worker: WorkerInfo) -> None:
    """Write a worker's heartbeat."""
    row = {
        "id": worker.id,
        "version": worker.version,
        "concurrency": worker.concurrency,
        "started_at": worker.started_at,
        "heartbeat_at": worker.heartbeat_at,
    }
    put_row(connection, table, row, keep=("started_at",))


def list_workers(connection: Connection) -> list[WorkerInfo]:
    """Every worker that has not ended properly, the longest running first."""
    rows = connection.execute(select(table).order_by(table.c.started_at, table.c.id))
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
    connection.execute(delete(table).where(table.c.id == worker_id))
    connection.execute(
        delete(page_leases).where(page_leases.c.owner.startswith(f"{worker_id}.", autoescape=True))
    )
    repeat_tasks_of_the_dead(connection)
