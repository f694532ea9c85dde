"""One worker, in this process, on both databases."""

import asyncio
import logging
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from structlog.testing import capture_logs

from inboxsync.engine import Engine
from inboxsync.errors import WorkerRunning
from inboxsync.model import History, RunKind, RunRequest, RunStatus, RunTask, TaskQueue
from inboxsync.store.derived import has_notes
from inboxsync.store.state.leases import acquire_lease, break_lease
from inboxsync.store.state.pages import remove_page
from inboxsync.store.state.runs import get_run, list_run_events, update_run
from inboxsync.store.state.tasks import add_task, begin_task, list_workers, mark_dispatched
from inboxsync.sync import Stop, check_requests, stop
from inboxsync.workers import RunQueue, Worker, dispatch, maintenance, task
from tests.fixtures import EngineFor, RestartedServer, Serve
from tests.workers.fixtures import Add, Ready, Work, count, find_run, query

sqlite_only = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


def words_of(engine: Engine, run_id: str) -> list[str]:
    """The status of each event of a run, in their order."""
    with engine.store.read() as connection:
        return [event.status for event in list_run_events(connection, run_id)]


def test_a_run_goes_through_the_queues_in_one_row(ready: Ready, work: Work) -> None:
    _, engine, (page,) = ready(conversations=130, messages=(5, 60))
    run = RunQueue(engine).enqueue(page, RunRequest(history=History.ALL))
    work(engine, run)
    done = find_run(engine, run.id)
    assert (done.status, done.counts.inserted, done.problems) == (RunStatus.COMPLETE, 130, ())
    assert done.calls >= 5
    assert done.updated_at is not None
    assert count(engine, "sync_runs") == 1
    assert count(engine, "run_tasks") == count(engine, "page_leases") == count(engine, "workers") == 0
    words = words_of(engine, run.id)
    assert words[:2] == ["starting", "fetching"]
    assert words.count("fetching") == 3  # a task of the newest, of the scan, of history
    assert words[-1] == "complete"
    assert words.count("complete") == 1
    assert count(engine, "messages") == done.counts.events


def test_what_a_worker_has_fetched_is_found_and_known(ready: Ready, work: Work) -> None:
    _, engine, pages = ready(conversations=40, pages=2)
    work(engine, *(RunQueue(engine).enqueue(page, RunRequest()) for page in pages))
    with engine.store.read() as connection:
        assert not has_notes(connection)
    assert count(engine, "contacts") > 0


def test_a_verification_is_a_run_too(ready: Ready, work: Work) -> None:
    _, engine, (page,) = ready(conversations=30)
    queue = RunQueue(engine)
    work(engine, queue.enqueue(page, RunRequest()))
    verify = queue.enqueue(page, RunRequest(kind=RunKind.VERIFY))
    work(engine, verify)
    done = find_run(engine, verify.id)
    assert (done.status, done.kind, done.counts.fetched) == (RunStatus.COMPLETE, RunKind.VERIFY, 30)
    assert words_of(engine, verify.id)[-1] == "complete"
    assert count(engine, "verifications") == 1


def test_a_run_that_hits_its_time_limit_continues_without_being_asked(ready: Ready, work: Work) -> None:
    _, engine, (page,) = ready(conversations=400, latency_seconds=0.3)
    run = RunQueue(engine).enqueue(page, RunRequest(max_duration_seconds=0.8))
    work(engine, run)
    done = find_run(engine, run.id)
    assert (done.status, done.counts.inserted) == (RunStatus.COMPLETE, 400)
    assert "timeout_warning" in words_of(engine, run.id)


def test_a_run_ends_at_its_limit_of_conversations_over_all_its_tasks(ready: Ready, work: Work) -> None:
    _, engine, (page,) = ready(conversations=400)
    run = RunQueue(engine).enqueue(page, RunRequest(max_conversations=170))
    work(engine, run)
    done = find_run(engine, run.id)
    assert (done.status, done.counts.fetched) == (RunStatus.PARTIAL, 170)
    assert done.next == f"inboxsync sync {page.facebook_page_id}"


