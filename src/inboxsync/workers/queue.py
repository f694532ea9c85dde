"""Hands runs to the workers, and takes them back: one transaction on the user's own database each.

No worker needs to be there: a run waits in `run_tasks` until one is.
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
from inboxsync.store.state.run_events import append_run_events
from inboxsync.store.state.runs import ask_to_cancel, find_running, get_run, start_run, update_run
from inboxsync.store.state.schedules import make_due
from inboxsync.store.state.tasks import (
    add_task,
    end_tasks,
    get_task,
    get_task_of_page,
    hasten_task,
    lock_page,
    next_task,
)
from inboxsync.sync import end_event

# Slices are begun in the order in which they are due.
_AHEAD = timedelta(hours=1)


class RunQueue:
    """Hands runs over. Every call blocks for one transaction; any thread may make it.

    What is handed over here comes before what schedules have handed over: somebody waits for it.
    """

    def __init__(self, engine: Engine) -> None:
        self._store = engine.store
        self._clock = engine.clock

    def submit(self, page: Page, request: RunRequest | None = None) -> Run:
        """Have a run of this Page executed. While one is queued or running, that one is returned instead.

        Raises PageUnknown where the Page was removed.
        """
        with self._store.write() as connection:
            return submit_run(
                connection, page, request or RunRequest(), now=self._clock.now(), comes_first=True
            )

    def cancel(self, run_id: str) -> Run:
        """Have a run ended at its next batch, at once where nobody is at it. One that has ended stays so.

        Raises RunUnknown.
        """
        with self._store.write() as connection:
            return cancel_run(connection, run_id, now=self._clock.now())

    def close(self) -> None:
        """Nothing is held open: the database is the engine's."""


def submit_run(
    connection: Connection, page: Page, request: RunRequest, *, now: datetime, comes_first: bool = False
) -> Run:
    """Hand a run over, in the caller's transaction; see `RunQueue.submit`."""
    due_at = now - _AHEAD if comes_first else now
    lock_page(connection, page.id)
    page = get_page(connection, page.id)
    known = get_task_of_page(connection, page.id)
    run = get_run(connection, known.run_id) if known is not None else None
    if known is not None and run is not None and not run.status.is_open:
        # It has ended, and its worker is about to let go of it: whoever asks now wants what came since.
        end_tasks(connection, run.id)
    elif known is not None and run is not None:
        if known.queue is TaskQueue.HISTORY and known.worker_id is None:
            # It reads older messages in the background: what is new comes first.
            next_task(connection, known, queue=TaskQueue.NEWEST, due_at=due_at)
        elif comes_first:
            hasten_task(connection, known, due_at=due_at, unless_due_after=now)
            if known.queue is TaskQueue.VERIFY:
                make_due(connection, page.id, now=now)  # its schedule syncs it as soon as that has ended
        return run
    running = find_running(connection, page.id)
    lease = get_lease(connection, page.id)
    if running is not None and lease is not None and lease.expires_at > now:
        return running  # a command is at it
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


def cancel_run(connection: Connection, run_id: str, *, now: datetime) -> Run:
    """End a run, or ask whoever is at it to; see `RunQueue.cancel`."""
    run = get_run(connection, run_id)
    if run is None:
        raise RunUnknown(f"There is no run {run_id}.")
    if not run.status.is_open:
        return run
    ask_to_cancel(connection, run_id, now=now)
    at_work = get_task(connection, run_id)
    if at_work is not None and at_work.worker_id is None:
        return end_cancelled(connection, run, now=now)
    lease = get_lease(connection, run.page_id)
    if at_work is None and (lease is None or lease.expires_at <= now):
        return end_cancelled(connection, run, now=now)  # a command that was killed
    return replace(run, cancel_asked_at=run.cancel_asked_at or now)


def end_cancelled(connection: Connection, run: Run, *, now: datetime) -> Run:
    """Write down that a run that nobody is at ends here."""
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
    """What it will most likely do: it is decided when it begins."""
    if request.kind is RunKind.VERIFY or request.mode is Mode.FULL or page.last_synced_at is None:
        return Mode.FULL
    return Mode.INCREMENTAL
