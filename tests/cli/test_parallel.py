"""Many Pages in one command, side by side."""

import json
import time
from itertools import pairwise

import pytest

from tests.cli.fixtures import Run, StartSandbox
from tests.fixtures import Json

pytestmark = pytest.mark.system


@pytest.fixture
def pages(run: Run, sandbox: StartSandbox) -> list[dict[str, Json]]:
    """Six Pages with Meta's limits, added in the order of the sandbox."""
    ready = sandbox("--pages", "6", "--conversations", "250", "--penalty", "3", limits=True)
    for page in ready["pages"]:
        added = run("pages", "add", page["page_id"], "--token-stdin", stdin=page["token"])
        assert added.returncode == 0, added.stderr
    time.sleep(1)  # a call of `pages add` and the next of a sync within half a second would be too many
    found: list[dict[str, Json]] = ready["pages"]
    return found


def test_pages_are_synced_side_by_side_each_at_its_own_call_rate(
    run: Run, pages: list[dict[str, Json]]
) -> None:
    result = run("sync", "--all", "--parallel", "6", "--json", INBOXSYNC_CALLS_PER_SECOND="2")
    assert result.returncode == 0, result.stderr
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    assert [each["page_id"] for each in answers] == [page["page_id"] for page in pages]
    assert {(each["status"], each["fetched"], each["refused_calls"]) for each in answers} == {
        ("complete", 250, 0)
    }
    began = [each["started_at"] for each in answers]
    ended = [each["finished_at"] for each in answers]
    assert max(began) < min(ended)
    # Every line of the log names its Page.
    assert {page["page_id"] for page in pages} <= {
        word.removeprefix("page_id=") for word in result.stderr.split() if word.startswith("page_id=")
    }


def test_one_at_a_time_is_one_at_a_time(run: Run, pages: list[dict[str, Json]]) -> None:
    result = run("sync", "--parallel", "1", "--json", "--max-conversations", "100")
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(answers) == len(pages)
    for earlier, later in pairwise(answers):
        assert earlier["finished_at"] <= later["started_at"]


def test_all_pages_and_one_page_exclude_each_other(run: Run) -> None:
    result = run("sync", "1234", "--all")
    assert result.returncode == 2
    assert "--all and a PAGE_ID exclude each other" in result.stderr
