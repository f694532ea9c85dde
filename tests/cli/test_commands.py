"""What a user sees: words, JSON, exit codes, the bar on a terminal of 80 columns, log lines, signals."""

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import time
from datetime import UTC, datetime
from typing import Protocol

import pytest

from tests.cli.fixtures import MakeInbox, Run, Start, StartSandbox
from tests.fixtures import PATIENCE_SECONDS, Json

pytestmark = pytest.mark.system

COLUMNS = 80


class Terminal:
    """A command on a terminal of its own, 80 columns wide; `text` is what it has shown, without colours."""

    def __init__(self, arguments: tuple[str, ...], environment: dict[str, str]) -> None:
        command = [sys.executable, "-m", "inboxsync", *arguments]
        ready, go = os.pipe()
        self.pid, self._screen = pty.fork()
        if self.pid == 0:
            os.read(ready, 1)  # not before the window has its size
            os.execve(command[0], command, environment)  # noqa: S606 - ourselves
        fcntl.ioctl(self._screen, termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))
        os.write(go, b"1")
        self._shown = b""

    @property
    def text(self) -> str:
        return re.sub(r"\x1b\[\??[0-9;]*[a-zA-Z]", "", self._shown.decode(errors="replace"))

    def read(self, until: str | None = None) -> str:
        """Everything, or up to these words."""
        ends_at = time.monotonic() + PATIENCE_SECONDS
        while until is None or until not in self.text:
            assert time.monotonic() < ends_at, self.text[-500:]
            try:
                more = os.read(self._screen, 4096)
            except OSError:
                more = b""
            if not more:
                break
            self._shown += more
        return self.text

    def end(self) -> tuple[int, str]:
        text = self.read().replace("\r\n", "\n")
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1]), text


class OpenTerminal(Protocol):
    def __call__(self, *arguments: str, **extra: str) -> Terminal: ...


@pytest.fixture
def terminal(environment: dict[str, str]) -> OpenTerminal:
    def open_terminal(*arguments: str, **extra: str) -> Terminal:
        colourful = environment | {"TERM": "xterm", "COLUMNS": "", "LINES": ""} | extra
        return Terminal(arguments, {name: value for name, value in colourful.items() if value})

    return open_terminal


def until(process: subprocess.Popen[str], words: str) -> None:
    """Reads its stderr up to the line that has these words."""
    if not any(words in line for line in process.stderr or ()):
        pytest.fail(f"ended without {words!r}")


def answer_of(result: subprocess.CompletedProcess[str]) -> dict[str, Json]:
    assert "Traceback" not in result.stderr
    return dict(json.loads(result.stdout.splitlines()[-1]))


def assert_commands_are_whole(text: str) -> None:
    """A command that is cut by a line break cannot be copied."""
    for line in text.splitlines():
        assert not re.search(r"inboxsync (sync|verify|pages add)$", line.rstrip()), line


def test_the_bar_and_the_summary_on_a_terminal(inbox: MakeInbox, terminal: OpenTerminal) -> None:
    source = inbox("--conversations", "60", "--messages", "5:40", batch_size=20)
    page_id = source.ready["page_id"]
    code, text = terminal("sync").end()
    assert code == 0
    assert "batch stored" not in text  # the bar shows it
    assert re.search(r"━+ \d+ conversations · \d+ messages", text)
    assert "60 conversations fetched (60 new, 0 changed, 0 unchanged)" in " ".join(text.split())
    assert f"  inboxsync sync {page_id} --history all\n" in text
    assert_commands_are_whole(text)


def test_the_bar_shows_until_when_it_waits_for_meta(
    inbox: MakeInbox, terminal: OpenTerminal, run: Run
) -> None:
    """And so do `--json` and a run that is started into the wait."""
    source = inbox(
        "--conversations", "4000", "--calls-a-day", "25", "--regain-minutes", "7", "--pace", "bucket",
        limits=True,
    )  # fmt: skip
    shown = terminal("sync", INBOXSYNC_CALLS_PER_SECOND="2")
    text = shown.read(until="waiting for Meta until")
    text = shown.read(until="%)")
    (until_time,) = set(re.findall(r"waiting for Meta until (\d\d:\d\d) \(messenger 9\d %\)", text))
    assert re.search(r"\d+ conversations", text)
    os.kill(shown.pid, signal.SIGINT)
    code, text = shown.end()
    assert code == 3
    assert "Everything fetched is stored" in text
    calls = source.calls()

    again = run("sync", "--json", "--max-duration", "20", INBOXSYNC_LOG_FORMAT="json")
    answer = answer_of(again)
    assert again.returncode == 3
    assert (answer["status"], answer["calls"]) == ("partial", 0)
    assert answer["waiting"] == f"waiting for Meta until {until_time} (messenger {text_percent(text)} %)"
    seconds = (datetime.fromisoformat(answer["waiting_until"]) - datetime.now(UTC)).total_seconds()
    assert 200 < seconds <= 420
    assert "beyond the time limit" in answer["stopped"]
    assert answer["duration_seconds"] < 10  # it does not sit out a limit that can bring nothing
    lines = [json.loads(line) for line in again.stderr.splitlines()]
    (waiting,) = [line for line in lines if line["event"] == "waiting for Meta"]
    assert waiting["quota"] == "messenger"
    assert source.calls() == calls


