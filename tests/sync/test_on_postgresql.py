"""The flows of a sync on PostgreSQL: what `test_sync` checks on SQLite, in short."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from inboxsync.engine import Engine
from inboxsync.errors import LeaseLost, PageBusy
from inboxsync.model import History, Mode, RunStatus, Verification
from inboxsync.sandbox import Faults
from inboxsync.store.state.leases import acquire_lease, break_lease
from inboxsync.store.state.pages import list_pages
from tests.fixtures import EngineFor, PostgresServer, Row, SandboxServer, Serve
from tests.sync.fixtures import Add, Ready, Slow, Stored, Sync

IDS = "SELECT conversation_id FROM messenger_conversations"
MESSAGES = (
    "SELECT c.conversation_id, m.text, m.is_from_page, m.sent_at FROM messages m "
    "JOIN messenger_conversations c ON c.id = m.conversation_id"
)
SCHEMA = 'Customers\' "inbox"'


@pytest.fixture
def engine_url(server: PostgresServer) -> Iterator[str]:
    made = server.create(empty=True)
    yield made
    server.drop(made)


@pytest.fixture
def ready(serve: Serve, engine_for: EngineFor, add: Add) -> Slow:
    """A sandbox and an engine that has its Page, in a schema that does not exist yet."""

    def start(**switches: object) -> tuple[SandboxServer, Engine]:
        served = serve(**({"conversations": 350} | switches))
        engine = engine_for(served, database_schema=SCHEMA)
        add(engine, served)
        return served, engine

    return start


def newest_messages(served: SandboxServer, count: int = 10) -> set[Row]:
    return {
        (
            thread_id,
            message.text or ("" if message.ordinal % 2 else None),
            message.from_page,
            datetime.fromtimestamp(message.at, UTC),
        )
        for thread_id, thread in served.threads().items()
        for message in thread.messages[-count:]
    }


def test_everything_served_is_stored_and_nothing_else(ready: Ready, sync: Sync, stored: Stored) -> None:
    served, engine = ready(conversations=1200)
    run = sync(engine)
    assert (run.status, run.counts.inserted) == (RunStatus.COMPLETE, 1200)
    rows = stored(engine, MESSAGES)
    assert set(rows) == newest_messages(served)
    assert run.counts.events == len(rows)
    assert len(stored(engine, IDS)) == 1200


def test_a_second_run_stores_nothing_new_and_makes_one_list_call(
    ready: Ready, sync: Sync, stored: Stored
) -> None:
    served, engine = ready()
    sync(engine)
    before, calls = stored(engine, "SELECT * FROM messages"), served.list_calls()
    again = sync(engine)
    assert (again.status, again.mode) == (RunStatus.COMPLETE, Mode.INCREMENTAL)
    assert (again.counts.inserted, again.counts.updated, again.counts.events) == (0, 0, 0)
    assert served.list_calls() - calls == 1
    full = sync(engine, mode=Mode.FULL)
    assert (full.counts.unchanged, full.counts.updated, full.counts.events) == (350, 0, 0)
    assert set(stored(engine, "SELECT * FROM messages")) == set(before)


def test_an_incremental_run_brings_what_is_new(ready: Ready, sync: Sync, stored: Stored) -> None:
    served, engine = ready()
    sync(engine)
    served.page.write(300, "an old customer is back")
    served.page.write(None, "a new customer")
    run = sync(engine)
    assert (run.counts.inserted, run.counts.updated, run.counts.events) == (1, 1, 2)
    assert set(stored(engine, MESSAGES)) == newest_messages(served)


def test_a_gap_inside_a_conversation_is_filled(ready: Ready, sync: Sync, stored: Stored) -> None:
    served, engine = ready(conversations=20)
    sync(engine)
    for number in range(35):
        served.page.write(3, f"number {number}")
    assert sync(engine).status is RunStatus.COMPLETE
    texts = {text for (text,) in stored(engine, "SELECT text FROM messages WHERE source <> 'initial_sync'")}
    assert texts >= {f"number {number}" for number in range(35)}
    assert stored(engine, "SELECT * FROM backlog") == []


def test_history_is_read_to_the_bottom(ready: Ready, sync: Sync, stored: Stored) -> None:
    served, engine = ready(conversations=12, messages=(15, 130))
    assert sync(engine, history=History.ALL).status is RunStatus.COMPLETE
    assert set(stored(engine, MESSAGES)) == newest_messages(served, count=10_000)
    assert stored(engine, "SELECT count(*) FROM messenger_conversations WHERE has_older_messages") == [(0,)]


def test_an_unreadable_conversation_is_in_the_backlog_and_fetched_later(
    ready: Ready, sync: Sync, stored: Stored
) -> None:
    served, engine = ready(conversations=60, faults=Faults(poison_slots=(7,)))
    assert sync(engine).status is RunStatus.PARTIAL
    ((backlog,),) = stored(engine, "SELECT conversation_id FROM backlog WHERE error_code IS NOT NULL")
    assert {graph_id for (graph_id,) in stored(engine, IDS)} == set(served.threads()) - {backlog}
    served.sandbox.conversations.faults = Faults()
    with engine.store.write() as connection:
        connection.exec_driver_sql("UPDATE backlog SET next_attempt_at = NULL")
    assert sync(engine).status is RunStatus.COMPLETE
    assert {graph_id for (graph_id,) in stored(engine, IDS)} == set(served.threads())


def test_one_process_syncs_a_page_at_a_time(ready: Ready, sync: Sync, stored: Stored) -> None:
    _, engine = ready()
    now = datetime.now(UTC)
    with engine.store.write() as connection:
        (page,) = list_pages(connection)
        acquire_lease(connection, page.id, "elsewhere:1:x", now=now, seconds=60)
    with pytest.raises(PageBusy):
        sync(engine)
    with engine.store.write() as connection:
        assert break_lease(connection, page.id, "elsewhere:1:x")

    def take_over(_number: int) -> None:
        with engine.store.write() as connection:
            connection.exec_driver_sql("DELETE FROM page_leases")
            acquire_lease(connection, page.id, "elsewhere:2:y", now=now + timedelta(minutes=1), seconds=60)

    run = sync(engine, on_batch=take_over)
    assert [problem.code for problem in run.problems] == [LeaseLost.code]
    assert len(stored(engine, IDS)) == 100


def test_a_run_at_its_limit_is_partial_and_the_next_continues(
    ready: Ready, sync: Sync, stored: Stored
) -> None:
    served, engine = ready()
    assert sync(engine, max_conversations=120).status is RunStatus.PARTIAL
    with engine.store.write() as connection:  # as the owner may: JSON on both databases
        cursor = "SELECT segments->0->>'cursor' FROM list_positions WHERE folder = 'inbox'"
        assert connection.exec_driver_sql(cursor).scalar()
    second = sync(engine)
    assert (second.status, second.counts.inserted) == (RunStatus.COMPLETE, 230)
    assert {graph_id for (graph_id,) in stored(engine, IDS)} == set(served.threads())


def test_last_synced_at_set_to_null_means_a_full_run(ready: Ready, sync: Sync) -> None:
    _, engine = ready()
    sync(engine)
    with engine.store.write() as connection:
        connection.exec_driver_sql("UPDATE facebook_pages SET last_synced_at = NULL")
    run = sync(engine)
    assert (run.mode, run.counts.unchanged) == (Mode.FULL, 350)


def test_verify_confirms_a_complete_page_and_finds_what_is_missing(ready: Ready, sync: Sync) -> None:
    served, engine = ready(conversations=60)
    sync(engine)

    async def verify() -> Verification:
        with engine.store.read() as connection:
            (page,) = list_pages(connection)
        async with engine.source() as source, engine.stop() as stop:
            one = engine.page_verify(source, page, stop=stop, is_deep=False, on_batch=lambda _compared: None)
            return (await one.run(wait=False))[0]

    assert asyncio.run(verify()).is_complete
    served.page.write(None, "a new customer")
    with engine.store.write() as connection:
        connection.exec_driver_sql(
            "DELETE FROM messenger_conversations WHERE id = (SELECT min(id) FROM messenger_conversations)"
        )
    assert not asyncio.run(verify()).is_complete
    assert sync(engine).status is RunStatus.COMPLETE


@pytest.mark.system
def test_a_killed_run_loses_nothing(
    ready: Ready, sync: Sync, stored: Stored, engine_url: str, tmp_path: Path
) -> None:
    served, engine = ready(conversations=1000, latency_seconds=0.05)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("INBOXSYNC_")} | {
        "INBOXSYNC_DATA_DIR": str(tmp_path / "data"),
        "INBOXSYNC_DATABASE_URL": engine_url,
        "INBOXSYNC_DATABASE_SCHEMA": SCHEMA,
        "INBOXSYNC_GRAPH_URL": served.url,
        "INBOXSYNC_CALLS_PER_SECOND": "0",
    }
    for _ in range(2):
        command = [sys.executable, "-m", "inboxsync", "sync"]
        process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
        assert process.stderr is not None
        assert any("batch stored" in line for line in process.stderr)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=30)
    run = sync(engine)
    assert run.status is RunStatus.COMPLETE
    assert 0 < run.counts.inserted <= 800
    assert {graph_id for (graph_id,) in stored(engine, IDS)} == set(served.threads())
