"""`inboxsync runs`: following a run to whatever end it comes to."""

import json
import time

import pytest

from tests.cli.fixtures import MakeInbox, Run, Start

pytestmark = pytest.mark.system


def test_a_run_that_is_followed_ends_with_its_page(inbox: MakeInbox, run: Run, start: Start) -> None:
    source = inbox("--conversations", "20")
    page_id = source.ready["page_id"]
    run_id = json.loads(run("sync", page_id, "--enqueue", "--json").stdout)["run_id"]
    following = start("runs", "show", run_id, "--follow")
    time.sleep(3)
    assert following.poll() is None
    assert run("pages", "remove", page_id, "--yes").returncode == 0
    _, said = following.communicate(timeout=60)
    assert following.returncode == 2
    assert said.splitlines() == [
        f"inboxsync: Run {run_id} is gone, and its Page with it.",
        "  The Page was removed.",
    ]


def test_a_run_that_is_not_there_tells_where_ids_are(inbox: MakeInbox, run: Run) -> None:
    inbox("--conversations", "20")
    for command in ("show", "cancel"):
        result = run("runs", command, "nobody")
        assert (result.returncode, result.stdout) == (2, "")
        assert result.stderr.splitlines() == [
            "inboxsync: There is no run nobody.",
            "  `inboxsync runs --json` shows the ids of the newest runs.",
        ]