def test_the_bar_never_looks_full_where_the_whole_is_not_known_and_shows_a_source_that_is_away(
    inbox: MakeInbox, terminal: OpenTerminal
) -> None:
    source = inbox("--conversations", "400", batch_size=50)
    source.post("faults", outage_seconds=3, outage_after=4, outage_kind="503")
    shown = terminal("sync", INBOXSYNC_SOURCE_AWAY_SECONDS="60", INBOXSYNC_RETRY_ATTEMPTS="1")
    text = shown.read(until="no answer from Meta since")
    text += shown.read(until="trying again at")
    bars = re.findall("(━+)", text)
    assert bars
    assert max(map(len, bars)) < 24
    code, text = shown.end()
    assert code == 0
    assert re.search(r"━{24} 400 conversations", text)


def test_a_verification_shows_how_many_of_how_many_are_compared(
    inbox: MakeInbox, run: Run, terminal: OpenTerminal
) -> None:
    source = inbox("--conversations", "300", batch_size=50)
    run("sync")
    source.post("messages", slot=4, text="new", times=1)
    source.hold(after=2)
    shown = terminal("verify")
    text = shown.read(until="of about 300 conversations compared")
    text += shown.read(until="%")
    source.release()
    code, rest = shown.end()
    assert code == 3
    assert "1 difference" in text + rest
    assert "compare\n" not in text + rest


def text_percent(text: str) -> str:
    return str(re.findall(r"\(messenger (\d+) %\)", text)[-1])


def test_no_call_is_refused_at_metas_own_call_rate(inbox: MakeInbox, run: Run) -> None:
    inbox("--conversations", "60", "--penalty", "5", limits=True, batch_size=10)
    time.sleep(1.5)  # the Page was added in a hurry
    answer = answer_of(run("sync", "--json", INBOXSYNC_CALLS_PER_SECOND="2"))
    assert (answer["status"], answer["refused_calls"]) == ("complete", 0)


def test_every_command_shows_the_backlog(inbox: MakeInbox, run: Run, terminal: OpenTerminal) -> None:
    source = inbox("--conversations", "40", "--fault", "poison_slots=3,9", batch_size=20)
    page_id = source.ready["page_id"]
    result = run("sync", "--json")
    answer = answer_of(result)
    assert result.returncode == 3
    assert (answer["status"], answer["inserted"]) == ("partial", 38)
    assert answer["backlog"] == {"conversation": 2, "gap": 0, "history": 0}
    assert answer["errors"][0]["code"] == "backlog_open"
    assert answer["next"] == f"inboxsync sync {page_id}"
    (page,) = json.loads(run("pages", "show", page_id, "--json").stdout)
    assert page["backlog"]["conversation"] == 2
    assert page["batch_size"] >= 1
    code, text = terminal("pages", "show", page_id).end()
    assert code == 0
    assert "2 that could not be read" in text
    verified = run("verify", page_id, "--json")
    assert verified.returncode == 3
    assert (answer_of(verified)["is_complete"], answer_of(verified)["next"]) == (
        False,
        f"inboxsync sync {page_id}",
    )
    code, text = terminal("verify").end()
    assert code == 3
    assert "Not complete" in text
    assert "2 conversations could not be read. They are tried again." in text
    assert_commands_are_whole(text)
    source.post("faults", heal=True, poison_slots=[])
    healed = answer_of(run("sync", "--json"))
    assert (healed["status"], healed["backlog"]["conversation"], healed["errors"]) == ("complete", 0, [])
    assert run("verify").returncode == 0
    (page,) = json.loads(run("pages", "show", page_id, "--json").stdout)
    assert page["verification"]["is_complete"] is True


