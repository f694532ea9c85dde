"""Workers in this process and beside it: what the fixtures of this directory give."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol, TypeAlias

from sqlalchemy import text

from inboxsync.engine import Engine
from inboxsync.model import Page, Run, RunStatus
from inboxsync.store.state.pages import list_pages
from inboxsync.store.state.runs import get_run
from inboxsync.store.state.tasks import list_workers
from tests.fixtures import Row, SandboxServer
from tests.processes import ForkServer

# The fixture `add`: adds every Page of a sandbox.
Add: TypeAlias = Callable[[Engine, SandboxServer], list[Page]]
_WORKER = ("worker", "--no-schedules", "--concurrency", "4")
# What a sandbox with Pages is: the source, an engine that syncs from it, and its Pages, added.
Source: TypeAlias = tuple[SandboxServer, Engine, list[Page]]


class Ready(Protocol):
    """The fixture `ready`: a sandbox with these switches, an engine, and its Pages added."""

    def __call__(self, **switches: object) -> Source: ...


class Work(Protocol):
    """The fixture `work`: has a worker work until these runs have ended, or until `until` returns."""

    def __call__(
        self,
        engine: Engine,
        *runs: Run,
        until: Callable[[], Awaitable[None]] | None = None,
        schedules: bool = False,
        concurrency: int = 4,
    ) -> None: ...


def find_run(engine: Engine, run_id: str) -> Run:
    with engine.store.read() as connection:
        run = get_run(connection, run_id)
    assert run is not None
    return run


def query(engine: Engine, sql: str) -> list[Row]:
    with engine.store.read() as connection:
        return [tuple(row) for row in connection.execute(text(sql))]


def count(engine: Engine, table: str) -> int:
    ((rows,),) = query(engine, f"SELECT COUNT(*) FROM {table}")
    return int(rows)


class Process(Protocol):
    """A command that runs; `Forked`, or a child of this process."""

    @property
    def pid(self) -> int: ...

    def send_signal(self, number: int, /) -> None: ...

    def wait(self, timeout: float) -> int: ...


class Fleet:
    """Worker processes on one database and one source."""

    def __init__(
        self, forks: ForkServer, engine: Engine, environment: dict[str, str], *, conversations: int
    ) -> None:
        self.engine = engine
        self._forks = forks
        self._environment = environment
        self._conversations = conversations
        self._folder = Path(environment["INBOXSYNC_DATA_DIR"])
        self._running: list[Process] = []
        self.log = self._folder / "workers.log"

    def start(self, *, is_child: bool = False) -> Process:
        """One more worker; returns after its first heartbeat. A child is a zombie when it was killed."""
        process = self._start(self.log, *_WORKER, is_child=is_child)
        self.wait(lambda: self.is_living(process))
        return process

    def follow(self, run: Run) -> tuple[Process, Path]:
        """A command that watches a run; returns once it has said something. The file has what it says."""
        out = self._folder / "followed.log"
        following = self._start(out, "runs", "show", run.id, "--follow", "--json")
        self.wait(lambda: "\n" in out.read_text())
        return following, out

    def call(self, *arguments: str) -> str:
        """What a command prints."""
        done = self._forks.run(*arguments, environment=self._environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def end(self, process: Process) -> int:
        """The exit code of a process that is about to end."""
        self._running.remove(process)
        return process.wait(60)

    def _start(self, out: Path, *arguments: str, is_child: bool = False) -> Process:
        with out.open("ab") as file:
            streams = (file.fileno(),) * 3
            process: Process = (
                subprocess.Popen(
                    [sys.executable, "-m", "inboxsync", *arguments],
                    env=self._environment,
                    stdout=file,
                    stderr=file,
                )
                if is_child
                else self._forks.start(*arguments, environment=self._environment, streams=streams)
            )
        self._running.append(process)
        return process

    def living(self) -> list[str]:
        with self.engine.store.read() as connection:
            return [each.id for each in list_workers(connection)]

    def is_living(self, process: Process) -> bool:
        return any(f":{process.pid}:" in each for each in self.living())

    def pages(self) -> list[Page]:
        with self.engine.store.read() as connection:
            return list_pages(connection)

    def query(self, sql: str) -> list[Row]:
        return query(self.engine, sql)

    def run(self, run: Run) -> Run:
        return find_run(self.engine, run.id)

    def at_work(self) -> dict[int, int]:
        """How many tasks each process executes."""
        counts: dict[int, int] = {}
        for (worker_id,) in self.query("SELECT worker_id FROM run_tasks WHERE worker_id IS NOT NULL"):
            pid = int(worker_id.split(":")[1])
            counts[pid] = counts.get(pid, 0) + 1
        return counts

    def wait(self, until: Callable[[], bool]) -> None:
        """The limit is for a test that would never end."""
        ends_at = time.monotonic() + 240
        while not until():
            assert time.monotonic() < ends_at, self.log.read_text()[-3000:]
            time.sleep(0.05)

    def wait_for_log(self, *events: str, times: int = 1) -> None:
        """Until the workers have logged each of these so often."""
        self.wait(lambda: all(self.log.read_text().count(f'"event": "{each}"') >= times for each in events))

    def wait_until_under_way(self, runs: list[Run]) -> None:
        self.wait(lambda: all(self.run(run).batches >= 2 for run in runs))

    def wait_until_complete(self, runs: list[Run]) -> None:
        self.wait(lambda: not any(self.run(run).status.is_open for run in runs))
        assert {self.run(run).status for run in runs} == {RunStatus.COMPLETE}, [*map(self.run, runs)]

    def assert_whole(self, pages: int) -> None:
        """Everything is stored once, every conversation was counted once, and nothing is left over."""
        assert self.query("SELECT COUNT(*) FROM messenger_conversations") == [(pages * self._conversations,)]
        assert self.query("SELECT SUM(inserted) FROM sync_runs") == [(pages * self._conversations,)]
        ((messages, events),) = self.query(
            "SELECT (SELECT COUNT(*) FROM messages), (SELECT SUM(events) FROM sync_runs)"
        )
        assert messages == events
        # A run has ended a moment before its worker gives up its task and its lease.
        for table in ("run_tasks", "page_leases", "backlog"):
            self.wait(lambda table=table: count(self.engine, table) == 0)  # type: ignore[misc]
        # The events of a run are in one order, whichever worker has written them.
        gaps = "SELECT run_id FROM sync_run_events GROUP BY run_id HAVING COUNT(*) != MAX(seq)"
        assert self.query(gaps) == []

    def kill_all(self) -> None:
        for process in self._running:
            process.send_signal(signal.SIGKILL)
        for process in [*self._running]:
            self.end(process)


class MakeFleet(Protocol):
    """The fixture `fleet`: no worker yet, and a run of each Page of a slow source, enqueued."""

    def __call__(
        self, *, pages: int = 2, conversations: int = 700, url: str | None = None
    ) -> tuple[Fleet, list[Run]]: ...


def environment_of(values: dict[str, str]) -> dict[str, str]:
    """This process's environment with these settings alone."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("INBOXSYNC_")}
    return kept | {f"INBOXSYNC_{name.upper()}": value for name, value in values.items()}
