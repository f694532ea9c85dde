"""`inboxsync report` as its users run it."""

import json
from pathlib import Path

import pytest

from inboxsync.cli.report import span
from tests.cli.fixtures import MakeInbox, Run

pytestmark = pytest.mark.system


@pytest.fixture
def shared_case() -> Path:
    path = Path(__file__).parents[3] / "shared" / "cases" / "use" / "automatic-greeting.ndjson"
    if not path.exists():
        pytest.skip(f"{path.name} is not beside this checkout")
    return path


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


def test_automatic_greetings_are_shown_and_count_on_request(
    run: Run, inbox: MakeInbox, shared_case: Path
) -> None:
    inbox("--dataset", str(shared_case))
    assert run("sync").returncode == 0
    told = run("report", "response-times").stdout
    assert "15 responses: half within 3 h" in told
    assert "5 conversations unanswered now" in told
    assert "in 20 conversations: Thank you for your message!" in told
    counted = run("report", "response-times", "--count-automatic").stdout
    assert "20 responses: half within 1 s" in counted
    assert "counted as answers" in counted