def test_all_history_is_remembered_and_nothing_older_is_reported(inbox: MakeInbox, run: Run) -> None:
    source = inbox("--conversations", "20", "--messages", "5:60")
    newest = answer_of(run("sync", "--json"))
    assert newest["older_not_fetched"]["conversations"] > 0
    assert newest["older_not_fetched"]["messages"] > 0
    everything = answer_of(run("sync", "--json", "--history", "all"))
    assert everything["status"] == "complete"
    assert everything["older_not_fetched"] == {"conversations": 0, "messages": 0}
    source.assert_stored(whole=True)
    source.post("messages", slot=4, text="one more", times=25)
    assert answer_of(run("sync", "--json"))["events"] == 25  # without the option: the Page remembers
    source.assert_stored(whole=True)
    (page,) = json.loads(run("pages", "show", source.ready["page_id"], "--json").stdout)
    assert page["history"] == "all"
    assert answer_of(run("verify", "--deep", "--json"))["is_complete"] is True


def test_a_verification_finds_what_is_missing_and_the_next_sync_brings_it(inbox: MakeInbox, run: Run) -> None:
    source = inbox("--conversations", "40", "--folder", "other=5")
    assert run("sync").returncode == 0
    lost = [row[0] for row in source.query("SELECT conversation_id FROM messenger_conversations LIMIT 3")]
    for graph_id in lost:
        source.change("DELETE FROM messenger_conversations WHERE conversation_id = ?", graph_id)
    result = run("verify", "--json")
    assert result.returncode == 3
    answer = answer_of(result)
    assert (answer["is_complete"], answer["missing"], answer["listed"]) == (False, 3, 45)
    assert sorted(id_ for folder in answer["folders"] for id_ in folder["missing"]) == sorted(lost)
    assert answer_of(run("sync", "--json"))["inserted"] == 3
    assert run("verify").returncode == 0
    source.assert_stored(adds_up=False)


def test_every_command_says_that_a_page_is_complete_once_all_is_stored(
    inbox: MakeInbox, run: Run, terminal: OpenTerminal
) -> None:
    source = inbox("--conversations", "40")
    page_id = source.ready["page_id"]
    run("sync")
    source.post("messages", slot=4, text="since the sync", times=1)
    result = run("verify", "--json")
    answer = answer_of(result)
    assert (result.returncode, answer["is_complete"], answer["state"], answer["new"]) == (3, False, "new", 1)
    code, text = terminal("verify").end()
    assert (code, "could not be read" in text) == (3, False)
    assert "New since the last sync" in text
    assert "1 conversation new or with new messages since the last sync." in text
    assert "new since the last sync" in terminal("pages", "show", page_id).end()[1]
    assert run("sync").returncode == 0
    (page,) = json.loads(run("pages", "show", page_id, "--json").stdout)
    assert page["completeness"]["state"] == "complete"
    assert (page["verification"]["is_complete"], page["verification"]["was_complete"]) == (True, False)
    assert re.search(r"verified +complete", terminal("pages", "show", page_id).end()[1])


def test_a_verification_that_is_stopped_proves_nothing(
    inbox: MakeInbox, start: Start, terminal: OpenTerminal
) -> None:
    source = inbox("--conversations", "600", batch_size=50)
    source.hold(after=2)
    process = start("verify", "--json", "--deep")
    until(process, "compared")
    process.send_signal(signal.SIGINT)
    source.release()
    out, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert (process.returncode, "Traceback" in err) == (3, False)
    answer = json.loads(out)
    assert (answer["is_complete"], answer["errors"][0]["code"]) == (False, "stopped")
    assert source.query("SELECT * FROM verifications") == []
    assert source.query("SELECT * FROM page_leases") == []
    source.hold(after=2)
    shown = terminal("verify", "--deep")
    shown.read(until="compared")
    os.kill(shown.pid, signal.SIGINT)
    source.release()
    code, text = shown.end()
    assert (code, "Traceback" in text) == (3, False)
    assert "Not verified" in text


def test_a_second_signal_ends_at_once_and_loses_nothing(inbox: MakeInbox, start: Start, run: Run) -> None:
    source = inbox("--conversations", "100")
    source.hold(after=0)
    process = start("sync")
    until(process, "sync started")
    with source.locked():  # so that it cannot end after the first
        while process.poll() is None:  # two that come together are one
            process.send_signal(signal.SIGINT)
            time.sleep(0.1)
        _, err = process.communicate()
    assert (process.returncode, err.splitlines()[1:]) == (130, [])
    source.release()
    assert run("sync").returncode == 0
    source.assert_stored()


