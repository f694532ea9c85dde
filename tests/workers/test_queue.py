"""Runs are handed over, and taken back, without a worker being there."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from inboxsync.errors import PageUnknown, RunUnknown
from inboxsync.model import Mode, RunKind, RunRequest, RunStatus, TaskQueue
from inboxsync.store.state.pages import remove_page
from inboxsync.store.state.run_events import list_run_events
from inboxsync.store.state.runs import get_run, list_runs, resume_run, update_run
from inboxsync.store.state.tasks import begin_task, get_task, list_due, next_task
from inboxsync.workers import RunQueue
from inboxsync.workers.queue import cancel_run


@pytest.fixture
def one(ready: Any) -> tuple[Any, Any]:
    _, engine, (page,) = ready(conversations=3)
    return engine, page


def test_what_is_handed_over_is_queued_with_what_was_asked_for(one: Any) -> None:
    engine, page = one
    request = RunRequest(mode=Mode.FULL, max_conversations=7)
    run = RunQueue(engine).submit(page, request)
    assert (run.status, run.request, run.kind) == (RunStatus.QUEUED, request, RunKind.SYNC)
    with engine.store.read() as connection:
        assert get_run(connection, run.id) == run
        (due,) = list_due(connection, TaskQueue.NEWEST, now=engine.clock.now(), limit=9)
    assert (due.run_id, due.page_id, due.number, due.dispatched_at) == (run.id, page.id, 1, None)


def test_a_double_click_is_one_run(one: Any) -> None:
    engine, page = one
    queue = RunQueue(engine)
    first = queue.submit(page, RunRequest())
    assert queue.submit(page, RunRequest(mode=Mode.FULL)) == first
    with engine.store.read() as connection:
        assert len(list_runs(connection, limit=9)) == 1


def test_what_is_asked_for_behind_a_run_that_has_just_ended_is_another_run(one: Any) -> None:
    engine, page = one
    queue = RunQueue(engine)
    ended = queue.submit(page, RunRequest())
    with engine.store.write() as connection:  # its worker has not let go of it yet
        now = engine.clock.now()
        update_run(connection, replace(ended, status=RunStatus.COMPLETE, finished_at=now, updated_at=now))
    another = queue.submit(page, RunRequest())
    assert (another.id != ended.id, another.status) == (True, RunStatus.QUEUED)
    with engine.store.read() as connection:
        assert get_task(connection, ended.id) is None
        assert get_task(connection, another.id) is not None


def test_a_run_that_is_cancelled_as_it_begins_stays_so(one: Any) -> None:
    engine, page = one
    run = RunQueue(engine).submit(page, RunRequest())

    def begin() -> object:
        with engine.store.write() as connection:
            return resume_run(connection, run.id, mode=Mode.FULL, now=engine.clock.now())

    with ThreadPoolExecutor(1) as beside:
        with engine.store.write() as connection:
            cancel_run(connection, run.id, now=engine.clock.now())
            begun = beside.submit(begin)
            time.sleep(0.5)
        assert begun.result() is None
    with engine.store.read() as connection:
        stored = get_run(connection, run.id)
    assert stored is not None
    assert stored.status is RunStatus.CANCELLED


def test_a_page_that_was_removed_has_no_run(one: Any) -> None:
    engine, page = one
    with engine.store.write() as connection:
        remove_page(connection, page)
    with pytest.raises(PageUnknown):
        RunQueue(engine).submit(page, RunRequest())


def test_a_run_that_nobody_is_at_is_cancelled_at_once(one: Any) -> None:
    engine, page = one
    queue = RunQueue(engine)
    run = queue.cancel(queue.submit(page, RunRequest()).id)
    assert (run.status, run.finished_at is None) == (RunStatus.CANCELLED, False)
    with engine.store.read() as connection:
        assert get_task(connection, run.id) is None
        (event,) = list_run_events(connection, run.id)
    assert (event.seq, event.status, event.data["run_status"]) == (1, "complete_with_errors", "cancelled")
    assert queue.cancel(run.id) == run
    assert queue.submit(page, RunRequest()).id != run.id


def test_a_run_that_somebody_is_at_is_asked_to_end(one: Any) -> None:
    engine, page = one
    queue = RunQueue(engine)
    run = queue.submit(page, RunRequest())
    with engine.store.write() as connection:
        first = get_task(connection, run.id)
        assert begin_task(connection, first, worker_id="elsewhere:1:a")
        resume_run(connection, run.id, mode=Mode.FULL, now=engine.clock.now())
    asked = queue.cancel(run.id)
    assert (asked.status, asked.cancel_asked_at is None) == (RunStatus.RUNNING, False)


def test_a_run_that_is_not_there_cannot_be_cancelled(one: Any) -> None:
    with pytest.raises(RunUnknown, match="no run nobody"):
        RunQueue(one[0]).cancel("nobody")


def test_whoever_comes_with_an_old_number_changes_nothing(one: Any) -> None:
    engine, page = one
    run = RunQueue(engine).submit(page, RunRequest())
    now = engine.clock.now()
    with engine.store.write() as connection:
        first = get_task(connection, run.id)
        assert next_task(connection, first, queue=TaskQueue.SCAN, due_at=now)
        assert not next_task(connection, first, queue=TaskQueue.HISTORY, due_at=now)
        assert not begin_task(connection, first, worker_id="late:1:a")
        second = get_task(connection, run.id)
    assert (second.number, second.queue, second.worker_id) == (2, TaskQueue.SCAN, None)


def test_what_is_new_comes_before_a_pages_own_history(one: Any) -> None:
    engine, page = one
    queue = RunQueue(engine)
    run = queue.submit(page, RunRequest())
    now = engine.clock.now()
    with engine.store.write() as connection:
        first = get_task(connection, run.id)
        next_task(connection, first, queue=TaskQueue.HISTORY, due_at=now + timedelta(hours=1))
    assert queue.submit(page, RunRequest()).id == run.id
    with engine.store.read() as connection:
        assert [
            each.run_id for each in list_due(connection, TaskQueue.NEWEST, now=engine.clock.now(), limit=9)
        ] == [run.id]


def test_a_commands_own_run_is_returned_while_it_lives(one: Any) -> None:
    engine, page = one
    with engine.store.write() as connection:
        connection.execute(
            text(
                "INSERT INTO sync_runs (id, page_id, mode, status, started_at) "
                "VALUES ('own', :page, 'full', 'running', '2026-01-01T00:00:00.000Z')"
            ),
            {"page": page.id},
        )
        connection.execute(
            text(
                "INSERT INTO page_leases (page_id, owner, acquired_at, heartbeat_at, expires_at) "
                "VALUES (:page, 'elsewhere:1:a', '2026-01-01T00:00:00.000Z', '2026-01-01T00:00:00.000Z', "
                "'2099-01-01T00:00:00.000Z')"
            ),
            {"page": page.id},
        )
    assert RunQueue(engine).submit(page, RunRequest()).id == "own"
    with engine.store.write() as connection:
        connection.execute(text("DELETE FROM page_leases"))
    assert RunQueue(engine).submit(page, RunRequest()).status is RunStatus.QUEUED