def test_a_run_is_cancelled_at_its_next_batch_and_keeps_what_it_has(ready: Ready, work: Work) -> None:
    _, engine, (page,) = ready(conversations=5000, latency_seconds=0.2)
    run = RunQueue(engine).enqueue(page, RunRequest())

    async def cancel() -> None:
        while find_run(engine, run.id).batches < 3:
            await asyncio.sleep(0.05)
        await asyncio.to_thread(RunQueue(engine).cancel, run.id)
        while find_run(engine, run.id).status.is_open:
            await asyncio.sleep(0.05)

    work(engine, until=cancel)
    done = find_run(engine, run.id)
    assert done.status is RunStatus.CANCELLED
    assert 150 <= done.counts.fetched < 5000
    assert count(engine, "messenger_conversations") == done.counts.inserted
    assert words_of(engine, run.id)[-1] == "complete_with_errors"


def test_a_run_whose_page_is_removed_ends_at_once_and_says_so(ready: Ready, work: Work) -> None:
    served, engine, (page,) = ready(conversations=5000, latency_seconds=0.3)
    run = RunQueue(engine).enqueue(page, RunRequest())

    async def remove_in_mid_run() -> None:
        while count(engine, "messenger_conversations") < 100:
            await asyncio.sleep(0.05)
        with engine.store.write() as connection:
            remove_page(connection, page)
        calls = served.list_calls()
        while not any(each["event"] == "its Page was removed" for each in logs):
            await asyncio.sleep(0.05)
        assert served.list_calls() - calls < 8

    with capture_logs() as logs:
        work(engine, until=remove_in_mid_run)
    events = {each["event"] for each in logs if each.get("run_id") == run.id}
    assert not {"another worker has taken over", "unexpected error", "a task failed"} & events
    for table in ("sync_runs", "sync_run_events", "run_tasks", "page_leases", "messages", "list_positions"):
        assert count(engine, table) == 0


def test_a_run_is_suspended_when_its_page_is_no_longer_the_workers(ready: Ready) -> None:
    _, engine, (page,) = ready(conversations=1)
    run = RunQueue(engine).enqueue(page, RunRequest())

    def heeded(owner: str | None) -> Stop:
        asked = engine.stop()
        asyncio.run(check_requests(engine.store, run, stop=asked, owner=owner))
        return asked

    with engine.store.write() as connection:
        acquire_lease(connection, page.id, "here:1:a.1", now=engine.clock.now(), seconds=20)
    assert heeded("here:1:a.1").reason is None
    assert heeded(None).reason is None  # a command, whose run no worker would continue
    assert heeded("elsewhere:1:b").is_pause
    with engine.store.write() as connection:
        break_lease(connection, page.id, "here:1:a.1")
    assert heeded("here:1:a.1").is_pause
    RunQueue(engine).cancel(run.id)
    assert heeded("here:1:a.1").is_cancelled


@sqlite_only
def test_a_task_releases_its_slot_after_its_turn(
    ready: Ready, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task, "_TURN_SECONDS", 0.5)
    _, engine, pages = ready(conversations=1000, pages=2, latency_seconds=0.2)
    runs = [RunQueue(engine).enqueue(page, RunRequest()) for page in pages]

    async def both_are_scanned() -> None:
        while any(find_run(engine, run.id).batches < 4 for run in runs):
            await asyncio.sleep(0.05)

    with capture_logs() as logs:
        work(engine, until=both_are_scanned, concurrency=1)
    assert "another Page has its turn" in {each.get("reason") for each in logs}


@pytest.mark.parametrize("worker_id", [None, "elsewhere:1:a"], ids=["its own", "of one that ended"])
def test_a_task_that_is_begun_and_that_no_worker_executes_is_repeated(
    ready: Ready, work: Work, monkeypatch: pytest.MonkeyPatch, worker_id: str | None
) -> None:
    monkeypatch.setattr(maintenance, "_LOST_SECONDS", 0.5)
    _, engine, (page,) = ready(conversations=20)
    run = RunQueue(engine).enqueue(page, RunRequest())

    async def ended() -> None:
        while find_run(engine, run.id).status.is_open or count(engine, "run_tasks"):
            await asyncio.sleep(0.05)

    async def leave_and_wait() -> None:
        await ended()
        await asyncio.to_thread(leave_begun, engine, run.id, worker_id)
        await ended()

    work(engine, until=leave_and_wait)
    assert find_run(engine, run.id).status is RunStatus.COMPLETE


