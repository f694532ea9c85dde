"""The command as its users run it: real processes, a real sandbox."""

import json
import signal
import sqlite3
import subprocess
import urllib.request
from pathlib import Path

import pytest

from tests.cli.fixtures import INBOXSYNC, MakeInbox, Run, Start, StartSandbox
from tests.fixtures import PATIENCE_SECONDS, Json

pytestmark = pytest.mark.system


def add_page(run: Run, ready: dict[str, Json]) -> None:
    added = run("pages", "add", ready["page_id"], "--token-stdin", stdin=ready["token"] + "\n")
    assert added.returncode == 0, added.stderr


def stderr_of(result: subprocess.CompletedProcess[str]) -> str:
    assert "Traceback" not in result.stderr
    return result.stderr


def test_from_nothing_to_a_synced_page(run: Run, sandbox: StartSandbox, tmp_path: Path) -> None:
    ready = sandbox("--conversations", "250")
    add_page(run, ready)
    result = run("sync", "--json")
    assert result.returncode == 0, result.stderr
    answer = json.loads(result.stdout.splitlines()[-1])
    assert answer["status"] == "complete"
    assert (answer["page_id"], answer["mode"], answer["fetched"], answer["inserted"]) == (
        ready["page_id"],
        "full",
        250,
        250,
    )
    assert (answer["errors"], answer["next"], answer["refused_calls"]) == ([], None, 0)
    assert answer["events"] > 250
    assert {
        "updated",
        "unchanged",
        "batches",
        "calls",
        "duration_seconds",
        "conversations_per_second",
    } <= answer.keys()
    assert stderr_of(result).count("batch stored") == answer["batches"]

    (page,) = json.loads(run("pages", "list", "--json").stdout)
    assert page["facebook_page_id"] == ready["page_id"]
    assert page["counts"]["conversations"] == 250
    assert page["token_state"] == "valid"
    assert page["last_synced_at"] is not None
    assert page["name"] == ready["pages"][0]["name"]
    (past,) = json.loads(run("runs", "--json").stdout)
    assert (past["status"], past["fetched"], past["events"]) == ("complete", 250, answer["events"])

    connection = sqlite3.connect(tmp_path / "data" / "inboxsync.db")
    (count,) = connection.execute("SELECT COUNT(*) FROM contact_interaction_events").fetchone()
    connection.close()
    assert count == answer["events"]


def test_log_lines_can_be_json(run: Run, sandbox: StartSandbox) -> None:
    add_page(run, sandbox("--conversations", "30"))
    lines = run("sync", INBOXSYNC_LOG_FORMAT="json").stderr.splitlines()
    events = [json.loads(line)["event"] for line in lines]
    assert events[0] == "sync started"
    assert events[-1] == "sync ended"


def test_a_limit_ends_partial_and_the_next_run_continues(run: Run, sandbox: StartSandbox) -> None:
    ready = sandbox("--conversations", "250")
    add_page(run, ready)
    first = run("sync", ready["page_id"], "--json", "--max-conversations", "100")
    assert first.returncode == 3
    answer = json.loads(first.stdout)
    assert (answer["status"], answer["next"]) == ("partial", f"inboxsync sync {ready['page_id']}")
    second = run("sync", ready["page_id"], "--json")
    assert second.returncode == 0
    assert json.loads(second.stdout)["inserted"] == 150


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_at_a_batch_boundary(
    inbox: MakeInbox, run: Run, start: Start, number: signal.Signals
) -> None:
    source = inbox("--conversations", "400", batch_size=20)
    source.hold(after=6)
    process = start("sync", "--json")
    assert process.stderr is not None
    assert any("batch stored" in line for line in process.stderr)
    process.send_signal(number)
    source.release()
    out, _ = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 3
    answer = json.loads(out.splitlines()[-1])
    assert answer["status"] == "partial"
    (page,) = json.loads(run("pages", "list", "--json").stdout)
    assert page["counts"]["conversations"] == answer["fetched"] > 0
    assert page["last_synced_at"] is None


def test_a_killed_run_loses_nothing(inbox: MakeInbox, run: Run, start: Start) -> None:
    source = inbox("--conversations", "300", batch_size=20)
    for _ in range(3):
        source.hold(after=5)
        process = start("sync")
        assert process.stderr is not None
        assert any("batch stored" in line for line in process.stderr)
        process.kill()
        process.communicate(timeout=PATIENCE_SECONDS)
    source.release()
    assert run("sync").returncode == 0
    source.assert_stored(adds_up=False)  # what a killed run has stored is not in its record
    (page,) = json.loads(run("pages", "list", "--json").stdout)
    assert page["counts"]["conversations"] == 300
    ends = [past["status"] for past in json.loads(run("runs", "--json").stdout)]
    assert ends == ["complete", "interrupted", "interrupted", "interrupted"]


