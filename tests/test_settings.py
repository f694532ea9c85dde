from pathlib import Path

import pytest

from inboxsync.errors import SettingsInvalid
from inboxsync.settings import load_settings


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    monkeypatch.setenv("INBOXSYNC_DATA_DIR", str(tmp_path))
    return monkeypatch


@pytest.mark.parametrize(
    "url",
    ["https://graph.facebook.com", "http://127.0.0.1:8000", "http://localhost:1", "http://[::1]:8000"],
)
def test_a_source_may_be_anywhere_by_https_and_here_by_http(
    environment: pytest.MonkeyPatch, url: str
) -> None:
    environment.setenv("INBOXSYNC_GRAPH_URL", url)
    assert load_settings().graph_url == url


@pytest.mark.parametrize(
    "url", ["http://graph.facebook.com", "http://10.0.0.7:8000", "http://127.0.0.1.nip.io"]
)
def test_a_token_does_not_travel_in_clear(environment: pytest.MonkeyPatch, url: str) -> None:
    environment.setenv("INBOXSYNC_GRAPH_URL", url)
    with pytest.raises(SettingsInvalid, match="should begin with https"):
        load_settings()


def test_every_problem_has_a_line_of_its_own_and_no_jargon(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("INBOXSYNC_GRAPH_VERSION", "25")
    environment.setenv("INBOXSYNC_GRAPH_URL", "nowhere")
    environment.setenv("INBOXSYNC_SECRET_KEY", "short")
    with pytest.raises(SettingsInvalid) as caught:
        load_settings()
    lines = caught.value.message.splitlines()
    assert [line.split(":")[0] for line in lines] == [
        "INBOXSYNC_GRAPH_URL",
        "INBOXSYNC_GRAPH_VERSION",
        "INBOXSYNC_SECRET_KEY",
    ]
    assert "should be a version such as v27.0" in lines[1]
    assert "short." not in caught.value.message


def test_a_time_zone_has_a_name(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("INBOXSYNC_TIME_ZONE", "Asia/Ho_Chi_Minh")
    assert str(load_settings().zone) == "Asia/Ho_Chi_Minh"
    environment.setenv("INBOXSYNC_TIME_ZONE", "Mars/Olympus")
    with pytest.raises(SettingsInvalid, match="INBOXSYNC_TIME_ZONE"):
        load_settings()


def test_letters_of_no_country_are_refused_since_nothing_would_be_found_for_them(
    environment: pytest.MonkeyPatch,
) -> None:
    environment.setenv("INBOXSYNC_DEFAULT_REGION", "UK")
    with pytest.raises(SettingsInvalid, match="or GB for the United Kingdom"):
        load_settings()
    environment.setenv("INBOXSYNC_DEFAULT_REGION", "gb")
    assert load_settings().default_region == "GB"