def leave_begun(engine: Engine, run_id: str, worker_id: str | None) -> None:
    """As a database leaves a task that was away when the task ended: begun, and no worker executes it."""
    now = engine.clock.now()
    with engine.store.write() as connection:
        living = list_workers(connection)[0].id
        run = get_run(connection, run_id)
        assert run is not None
        update_run(connection, replace(run, status=RunStatus.RUNNING, finished_at=None))
        left = RunTask(run_id=run_id, page_id=run.page_id, queue=TaskQueue.SCAN, number=9, due_at=now)
        add_task(connection, left)
        mark_dispatched(connection, [left], now=now - timedelta(minutes=1))
        begin_task(connection, left, worker_id=worker_id or living)


@pytest.mark.parametrize("taken_by", [None, "the worker", "elsewhere:1:a"])
def test_what_the_queue_has_lost_is_repeated(
    ready: Ready, work: Work, monkeypatch: pytest.MonkeyPatch, taken_by: str | None
) -> None:
    """A task whose workflow is gone, or was taken by a worker that never began it."""
    monkeypatch.setattr(maintenance, "_LOST_SECONDS", 0.5)
    _, engine, (page,) = ready(conversations=20)
    run = RunQueue(engine).enqueue(page, RunRequest())
    now = engine.clock.now()
    first = RunTask(run_id=run.id, page_id=page.id, queue=TaskQueue.NEWEST, number=1, due_at=now)
    with engine.store.write() as connection:
        mark_dispatched(connection, [first], now=now)

    async def lose_and_wait() -> None:
        if taken_by is not None:
            with engine.store.read() as connection:
                living = list_workers(connection)[0].id
            take(engine, first, living if taken_by == "the worker" else taken_by)
        with engine.store.write() as connection:
            mark_dispatched(connection, [first], now=now - timedelta(minutes=1))
        while find_run(engine, run.id).status.is_open:
            await asyncio.sleep(0.05)

    work(engine, until=lose_and_wait)
    assert find_run(engine, run.id).status is RunStatus.COMPLETE


def take(engine: Engine, first: RunTask, executor_id: str) -> None:
    """As DBOS leaves a workflow if the database fails just as it takes it."""
    database, schema = engine.queue_database()
    values = {
        "workflow_uuid": dispatch.workflow_id(first),
        "status": "PENDING",
        "name": "execute_task",
        "queue_name": "inboxsync-newest",
        "executor_id": executor_id,
        "application_version": dispatch.WORKFLOW_VERSION,
        "application_name": "inboxsync",
        "started_at_epoch_ms": int((first.due_at - timedelta(minutes=1)).timestamp() * 1000),
    }
    table = f"{schema}.workflow_status" if schema else "workflow_status"
    names = ", ".join(values)
    with database.begin() as connection:
        places = ", ".join(f":{name}" for name in values)
        connection.execute(text(f"INSERT INTO {table} ({names}) VALUES ({places})"), values)
    database.dispose()


