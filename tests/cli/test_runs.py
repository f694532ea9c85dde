"""`inboxsync runs`: a run is followed to its end, whatever that is."""

import json
import re

import pytest

from tests.cli.fixtures import MakeInbox, Run, Start
from tests.fixtures import PATIENCE_SECONDS

pytestmark = pytest.mark.system


def test_a_run_that_is_followed_ends_with_its_page(inbox: MakeInbox, run: Run, start: Start) -> None:
    source = inbox("--conversations", "20")
    page_id = source.ready["page_id"]
    run_id = json.loads(run("sync", page_id, "--enqueue", "--json").stdout)["run_id"]
    source.change(
        "INSERT INTO sync_run_events (run_id, seq, at, status, data) "
        "VALUES (?, 1, '2026-06-01T12:00:00.000Z', 'starting', '{}')",
        run_id,
    )
    following = start("runs", "show", run_id, "--follow", "--json")
    assert following.stdout is not None
    assert json.loads(following.stdout.readline())["status"] == "starting"
    assert run("pages", "remove", page_id, "--yes").returncode == 0
    _, err = following.communicate(timeout=PATIENCE_SECONDS)
    assert following.returncode == 2
    assert err.splitlines() == [
        f"inboxsync: Run {run_id} does not exist any more.",
        "  Its Page was removed.",
    ]


def test_an_unknown_run_is_an_error_that_says_where_ids_are(inbox: MakeInbox, run: Run) -> None:
    inbox("--conversations", "20")
    for command in ("show", "cancel"):
        result = run("runs", command, "unknown")
        assert (result.returncode, result.stdout) == (2, "")
        assert result.stderr.splitlines() == [
            "inboxsync: There is no run unknown.",
            "  `inboxsync runs` shows the ids of the newest runs.",
        ]


def test_the_list_of_runs_has_ids_that_other_commands_take(inbox: MakeInbox, run: Run) -> None:
    source = inbox("--conversations", "20")
    assert run("sync").returncode == 0
    run("verify")
    stored = [run_id for (run_id,) in source.query("SELECT id FROM sync_runs ORDER BY started_at DESC")]
    shown = re.findall(r"^[0-9a-f-]{36}", run("runs").stdout, re.MULTILINE)
    assert shown == stored
    assert run("runs", "show", shown[-1]).returncode == 0
