"""SIGKILL, which nothing can prepare for: at every commit, and at any other moment."""

import random
import shutil
import signal
import time
from pathlib import Path
from typing import Protocol

import pytest

from tests.cli.fixtures import Inbox, MakeInbox, Run, Start
from tests.fixtures import PATIENCE_SECONDS
from tests.processes import ForkServer

pytestmark = pytest.mark.system

KILLED_AT_COMMIT = str(Path(__file__).parent / "killed_at_commit.py")
MOST_COMMITS = 60
# A kill costs the batch that was being stored and the call on the wire; a third one where the inbox was
# complete already, and its head is looked at again before the folders that were cut off: those are read
# side by side, so each of the three may have had a call on the wire.
CALLS_A_KILL = 5


class Killed(Protocol):
    def __call__(self, number: int, when: str, *arguments: str, **extra: str) -> bool: ...


@pytest.fixture
def killed(forks: ForkServer, environment: dict[str, str]) -> Killed:
    """Runs a command until just before or after its n-th commit; False where it ended earlier."""

    def run_killed(number: int, when: str, *arguments: str, **extra: str) -> bool:
        result = forks.run(
            str(number), when, *arguments, environment=environment | extra, script=KILLED_AT_COMMIT
        )
        assert result.returncode in (-signal.SIGKILL, 0), result.stderr
        return result.returncode != 0

    return run_killed


def keep(inbox: Inbox, *, to: Path) -> None:
    """The database as it is, to begin again from."""
    inbox.query("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copy(inbox.database, to)


def put_back(inbox: Inbox, *, kept: Path) -> None:
    for suffix in ("-wal", "-shm"):
        Path(f"{inbox.database}{suffix}").unlink(missing_ok=True)
    shutil.copy(kept, inbox.database)


def completes(run: Run) -> None:
    result = run("sync")
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_kill_at_any_commit_loses_nothing(
    inbox: MakeInbox, run: Run, killed: Killed, tmp_path: Path, when: str
) -> None:
    source = inbox("--conversations", "30", "--folder", "other=6", "--messages", "1:14", batch_size=10)
    keep(source, to=tmp_path / "kept.db")
    began = source.calls()
    completes(run)
    whole = source.calls() - began
    for number in range(1, MOST_COMMITS):
        put_back(source, kept=tmp_path / "kept.db")
        began = source.calls()
        if not killed(number, when, "sync"):
            assert number > 9  # a lease, a start, four batches, the other folders, an end, the lease again
            return
        completes(run)
        source.assert_stored()
        assert source.calls() - began <= whole + CALLS_A_KILL, f"commit {number}"
    pytest.fail(f"more than {MOST_COMMITS} commits")


@pytest.mark.parametrize("when", ["before", "after"])
def test_kills_in_a_row_lose_nothing_and_end(inbox: MakeInbox, run: Run, killed: Killed, when: str) -> None:
    """Each stores two batches after the lease and the start; where the inbox is complete, one is its head."""
    source = inbox("--conversations", "40", "--folder", "other=6", "--messages", "1:14", batch_size=10)
    deaths = 0
    while source.query("SELECT last_synced_at FROM facebook_pages") == [(None,)]:
        deaths += killed(4 if when == "after" else 5, when, "sync")
        assert deaths < 15
    completes(run)
    source.assert_stored()
    assert deaths > 3


def test_a_kill_at_any_commit_of_a_catch_up_a_gap_and_history_loses_nothing(
    inbox: MakeInbox, run: Run, killed: Killed, tmp_path: Path
) -> None:
    """A message in half the inbox, 30 in one conversation, and then every older message."""
    source = inbox("--conversations", "30", "--messages", "5:130", batch_size=5)
    completes(run)
    for slot in range(0, 30, 2):
        source.post("messages", slot=slot, text="again")
    source.post("messages", slot=7, text="and again", times=30)
    keep(source, to=tmp_path / "kept.db")
    arguments = ("sync", "--history", "all")
    for number in range(random.randint(1, 6), 400, 6):  # noqa: S311
        put_back(source, kept=tmp_path / "kept.db")
        if not killed(number, random.choice(["before", "after"]), *arguments):  # noqa: S311
            assert number > 30
            return
        result = run(*arguments)
        assert result.returncode == 0, result.stdout + result.stderr
        source.assert_stored(whole=True)
    pytest.fail("it never ends")


def test_kills_at_random_moments_lose_nothing(inbox: MakeInbox, start: Start, run: Run) -> None:
    """Also of a full scan in several segments: answers slower than the call rate, time windows honoured.

    The batch size cannot grow, so there are calls enough for eight kills.
    """
    source = inbox(
        "--conversations", "400", "--folder", "spam=30", "--messages", "1:14", "--time-windows",
        "--latency", "0.1", "--fault", "weight_limit=100", batch_size=10,
    )  # fmt: skip
    segments = 0
    for _ in range(8):
        process = start("sync", INBOXSYNC_CALLS_PER_SECOND="40")
        assert process.stderr is not None
        for _ in range(200):
            if "batch stored" in process.stderr.readline() or process.poll() is not None:
                break
        time.sleep(random.uniform(0, 0.5))  # noqa: S311
        process.kill()
        process.communicate(timeout=PATIENCE_SECONDS)
        for (text,) in source.query("SELECT segments FROM list_positions WHERE segments IS NOT NULL"):
            segments = max(segments, text.count("position"))
    assert segments > 1, "no kill met a scan in segments"
    completes(run)
    source.assert_stored()
