"""Runs are enqueued and cancelled while no worker is running."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import TypeAlias

import pytest
from sqlalchemy import text

from inboxsync.engine import Engine
from inboxsync.errors import PageUnknown, RunUnknown
from inboxsync.model import Mode, Page, Run, RunKind, RunRequest, RunStatus, RunTask, TaskQueue, WorkerInfo
from inboxsync.store.state.pages import remove_page
from inboxsync.store.state.runs import get_run, list_run_events, list_runs, resume_run, update_run
from inboxsync.store.state.tasks import (
    begin_task,
    delete_worker,
    get_task,
    list_due,
    mark_dispatched,
    next_task,
    put_worker,
)
from inboxsync.workers import RunQueue
from inboxsync.workers.queue import cancel_run, enqueue_run
from tests.workers.fixtures import Ready

# The fixture `one`: an engine and its Page.
One: TypeAlias = tuple[Engine, Page]


@pytest.fixture
def one(ready: Ready) -> One:
    _, engine, (page,) = ready(conversations=3)
    return engine, page


def test_what_is_enqueued_waits_without_a_worker(one: One) -> None:
    engine, page = one
    request = RunRequest(mode=Mode.FULL, max_conversations=7)
    run = RunQueue(engine).enqueue(page, request)
    assert (run.status, run.request, run.kind) == (RunStatus.QUEUED, request, RunKind.SYNC)
    with engine.store.read() as connection:
        assert get_run(connection, run.id) == run
        (due,) = list_due(connection, now=engine.clock.now(), limit=9)
    assert (due.run_id, due.page_id, due.number, due.dispatched_at) == (run.id, page.id, 1, None)


def task_of(engine: Engine, run: Run) -> RunTask:
    with engine.store.read() as connection:
        task = get_task(connection, run.id)
    assert task is not None
    return task


def test_a_double_click_is_one_run(one: One) -> None:
    engine, page = one
    queue = RunQueue(engine)
    first = queue.enqueue(page, RunRequest())
    assert queue.enqueue(page, RunRequest(mode=Mode.FULL)) == first
    with engine.store.read() as connection:
        assert len(list_runs(connection, limit=9)) == 1


def test_what_is_asked_for_behind_a_run_that_has_just_ended_is_another_run(one: One) -> None:
    engine, page = one
    queue = RunQueue(engine)
    ended = queue.enqueue(page, RunRequest())
    with engine.store.write() as connection:  # its worker has not let go of it yet
        now = engine.clock.now()
        update_run(connection, replace(ended, status=RunStatus.COMPLETE, finished_at=now, updated_at=now))
    another = queue.enqueue(page, RunRequest())
    assert (another.id != ended.id, another.status) == (True, RunStatus.QUEUED)
    with engine.store.read() as connection:
        assert get_task(connection, ended.id) is None
        assert get_task(connection, another.id) is not None


def test_a_run_that_is_cancelled_as_it_begins_stays_so(one: One) -> None:
    engine, page = one
    run = RunQueue(engine).enqueue(page, RunRequest())

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


def test_a_page_that_was_removed_has_no_run(one: One) -> None:
    engine, page = one
    with engine.store.write() as connection:
        remove_page(connection, page)
    with pytest.raises(PageUnknown):
        RunQueue(engine).enqueue(page, RunRequest())


def test_a_run_that_is_not_being_executed_is_cancelled_at_once(one: One) -> None:
    engine, page = one
    queue = RunQueue(engine)
    run = queue.cancel(queue.enqueue(page, RunRequest()).id)
    assert (run.status, run.finished_at is None) == (RunStatus.CANCELLED, False)
    with engine.store.read() as connection:
        assert get_task(connection, run.id) is None
        (event,) = list_run_events(connection, run.id)
    assert (event.seq, event.status, event.data["run_status"]) == (1, "complete_with_errors", "cancelled")
    assert queue.cancel(run.id) == run
    assert queue.enqueue(page, RunRequest()).id != run.id


def test_a_run_that_a_worker_executes_is_asked_to_end(one: One) -> None:
    engine, page = one
    queue = RunQueue(engine)
    run = queue.enqueue(page, RunRequest())
    with engine.store.write() as connection:
        first = task_of(engine, run)
        assert begin_task(connection, first, worker_id="elsewhere:1:a")
        resume_run(connection, run.id, mode=Mode.FULL, now=engine.clock.now())
    asked = queue.cancel(run.id)
    assert (asked.status, asked.cancel_asked_at is None) == (RunStatus.RUNNING, False)


def test_a_run_that_is_not_there_cannot_be_cancelled(one: One) -> None:
    with pytest.raises(RunUnknown, match="no run nobody"):
        RunQueue(one[0]).cancel("nobody")


def test_a_caller_with_an_old_number_changes_nothing(one: One) -> None:
    engine, page = one
    run = RunQueue(engine).enqueue(page, RunRequest())
    now, first = engine.clock.now(), task_of(engine, run)
    with engine.store.write() as connection:
        assert next_task(connection, first, queue=TaskQueue.SCAN, due_at=now)
        assert not next_task(connection, first, queue=TaskQueue.HISTORY, due_at=now)
        assert not begin_task(connection, first, worker_id="late:1:a")
    second = task_of(engine, run)
    assert (second.number, second.queue, second.worker_id) == (2, TaskQueue.SCAN, None)


def test_a_task_is_begun_by_one_worker_and_followed_by_what_that_one_says(one: One) -> None:
    engine, page = one
    run = RunQueue(engine).enqueue(page, RunRequest())
    now, waiting = engine.clock.now(), task_of(engine, run)
    with engine.store.write() as connection:
        assert begin_task(connection, waiting, worker_id="here:1:a")
        assert not begin_task(connection, waiting, worker_id="elsewhere:1:b")
        assert not next_task(connection, waiting, queue=TaskQueue.SCAN, due_at=now)
        others = replace(waiting, worker_id="elsewhere:1:b")
        assert not next_task(connection, others, queue=TaskQueue.SCAN, due_at=now)
        assert next_task(connection, replace(waiting, worker_id="here:1:a"), queue=TaskQueue.SCAN, due_at=now)


def test_a_worker_that_ends_leaves_its_tasks_to_others_and_takes_no_others(one: One) -> None:
    engine, page = one
    run = RunQueue(engine).enqueue(page, RunRequest())
    now, first = engine.clock.now(), task_of(engine, run)
    with engine.store.write() as connection:
        for worker_id in ("here:1:a", "here:1:b"):
            put_worker(
                connection,
                WorkerInfo(id=worker_id, version="1", concurrency=1, started_at=now, heartbeat_at=now),
            )
        mark_dispatched(connection, [first], now=now)
        begin_task(connection, first, worker_id="here:1:a")
        delete_worker(connection, "here:1:b")
    assert task_of(engine, run).worker_id == "here:1:a"
    with engine.store.write() as connection:
        delete_worker(connection, "here:1:a")
    left = replace(first, number=2, failures=1)  # due when it was due
    assert task_of(engine, run) == left


def test_what_somebody_asks_for_comes_before_what_schedules_have_enqueued(one: One) -> None:
    engine, page = one
    now = engine.clock.now()
    with engine.store.write() as connection:
        run = enqueue_run(connection, page, RunRequest(), now=now)
    scheduled = task_of(engine, run)
    assert scheduled.due_at == run.queued_at
    assert RunQueue(engine).enqueue(page, RunRequest()).id == run.id
    hastened = task_of(engine, run)
    assert hastened.due_at < now - timedelta(minutes=59)
    assert hastened.number == 2  # the first one may be in the workers' queue already, and does nothing there
    assert RunQueue(engine).enqueue(page, RunRequest()).id == run.id
    assert task_of(engine, run) == hastened  # asked for again, it keeps its place


def test_what_must_not_begin_yet_does_not_because_somebody_asks_again(one: One) -> None:
    engine, page = one
    run = RunQueue(engine).enqueue(page, RunRequest())
    due_at = engine.clock.now() + timedelta(minutes=1)
    with engine.store.write() as connection:  # it waits for Meta
        next_task(connection, task_of(engine, run), queue=TaskQueue.SCAN, due_at=due_at)
    waiting = task_of(engine, run)
    assert RunQueue(engine).enqueue(page, RunRequest()).id == run.id
    assert task_of(engine, run) == waiting


def test_new_messages_come_before_a_pages_own_history(one: One) -> None:
    engine, page = one
    queue = RunQueue(engine)
    run = queue.enqueue(page, RunRequest())
    now = engine.clock.now()
    with engine.store.write() as connection:
        first = task_of(engine, run)
        next_task(connection, first, queue=TaskQueue.HISTORY, due_at=now + timedelta(hours=1))
    assert queue.enqueue(page, RunRequest()).id == run.id
    with engine.store.read() as connection:
        assert [each.run_id for each in list_due(connection, now=engine.clock.now(), limit=9)] == [run.id]


def test_a_commands_own_run_is_returned_while_it_lives(one: One) -> None:
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
    assert RunQueue(engine).enqueue(page, RunRequest()).id == "own"
    with engine.store.write() as connection:
        connection.execute(text("DELETE FROM page_leases"))
    assert RunQueue(engine).enqueue(page, RunRequest()).status is RunStatus.QUEUED
