from pathlib import Path

import pytest

from inboxsync.errors import SettingsInvalid
from inboxsync.settings import Settings, load_settings, misspelt_variables


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


@pytest.mark.parametrize(
    ("name", "likely"),
    [
        ("INBOXSYNC_DATADIR", "INBOXSYNC_DATA_DIR"),
        ("INBOXSYNC_DATA_DIRECTORY", "INBOXSYNC_DATA_DIR"),
        ("inboxsync_datadir", "INBOXSYNC_DATA_DIR"),
        ("INBOXSYNC__DATA_DIR", "INBOXSYNC_DATA_DIR"),
        ("INBOXSYNC_DATABSE_URL", "INBOXSYNC_DATABASE_URL"),
        ("INBOXSYNC_DB_URL", "INBOXSYNC_DATABASE_URL"),
        ("INBOXSYNC_TIMEZONE", "INBOXSYNC_TIME_ZONE"),
        ("INBOXSYNC_SECRET_KEY_FILE", "INBOXSYNC_SECRET_KEY"),
        ("INBOXSYNC_APIKEY", "INBOXSYNC_API_KEY"),
        ("INBOXSYNC_REGION", "INBOXSYNC_DEFAULT_REGION"),
        ("INBOXSYNC_CALL_PER_SECONDS", "INBOXSYNC_CALLS_PER_SECOND"),
        ("INBOX_SYNC_DATA_DIR", "INBOXSYNC_DATA_DIR"),
        ("INBOXSNYC_DATA_DIR", "INBOXSYNC_DATA_DIR"),
        ("INBOXSYNCDATABASE_URL", "INBOXSYNC_DATABASE_URL"),
    ],
)
def test_a_misspelt_variable_is_noticed_with_the_one_that_was_meant(name: str, likely: str) -> None:
    assert misspelt_variables({"PATH": "/bin", name: "x"}) == {name: (likely,)}


def test_a_variable_that_may_mean_several_settings_is_noticed_with_each() -> None:
    found = misspelt_variables({"INBOXSYNC_SECRET": "x"})
    assert set(found["INBOXSYNC_SECRET"]) >= {"INBOXSYNC_SECRET_KEY", "INBOXSYNC_APP_SECRET"}


def test_a_variable_like_no_setting_is_noticed_too() -> None:
    assert misspelt_variables({"INBOXSYNC_QQQQ": "x"}) == {"INBOXSYNC_QQQQ": ()}


def test_every_single_slip_in_a_name_is_noticed_with_the_setting_that_was_meant() -> None:
    for field in Settings.model_fields:
        name = f"INBOXSYNC_{field.upper()}"
        slips = {name[:at] + name[at + 1 :] for at in range(len(name))}
        slips |= {name[:at] + name[at + 1] + name[at] + name[at + 2 :] for at in range(len(name) - 1)}
        for slip in slips - {name}:
            assert name in misspelt_variables({slip: "x"})[slip], slip


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((f"INBOXSYNC_{field.upper()}", "x") for field in Settings.model_fields),
        ("inboxsync_data_dir", "x"),
        ("INBOXSYNC_DATADIR", ""),
        ("INBOXSYNC_TEST_EXAMPLES", "10"),
        ("INBOXSYNC_SERVICE_HOST", "10.0.0.1"),
        ("INBOXSYNC_SERVICE_PORT_HTTP", "8000"),
        ("INBOXSYNC_PORT", "tcp://10.0.0.1:8000"),
        ("INBOXSYNC_PORT_8000_TCP_ADDR", "10.0.0.1"),
        ("INBOXSYNC_DB_SERVICE_HOST", "10.0.0.1"),
        ("INBOXSYNC_DB_PORT", "tcp://10.0.0.1:5432"),
        ("DATA_DIR", "x"),
        ("DATABASE_URL", "x"),
        ("DROPBOX_SYNC", "x"),
        ("_INBOXSYNC_COMPLETE", "complete_bash"),
    ],
)
def test_what_is_a_setting_or_was_typed_by_nobody_is_not_taken_for_a_misspelt_one(
    name: str, value: str
) -> None:
    assert misspelt_variables({name: value}) == {}
