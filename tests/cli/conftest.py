"""The command as its users run it: real processes, a real sandbox, a database on disk."""

import os
import pty
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.fixtures import INBOXSYNC, Inbox, MakeInbox, OnTerminal, Run, Start, StartSandbox
from tests.fixtures import PATIENCE_SECONDS, Json
from tests.processes import ForkServer, Sandboxes


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("INBOXSYNC_")}
    return kept | {
        "INBOXSYNC_DATA_DIR": str(tmp_path / "data"),
        "INBOXSYNC_CALLS_PER_SECOND": "0",
        "INBOXSYNC_RETRY_BASE_SECONDS": "0.01",
        "INBOXSYNC_SOURCE_AWAY_SECONDS": "3",
    }


@pytest.fixture
def run(forks: ForkServer, environment: dict[str, str]) -> Run:
    """Runs a command to its end."""

    def run_command(*arguments: str, stdin: str = "", **extra: str) -> subprocess.CompletedProcess[str]:
        ended = forks.run(*arguments, environment=environment | extra, stdin=stdin)
        assert "Traceback" not in ended.stderr
        return ended

    return run_command


@pytest.fixture
def on_terminal(environment: dict[str, str]) -> OnTerminal:
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
            pass  # how Linux says that the other end is closed
        os.close(ours)
        return process.wait(PATIENCE_SECONDS), shown

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
        process.communicate(timeout=PATIENCE_SECONDS)


@pytest.fixture
def sandbox(forks: ForkServer, environment: dict[str, str]) -> Iterator[StartSandbox]:
    """Starts `inboxsync sandbox`; the commands of this test then talk to it."""
    sandboxes = Sandboxes(forks)

    def start_sandbox(*switches: str, limits: bool = False) -> dict[str, Json]:
        ready = sandboxes.start(*([] if limits else ["--no-limits"]), *switches, environment=environment)
        environment["INBOXSYNC_GRAPH_URL"] = ready["url"]
        return ready

    yield start_sandbox
    sandboxes.close()


@pytest.fixture
def inbox(sandbox: StartSandbox, run: Run, environment: dict[str, str]) -> MakeInbox:
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
