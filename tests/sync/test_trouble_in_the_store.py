"""The database fails during a sync: one sentence, nothing half written, the next run continues."""

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import event

from inboxsync.errors import StoreFull, StoreUnavailable
from inboxsync.model import RunStatus
from inboxsync.store import Store
from tests.fixtures import EngineFor, Serve
from tests.sync.fixtures import Add, Stored, Sync

COUNTS = (
    "SELECT (SELECT COUNT(*) FROM messenger_conversations), (SELECT COUNT(*) FROM messages), "
    "(SELECT SUM(fetched) FROM sync_runs)"
)


def test_a_full_disk_makes_the_run_partial_and_keeps_whole_batches(
    serve: Serve, engine_for: EngineFor, add: Add, sync: Sync, stored: Stored
) -> None:
    served = serve(conversations=2000)
    engine = engine_for(served)
    add(engine, served)
    engine.store.close()

    def limit(connection: sqlite3.Connection, _record: object) -> None:
        # SQLite's own "database or disk is full", without filling anybody's disk.
        connection.execute("PRAGMA max_page_count = 250")

    event.listen(engine.store.engine, "connect", limit)
    run = sync(engine)
    assert run.status is RunStatus.PARTIAL
    assert [problem.code for problem in run.problems] == [StoreFull.code]
    assert "disk is full" in run.problems[0].message
    assert "Free some space" in run.problems[0].hint
    event.remove(engine.store.engine, "connect", limit)
    engine.store.close()

    ((conversations, messages, counted),) = stored(engine, COUNTS)
    assert 0 < conversations < 2000
    assert conversations % 100 == 0
    assert messages > conversations
    assert counted == conversations
    again = sync(engine)
    assert again.status is RunStatus.COMPLETE
    assert again.counts.inserted == 2000 - conversations


def test_a_database_that_is_read_only_says_so(
    serve: Serve, engine_for: EngineFor, add: Add, sync: Sync, tmp_path: Path
) -> None:
    served = serve(conversations=5)
    add(engine_for(served), served)
    path = tmp_path / "data" / "inboxsync.db"
    read_only = engine_for(served, database_url=f"sqlite:///file:{path}?mode=ro&uri=true")
    with pytest.raises(StoreUnavailable, match="read-only"):
        sync(read_only)


def test_values_of_a_failed_statement_are_in_no_error(store: Store) -> None:
    with pytest.raises(StoreUnavailable) as caught, store.write() as connection:
        connection.exec_driver_sql("INSERT INTO nowhere VALUES (?)", ("what a customer wrote",))
    assert "customer" not in str(caught.value)
