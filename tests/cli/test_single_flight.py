"""One sync of a Page at a time, between real processes that are frozen, killed and on other machines."""

import json
import re
import signal
import subprocess
from datetime import UTC, datetime, timedelta
from typing import Protocol

import pytest

from tests.cli.fixtures import Inbox, MakeInbox, Run, Start
from tests.fixtures import PATIENCE_SECONDS, Json

pytestmark = pytest.mark.system

INBOX = ("--conversations", "300", "--messages", "1:14")


def until(process: subprocess.Popen[str], words: str) -> str:
    """Reads stderr up to the line that has these words."""
    for line in process.stderr or ():
        if words in line:
            return line
    pytest.fail(f"ended without {words!r}")


def answer_of(process: subprocess.Popen[str]) -> dict[str, Json]:
    out, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert "Traceback" not in err
    return dict(json.loads(out.splitlines()[-1]))


def at(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")


class HeldElsewhere(Protocol):
    def __call__(self, *switches: str, seconds: float) -> Inbox: ...


@pytest.fixture
def held_elsewhere(inbox: MakeInbox) -> HeldElsewhere:
    """An added Page whose lease a process of another machine holds, for so many more seconds."""

    def make(*switches: str, seconds: float) -> Inbox:
        source = inbox(*switches)
        now = datetime.now(UTC)
        ((page_id,),) = source.query("SELECT id FROM facebook_pages")
        written = [at(now), at(now + timedelta(seconds=seconds))]
        source.change(
            "INSERT INTO page_leases (page_id, owner, acquired_at, heartbeat_at, expires_at) "
            "VALUES (?, 'elsewhere:4711:abcd', ?, ?, ?)",
            page_id,
            written[0],
            written[0],
            written[1],
        )
        return source

    return make


def begin(source: Inbox, start: Start, *arguments: str) -> subprocess.Popen[str]:
    """A command that has begun, and whose source answers no more until it is released."""
    is_sync = arguments[0] == "sync"
    # A sync makes sixteen calls, and a verification seven.
    source.hold(after=8 if is_sync else 2)
    process = start(*arguments)
    until(process, "batch stored" if is_sync else "compared")
    return process


def test_the_second_of_two_syncs_leaves_the_page_to_the_first(
    inbox: MakeInbox, start: Start, run: Run
) -> None:
    source = inbox(*INBOX, batch_size=25)
    page_id = source.ready["page_id"]
    first = begin(source, start, "sync", "--json")
    second = run("sync", "--json")
    assert second.returncode == 0
    answer = json.loads(second.stdout)
    assert (answer["status"], answer["fetched"], answer["calls"]) == ("partial", 0, 0)
    (problem,) = answer["errors"]
    assert problem["code"] == "page_busy"
    since = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
    who = rf"Process {first.pid} on \S+ has been working on Page {page_id} since {since}\."
    assert re.fullmatch(who, problem["message"])
    assert answer["next"] == f"inboxsync sync {page_id} --wait"
    words = run("sync")
    assert words.returncode == 0
    assert f"Process {first.pid}" in words.stdout + words.stderr
    assert "conversations fetched" not in words.stdout  # nothing was tried
    source.release()
    assert answer_of(first)["status"] == "complete"
    source.assert_stored()
    assert len(json.loads(run("runs", "--json").stdout)) == 1


def test_a_sync_that_waits_gets_its_turn_and_reports_the_wait_once(inbox: MakeInbox, start: Start) -> None:
    source = inbox(*INBOX, batch_size=25)
    first = begin(source, start, "sync", "--json")
    second = start("sync", "--json", "--wait")
    until(second, "waiting")
    assert first.poll() is None
    source.release()
    out, err = second.communicate(timeout=PATIENCE_SECONDS)
    assert second.returncode == 0
    answer = json.loads(out)
    assert (answer["status"], answer["mode"], answer["inserted"]) == ("complete", "incremental", 0)
    assert "waiting" not in err
    assert answer_of(first)["status"] == "complete"
    source.assert_stored()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_wait_ends_with_a_signal(
    held_elsewhere: HeldElsewhere, start: Start, number: signal.Signals
) -> None:
    source = held_elsewhere("--conversations", "5", seconds=3600)
    waiting = start("sync", "--json", "--wait")
    until(waiting, "waiting")
    waiting.send_signal(number)
    answer = answer_of(waiting)
    assert waiting.returncode == 3
    assert (answer["status"], answer["stopped"]) == ("partial", f"{number.name} was received")
    assert source.query("SELECT * FROM sync_runs") == []
    assert len(source.query("SELECT * FROM page_leases")) == 1


def test_a_wait_counts_against_the_time_limit(held_elsewhere: HeldElsewhere, run: Run) -> None:
    source = held_elsewhere("--conversations", "5", seconds=3600)
    result = run("sync", "--json", "--wait", "--max-duration", "1")
    assert result.returncode == 3
    assert "time limit" in json.loads(result.stdout)["stopped"]
    assert source.query("SELECT * FROM sync_runs") == []


def test_a_killed_owner_is_followed_at_once_on_the_same_machine(
    inbox: MakeInbox, start: Start, run: Run
) -> None:
    source = inbox(*INBOX, batch_size=25)
    first = begin(source, start, "sync")
    first.kill()  # and not waited for: it is a zombie
    source.change("UPDATE page_leases SET expires_at = '2099-01-01T00:00:00.000Z'")
    source.release()
    assert run("sync").returncode == 0
    source.assert_stored()


def test_a_killed_owner_elsewhere_is_followed_as_soon_as_its_half_minute_is_over(
    inbox: MakeInbox, start: Start, run: Run
) -> None:
    source = inbox(*INBOX, batch_size=25)
    first = begin(source, start, "sync")
    first.kill()
    first.communicate(timeout=PATIENCE_SECONDS)
    source.release()
    ((heartbeat_at, expires_at),) = source.query("SELECT heartbeat_at, expires_at FROM page_leases")
    half_a_minute = timedelta(seconds=30)
    assert datetime.fromisoformat(expires_at) - datetime.fromisoformat(heartbeat_at) <= half_a_minute
    source.change(
        "UPDATE page_leases SET owner = 'elsewhere:4711:abcd', expires_at = '2099-01-01T00:00:00.000Z'"
    )
    busy = json.loads(run("sync", "--json").stdout)
    assert "Process 4711 on elsewhere" in busy["errors"][0]["message"]
    waiting = start("sync", "--json", "--wait", INBOXSYNC_LOG_FORMAT="json")
    until(waiting, "waiting")
    source.change("UPDATE page_leases SET expires_at = ?", at(datetime.now(UTC)))
    assert answer_of(waiting)["status"] == "complete"
    source.assert_stored()


@pytest.mark.parametrize("has_ended", [False, True])
def test_an_owner_that_was_frozen_writes_nothing_when_it_wakes(
    inbox: MakeInbox, start: Start, run: Run, *, has_ended: bool
) -> None:
    """Its lease is another's by then, or no one's."""
    source = inbox(*INBOX, batch_size=25)
    frozen = begin(source, start, "sync", "--json")
    source.freeze(frozen)
    source.release()
    source.change("UPDATE page_leases SET expires_at = heartbeat_at")
    if has_ended:
        assert run("sync").returncode == 0
    else:
        source.change(
            "UPDATE page_leases SET owner = 'elsewhere:4711:abcd', expires_at = '2099-01-01T00:00:00.000Z'"
        )
    kept = (
        "messenger_conversations",
        "messages",
        "list_positions",
        "backlog",
        "page_leases",
        "facebook_pages",
    )
    before = [source.query(f"SELECT * FROM {table} ORDER BY 1, 2") for table in kept]
    frozen.send_signal(signal.SIGCONT)
    answer = answer_of(frozen)
    assert frozen.returncode == 3
    assert (answer["status"], answer["errors"][0]["code"]) == ("partial", "lease_lost")
    assert [source.query(f"SELECT * FROM {table} ORDER BY 1, 2") for table in kept] == before


def test_a_verify_that_was_frozen_writes_nothing_when_it_wakes(inbox: MakeInbox, start: Start) -> None:
    source = inbox(*INBOX, batch_size=25)
    frozen = begin(source, start, "verify", "--json")
    source.freeze(frozen)
    source.release()
    source.change(
        "UPDATE page_leases SET owner = 'elsewhere:4711:abcd', expires_at = '2099-01-01T00:00:00.000Z'"
    )
    frozen.send_signal(signal.SIGCONT)
    answer = answer_of(frozen)
    assert (frozen.returncode, answer["errors"][0]["code"]) == (1, "lease_lost")
    assert source.query("SELECT * FROM verifications") == []
    assert source.query("SELECT * FROM backlog") == []


def test_two_pages_are_synced_at_once(inbox: MakeInbox, start: Start) -> None:
    source = inbox("--pages", "2", *INBOX, batch_size=25)
    first_id, second_id = (page["page_id"] for page in source.ready["pages"])
    first = begin(source, start, "sync", first_id, "--json")
    second = start("sync", second_id, "--json")
    until(second, "sync started")
    assert first.poll() is None
    source.release()
    until(second, "batch stored")
    assert [answer_of(process)["status"] for process in (first, second)] == ["complete", "complete"]


def test_a_sync_and_a_verification_exclude_each_other(inbox: MakeInbox, start: Start, run: Run) -> None:
    source = inbox(*INBOX, batch_size=25)
    syncing = begin(source, start, "sync", "--json")
    refused = run("verify", "--json")
    assert refused.returncode == 3  # nothing was proved
    answer = json.loads(refused.stdout)
    assert (answer["is_complete"], answer["errors"][0]["code"]) == (False, "page_busy")
    waiting = start("verify", "--json", "--wait")
    until(waiting, "waiting")
    source.release()
    assert answer_of(syncing)["status"] == "complete"
    assert answer_of(waiting)["is_complete"] is True

    verifying = begin(source, start, "verify", "--json")
    assert json.loads(run("sync", "--json").stdout)["errors"][0]["code"] == "page_busy"
    source.release()
    assert answer_of(verifying)["is_complete"] is True
    source.assert_stored()
