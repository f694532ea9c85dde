"""`inboxsync db` as its users run it, on both databases."""

import json
import signal
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import create_engine, make_url

from inboxsync.model import Conversation, Message, Platform
from inboxsync.store import Store, schema
from inboxsync.store.state.pages import upsert_page
from inboxsync.store.tables import VERSION_TABLE
from inboxsync.store.writing.upsert import upsert_batch
from tests.cli.fixtures import Run, Start
from tests.fixtures import PATIENCE_SECONDS, PostgresServer, conninfo

pytestmark = pytest.mark.system

NOW = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.fixture
def filled(tmp_path: Path) -> str:
    """The URL of an SQLite database with 300 conversations of 10 messages."""
    url = f"sqlite:///{tmp_path / 'filled.db'}"
    store = Store.open(url)
    with store.write() as connection:
        page, _ = upsert_page(
            connection,
            facebook_page_id="104",
            platform=Platform.MESSENGER,
            account_id="104",
            name="A Page",
            access_token_encrypted="x",
            now=NOW,
        )
        batch = [
            Conversation(
                conversation_id=f"t_{number}",
                messages=tuple(Message(message_id=f"m_{number}_{at}", text="hi") for at in range(10)),
            )
            for number in range(300)
        ]
        upsert_batch(connection, page, batch, folder="inbox", source="initial_sync", now=NOW)
    store.close()
    return url


def test_a_database_from_before_the_first_release_is_refused(run: Run, empty_url: str, database: str) -> None:
    made = run("db", "upgrade", INBOXSYNC_DATABASE_URL=empty_url)
    assert made.returncode == 0, made.stderr
    assert schema.HEAD in made.stdout
    driver = "sqlite" if database == "sqlite" else "postgresql+psycopg"
    engine = create_engine(make_url(empty_url).set(drivername=driver))
    with engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE {VERSION_TABLE} SET version_num = '0008'")
    engine.dispose()
    for command in (("pages", "list"), ("db", "upgrade")):
        refused = run(*command, INBOXSYNC_DATABASE_URL=empty_url)
        assert refused.returncode == 1
        assert "before its first release" in refused.stderr
        assert "new database" in refused.stderr


def test_a_database_is_copied_and_compared(run: Run, filled: str, empty_url: str) -> None:
    copied = run("db", "copy", filled, empty_url)
    assert copied.returncode == 0, copied.stderr
    assert "3,000" in copied.stdout
    assert "has everything that the source has" in copied.stdout
    assert "copying table" in copied.stderr
    assert "comparing table" in copied.stderr
    again = run("db", "copy", filled, empty_url)
    assert again.returncode == 0
    assert "copying table" not in again.stderr


def test_a_copy_goes_into_the_schema_that_is_named(
    run: Run, filled: str, server: PostgresServer, tmp_path: Path
) -> None:
    url = server.create(empty=True)
    there = run("db", "copy", filled, url, "--to-schema", "moved")
    assert there.returncode == 0, there.stderr
    assert server.execute("SELECT count(*) FROM moved.messages", url=url) == [(3000,)]
    back = run("db", "copy", url, f"sqlite:///{tmp_path / 'back.db'}", "--from-schema", "moved")
    assert back.returncode == 0, back.stderr
    server.drop(url)


def test_a_target_with_other_data_is_refused(run: Run, filled: str, tmp_path: Path) -> None:
    other = f"sqlite:///{tmp_path / 'other.db'}"
    assert run("db", "copy", filled, other).returncode == 0
    store = Store.open(other)
    with store.write() as connection:
        connection.exec_driver_sql("UPDATE facebook_pages SET name = 'x'")
    store.close()
    refused = run("db", "copy", filled, other)
    assert refused.returncode == 1
    assert "holds other data" in refused.stderr


def test_what_cannot_be_copied_is_one_sentence(run: Run, filled: str, tmp_path: Path) -> None:
    missing = run("db", "copy", f"sqlite:///{tmp_path / 'nowhere.db'}", filled)
    assert (missing.returncode, "does not exist" in missing.stderr) == (1, True)
    itself = run("db", "copy", filled, filled)
    assert (itself.returncode, "same database" in itself.stderr) == (2, True)
    nonsense = run("db", "copy", filled, "mysql://x/y")
    assert (nonsense.returncode, "SQLite or PostgreSQL" in nonsense.stderr) == (2, True)
    away = run("db", "copy", filled, INBOXSYNC_COPY_TO_URL="postgresql://me:secret@127.0.0.1:9/inbox")
    assert (away.returncode, "cannot be reached" in away.stderr) == (1, True)
    assert "secret" not in away.stderr + away.stdout


def test_a_signal_stops_a_copy_and_the_next_one_continues(
    run: Run, start: Start, filled: str, tmp_path: Path
) -> None:
    target = f"sqlite:///{tmp_path / 'target.db'}"
    process = start("db", "copy", filled, target)
    assert process.stderr is not None
    process.stderr.readline()
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode in (0, 3)  # it may have been done by then
    if process.returncode == 3:
        assert "it continues" in err
    assert run("db", "copy", filled, target).returncode == 0


def test_a_file_that_others_may_read_is_told_with_what_shuts_it(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "own.db"
    where = {"INBOXSYNC_DATABASE_URL": f"sqlite:///{path}"}
    assert run("db", "upgrade", **where).returncode == 0
    shut = run("db", "check", **where)
    assert (shut.returncode, shut.stderr) == (0, "")
    assert "no other role can" in shut.stdout
    path.chmod(0o644)
    for command in (("db", "check"), ("db", "upgrade")):
        told = run(*command, **where)
        assert f"Other users of this machine can reach {path}" in told.stderr
    found = json.loads(run("db", "check", "--json", **where).stdout)["exposed"]
    assert [(each["rights"], each["shut_by"]) for each in found] == [(["READ"], f"chmod 600 '{path}'")]
    assert run("db", "check", **where).returncode == 4


def test_a_table_that_everyone_may_change_is_told_with_what_shuts_it(
    run: Run, server: PostgresServer
) -> None:
    url = server.create(empty=True)
    where = {"INBOXSYNC_DATABASE_URL": url, "INBOXSYNC_DATABASE_SCHEMA": "inbox"}
    try:
        assert run("db", "upgrade", **where).returncode == 0
        assert run("db", "check", **where).returncode == 0
        with psycopg.connect(conninfo(url), autocommit=True) as connection:
            connection.execute("GRANT USAGE ON SCHEMA inbox TO PUBLIC; GRANT ALL ON inbox.messages TO PUBLIC")
            told = run("db", "check", **where)
            assert told.returncode == 4
            assert "PUBLIC can reach 1 of inboxsync's tables" in told.stderr
            statement = 'REVOKE ALL ON "inbox"."messages" FROM PUBLIC;'
            assert statement in told.stdout
            assert "db check" in run("db", "upgrade", **where).stderr
            connection.execute(statement.encode())
        assert run("db", "check", **where).returncode == 0
    finally:
        server.drop(url)