@pytest.mark.parametrize(
    ("subcode", "reason"),
    [(460, "password_changed"), (492, "role_lost")],
)
def test_a_dead_token_shows_its_reason_and_a_new_one_continues(
    inbox: MakeInbox, run: Run, terminal: OpenTerminal, subcode: int, reason: str
) -> None:
    source = inbox("--conversations", "60", batch_size=10)
    page_id = source.ready["page_id"]
    assert run("sync", "--max-conversations", "30").returncode == 3
    source.post("tokens", kill=subcode)
    for command in ("sync", "verify"):
        result = run(command, "--json")
        assert (result.returncode, answer_of(result)["errors"][0]["code"]) == (4, "token_invalid")
    (page,) = json.loads(run("pages", "list", "--json").stdout)
    assert (page["token_state"], page["token_reason"]) == ("invalid", reason)
    assert "inboxsync pages add" in page["token_problem"]
    code, text = terminal("pages", "show", page_id).end()
    assert (code, reason in text) == (0, True)
    assert "do nothing until it has a new token" in text  # however often they would catch up
    token = source.post("tokens", mint=True)["token"]
    assert run("pages", "add", page_id, "--token-stdin", stdin=token).returncode == 0
    (page,) = json.loads(run("pages", "list", "--json").stdout)
    assert (page["token_state"], page["token_reason"], page["token_problem"]) == ("valid", None, None)
    assert answer_of(run("sync", "--json"))["inserted"] == 30
    source.assert_stored()


def test_an_inbox_that_lists_nothing_is_reported(inbox: MakeInbox, run: Run) -> None:
    inbox("--conversations", "40", "--standard-access")
    result = run("sync", "--json")
    assert [each["code"] for each in answer_of(result)["errors"]] == ["nothing_listed"]
    (page,) = json.loads(run("pages", "list", "--json").stdout)
    assert page["last_synced_at"] is None


def test_a_stall_ends_the_run_and_says_where(inbox: MakeInbox, run: Run) -> None:
    inbox("--conversations", "400", "--fault", "empty_batch=1")
    result = run("sync", "--json", INBOXSYNC_STALL_CALLS="10")
    answer = answer_of(result)
    assert (result.returncode, answer["status"], answer["errors"][0]["code"]) == (3, "partial", "stalled")
    assert "10 calls in a row" in answer["errors"][0]["message"]


def test_a_page_that_is_removed_while_another_is_synced_is_reported_as_gone(
    inbox: MakeInbox, start: Start, run: Run
) -> None:
    source = inbox("--conversations", "400", "--pages", "2", batch_size=50)
    first, second = (page["page_id"] for page in source.ready["pages"])
    for command, words in (("sync", "batch stored"), ("verify", "compared")):
        source.hold(after=5 if command == "sync" else 2)  # so that it is not over before
        process = start(command, "--json", *(["--parallel", "1"] if command == "sync" else []))
        until(process, words)
        removed = second if command == "sync" else first
        assert run("pages", "remove", removed, "--yes").returncode == 0
        source.release()
        out, err = process.communicate(timeout=PATIENCE_SECONDS)
        answers = [json.loads(line) for line in out.splitlines()]
        assert (process.returncode, "Traceback" in err) == (1, False), err
        assert answers[-1]["errors"][0]["code"] == "page_unknown"
        if command == "sync":
            assert [answer["status"] for answer in answers] == ["complete", "failed"]
            assert answers[-1]["next"] is None


def test_a_signal_spares_the_pages_after_it(inbox: MakeInbox, start: Start) -> None:
    source = inbox("--conversations", "400", "--pages", "3", batch_size=50)
    before = source.get("stats")["calls"]
    source.hold(after=5)
    process = start("sync", "--json", "--parallel", "1")
    until(process, "batch stored")
    process.send_signal(signal.SIGTERM)
    source.release()
    out, _ = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 3
    assert [json.loads(line)["stopped"] for line in out.splitlines()] == ["SIGTERM was received"] * 3
    after = source.get("stats")["calls"]
    assert sum(after[page_id] != count for page_id, count in before.items()) == 1  # no call for the others