def test_a_dead_token_asks_for_a_person(run: Run, sandbox: StartSandbox) -> None:
    ready = sandbox("--conversations", "500", "--fault", "token_dies_after=4", "--fault", "token_subcode=463")
    add_page(run, ready)
    result = run("sync", "--json")
    assert result.returncode == 4
    answer = json.loads(result.stdout)
    assert answer["status"] == "failed"
    assert answer["errors"][0]["code"] == "token_invalid"
    assert answer["next"] == f"inboxsync pages add {ready['page_id']}"
    assert ready["token"] not in result.stdout + result.stderr


def test_a_wrong_token_is_refused_in_one_sentence(run: Run, sandbox: StartSandbox) -> None:
    ready = sandbox("--conversations", "5")
    result = run("pages", "add", ready["page_id"], "--token-stdin", stdin="EAAwrongwrongwrongwrongwrong\n")
    assert result.returncode == 4
    assert "pages add" in stderr_of(result)
    assert "EAAwrong" not in result.stdout + result.stderr
    assert json.loads(run("pages", "list", "--json").stdout) == []


def test_a_page_that_the_token_cannot_see(run: Run, sandbox: StartSandbox) -> None:
    ready = sandbox("--conversations", "5", "--pages", "2")
    result = run("pages", "add", ready["pages"][1]["page_id"], "--token-stdin", stdin=ready["token"])
    assert result.returncode == 4
    assert "Check the Page id" in stderr_of(result)


def test_removing_a_page_forgets_everything_of_it(run: Run, sandbox: StartSandbox, tmp_path: Path) -> None:
    ready = sandbox("--conversations", "40")
    add_page(run, ready)
    run("sync")
    assert run("pages", "remove", ready["page_id"]).returncode == 2  # no one to ask
    assert run("pages", "remove", ready["page_id"], "--yes").returncode == 0
    connection = sqlite3.connect(tmp_path / "data" / "inboxsync.db")
    tables = ("facebook_pages", "messenger_conversations", "messages", "list_positions", "sync_runs")
    counts = [connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0] for table in tables]
    connection.close()
    assert counts == [0, 0, 0, 0, 0]


def test_adding_a_page_twice_updates_it(run: Run, sandbox: StartSandbox) -> None:
    ready = sandbox("--conversations", "5")
    add_page(run, ready)
    again = run("pages", "add", ready["page_id"], "--token-stdin", "--name", "Ours", stdin=ready["token"])
    assert again.stdout.startswith("Updated")
    (page,) = json.loads(run("pages", "list", "--json").stdout)
    assert page["name"] == "Ours"


def test_an_instagram_inbox_is_a_page_of_its_own(run: Run, sandbox: StartSandbox) -> None:
    ready = sandbox("--conversations", "60")
    add_page(run, ready)
    added = run(
        "pages", "add", ready["page_id"], "--platform", "instagram", "--token-stdin", stdin=ready["token"]
    )
    assert added.returncode == 0, added.stderr
    assert run("sync").returncode == 0
    pages = json.loads(run("pages", "list", "--json").stdout)
    assert [page["platform"] for page in pages] == ["messenger", "instagram"]
    assert [page["counts"]["conversations"] for page in pages] == [60, 60]


@pytest.mark.parametrize(
    ("arguments", "stdin", "words"),
    [
        (("sync",), "", "No Page has been added"),
        (("sync", "12345"), "", "There is no Page 12345"),
        (("sync", "--messages", "0"), "", "--messages"),
        (("sync", "--mode", "sometimes"), "", "--mode"),
        (("pages", "add", "my-page", "--token-stdin"), "x", "is not a Page id"),
        (("pages", "add", "12345", "--token-stdin"), "", "not an access token"),
        (("pages", "add", "12345", "--token-stdin"), "EAA with spaces", "not an access token"),
        (("pages", "add", "12345"), "", "--token-stdin"),
        (("pages", "remove", "12345", "--yes"), "", "There is no Page 12345"),
        (("demo", "--dataset", "/nowhere/at/all.ndjson"), "", "There is no file /nowhere/at/all.ndjson"),
        (("sandbox", "--messages", "many"), "", "is not a range"),
        (("sandbox", "--fault", "gremlins=1"), "", "There is no fault"),
        (("nonsense",), "", "No such command"),
    ],
)
def test_unusable_arguments_are_one_sentence_and_exit_2(
    run: Run, arguments: tuple[str, ...], stdin: str, words: str
) -> None:
    result = run(*arguments, stdin=stdin)
    assert result.returncode == 2
    assert words in stderr_of(result)
    assert result.stdout == ""


def test_every_problem_of_the_settings_is_shown_at_once(run: Run) -> None:
    result = run(
        "pages",
        "list",
        INBOXSYNC_SECRET_KEY="hunter2",
        INBOXSYNC_DATABASE_URL="mysql://x",
        INBOXSYNC_GRAPH_URL="http://127.0.0.1:99999",
        INBOXSYNC_GRAPH_VERSION="25",
        INBOXSYNC_LOG_FORMAT="xml",
    )
    assert result.returncode == 2
    for name in ("INBOXSYNC_GRAPH_URL", "INBOXSYNC_GRAPH_VERSION", "INBOXSYNC_LOG_FORMAT"):
        assert name in stderr_of(result)