@sqlite_only  # a file that this test does not use: its server is its own
def test_a_task_that_cannot_note_what_follows_is_repeated(
    restarted: RestartedServer,
    serve: Serve,
    engine_for: EngineFor,
    add: Add,
    work: Work,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The database is away for longer than a batch waits for it: the task cannot note what follows."""
    monkeypatch.setattr(stop, "RETRY_PAUSES", (0.1,))
    monkeypatch.setattr(maintenance, "_LOST_SECONDS", 0.5)
    served = serve(conversations=700, latency_seconds=0.3)
    engine = engine_for(served, database_url=restarted.url)
    (page,) = add(engine, served)
    run = RunQueue(engine).enqueue(page, RunRequest())

    async def stop_and_start() -> None:
        while find_run(engine, run.id).batches < 3:
            await asyncio.sleep(0.05)
        await asyncio.to_thread(restarted.stop)
        while not any(each["event"] == "a task failed" for each in logs):
            await asyncio.sleep(0.05)
        await asyncio.to_thread(restarted.start)
        with engine.store.write() as connection:  # it could not be released either, and would soon expire
            connection.execute(text("DELETE FROM page_leases"))
        while not any(each["event"] == "sync ended" for each in logs):
            await asyncio.sleep(0.05)

    with capture_logs() as logs:
        work(engine, until=stop_and_start)
    assert "a task was lost: it is repeated" in {each["event"] for each in logs}
    done = find_run(engine, run.id)
    assert (done.status, done.counts.inserted) == (RunStatus.COMPLETE, 700)


def test_ended_workflows_are_deleted_and_those_at_work_are_not(
    ready: Ready, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, engine, pages = ready(conversations=2000, pages=2, latency_seconds=0.2)
    short, long = (
        RunQueue(engine).enqueue(page, RunRequest(max_conversations=most))
        for page, most in zip(pages, (10, None), strict=True)
    )
    monkeypatch.setattr(maintenance, "_KEEP_WORKFLOWS", timedelta(seconds=2))
    monkeypatch.setattr(maintenance, "_PURGE_SECONDS", 0.5)

    async def one_is_purged() -> None:
        while find_run(engine, long.id).batches < 2:
            await asyncio.sleep(0.05)
        take(engine, left, "elsewhere:1:a")
        while (kept := workflows(engine)) & {f"{short.id}.1", dispatch.workflow_id(left)}:
            await asyncio.sleep(0.05)
        ((number,),) = query(engine, f"SELECT number FROM run_tasks WHERE run_id = '{long.id}'")
        assert kept == {f"{long.id}.{number}"}

    left = RunTask(
        run_id="gone", page_id=pages[0].id, queue=TaskQueue.SCAN, number=1, due_at=engine.clock.now()
    )
    work(engine, until=one_is_purged)


def workflows(engine: Engine) -> set[str]:
    """The names of the workflows that DBOS has."""
    database, schema = engine.queue_database()
    table = f"{schema}.workflow_status" if schema else "workflow_status"
    with database.connect() as connection:
        found = set(connection.execute(text(f"SELECT workflow_uuid FROM {table}")).scalars())
    database.dispose()
    return found


def test_what_dbos_logs_is_logged_as_ours_without_values(ready: Ready, work: Work) -> None:
    _, engine, _ = ready(conversations=1)

    def fail() -> None:
        raise IntegrityError("INSERT INTO ...", {"text": "Good morning"}, Exception("Good morning"))

    async def log_as_dbos() -> None:
        try:
            fail()
        except IntegrityError:
            logging.getLogger("dbos").exception("It failed:\nand more")
        logging.getLogger("dbos").error("Look here")

    with capture_logs() as logs:
        work(engine, until=log_as_dbos)
    lines = [each for each in logs if each["event"] == "the queue has a problem"]
    assert [(each["message"], each.get("why")) for each in lines] == [
        ("It failed", "IntegrityError"),
        ("Look here", None),
    ]
    assert "Good morning" not in str(lines)


def test_what_a_drained_worker_executed_another_continues(ready: Ready, work: Work) -> None:
    served, engine, (page,) = ready(conversations=1500, latency_seconds=0.15)
    run = RunQueue(engine).enqueue(page, RunRequest())

    async def begun() -> None:
        while find_run(engine, run.id).batches < 4:
            await asyncio.sleep(0.05)

    work(engine, until=begun)
    half = find_run(engine, run.id)
    assert half.status is RunStatus.RUNNING
    assert half.counts.fetched < 1500
    assert count(engine, "page_leases") == 0
    work(engine, run)
    done = find_run(engine, run.id)
    assert (done.status, done.counts.inserted) == (RunStatus.COMPLETE, 1500)
    assert done.started_at == half.started_at
    assert served.list_calls() < 30  # nothing above the position was fetched again


@sqlite_only
def test_a_second_worker_in_one_process_is_refused_in_one_sentence(ready: Ready) -> None:
    _, engine, _ = ready(conversations=1)

    async def go() -> None:
        first = Worker(engine, schedules=False)
        await first.start()
        second = Worker(engine, schedules=False)
        with pytest.raises(WorkerRunning, match="runs in this process already"):
            await second.start()
        assert count(engine, "workers") == 1
        await second.drain(1)
        await first.drain(1)

    asyncio.run(go())
