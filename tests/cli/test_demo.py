"""`inboxsync demo`: a sync from a sandbox of its own, and what can be done with it then."""

import json
import re
import shlex
import signal
import sqlite3
import subprocess
import urllib.request
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.cli.fixtures import INBOXSYNC, Run, Start, StartSandbox
from tests.fixtures import PATIENCE_SECONDS
from tests.waiting import wait_until

pytestmark = pytest.mark.system


def test_a_demo_syncs_and_a_second_one_finds_nothing_new(run: Run, environment: dict[str, str]) -> None:
    environment.pop("INBOXSYNC_CALLS_PER_SECOND")
    first = run("demo", "--fast", "--conversations", "300")
    assert first.returncode == 0, first.stderr
    assert "300 of the sandbox's 300 conversations" in first.stdout
    second = run("demo", "--fast", "--conversations", "300")
    assert "0 new, 0 changed" in second.stdout
    assert " 1 calls" in second.stdout or " 1 call" in second.stdout


def test_what_a_demo_proposes_works_as_it_is_typed_and_has_something_to_show(run: Run) -> None:
    made = run("demo", "--fast", "--conversations", "300")
    proposed = [line.strip() for line in made.stdout.partition("Try next:")[2].splitlines()]
    assert any(line.endswith(" demo --fast --conversations 300 --serve") for line in proposed)
    (exported,) = [line for line in proposed if line.startswith("export ")]
    data_dir = shlex.split(exported)[1].partition("=")[2]
    commands = [shlex.split(line) for line in proposed if line.endswith((" search refund", " demo.xlsx"))]
    assert len(commands) == 2
    for _, *arguments in commands:
        to = [str(Path(data_dir) / each) if each == "demo.xlsx" else each for each in arguments]
        done = run(*to, INBOXSYNC_DATA_DIR=data_dir)
        assert (done.returncode, bool(done.stdout)) == (0, True), done.stderr
    report = run("report", "response-times", INBOXSYNC_DATA_DIR=data_dir).stdout
    assert re.search(r"[1-9]\d* responses", report), report


def test_a_demos_newest_messages_are_of_today_and_stay_where_they_are(
    run: Run, environment: dict[str, str]
) -> None:
    begun_at = datetime.now(UTC)
    run("demo", "--fast", "--conversations", "50")
    assert "50 unchanged" in run("demo", "--fast", "--conversations", "50").stdout
    database = Path(environment["INBOXSYNC_DATA_DIR"]) / "demo" / "inboxsync.db"
    with closing(sqlite3.connect(database)) as connection:
        (newest,) = connection.execute("SELECT max(sent_at) FROM messages").fetchone()
    assert begun_at - timedelta(days=30) < datetime.fromisoformat(newest) <= datetime.now(UTC)


def test_a_demo_ends_in_a_dashboard(start: Start) -> None:
    demo = start("demo", "--fast", "--conversations", "50", "--serve", "--port", "0")
    assert demo.stdout is not None
    line = next(line for line in demo.stdout if line.startswith("The dashboard: "))
    url = line.split()[2]
    with urllib.request.urlopen(f"{url}healthz", timeout=PATIENCE_SECONDS) as answer:  # noqa: S310 - its own
        assert answer.status == 200
    with urllib.request.urlopen(f"{url}api/v1/pages", timeout=PATIENCE_SECONDS) as answer:  # noqa: S310
        assert len(json.load(answer)["items"]) == 1
    demo.send_signal(signal.SIGTERM)
    assert demo.wait(PATIENCE_SECONDS) == 0


def test_a_page_of_a_sandbox_is_never_asked_for_at_meta(
    run: Run, sandbox: StartSandbox, environment: dict[str, str]
) -> None:
    ready = sandbox("--conversations", "5")
    run("pages", "add", ready["page_id"], "--token-stdin", stdin=ready["token"])
    environment.pop("INBOXSYNC_GRAPH_URL")
    synced = run("sync")
    assert synced.returncode == 0, synced.stderr
    assert "5 conversations" in synced.stdout


def test_a_sandbox_that_has_another_address_now_is_found_by_the_settings(
    run: Run, sandbox: StartSandbox
) -> None:
    ready = sandbox("--conversations", "5")
    run("pages", "add", ready["page_id"], "--token-stdin", stdin=ready["token"])
    sandbox("--conversations", "5")
    assert run("sync").returncode == 0


def test_the_demos_sandbox_ends_with_the_demo_however_it_ends(environment: dict[str, str]) -> None:
    demo = subprocess.Popen(
        [*INBOXSYNC, "demo", "--conversations", "2000"], env=environment, stderr=subprocess.PIPE, text=True
    )
    assert demo.stderr is not None
    assert any("batch stored" in line for line in demo.stderr)
    listed = subprocess.run(["pgrep", "-P", str(demo.pid)], capture_output=True, text=True, check=False)
    children = [int(number) for number in listed.stdout.split()]
    assert children
    demo.kill()
    demo.communicate(timeout=PATIENCE_SECONDS)
    wait_until(lambda: not any(Path(f"/proc/{child}").exists() for child in children))
