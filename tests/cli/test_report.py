"""`inboxsync report` as its users run it."""

import json

import pytest

from inboxsync.cli.report import span
from tests.cli.fixtures import MakeInbox, Run

pytestmark = pytest.mark.system


def test_reports_on_a_synced_page(run: Run, inbox: MakeInbox) -> None:
    inbox("--conversations", "60")
    assert run("sync").returncode == 0
    words = run("report", "response-times", INBOXSYNC_TIME_ZONE="Asia/Tokyo")
    assert words.returncode == 0, words.stderr
    assert "Times are in Asia/Tokyo." in words.stdout
    assert "unanswered now" in words.stdout
    answer = json.loads(run("report", "response-times", "--json", "--zone", "UTC").stdout)
    assert answer["zone"] == "UTC"
    assert answer["overall"]["responses"] == sum(hour["responses"] for hour in answer["by_hour"]) > 0
    week = run("report", "activity", "--zone", "Asia/Kolkata", "--since", "2020-01-01")
    assert "Busiest hours: " in week.stdout
    assert "Sun " in week.stdout
    refused = run("report", "activity", "--page", "9")
    assert (refused.returncode, refused.stdout) == (2, "")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "-"),
        (0, "0 s"),
        (59.6, "1 min"),
        (3600, "1 h"),
        (11_100, "3 h 5 min"),
        (100_000, "1 d 3 h"),
        (90, "1 min"),
    ],
)
def test_a_duration_has_its_two_largest_units(seconds: float | None, words: str) -> None:
    assert span(seconds) == words