def test_lists_of_pages_and_runs_fit_a_terminal(inbox: MakeInbox, run: Run, terminal: OpenTerminal) -> None:
    source = inbox("--conversations", "30")
    page_id = source.ready["page_id"]
    run("sync")
    for command in (("pages", "list"), ("runs",)):
        code, text = terminal(*command).end()
        assert code == 0
        assert page_id in text  # whole, to be copied
        assert "conversations" in text or "fetched" in text
        if command == ("runs",):
            assert re.search(r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12} ", text, re.MULTILINE)
        assert max(map(len, text.splitlines())) <= COLUMNS


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("verify",), "No Page has been added"),
        (("verify", "12345"), "There is no Page 12345"),
        (("pages", "show", "12345"), "There is no Page 12345"),
        (("pages", "show"), "PAGE_ID"),
        (("sync", "--history", "some"), "--history"),
        (("sync", "--max-duration", "nan"), "--max-duration"),
        (("sync", "--max-duration", "inf"), "--max-duration"),
        (("sync", "--max-duration", "1e15"), "--max-duration"),
        (("sync", "--max-conversations", "0"), "--max-conversations"),
        (("verify", "--mode", "full"), "--mode"),
    ],
)
def test_unusable_arguments_are_one_sentence_and_exit_2(
    run: Run, arguments: tuple[str, ...], words: str
) -> None:
    result = run(*arguments)
    assert result.returncode == 2
    assert words in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


def test_the_bar_of_many_pages_sums_them_up(run: Run, sandbox: StartSandbox, terminal: OpenTerminal) -> None:
    ready = sandbox("--pages", "3", "--conversations", "120")
    for page in ready["pages"]:
        run("pages", "add", page["page_id"], "--token-stdin", stdin=page["token"])
    code, text = terminal("sync").end()
    assert code == 0
    assert "3 of 3 Pages · 360 conversations" in text


def test_ctrl_c_while_it_loads_leaves_no_traceback(environment: dict[str, str]) -> None:
    code = (
        "import runpy, signal, sys\n"
        "class PressCtrlC:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'inboxsync.cli': signal.raise_signal(signal.SIGINT)\n"
        "sys.meta_path.insert(0, PressCtrlC())\n"
        "runpy.run_module('inboxsync', run_name='__main__')\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "")


def test_a_misspelt_setting_is_one_line_with_the_likely_one_and_no_value(run: Run) -> None:
    listed = run("pages", "list", INBOXSYNC_DATADIR="/of/mine", INBOXSYNC_TIMEZONE="UTC")
    assert listed.returncode == 0
    assert listed.stdout.startswith("No Page yet")
    assert listed.stderr.splitlines() == [
        "inboxsync: INBOXSYNC_DATADIR is not the name of a setting: did you mean INBOXSYNC_DATA_DIR?",
        "inboxsync: INBOXSYNC_TIMEZONE is not the name of a setting: did you mean INBOXSYNC_TIME_ZONE?",
    ]
    exported = run("export", "contacts", "--raw", INBOXSYNC_DATADIR="/of/mine")
    assert exported.stderr.count("INBOXSYNC_DATADIR") == 1
    assert "DATADIR" not in exported.stdout


def test_every_command_takes_a_page_by_its_name_where_it_takes_an_id(inbox: MakeInbox, run: Run) -> None:
    source = inbox("--conversations", "10", "--pages", "2")
    names = {"Café Blue": source.ready["pages"][0]["page_id"], "Shop": source.ready["pages"][1]["page_id"]}
    for name, page_id in names.items():
        source.change("UPDATE facebook_pages SET name = ? WHERE facebook_page_id = ?", name, page_id)
    for words in (
        ("sync", "Café Blue", "--json"),
        ("sync", "cafe blue", "--json"),
        ("verify", "Café Blue"),
        ("pages", "show", "Café Blue"),
        ("pages", "set", "Café Blue", "--every", "5m"),
        ("search", "x", "--page", "Café Blue"),
        ("export", "contacts", "--page", "Café Blue"),
        ("export", "messages", "--page", "Café Blue"),
        ("report", "activity", "--page", "Café Blue"),
        ("report", "response-times", "--page", "Café Blue"),
        ("pages", "remove", "Café Blue", "--yes"),
    ):
        ended = run(*words)
        assert ended.returncode == 0, (words, ended.stderr)
    assert source.query("SELECT name FROM facebook_pages") == [("Shop",)]
    assert source.query("SELECT * FROM sync_runs") == []  # of the other one none began


def test_a_name_that_two_pages_have_is_refused_with_the_way_out(inbox: MakeInbox, run: Run) -> None:
    source = inbox("--conversations", "5", "--pages", "2")
    source.change("UPDATE facebook_pages SET name = 'Shop'")
    for words in (("sync", "Shop"), ("pages", "remove", "Shop", "--yes"), ("search", "x", "--page", "Shop")):
        refused = run(*words)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert refused.stderr.splitlines()[0] == "inboxsync: 2 Pages are called Shop."
        assert "`inboxsync pages list --json` shows" in refused.stderr
