"""`inboxsync export` as its users run it."""

import csv
import io
import json
import signal
import subprocess
import sys
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from inboxsync.cli.options import parse_since, parse_zone
from inboxsync.errors import SettingsInvalid
from inboxsync.model import Conversation as SourceConversation
from inboxsync.model import Message, Participant, Platform
from inboxsync.settings import Settings
from inboxsync.store import Store
from inboxsync.store.state.pages import upsert_page
from inboxsync.store.writing.upsert import upsert_batch
from tests.cli.fixtures import OnTerminal, Run, Start
from tests.fixtures import PATIENCE_SECONDS

pytestmark = pytest.mark.system

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


@pytest.fixture
def stored(tmp_path: Path) -> int:
    """A database of so many messages, in the folder of this test's commands."""
    store = Store.open(f"sqlite:///{tmp_path / 'data' / 'inboxsync.db'}")
    conversations = [
        SourceConversation(
            conversation_id=f"t_{number}",
            contact=Participant(id=f"{number}", name="=HYPERLINK()" if number == 0 else "Ann"),
            source_updated_at=NOON,
            messages=tuple(
                Message(
                    message_id=f"m_{number}_{each}", sent_at=NOON - timedelta(minutes=each), text="x" * 500
                )
                for each in range(20)
            ),
        )
        for number in range(400)
    ]
    with store.write() as connection:
        page, _ = upsert_page(
            connection,
            facebook_page_id="104",
            platform=Platform.MESSENGER,
            account_id="104",
            name="A Page",
            access_token_encrypted="x",
            now=NOON,
        )
        upsert_batch(connection, page, conversations, folder="inbox", source="initial_sync", now=NOON)
    store.close()
    return 8000


def test_stdout_has_the_rows_and_stderr_says_that_they_are_whole(run: Run, stored: int) -> None:
    contacts = run("export", "contacts", "--raw")
    assert (contacts.returncode, stored) == (0, 8000)
    rows = list(csv.DictReader(io.StringIO(contacts.stdout)))
    assert len(rows) == 400
    assert rows[0]["contact_name"] == "'=HYPERLINK()"
    assert contacts.stderr.startswith("Exported 400 contacts: ")
    lines = run("export", "conversations", "--format", "ndjson", "--page", "104").stdout.splitlines()
    assert len(lines) == 401
    assert json.loads(lines[-1])["inboxsync_export"]["rows"] == 400
    assert len(run("export", "conversations", "--format=ndjson", "--no-trailer").stdout.splitlines()) == 400


def test_csv_has_the_delimiter_that_was_asked_for_or_that_excel_expects(run: Run, stored: int) -> None:
    assert stored
    for option, delimiter in (
        ("--delimiter=semicolon", ";"),
        ("--delimiter=tab", "\t"),
        ("--excel=vi-VN", ";"),
    ):
        printed = run("export", "contacts", "--raw", option).stdout
        assert printed.startswith("\ufeff") == option.startswith("--excel")
        rows = list(csv.reader(io.StringIO(printed.removeprefix("\ufeff"), newline=""), delimiter=delimiter))
        assert rows[0][:2] == ["page_id", "page_name"]
        assert "'=HYPERLINK()" in {row[4] for row in rows}
    for wrong in (["--delimiter=x"], ["--excel=?"], ["--delimiter=tab", "--format=ndjson"]):
        assert run("export", "contacts", *wrong).returncode == 2


def test_people_get_headings_and_scripts_get_names_with_raw(run: Run, stored: int, tmp_path: Path) -> None:
    assert stored
    shown = run("export", "messages", "--zone", "Asia/Tokyo").stdout.splitlines()
    assert shown[0].startswith("Contact,Sent at (Asia/Tokyo),Direction,Sender,Message,")
    assert shown[1].startswith("'=HYPERLINK(),2026-06-01 20:41:00,in,")
    raw = run("export", "messages", "--zone", "Asia/Tokyo", "--raw").stdout.splitlines()
    assert raw[0].startswith("page_id,page_name,platform,conversation_id,")
    assert ",2026-06-01T11:41:00Z,in," in raw[1]
    named = run("export", "contacts", INBOXSYNC_TIME_ZONE="Europe/Berlin").stdout
    assert "Last message at (Europe/Berlin)" in named
    path = tmp_path / "contacts.xlsx"
    for options, heading in (([], b"Last message at (Europe/Berlin)"), (["--raw"], b"last_message_at")):
        written = run("export", "contacts", "-o", str(path), *options, INBOXSYNC_TIME_ZONE="Europe/Berlin")
        assert written.returncode == 0
        assert heading in zipfile.ZipFile(path).read("xl/worksheets/sheet1.xml")


