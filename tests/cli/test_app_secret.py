"""The app's own secret: its proof in every call, and when a token ends."""

import json
import subprocess
from datetime import UTC, datetime, timedelta
from typing import Protocol

import pytest

from tests.cli.fixtures import Run, StartSandbox
from tests.fixtures import Json


class StartApp(Protocol):
    def __call__(self, *switches: str) -> dict[str, Json]: ...


@pytest.fixture
def app(sandbox: StartSandbox, environment: dict[str, str]) -> StartApp:
    """A sandbox whose app's id and secret the commands know."""

    def start(*switches: str) -> dict[str, Json]:
        ready: dict[str, Json] = sandbox("--conversations", "30", *switches)
        environment["INBOXSYNC_APP_ID"] = ready["app_id"]
        environment["INBOXSYNC_APP_SECRET"] = ready["app_secret"]
        return ready

    return start


def add(run: Run, ready: dict[str, Json], **extra: str) -> subprocess.CompletedProcess[str]:
    return run("pages", "add", ready["page_id"], "--token-stdin", stdin=ready["token"], **extra)


def test_an_app_that_demands_proof_is_given_it(app: StartApp, run: Run) -> None:
    ready = app("--require-proof")
    without = add(run, ready, INBOXSYNC_APP_SECRET="", INBOXSYNC_APP_ID="")
    assert without.returncode == 4
    assert "INBOXSYNC_APP_SECRET" in without.stderr
    assert add(run, ready).returncode == 0
    synced = run("sync", "--json")
    assert json.loads(synced.stdout)["fetched"] == 30
    assert ready["app_secret"] not in synced.stderr + synced.stdout


def test_a_wrong_secret_is_named_and_nothing_is_kept(app: StartApp, run: Run) -> None:
    ready = app()
    wrong = add(run, ready, INBOXSYNC_APP_SECRET="another secret")
    assert wrong.returncode == 4
    assert "INBOXSYNC_APP_SECRET" in wrong.stderr
    assert "another secret" not in wrong.stderr
    foreign = add(run, ready, INBOXSYNC_APP_ID="4711")
    assert foreign.returncode == 2
    assert "INBOXSYNC_APP_ID" in foreign.stderr
    assert json.loads(run("pages", "list", "--json").stdout) == []


def test_a_token_that_ends_soon_is_reported_in_time(app: StartApp, run: Run) -> None:
    ready = app("--token-days", "3")
    assert add(run, ready).returncode == 0
    (page,) = json.loads(run("pages", "list", "--json").stdout)
    ends_at = datetime.fromisoformat(page["token_expires_at"])
    assert timedelta(days=2) < ends_at - datetime.now(UTC) <= timedelta(days=3)
    synced = run("sync", "--json")
    assert synced.returncode == 0
    answer = json.loads(synced.stdout)
    assert [problem["code"] for problem in answer["errors"]] == ["token_ends_soon"]
    assert f"inboxsync pages add {ready['page_id']}" in answer["errors"][0]["hint"]


def test_a_token_without_an_end_has_none(app: StartApp, run: Run) -> None:
    ready = app()
    assert add(run, ready).returncode == 0
    assert json.loads(run("pages", "list", "--json").stdout)[0]["token_expires_at"] is None
    assert json.loads(run("sync", "--json").stdout)["errors"] == []
