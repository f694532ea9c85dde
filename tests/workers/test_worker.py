"""One worker, in this process, on both databases."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from inboxsync.errors import WorkerRunning
from inboxsync.model import History, RunKind, RunRequest, RunStatus, RunTask, TaskQueue
from inboxsync.store.derived import has_notes
from inboxsync.store.state.leases import acquire_lease, break_lease
from inboxsync.store.state.pages import remove_page
from inboxsync.store.state.runs import get_run, update_run
from inboxsync.store.state.tasks import add_task, begin_task, mark_dispatched
from inboxsync.store.state.workers import list_workers
from inboxsync.sync import Stop, check_requests
from inboxsync.workers import RunQueue, Worker


def count(engine: Any, table: str) -> int:
    with engine.store.read() as connection:
        return int(connection.execute(text(f"SELECT COUNT(*) FROM {table}")).scalar_one())


def test_a_run_goes_through_the_queues_in_one_row_and_is_told(
    ready: Any, work: Any, run_of: Any, told: Any
) -> None:
    _, engine, (page,) = ready(conversations=130, messages=(5, 60))
    run = RunQueue(engine).submit(page, RunRequest(history=History.ALL))
    work(engine, run.id)
    done = run_of(engine, run.id)
    assert (done.status, done.counts.inserted, done.problems) == (RunStatus.COMPLETE, 130, ())
    assert done.calls >= 5
    assert done.updated_at is not None
    assert count(engine, "sync_runs") == 1
    assert count(engine, "run_tasks") == count(engine, "page_leases") == count(engine, "workers") == 0
    words = told(engine, run.id)
    assert words[:2] == ["starting", "fetching"]
    assert words.count("fetching") == 3  # a slice of the newest, of the walk, of history
    assert words[-1] == "complete"
    assert words.count("complete") == 1
    assert count(engine, "messages") == done.counts.events


def test_what_a_worker_has_fetched_is_found_and_known(ready: Any, work: Any) -> None:
    _, engine, pages = ready(conversations=40, pages=2)
    runs = [RunQueue(engine).submit(page, RunRequest()) for page in pages]
    work(engine, *(run.id for run in runs))
    with engine.store.read() as connection:
        assert not has_notes(connection)
    assert count(engine, "contacts") > 0


def test_a_verification_is_a_run_too(ready: Any, work: Any, run_of: Any, told: Any) -> None:
    _, engine, (page,) = ready(conversations=30)
    queue = RunQueue(engine)
    sync = queue.submit(page, RunRequest())
    work(engine, sync.id)
    verify = queue.submit(page, RunRequest(kind=RunKind.VERIFY))
    work(engine, verify.id)
    done = run_of(engine, verify.id)
    assert (done.status, done.kind, done.counts.fetched) == (RunStatus.COMPLETE, RunKind.VERIFY, 30)
    assert told(engine, verify.id)[-1] == "complete"
    assert count(engine, "verifications") == 1


def test_a_run_that_hits_its_time_limit_goes_on_by_itself(
    ready: Any, work: Any, run_of: Any, told: Any
) -> None:
    _, engine, (page,) = ready(conversations=600, latency_seconds=0.3)
    run = RunQueue(engine).submit(page, RunRequest(max_duration_seconds=1.0))
    work(engine, run.id)
    done = run_of(engine, run.id)
    assert (done.status, done.counts.inserted) == (RunStatus.COMPLETE, 600)
    assert "timeout_warning" in told(engine, run.id)


def test_a_run_ends_at_its_limit_of_conversations_over_all_its_tasks(
    ready: Any, work: Any, run_of: Any
) -> None:
    _, engine, (page,) = ready(conversations=400)
    run = RunQueue(engine).submit(page, RunRequest(max_conversations=170))
    work(engine, run.id)
    done = run_of(engine, run.id)
    assert (done.status, done.counts.fetched) == (RunStatus.PARTIAL, 170)
    assert done.next == f"inboxsync sync {page.facebook_page_id}"


def test_a_run_is_cancelled_at_its_next_batch_and_keeps_what_it_has(
    ready: Any, work: Any, run_of: Any, told: Any
) -> None:
    _, engine, (page,) = ready(conversations=5000, latency_seconds=0.2)
    run = RunQueue(engine).submit(page, RunRequest())

    async def cancel() -> None:
        while run_of(engine, run.id).batches < 3:
            await asyncio.sleep(0.1)
        await asyncio.to_thread(RunQueue(engine).cancel, run.id)
        while run_of(engine, run.id).status.is_open:
            await asyncio.sleep(0.1)

    work(engine, until=cancel)
    done = run_of(engine, run.id)
    assert done.status is RunStatus.CANCELLED
    assert 150 <= done.counts.fetched < 5000
    assert count(engine, "messenger_conversations") == done.counts.inserted
    assert told(engine, run.id)[-1] == "complete_with_errors"


def test_a_run_whose_page_is_removed_ends_at_once_and_says_so(ready: Any, work: Any) -> None:
    served, engine, (page,) = ready(conversations=5000, latency_seconds=0.3)
    run = RunQueue(engine).submit(page, RunRequest())

    async def remove_in_mid_run() -> None:
        while count(engine, "messenger_conversations") < 100:
            await asyncio.sleep(0.05)
        with engine.store.write() as connection:
            remove_page(connection, page)
        calls = served.list_calls()
        await asyncio.sleep(4)
        assert served.list_calls() - calls < 8

    with capture_logs() as logs:
        work(engine, until=remove_in_mid_run)
    told = [each["event"] for each in logs if each.get("run_id") == run.id and "batch" not in each["event"]]
    assert "its Page was removed" in told
    assert not {"another worker has taken over", "unexpected error", "a slice failed"} & set(told)
    for table in ("sync_runs", "sync_run_events", "run_tasks", "page_leases", "messages", "list_positions"):
        assert count(engine, table) == 0


def test_a_run_is_laid_down_where_its_page_is_no_longer_the_workers(ready: Any) -> None:
    _, engine, (page,) = ready(conversations=1)
    run = RunQueue(engine).submit(page, RunRequest())

    def heeded(owner: str | None) -> Stop:
        stop = engine.stop()
        asyncio.run(check_requests(engine.store, run, stop=stop, owner=owner))
        return stop

    with engine.store.write() as connection:
        acquire_lease(connection, page.id, "here:1:a.1", now=engine.clock.now(), seconds=20)
    assert heeded("here:1:a.1").reason is None
    assert heeded(None).reason is None  # a command, which has no other to go on with its run
    assert heeded("elsewhere:1:b.1").is_pause
    with engine.store.write() as connection:
        break_lease(connection, page.id, "here:1:a.1")
    assert heeded("here:1:a.1").is_pause
    RunQueue(engine).cancel(run.id)
    assert heeded("here:1:a.1").is_cancelled


@pytest.mark.parametrize("executor", [None, "elsewhere:1:a"], ids=["its own", "of one that ended"])
def test_a_task_that_stays_begun_with_nobody_at_it_is_taken_up_again(
    ready: Any, work: Any, run_of: Any, executor: str | None
) -> None:
    _, engine, (page,) = ready(conversations=120)
    run = RunQueue(engine).submit(page, RunRequest())

    async def ended() -> None:
        while run_of(engine, run.id).status.is_open or count(engine, "run_tasks"):
            await asyncio.sleep(0.1)

    async def leave_and_wait() -> None:
        await ended()
        await asyncio.to_thread(leave_begun, engine, run.id, executor)
        await ended()

    work(engine, until=leave_and_wait)
    assert run_of(engine, run.id).status is RunStatus.COMPLETE


def leave_begun(engine: Any, run_id: str, executor: str | None) -> None:
    """As a database leaves a slice that was away while its step's end, its failure and its own end came.

    Its workflow has begun, at the worker that lives or at one that said good-bye, and nobody is at it.
    """
    with engine.store.read() as connection:
        worker = list_workers(connection)[0].id
    database, schema = engine.queue_database()
    table = f"{schema}.workflow_status" if schema else "workflow_status"
    with database.begin() as queue:
        newest = f"SELECT MAX(workflow_uuid) FROM {table} WHERE workflow_uuid LIKE :id"
        last = queue.execute(text(newest), {"id": f"{run_id}.%"}).scalar_one()
        begun = f"UPDATE {table} SET status = 'PENDING', executor_id = :at WHERE workflow_uuid = :id"
        queue.execute(text(begun), {"at": executor or worker, "id": last})
    database.dispose()
    now, number = engine.clock.now(), int(last.rpartition(".")[2])
    with engine.store.write() as connection:
        run = get_run(connection, run_id)
        update_run(connection, replace(run, status=RunStatus.RUNNING, finished_at=None))
        left = RunTask(run_id=run_id, page_id=run.page_id, queue=TaskQueue.SCAN, number=number, due_at=now)
        add_task(connection, left)
        mark_dispatched(connection, [left], now=now - timedelta(minutes=1))
        begin_task(connection, left, worker_id=executor or worker)


def test_what_a_drained_worker_was_at_another_goes_on_with(ready: Any, work: Any, run_of: Any) -> None:
    served, engine, (page,) = ready(conversations=1500, latency_seconds=0.15)
    run = RunQueue(engine).submit(page, RunRequest())

    async def begun() -> None:
        while run_of(engine, run.id).batches < 4:
            await asyncio.sleep(0.05)

    work(engine, until=begun)
    half = run_of(engine, run.id)
    assert half.status is RunStatus.RUNNING
    assert half.counts.fetched < 1500
    assert count(engine, "page_leases") == 0
    work(engine, run.id)
    done = run_of(engine, run.id)
    assert (done.status, done.counts.inserted) == (RunStatus.COMPLETE, 1500)
    assert done.started_at == half.started_at
    assert served.list_calls() < 30  # nothing above the position was fetched again


def test_a_second_worker_in_one_process_is_refused_in_one_sentence(ready: Any) -> None:
    _, engine, _ = ready(conversations=1)

    async def go() -> None:
        first = Worker(engine, schedules=False)
        await first.start()
        second = Worker(engine, schedules=False)
        with pytest.raises(WorkerRunning, match="runs in this process already"):
            await second.start()
        await second.drain(1)
        await first.drain(1)

    asyncio.run(go())
