"""The command as its users run it: what the fixtures of this directory give."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tests.fixtures import PATIENCE_SECONDS, Json, Row

INBOXSYNC = [sys.executable, "-m", "inboxsync"]
FOLDERS = ("inbox", "other", "page_done", "spam")


class Run(Protocol):
    """The fixture `run`: runs a command to its end; `extra` are environment variables."""

    def __call__(
        self, *arguments: str, stdin: str = "", **extra: str
    ) -> subprocess.CompletedProcess[str]: ...


class Start(Protocol):
    """The fixture `start`: starts a command in a process of its own."""

    def __call__(self, *arguments: str, **extra: str) -> subprocess.Popen[str]: ...


class OnTerminal(Protocol):
    """The fixture `on_terminal`: exit code, and what was sent to the terminal."""

    def __call__(self, stream: str, *arguments: str) -> tuple[int, bytes]: ...


class StartSandbox(Protocol):
    """The fixture `sandbox`: starts `inboxsync sandbox`, and returns what its ready line says."""

    def __call__(self, *switches: str, limits: bool = False) -> dict[str, Json]: ...


class MakeInbox(Protocol):
    """The fixture `inbox`: a sandbox with these switches, whose Pages have been added."""

    def __call__(self, *switches: str, limits: bool = False, batch_size: int | None = None) -> "Inbox": ...


@dataclass
class Inbox:
    """What the source has and what is stored of it, from outside."""

    ready: Json
    database: Path

    @property
    def page_id(self) -> str:
        """Meta's id of the first Page."""
        return str(self.ready["page_id"])

    def get(self, what: str) -> Json:
        address = f"{self.ready['url']}/sandbox/{what}"
        with urllib.request.urlopen(address, timeout=PATIENCE_SECONDS) as answer:  # noqa: S310
            return json.loads(answer.read())

    def post(self, what: str, **asked: object) -> Json:
        address, body = f"{self.ready['url']}/sandbox/{what}", json.dumps(asked).encode()
        with urllib.request.urlopen(address, body, timeout=PATIENCE_SECONDS) as answer:  # noqa: S310
            return json.loads(answer.read())

    def hold(self, *, after: int) -> None:
        """Answer so many calls more, and then none until `release`."""
        self.post("faults", hold_after=self.get("stats").get("received", 0) + after)

    def release(self) -> None:
        self.post("faults", hold_after=None)

    def calls(self) -> int:
        return int(sum(self.get("stats")["calls"].values()))

    def query(self, sql: str, *values: object) -> list[Row]:
        with closing(sqlite3.connect(self.database, timeout=30)) as connection:
            return connection.execute(sql, values).fetchall()

    def freeze(self, process: subprocess.Popen[str]) -> None:
        """Stop it (SIGSTOP) where it writes nothing, so that others can."""
        while True:
            process.send_signal(signal.SIGSTOP)
            # The signal is sent, but a thread of it may still be about to begin a transaction.
            os.waitid(os.P_PID, process.pid, os.WSTOPPED)
            with closing(sqlite3.connect(self.database, timeout=0.1)) as connection:
                try:
                    connection.execute("BEGIN IMMEDIATE")
                except sqlite3.OperationalError:
                    process.send_signal(signal.SIGCONT)
                else:
                    return

    @contextmanager
    def locked(self) -> Iterator[None]:
        """No one else can write meanwhile."""
        with closing(sqlite3.connect(self.database, timeout=30)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield

    def change(self, sql: str, *values: object) -> None:
        with closing(sqlite3.connect(self.database, timeout=30)) as connection, connection:
            connection.execute(sql, values)

    def served(self) -> dict[str, Json]:
        """Every conversation of every folder, by Graph's id."""
        shown = [each for folder in FOLDERS for each in self.get(f"inbox?folder={folder}")]
        return {each["conversation_id"]: each for each in shown}

    def assert_stored(self, *, whole: bool = False, adds_up: bool = True) -> None:
        """Everything served is stored once, nothing else is, the backlog is empty, and the runs add up.

        Of each conversation at least the newest ten messages without a gap, or all if `whole`. The runs do
        not add up where a test has deleted rows itself.
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
            assert have == set(ids[: len(have)]), f"{graph_id} has a gap, or what was never served"
            assert len(have) >= (len(ids) if whole else min(10, len(ids)))
        assert self.query("SELECT * FROM backlog") == []
        assert self.query("SELECT * FROM page_leases") == []
        ((events,),) = self.query("SELECT COUNT(*) FROM contact_interaction_events")
        assert events == sum(map(len, stored.values()))
        ((inserted, new),) = self.query("SELECT SUM(inserted), SUM(events) FROM sync_runs")
        assert (inserted, new) == (len(rows), events) or not adds_up
