"""Workers of another form of the workflow: an upgrade, and the way back, with work in flight."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from inboxsync.model import RunRequest, RunStatus
from inboxsync.store.state.tasks import get_task, mark_dispatched
from inboxsync.workers import RunQueue, dispatch


def test_after_a_step_back_the_earlier_form_is_executed_again(
    ready: Any, work: Any, run_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, engine, (page,) = ready(conversations=20)
    queue = RunQueue(engine)
    runs = []
    for form in ("1", "2", "1"):
        with monkeypatch.context() as release:
            release.setattr(dispatch, "WORKFLOW_VERSION", form)
            runs.append(queue.submit(page, RunRequest()))
            work(engine, runs[-1].id)
    assert [run_of(engine, run.id).status for run in runs] == [RunStatus.COMPLETE] * 3


def test_what_waits_in_an_earlier_form_is_handed_over_anew(
    ready: Any, work: Any, run_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, engine, (page,) = ready(conversations=20)
    run = RunQueue(engine).submit(page, RunRequest())
    with monkeypatch.context() as earlier:
        earlier.setattr(dispatch, "WORKFLOW_VERSION", "0")
        asyncio.run(enqueue(engine, run.id))
    work(engine, run.id)
    assert run_of(engine, run.id).status is RunStatus.COMPLETE


async def enqueue(engine: Any, run_id: str) -> None:
    """As a worker does that is killed before anybody takes the slice."""

    async def never(_run_id: str, _number: int) -> bool:
        await asyncio.sleep(3600)
        return False

    database, schema = engine.queue_database()
    loop = asyncio.get_running_loop()
    killed = dispatch.Dispatcher(database, schema=schema, worker_id="elsewhere:1:a", step=never, loop=loop)
    await asyncio.to_thread(killed.launch, concurrency=1)
    with engine.store.write() as connection:
        waiting = get_task(connection, run_id)
        assert waiting is not None
        await asyncio.to_thread(killed.enqueue, [waiting])
        mark_dispatched(connection, [waiting], now=engine.clock.now() - timedelta(minutes=1))
    await asyncio.to_thread(killed.destroy, seconds=0)
