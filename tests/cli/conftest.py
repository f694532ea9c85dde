"""The command as its users run it: real processes, a real sandbox, a database on disk."""

import json
import os
import pty
import sqlite3
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

INBOXSYNC = [sys.executable, "-m", "inboxsync"]
FOLDERS = ("inbox", "other", "page_done", "spam")

Run = Callable[..., subprocess.CompletedProcess[str]]
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("INBOXSYNC_")}
    return kept | {
        "INBOXSYNC_DATA_DIR": str(tmp_path / "data"),
        "INBOXSYNC_CALLS_PER_SECOND": "0",
        "INBOXSYNC_RETRY_BASE_SECONDS": "0.01",
    }


@pytest.fixture
def run(environment: dict[str, str]) -> Run:
    """Runs a command to its end."""

    def run_command(*arguments: str, stdin: str = "", **extra: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*INBOXSYNC, *arguments],
            input=stdin,
            env=environment | extra,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run_command


@pytest.fixture
def on_terminal(environment: dict[str, str]) -> Callable[..., tuple[int, bytes]]:
    """Runs a command with `stdout` or `stderr` on a terminal: its exit code, and what was sent there."""

    def run_on_terminal(stream: str, *arguments: str) -> tuple[int, bytes]:
        ours, theirs = pty.openpty()
        streams: dict[str, int] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, stream: theirs}
        process = subprocess.Popen(
            [*INBOXSYNC, *arguments],
            env=environment | {"TERM": "xterm"},
            stdout=streams["stdout"],
            stderr=streams["stderr"],
        )
        os.close(theirs)
        shown = b""
        try:
            while more := os.read(ours, 4096):
                shown += more
        except OSError:
            pass  # how Linux says that nobody writes any more
        os.close(ours)
        return process.wait(timeout=30), shown

    return run_on_terminal


@pytest.fixture
def start(environment: dict[str, str]) -> Iterator[Start]:
    """Starts a command in a process of its own; what still runs when the test ends is killed."""
    processes: list[subprocess.Popen[str]] = []

    def start_command(*arguments: str, **extra: str) -> subprocess.Popen[str]:
        command = arguments if Path(arguments[0]).is_absolute() else (*INBOXSYNC, *arguments)
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, env=environment | extra, stdout=pipe, stderr=pipe, text=True)
        processes.append(process)
        return process

    yield start_command
    for process in processes:
        process.kill()
        process.communicate(timeout=20)


@pytest.fixture
def sandbox(environment: dict[str, str]) -> Iterator[Callable[..., dict[str, Any]]]:
    """Starts `inboxsync sandbox`; the commands of this test then talk to it."""
    processes = []

    def start_sandbox(*switches: str, limits: bool = False) -> dict[str, Any]:
        command = [*INBOXSYNC, "sandbox", *([] if limits else ["--no-limits"]), *switches]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment)
        processes.append(process)
        assert process.stdout is not None
        ready: dict[str, Any] = json.loads(process.stdout.readline())
        environment["INBOXSYNC_GRAPH_URL"] = ready["url"]
        return ready

    yield start_sandbox
    for process in processes:
        process.terminate()
        process.communicate(timeout=20)


@dataclass
class Inbox:
    """What the source has and what is stored of it, from outside."""

    ready: dict[str, Any]
    database: Path

    def get(self, what: str) -> Any:
        address = f"{self.ready['url']}/sandbox/{what}"
        with urllib.request.urlopen(address, timeout=20) as answer:  # noqa: S310
            return json.loads(answer.read())

    def post(self, what: str, **asked: Any) -> Any:
        address, body = f"{self.ready['url']}/sandbox/{what}", json.dumps(asked).encode()
        with urllib.request.urlopen(address, body, timeout=20) as answer:  # noqa: S310
            return json.loads(answer.read())

    def calls(self) -> int:
        return int(sum(self.get("stats")["calls"].values()))

    def query(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.database, timeout=30)) as connection:
            return connection.execute(sql, values).fetchall()

    def change(self, sql: str, *values: object) -> None:
        with closing(sqlite3.connect(self.database, timeout=30)) as connection, connection:
            connection.execute(sql, values)

    def served(self) -> dict[str, dict[str, Any]]:
        """Every conversation of every folder, by Graph's id."""
        shown = [each for folder in FOLDERS for each in self.get(f"inbox?folder={folder}")]
        return {each["conversation_id"]: each for each in shown}

    def assert_stored(self, *, whole: bool = False, adds_up: bool = True) -> None:
        """Everything served is stored once, nothing else is, nothing is owed, and the runs add up.

        Of each conversation the newest ten messages at the least and no hole, or all if `whole`. A test
        that has deleted rows itself knows that the runs do not add up.
        """
        served = self.served()
        rows = self.query("SELECT id, conversation_id, folder FROM messenger_conversations")
        assert sorted(graph_id for _, graph_id, _ in rows) == sorted(served)
        stored: dict[str, set[str]] = {}
        for graph_id, message_id in self.query(
            "SELECT c.conversation_id, m.message_id FROM messages m "
            "JOIN messenger_conversations c ON c.id = m.conversation_id"
        ):
            stored.setdefault(graph_id, set()).add(message_id)
        for _, graph_id, folder in rows:
            assert folder == served[graph_id]["folder"]
            ids, have = served[graph_id]["message_ids"], stored.get(graph_id, set())
            assert have == set(ids[: len(have)]), f"{graph_id} has a hole, or what was never served"
            assert len(have) >= (len(ids) if whole else min(10, len(ids)))
        assert self.query("SELECT * FROM backlog") == []
        assert self.query("SELECT * FROM page_leases") == []
        ((events,),) = self.query("SELECT COUNT(*) FROM contact_interaction_events")
        assert events == sum(map(len, stored.values()))
        ((inserted, new),) = self.query("SELECT SUM(inserted), SUM(events) FROM sync_runs")
        assert (inserted, new) == (len(rows), events) or not adds_up


@pytest.fixture
def inbox(sandbox: Any, run: Run, environment: dict[str, str]) -> Callable[..., Inbox]:
    """A sandbox with these switches, whose first Page has been added."""

    def build(*switches: str, limits: bool = False, batch_size: int | None = None) -> Inbox:
        ready = sandbox(*switches, limits=limits)
        built = Inbox(ready, Path(environment["INBOXSYNC_DATA_DIR"]) / "inboxsync.db")
        for page in ready["pages"]:
            added = run("pages", "add", page["page_id"], "--token-stdin", stdin=page["token"])
            assert added.returncode == 0, added.stderr
        if batch_size is not None:
            built.change("UPDATE facebook_pages SET batch_size = ?", batch_size)
        return built

    return build
