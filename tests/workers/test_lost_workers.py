"""Workers that are killed, frozen and restarted in mid-sync, on a real PostgreSQL and on a shared file."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from inboxsync.engine import Engine
from inboxsync.model import Run, RunRequest, RunStatus
from inboxsync.settings import Settings
from inboxsync.store.state.runs import get_run
from inboxsync.store.state.workers import list_workers
from inboxsync.workers import RunQueue

pytestmark = pytest.mark.system

CONVERSATIONS = 700
postgresql_only = pytest.mark.parametrize("database", ["postgresql"], indirect=True)


class Fleet:
    """Worker processes on one database and one source."""

    def __init__(self, engine: Engine, environment: dict[str, str]) -> None:
        self.engine = engine
        self._environment = environment
        self.processes: list[subprocess.Popen[str]] = []
        self.log = Path(environment["INBOXSYNC_DATA_DIR"]) / "workers.log"

    def start(self) -> subprocess.Popen[str]:
        """One more worker; returns once it tells that it lives."""
        with self.log.open("a") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "inboxsync", "worker", "--no-schedules", "--concurrency", "4"],
                env=self._environment,
                stdout=log,
                stderr=log,
                text=True,
            )
        self.processes.append(process)
        self.wait(lambda: any(f":{process.pid}:" in each for each in self.living()))
        return process

    def follow(self, run: Run) -> subprocess.Popen[str]:
        """Somebody who watches it."""
        command = [sys.executable, "-m", "inboxsync", "runs", "show", run.id, "--follow", "--json"]
        pipe = subprocess.PIPE
        following = subprocess.Popen(command, env=self._environment, stdout=pipe, stderr=pipe, text=True)
        self.processes.append(following)
        return following

    def living(self) -> list[str]:
        with self.engine.store.read() as connection:
            return [each.id for each in list_workers(connection)]

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with self.engine.store.read() as connection:
            return [tuple(row) for row in connection.execute(text(sql))]

    def run(self, run_id: str) -> Run:
        with self.engine.store.read() as connection:
            found = get_run(connection, run_id)
        assert found is not None
        return found

    def at_work(self) -> dict[int, int]:
        """How many slices each process is at."""
        counts: dict[int, int] = {}
        for (worker_id,) in self.query("SELECT worker_id FROM run_tasks WHERE worker_id IS NOT NULL"):
            pid = int(worker_id.split(":")[1])
            counts[pid] = counts.get(pid, 0) + 1
        return counts

    def wait(self, until: Callable[[], bool], *, seconds: float = 240) -> None:
        ends_at = time.monotonic() + seconds
        while not until():
            assert time.monotonic() < ends_at, self.log.read_text()[-3000:]
            time.sleep(0.1)

    def wait_until_complete(self, runs: list[Run]) -> None:
        self.wait(lambda: not any(self.run(run.id).status.is_open for run in runs))
        states = {run.id: self.run(run.id) for run in runs}
        assert {run.status for run in states.values()} == {RunStatus.COMPLETE}, states

    def assert_whole(self, pages: int) -> None:
        """Everything is stored once, every conversation was counted once, and nothing is left over."""
        assert self.query("SELECT COUNT(*) FROM messenger_conversations") == [(pages * CONVERSATIONS,)]
        assert self.query("SELECT SUM(inserted) FROM sync_runs") == [(pages * CONVERSATIONS,)]
        ((messages, events),) = self.query(
            "SELECT (SELECT COUNT(*) FROM messages), (SELECT SUM(events) FROM sync_runs)"
        )
        assert messages == events
        for table in ("run_tasks", "page_leases", "backlog"):
            # A run is told as ended a moment before its worker lets go of it.
            count = f"SELECT COUNT(*) FROM {table}"
            self.wait(lambda count=count: self.query(count) == [(0,)], seconds=30)
        # What one run told, it told in one order, whoever told it.
        gaps = "SELECT run_id FROM sync_run_events GROUP BY run_id HAVING COUNT(*) != MAX(seq)"
        assert self.query(gaps) == []

    def close(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait(60)


@contextmanager
def fleet_of(served: Any, url: str, tmp_path: Path, add: Any) -> Iterator[tuple[Fleet, list[Run]]]:
    values = {"data_dir": tmp_path / "data", "database_url": url, "graph_url": served.url}
    engine = Engine(Settings(**values, calls_per_second=0.0, retry_base_seconds=0.01))
    pages = add(engine, served)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("INBOXSYNC_")}
    environment = kept | {
        "INBOXSYNC_DATA_DIR": str(tmp_path / "data"),
        "INBOXSYNC_DATABASE_URL": url,
        "INBOXSYNC_GRAPH_URL": served.url,
        "INBOXSYNC_CALLS_PER_SECOND": "0",
        "INBOXSYNC_RETRY_BASE_SECONDS": "0.01",
        "INBOXSYNC_LOG_FORMAT": "json",
    }
    fleet = Fleet(engine, environment)
    try:
        yield fleet, [RunQueue(engine).submit(page, RunRequest()) for page in pages]
    finally:
        fleet.close()
        engine.close()


@pytest.fixture
def fleet(serve: Any, url: str, tmp_path: Path, add: Any) -> Iterator[Callable[..., tuple[Fleet, list[Run]]]]:
    """Workers, and a run of each Page of a slow source handed over to them."""
    opened: list[Any] = []

    def build(pages: int = 2, **switches: Any) -> tuple[Fleet, list[Run]]:
        served = serve(**{"conversations": CONVERSATIONS, "pages": pages, "latency_seconds": 0.4} | switches)
        context = fleet_of(served, url, tmp_path, add)
        made = context.__enter__()
        opened.append(context)
        return made

    yield build
    for context in opened:
        context.__exit__(None, None, None)


def is_under_way(fleet: Fleet, runs: list[Run]) -> Callable[[], bool]:
    return lambda: all(fleet.run(run.id).batches >= 2 for run in runs)


def test_a_killed_workers_pages_are_finished_by_the_other(fleet: Any) -> None:
    two, runs = fleet(pages=4)
    first, second = two.start(), two.start()
    two.wait(is_under_way(two, runs))
    # Whoever has more: the one to be killed is in the middle of something.
    busy = max(two.at_work().items(), key=lambda each: each[1])[0]
    victim = first if first.pid == busy else second
    victim.kill()  # and not waited for: it is a zombie
    two.wait_until_complete(runs)
    two.assert_whole(4)
    assert len(two.living()) == 1


def test_when_all_are_killed_one_that_starts_goes_on(fleet: Any) -> None:
    two, runs = fleet(pages=2)
    for process in (two.start(), two.start()):
        del process
    two.wait(is_under_way(two, runs))
    for process in two.processes:
        process.kill()
        process.wait(60)
    assert all(two.run(run.id).status is RunStatus.RUNNING for run in runs)
    started = [two.run(run.id).started_at for run in runs]
    two.start()
    two.wait_until_complete(runs)
    assert [two.run(run.id).started_at for run in runs] == started
    two.assert_whole(2)


@postgresql_only
def test_a_worker_that_was_frozen_overlaps_with_nobody_when_it_wakes(fleet: Any) -> None:
    two, runs = fleet(pages=2)
    frozen = two.start()
    two.wait(is_under_way(two, runs))
    frozen.send_signal(signal.SIGSTOP)
    began = time.monotonic()
    two.start()
    two.wait_until_complete(runs)
    time.sleep(max(0.0, 20 - (time.monotonic() - began)))
    told = two.query("SELECT run_id, seq, status FROM sync_run_events ORDER BY 1, 2")
    frozen.send_signal(signal.SIGCONT)
    two.wait(lambda: any(f":{frozen.pid}:" in each for each in two.living()))
    time.sleep(2)  # it has had the time to write what it must not
    assert two.query("SELECT run_id, seq, status FROM sync_run_events ORDER BY 1, 2") == told
    assert {two.run(run.id).status for run in runs} == {RunStatus.COMPLETE}
    two.assert_whole(2)
    again = [RunQueue(two.engine).submit(page, RunRequest()) for page in pages_of(two)]
    two.wait_until_complete(again)  # and it works on, beside the other


def pages_of(fleet: Fleet) -> list[Any]:
    from inboxsync.store.state.pages import list_pages  # noqa: PLC0415

    with fleet.engine.store.read() as connection:
        return list_pages(connection)


def test_a_worker_that_is_asked_to_stop_lays_its_runs_down_and_another_goes_on(fleet: Any) -> None:
    one, runs = fleet(pages=2)
    first = one.start()
    one.wait(is_under_way(one, runs))
    first.send_signal(signal.SIGTERM)
    assert first.wait(120) == 0
    assert one.living() == []
    assert one.query("SELECT COUNT(*) FROM page_leases") == [(0,)]
    assert one.query("SELECT COUNT(*) FROM run_tasks WHERE worker_id IS NOT NULL") == [(0,)]
    half = [one.run(run.id) for run in runs]
    assert all(run.status is RunStatus.RUNNING and run.problems == () for run in half)
    one.start()
    one.wait_until_complete(runs)
    one.assert_whole(2)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_ends_a_worker_at_once_though_the_database_is_locked(
    fleet: Any, second: signal.Signals
) -> None:
    one, runs = fleet(pages=1)
    worker = one.start()
    one.wait(is_under_way(one, runs))
    with one.engine.store.write():
        time.sleep(1)
        worker.send_signal(signal.SIGINT)  # as Ctrl-C does
        time.sleep(1)
        assert worker.poll() is None  # it drains
        worker.send_signal(second)
        assert worker.wait(10) == -second
    one.start()
    one.wait_until_complete(runs)
    one.assert_whole(1)


def test_a_server_that_restarts_in_mid_sync_is_waited_for(
    restarted: Any, serve: Any, tmp_path: Path, add: Any
) -> None:
    served = serve(conversations=CONVERSATIONS, pages=2, latency_seconds=0.4)
    with fleet_of(served, restarted.url, tmp_path, add) as (one, runs):
        one.start()
        one.wait(is_under_way(one, runs))
        following = one.follow(runs[0])
        assert following.stdout is not None
        assert json.loads(following.stdout.readline())["status"] == "starting"
        one.engine.close()
        restarted.stop()
        time.sleep(12)  # longer than a step: DBOS cannot write it down, and lets the workflow fail
        restarted.start()
        one.wait_until_complete(runs)
        one.assert_whole(2)
        out, said = following.communicate(timeout=60)
        assert (following.returncode, said) == (0, "")
        assert json.loads(out.splitlines()[-1])["status"] == "complete"
        # One JSON object a line, also what DBOS has to say, and each trouble once.
        lines = [json.loads(line) for line in one.log.read_text().splitlines()]
        events = [line["event"] for line in lines]
        assert 0 < events.count("the common duties wait") <= 5
        assert 0 < events.count("not told that it lives") <= 5
        assert {"the common duties go on", "told again that it lives", "the queue has trouble"} <= set(events)


def test_the_command_shows_and_cancels_a_run_on_any_worker(fleet: Any) -> None:
    one, (run,) = fleet(pages=1, conversations=5000)
    one.start()
    one.wait(is_under_way(one, [run]))
    command = [sys.executable, "-m", "inboxsync", "runs"]
    environment = one._environment
    following = one.follow(run)
    asked = subprocess.run(
        [*command, "cancel", run.id], env=environment, capture_output=True, text=True, check=True
    )
    assert "ends at its next batch" in asked.stdout
    out, _ = following.communicate(timeout=240)
    *events, shown = [json.loads(line) for line in out.splitlines()]
    assert following.returncode == 3
    assert shown["status"] == "cancelled"
    assert events[0]["status"] == "starting"
    assert events[-1]["status"] == "complete_with_errors"
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert 100 <= shown["fetched"] < 5000
    assert one.query("SELECT COUNT(*) FROM messenger_conversations") == [(shown["inserted"],)]