def test_a_broken_dataset_line_is_named(run: Run, tmp_path: Path) -> None:
    good = {"id": "1", "customer": {"name": "Ann"}, "messages": [{"from": "page", "text": "hi", "at": None}]}
    (tmp_path / "broken.ndjson").write_text(json.dumps(good) + "\n" + '{"id": "2"}\n')
    result = run("demo", "--dataset", str(tmp_path / "broken.ndjson"), "--fast")
    assert result.returncode == 2
    assert "line 2" in stderr_of(result)


def test_a_source_that_is_not_there(run: Run, sandbox: StartSandbox) -> None:
    add_page(run, sandbox("--conversations", "5"))
    result = run("sync", "--json", INBOXSYNC_GRAPH_URL="http://127.0.0.1:9")
    assert result.returncode == 1
    answer = json.loads(result.stdout)
    assert answer["errors"][0]["code"] == "source_unreachable"
    assert "INBOXSYNC_GRAPH_URL" in answer["errors"][0]["hint"]


def test_a_database_that_cannot_be_made(run: Run) -> None:
    result = run("pages", "list", INBOXSYNC_DATABASE_URL="sqlite:////dev/null/inboxsync.db")
    assert result.returncode == 1
    assert "cannot be made" in stderr_of(result)


def test_a_database_of_a_newer_version(run: Run, tmp_path: Path) -> None:
    run("pages", "list")
    connection = sqlite3.connect(tmp_path / "data" / "inboxsync.db")
    connection.execute("UPDATE inboxsync_schema_version SET version_num = '9999'")
    connection.commit()
    connection.close()
    result = run("pages", "list")
    assert result.returncode == 1
    assert "Update inboxsync" in stderr_of(result)


def test_another_key_does_not_open_the_token(run: Run, sandbox: StartSandbox) -> None:
    add_page(run, sandbox("--conversations", "5"))
    result = run("sync", INBOXSYNC_SECRET_KEY="another key altogether")
    assert result.returncode == 4
    assert "cannot be decrypted with this key" in stderr_of(result)


def test_the_sandbox_ends_with_a_signal(environment: dict[str, str]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        process = subprocess.Popen(
            [*INBOXSYNC, "sandbox"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
        )
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        with urllib.request.urlopen(f"{ready['url']}/sandbox/stats", timeout=PATIENCE_SECONDS):  # noqa: S310
            pass  # it serves
        process.send_signal(number)
        _, err = process.communicate(timeout=PATIENCE_SECONDS)
        assert b"Traceback" not in err


def test_the_version_is_shown(run: Run) -> None:
    assert run("--version").stdout.startswith("inboxsync 0.")


def test_one_page_that_fails_does_not_stop_the_others(
    run: Run, sandbox: StartSandbox, tmp_path: Path
) -> None:
    ready = sandbox("--conversations", "40", "--pages", "3")
    for page in ready["pages"]:
        added = run("pages", "add", page["page_id"], "--token-stdin", stdin=page["token"])
        assert added.returncode == 0, added.stderr
    connection = sqlite3.connect(tmp_path / "data" / "inboxsync.db")
    broken = ready["pages"][1]["page_id"]
    connection.execute(
        "UPDATE facebook_pages SET access_token_encrypted = 'x' WHERE facebook_page_id = ?", (broken,)
    )
    connection.commit()
    connection.close()
    result = run("sync", "--json")
    assert result.returncode == 4
    answer = [json.loads(line) for line in result.stdout.splitlines()]
    assert [each["status"] for each in answer] == ["complete", "failed", "complete"]
    assert answer[1]["errors"][0]["code"] == "token_undecryptable"


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc")
def test_a_wrong_token_leaves_nothing_behind(run: Run, sandbox: StartSandbox, tmp_path: Path) -> None:
    ready = sandbox("--conversations", "5")
    run("pages", "add", ready["page_id"], "--token-stdin", stdin="EAAwrongwrongwrongwrongwrong\n")
    assert not (tmp_path / "data").exists()


def test_a_name_is_never_taken_for_markup(run: Run, sandbox: StartSandbox) -> None:
    ready = sandbox("--conversations", "5")
    name = "Cafe [/b] [red] :smile:"
    added = run("pages", "add", ready["page_id"], "--token-stdin", "--name", name, stdin=ready["token"])
    assert name in added.stdout
    assert name in run("pages", "list").stdout
    assert name in run("sync").stdout
    assert run("runs").returncode == 0


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", ">/dev/full", "2>/dev/full"])
def test_closed_streams_are_no_traceback(
    run: Run, sandbox: StartSandbox, environment: dict[str, str], closed: str
) -> None:
    add_page(run, sandbox("--conversations", "5"))
    result = subprocess.run(
        ["sh", "-c", f'"$@" {closed}', "sh", *INBOXSYNC, "sync"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in result.stderr + result.stdout
    (page,) = json.loads(run("pages", "list", "--json").stdout)
    if "full" not in closed:
        assert (result.returncode, page["counts"]["conversations"]) == (0, 5)
