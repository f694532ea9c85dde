"""The server goes away during a sync: the batch is tried again, or the run is partial; the next continues."""

import threading

import psycopg
import pytest
from sqlalchemy import event

from inboxsync.engine import Engine
from inboxsync.errors import StoreFull, StoreUnreachable
from inboxsync.model import RunStatus
from inboxsync.store.connection import postgresql
from tests.fixtures import EngineFor, PostgresServer, RestartedServer, SandboxServer, Serve
from tests.sync.fixtures import Add, OfDriver, Ready, Slow, Stored, Sync

CONVERSATIONS = 700
COUNTS = (
    "SELECT (SELECT COUNT(*) FROM messenger_conversations), (SELECT COUNT(*) FROM messages), "
    "(SELECT SUM(fetched) FROM sync_runs), (SELECT SUM(events) FROM sync_runs)"
)


@pytest.fixture
def ready(serve: Serve, engine_for: EngineFor, add: Add, restarted: RestartedServer) -> Slow:
    def start(**switches: object) -> tuple[SandboxServer, Engine]:
        served = serve(conversations=CONVERSATIONS, **switches)
        engine = engine_for(served, database_url=restarted.url)
        add(engine, served)
        return served, engine

    return start


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inboxsync.sync.stop.RETRY_PAUSES", (0.05, 0.1))


def assert_whole(engine: Engine, stored: Stored, served: SandboxServer) -> None:
    ((conversations, messages, fetched, events),) = stored(engine, COUNTS)
    assert conversations == fetched == CONVERSATIONS
    assert messages == events == sum(min(10, len(each.messages)) for each in served.threads().values())


def test_a_restart_of_the_server_in_mid_sync_loses_nothing(
    ready: Ready, sync: Sync, stored: Stored, restarted: RestartedServer
) -> None:
    served, engine = ready()
    back = threading.Timer(1, restarted.start)

    def restart(number: int) -> None:
        if number == 3:
            restarted.stop()
            back.start()

    run = sync(engine, on_batch=restart)
    back.join()
    assert (run.status, run.problems) == (RunStatus.COMPLETE, ())
    assert_whole(engine, stored, served)


@pytest.mark.usefixtures("impatient")
def test_a_server_that_stays_away_makes_the_run_partial_and_the_next_continues(
    ready: Ready, sync: Sync, stored: Stored, restarted: RestartedServer
) -> None:
    served, engine = ready()
    run = sync(engine, on_batch=lambda number: restarted.stop() if number == 1 else None)
    assert run.status is RunStatus.PARTIAL
    assert [problem.code for problem in run.problems] == [StoreUnreachable.code]
    assert run.counts.fetched == 100
    assert run.next == f"inboxsync sync {served.page.page_id}"
    restarted.start()
    restarted.admin.execute("DELETE FROM page_leases", url=restarted.url)  # as if the process had ended
    again = sync(engine)
    assert (again.status, again.counts.inserted) == (RunStatus.COMPLETE, CONVERSATIONS - 100)
    assert_whole(engine, stored, served)


def test_connections_that_are_cut_during_a_sync_are_opened_again(
    ready: Ready, sync: Sync, stored: Stored, restarted: RestartedServer
) -> None:
    served, engine = ready()

    def cut(_number: int) -> None:
        restarted.admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'inboxsync'"
        )

    run = sync(engine, on_batch=cut)
    assert (run.status, run.problems) == (RunStatus.COMPLETE, ())
    assert_whole(engine, stored, served)


class CutOff:
    """Ends the connection at a given point of the third batch: before its commit, or just after."""

    def __init__(
        self, engine: Engine, admin: PostgresServer, monkeypatch: pytest.MonkeyPatch, *, after: bool
    ) -> None:
        self._admin = admin
        self._commits = 0
        self._after = after
        dialect = engine.store.engine.dialect
        self._commit = dialect.do_commit
        monkeypatch.setattr(dialect, "do_commit", self)

    def __call__(self, connection: OfDriver) -> None:
        self._commits += 1
        if self._commits != 5:
            self._commit(connection)
            return
        if self._after:
            self._commit(connection)
        self._admin.execute(f"SELECT pg_terminate_backend({connection.driver_connection.info.backend_pid})")
        connection.execute("SELECT 1")


@pytest.mark.parametrize("after", [False, True])
def test_a_connection_lost_while_committing_counts_nothing_twice(
    ready: Ready,
    sync: Sync,
    stored: Stored,
    restarted: RestartedServer,
    monkeypatch: pytest.MonkeyPatch,
    after: bool,
) -> None:
    served, engine = ready()
    CutOff(engine, restarted.admin, monkeypatch, after=after)
    run = sync(engine)
    assert (run.status, run.problems) == (RunStatus.COMPLETE, ())
    assert run.counts.inserted == CONVERSATIONS
    assert_whole(engine, stored, served)


def test_a_lock_that_is_held_for_a_moment_is_waited_for(
    ready: Ready, sync: Sync, stored: Stored, restarted: RestartedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql, "_LOCK_SECONDS", 0.2)
    served, engine = ready()
    holder = psycopg.connect(restarted.url)

    def hold(number: int) -> None:
        if number == 2:
            holder.execute("LOCK TABLE messages IN EXCLUSIVE MODE")
            threading.Timer(1, holder.rollback).start()

    run = sync(engine, on_batch=hold)
    holder.close()
    assert (run.status, run.problems) == (RunStatus.COMPLETE, ())
    assert_whole(engine, stored, served)


@pytest.mark.usefixtures("impatient")
def test_a_lock_that_is_held_for_good_makes_the_run_partial(
    ready: Ready, sync: Sync, stored: Stored, restarted: RestartedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql, "_LOCK_SECONDS", 0.1)
    served, engine = ready()
    with psycopg.connect(restarted.url) as holder:

        def hold(number: int) -> None:
            if number == 1:
                holder.execute("LOCK TABLE messages IN EXCLUSIVE MODE")

        run = sync(engine, on_batch=hold)
        holder.rollback()
    assert (run.status, run.counts.fetched) == (RunStatus.PARTIAL, 100)
    assert "locked" in run.problems[0].message
    assert sync(engine).status is RunStatus.COMPLETE
    assert_whole(engine, stored, served)


def test_a_full_disk_makes_the_run_partial_with_whole_batches(
    ready: Ready, sync: Sync, stored: Stored
) -> None:
    served, engine = ready()
    full = threading.Event()

    @event.listens_for(engine.store.engine, "before_cursor_execute", retval=True)
    def refuse(
        _connection: OfDriver, _cursor: OfDriver, statement: str, parameters: OfDriver, *_: object
    ) -> tuple[str, OfDriver]:
        # The server's own error, with its SQLSTATE, in the place of the statement.
        if full.is_set() and "INSERT INTO list_positions" in statement:
            return "DO $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$", ()
        return statement, parameters

    run = sync(engine, on_batch=lambda number: full.set() if number == 1 else None)
    assert (run.status, run.counts.fetched) == (RunStatus.PARTIAL, 100)
    assert [problem.code for problem in run.problems] == [StoreFull.code]
    assert "disk is full" in run.problems[0].message
    full.clear()
    assert sync(engine).status is RunStatus.COMPLETE
    assert_whole(engine, stored, served)
