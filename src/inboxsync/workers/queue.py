"""Enqueues runs and cancels them: each call is one transaction on the user's own database.

No worker has to be running: a run waits in `run_tasks` until one is.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import Connection

from inboxsync.engine import Engine
from inboxsync.errors import RunUnknown
from inboxsync.model import Mode, Page, Run, RunKind, RunRequest, RunStatus, RunTask, TaskQueue
from inboxsync.store.connection.types import new_id
from inboxsync.store.state.leases import get_lease
from inboxsync.store.state.pages import get_page
from inboxsync.store.state.runs import (
    append_run_events,
    ask_to_cancel,
    find_running,
    get_run,
    start_run,
    update_run,
)
from inboxsync.store.state.schedules import make_due
from inboxsync.store.state.tasks import (
    add_task,
    end_tasks,
    get_task,
    get_task_of_page,
    lock_page,
    next_task,
)
from inboxsync.sync import end_event

# Tasks begin in the order in which they are due: a run that a person requested is due this much earlier.
_AHEAD = timedelta(hours=1)


class RunQueue:
    """Takes runs for the workers. Every call blocks for one transaction; any thread may make it.

    What is enqueued here comes before what schedules have enqueued: someone waits for it.
    """

    def __init__(self, engine: Engine) -> None:
        self._store = engine.store
        self._clock = engine.clock

    def enqueue(self, page: Page, request: RunRequest | None = None) -> Run:
        """Have the workers execute a run of this Page. If one is queued or running, it is returned instead.

        Raises PageUnknown if the Page was removed.
        """
        with self._store.write() as connection:
            return enqueue_run(
                connection, page, request or RunRequest(), now=self._clock.now(), comes_first=True
            )

    def cancel(self, run_id: str) -> Run:
        """End a run at its next batch, or at once if it is not being executed. An ended run stays as it is.

        Raises RunUnknown.
        """
        with self._store.write() as connection:
            return cancel_run(connection, run_id, now=self._clock.now())


def enqueue_run(
    connection: Connection, page: Page, request: RunRequest, *, now: datetime, comes_first: bool = False
) -> Run:
    """Enqueue a run in the caller's transaction; see `RunQueue.enqueue`."""
    lock_page(connection, page.id)
    page = get_page(connection, page.id)
    due_at = now - _AHEAD if comes_first else now
    if open_run := _open_run_of(connection, page, due_at=due_at, now=now):
        return open_run
    run = Run(
        id=new_id(),
        page_id=page.id,
        facebook_page_id=page.facebook_page_id,
        platform=page.platform.value,
        mode=_expected_mode(page, request),
        status=RunStatus.QUEUED,
        started_at=now,
        kind=request.kind,
        request=request,
        queued_at=now,
        updated_at=now,
    )
    start_run(connection, run)
    queue = TaskQueue.VERIFY if request.kind is RunKind.VERIFY else TaskQueue.NEWEST
    add_task(connection, RunTask(run_id=run.id, page_id=page.id, queue=queue, number=1, due_at=due_at))
    return get_run(connection, run.id) or run


def _open_run_of(connection: Connection, page: Page, *, due_at: datetime, now: datetime) -> Run | None:
    """The run of this Page that answers the request: the workers have it, or a command executes it."""
    task = get_task_of_page(connection, page.id)
    if task is not None and (run := get_run(connection, task.run_id)) is not None:
        if run.status.is_open:
            _hasten(connection, task, due_at=due_at, now=now)
            return run
        # It has ended, and its worker is about to note that: the request is for what has come since.
        end_tasks(connection, run.id)
    running = find_running(connection, page.id)
    lease = get_lease(connection, page.id)
    is_executed = lease is not None and lease.expires_at > now  # by a command
    return running if is_executed else None


def _hasten(connection: Connection, task: RunTask, *, due_at: datetime, now: datetime) -> None:
    """Let a task that only waits for its turn come earlier; not one that has begun or must not begin yet."""
    comes_first = due_at < now
    if comes_first and task.queue is TaskQueue.VERIFY:
        make_due(connection, task.page_id, now=now)  # its schedule syncs the Page after the verification
    if task.worker_id is not None:
        return
    if task.queue is TaskQueue.HISTORY:
        # It reads older messages in the background: new messages come first.
        next_task(connection, task, queue=TaskQueue.NEWEST, due_at=due_at)
    elif comes_first and due_at < task.due_at <= now:
        next_task(connection, task, queue=task.queue, due_at=due_at, failures=task.failures)


def cancel_run(connection: Connection, run_id: str, *, now: datetime) -> Run:
    """End a run, or ask the process that executes it to; see `RunQueue.cancel`."""
    run = get_run(connection, run_id)
    if run is None:
        raise RunUnknown(f"There is no run {run_id}.")
    if not run.status.is_open:
        return run
    ask_to_cancel(connection, run_id, now=now)
    task = get_task(connection, run_id)
    if task is not None and task.worker_id is None:
        return end_cancelled(connection, run, now=now)
    lease = get_lease(connection, run.page_id)
    if task is None and (lease is None or lease.expires_at <= now):
        return end_cancelled(connection, run, now=now)  # a command that was killed
    return replace(run, cancel_asked_at=run.cancel_asked_at or now)


def end_cancelled(connection: Connection, run: Run, *, now: datetime) -> Run:
    """Note that a run that is not being executed ends here."""
    ended = replace(
        run,
        status=RunStatus.CANCELLED,
        finished_at=now,
        cancel_asked_at=run.cancel_asked_at or now,
        updated_at=now,
        next=f"inboxsync sync {run.facebook_page_id}",
    )
    update_run(connection, ended)
    append_run_events(connection, run.id, [(now, *end_event(ended, reason="it was cancelled"))])
    end_tasks(connection, run.id)
    return get_run(connection, run.id) or ended


def _expected_mode(page: Page, request: RunRequest) -> Mode:
    """What it will most likely do: that is decided when it begins."""
    if request.kind is RunKind.VERIFY or request.mode is Mode.FULL or page.last_synced_at is None:
        return Mode.FULL
    return Mode.INCREMENTAL