def test_a_file_has_a_manifest_and_is_checked_against_it(run: Run, stored: int, tmp_path: Path) -> None:
    path = tmp_path / "messages.csv"
    written = run("export", "messages", "-o", str(path), "--since", "2026-06-01T11:50", "--zone", "UTC")
    assert (written.returncode, written.stderr) == (0, "")
    assert path.read_bytes().startswith(b"\xef\xbb\xbfContact,Sent at (UTC),")
    assert written.stdout.startswith("Wrote 4,400 messages to ")
    assert stored > 4400
    assert run("export", "check", str(path)).returncode == 0
    path.write_bytes(path.read_bytes()[:-100])
    cut = run("export", "check", str(path))
    assert cut.returncode == 3
    assert "is not complete" in cut.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["contacts", "--format", "xlsx"], "cannot be written to stdout"),
        (["contacts", "-o", "contacts.doc"], "is not the name of a format"),
        (["contacts", "--since", "yesterday"], "is not a time"),
        (["contacts", "--since", "2026-01-01", "--zone", "Mars"], "is not a time zone"),
        (["contacts", "--page", "9"], "There is no Page 9"),
    ],
)
def test_what_is_asked_for_wrongly_is_one_sentence_and_exit_code_2(
    run: Run, arguments: list[str], words: str
) -> None:
    refused = run("export", *arguments)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert words in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_file_that_cannot_be_written_is_an_error(run: Run, tmp_path: Path) -> None:
    refused = run("export", "contacts", "-o", str(tmp_path / "nowhere" / "a.csv"))
    assert refused.returncode == 1
    assert "cannot be written" in refused.stderr


def test_a_closed_stdout_is_an_error(start: Start, stored: int) -> None:
    command = f"'{sys.executable}' -m inboxsync export contacts >&-"
    process = start("/bin/sh", "-c", command)
    _, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 1, stored
    assert "Stdout is closed." in err
    assert "Exported" not in err


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_stdout_that_takes_only_a_part_is_an_error(
    environment: dict[str, str], stored: int, tmp_path: Path, unbuffered: str
) -> None:
    # As on a disk that becomes full within the last write: a file may grow to 36 kB and no further.
    path = tmp_path / "all.csv"
    command = f"ulimit -f 72; '{sys.executable}' -m inboxsync export conversations > '{path}'"
    ended = subprocess.run(
        ["/bin/sh", "-c", command],
        env=environment | {"PYTHONUNBUFFERED": unbuffered},
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert path.stat().st_size == 72 * 512, stored
    assert ended.returncode == 1
    assert "The output cannot be written: File too large." in ended.stderr
    assert "Exported" not in ended.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_no_half_file(
    start: Start, stored: int, tmp_path: Path, number: signal.Signals
) -> None:
    path = tmp_path / "out" / "messages.xlsx"
    path.parent.mkdir()
    process = start("export", "messages", "-o", str(path))
    while not list(path.parent.glob(".messages.xlsx.*.part")):
        assert process.poll() is None, stored
    process.send_signal(number)
    out, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert (process.returncode, out) == (3, "")
    assert "Stopped. No file was written." in err
    assert list(path.parent.iterdir()) == []


def test_a_terminal_is_shown_a_bar(stored: int, tmp_path: Path, on_terminal: OnTerminal) -> None:
    code, shown = on_terminal("stderr", "export", "messages", "-o", str(tmp_path / "m.csv"))
    assert code == 0
    assert f"of {stored:,}".encode() in shown


def test_times_are_written_as_people_do() -> None:
    zone = parse_zone("Asia/Ho_Chi_Minh", Settings())
    assert parse_since("2026-06-01", now=NOON, zone=zone) == datetime(2026, 5, 31, 17, tzinfo=UTC)
    assert parse_since("2026-06-01T00:00Z", now=NOON, zone=zone) == datetime(2026, 6, 1, tzinfo=UTC)
    assert parse_since("36h", now=NOON, zone=zone) == NOON - timedelta(hours=36)
    assert parse_since("2w", now=NOON, zone=zone) == NOON - timedelta(days=14)
    for text in ("", "2026-13-01", "5 days", "999999w", "-1d"):
        with pytest.raises(SettingsInvalid):
            parse_since(text, now=NOON, zone=zone)


def test_the_zone_is_the_settings_or_the_machines_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    assert str(parse_zone(None, Settings())) == "Europe/Berlin"
    assert str(parse_zone(None, Settings(time_zone="Asia/Tokyo"))) == "Asia/Tokyo"
    monkeypatch.setenv("TZ", "nonsense")
    assert str(parse_zone(None, Settings())) == "UTC"
