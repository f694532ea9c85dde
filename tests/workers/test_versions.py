"""Workers of another version: an upgrade, and the way back, while runs are being executed."""

import asyncio
from datetime import timedelta

import pytest

from inboxsync.engine import Engine
from inboxsync.model import Run, RunRequest, RunStatus
from inboxsync.store.state.tasks import get_task, mark_dispatched
from inboxsync.workers import RunQueue, dispatch, maintenance
from tests.workers.fixtures import Ready, Work, find_run


def test_after_a_downgrade_the_earlier_version_is_executed_again(
    ready: Ready, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, engine, (page,) = ready(conversations=20)
    runs = []
    for version in ("1", "2", "1"):
        with monkeypatch.context() as release:
            release.setattr(dispatch, "WORKFLOW_VERSION", version)
            runs.append(RunQueue(engine).enqueue(page, RunRequest()))
            work(engine, runs[-1])
    assert [find_run(engine, run.id).status for run in runs] == [RunStatus.COMPLETE] * 3


def test_what_waits_in_an_earlier_version_is_repeated_in_this_one(
    ready: Ready, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maintenance, "_LOST_SECONDS", 0.5)
    _, engine, (page,) = ready(conversations=20)
    run = RunQueue(engine).enqueue(page, RunRequest())
    with monkeypatch.context() as earlier:
        earlier.setattr(dispatch, "WORKFLOW_VERSION", "0")
        asyncio.run(dispatch_and_end(engine, run))
    work(engine, run)
    assert find_run(engine, run.id).status is RunStatus.COMPLETE


async def dispatch_and_end(engine: Engine, run: Run) -> None:
    """As a worker does that is killed before any takes the task."""

    async def never(_run_id: str, _number: int) -> None:
        await asyncio.sleep(3600)

    database, schema = engine.queue_database()
    loop = asyncio.get_running_loop()
    killed = dispatch.Dispatcher(database, schema=schema, worker_id="elsewhere:1:a", execute=never, loop=loop)
    await asyncio.to_thread(killed.launch, concurrency=1)
    with engine.store.write() as connection:
        waiting = get_task(connection, run.id)
        assert waiting is not None
        await asyncio.to_thread(killed.dispatch, [waiting])
        mark_dispatched(connection, [waiting], now=engine.clock.now() - timedelta(minutes=1))
    await asyncio.to_thread(killed.destroy, seconds=0)
