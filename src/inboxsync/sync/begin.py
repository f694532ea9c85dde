"""How a run begins, and how a worker goes on with one: read what is known, note it, say so."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from inboxsync.errors import LeaseLost
from inboxsync.model import History, Mode, Page, Run, RunStatus, Scanning
from inboxsync.store.state.list_positions import list_states, put_list_state
from inboxsync.store.state.pages import get_page, set_history
from inboxsync.store.state.run_events import append_run_events
from inboxsync.store.state.runs import close_unended_runs, get_run, resume_run, start_run
from inboxsync.store.writing.conversation_rows import new_id
from inboxsync.sync.events import start_events
from inboxsync.sync.plan import INBOX, is_full, plan_lists, starts_over


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncOptions:
    """What a caller may choose.

    `messages` is how many of each conversation's newest come with it; `history` None leaves the
    Page's own setting; `wait` for another sync of the Page instead of giving up. A run whose lists
    take `stall_calls` without a gain fails; one that only its ledger holds up is partial. Folders
    beside the inbox are looked at every `folder_interval`.
    """

    mode: Mode = Mode.AUTO
    messages: int = 10
    max_conversations: int | None = None
    history: History | None = None
    wait: bool = False
    stall_calls: int = 50
    folder_interval: timedelta = timedelta(minutes=15)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskOptions:
    """Which part of a run a worker executes, as `owner` of the Page's lease.

    It ends after `most_conversations`, and leaves older messages alone unless it `reads_history`. Where
    it `rests_on_failure`, something that passes (a source or a database that is away) does not end the run.
    """

    run_id: str
    owner: str
    most_conversations: int | None = None
    reads_history: bool = True
    suspends_on_failure: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """What a run, or a slice of one, begins with."""

    page: Page
    run: Run
    lists: Mapping[str, Scanning]


def begin_run(
    connection: Connection,
    page: Page,
    options: SyncOptions,
    *,
    now: datetime,
    task_options: TaskOptions | None = None,
) -> Beginning:
    """Read how far the lists have come and note that a run begins, or goes on."""
    if options.history is not None:
        set_history(connection, page, options.history, now=now)
    page = get_page(connection, page.id)
    states = list_states(connection, page)
    known = get_run(connection, task_options.run_id) if task_options else None
    # What a run has begun it goes on with: it does not start over with every slice.
    mode = options.mode if known is None or known.status is RunStatus.QUEUED else Mode.INCREMENTAL
    asked = page.last_synced_at is None
    lists = plan_lists(states, mode=mode, resync_asked=asked, now=now, interval=options.folder_interval)
    if starts_over(states, mode=mode, resync_asked=asked):
        # Written down at once: cut off, the next run must know which lists are still to be walked.
        for folder, scanning in lists.items():
            put_list_state(connection, page, folder, scanning, now=now)
    read = Mode.FULL if is_full(lists[INBOX]) else Mode.INCREMENTAL
    close_unended_runs(connection, page.id)
    run = _go_on(connection, task_options.run_id, read, now) if task_options else None
    if run is None:
        run = Run(
            id=new_id(),
            page_id=page.id,
            facebook_page_id=page.facebook_page_id,
            platform=page.platform.value,
            mode=read,
            status=RunStatus.RUNNING,
            started_at=now,
            updated_at=now,
        )
        start_run(connection, run)
    append_run_events(
        connection,
        run.id,
        [
            (now, *each)
            for each in start_events(run, is_new=known is None or known.status is RunStatus.QUEUED)
        ],
    )
    return Beginning(page=page, run=run, lists=lists)


def _go_on(connection: Connection, run_id: str, mode: Mode, now: datetime) -> Run:
    run = resume_run(connection, run_id, mode=mode, now=now)
    if run is None:
        raise LeaseLost("The run has been ended elsewhere.")
    return run
