"""A database of an earlier version is brought up to date with every row kept.

Only one schema has been released, so the later one is made here: a migration that adds a column.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, create_engine, make_url

from inboxsync.errors import StoreOutdated, StoreUnavailable
from inboxsync.store import Store, schema
from inboxsync.store.state.pages import list_pages
from inboxsync.store.tables import VERSION_TABLE

AT = "2026-06-01T12:00:00.000Z"
ROWS = f"""
INSERT INTO facebook_pages (
  id, facebook_page_id, platform, account_id, user_id, name, access_token_encrypted, token_state,
  last_synced_at, created_at, updated_at
) VALUES ('p', '104', 'messenger', '104', 'u', 'A Page', 'x', 'valid', '{AT}', '{AT}', '{AT}');
INSERT INTO messenger_conversations (
  id, page_id, conversation_id, platform, folder, sender_id, conversation_status, has_older_messages,
  created_at, updated_at
) VALUES ('c1', 'p', 't_1', 'messenger', 'inbox', '7', 'active', '1', '{AT}', '{AT}'),
         ('c2', 'p', 't_2', 'messenger', 'inbox', '8', 'active', '0', '{AT}', '{AT}');
INSERT INTO messages (
  conversation_id, message_id, sent_at, is_from_page, sender_id, text, source, created_at
) VALUES ('c1', 'm_1', '{AT}', '0', '7', 'hello', 'initial_sync', '{AT}'),
         ('c1', 'm_2', '{AT}', '1', '104', 'hi', 'incremental_sync', '{AT}');
INSERT INTO list_positions (page_id, folder, state, snapshot_at, segments, updated_at)
  VALUES ('p', 'inbox', 'scanning', '{AT}', '[{{"cursor":"c1"}}]', '{AT}');
INSERT INTO sync_runs (id, page_id, mode, status, started_at) VALUES ('r', 'p', 'full', 'partial', '{AT}')
"""
TABLES = ("facebook_pages", "messenger_conversations", "messages", "list_positions", "sync_runs")


DRIVERS = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg"}


def everything(connection: Connection) -> dict[str, list[dict[str, Any]]]:
    return {
        name: [dict(row) for row in connection.exec_driver_sql(f"SELECT * FROM {name}").mappings()]
        for name in TABLES
    }


def connect(url: str) -> Engine:
    parsed = make_url(url)
    return create_engine(parsed.set(drivername=DRIVERS[parsed.get_backend_name()]))


NEXT = """
import sqlalchemy as sa
from alembic import op

revision = "0002_next"
down_revision = "0001_initial"


def upgrade():
    op.create_table("added_later", sa.Column("id", sa.Text(), primary_key=True))
    op.add_column("messages", sa.Column("added_later", sa.Text(), comment="added later"))
"""


@pytest.fixture
def old(empty_url: str) -> str:
    """The URL of a database as the first schema had it, with rows in it."""
    Store.open(empty_url).close()
    engine = connect(empty_url)
    with engine.begin() as connection:
        for statement in ROWS.split(";"):
            connection.exec_driver_sql(statement)
    engine.dispose()
    return empty_url


@pytest.fixture
def newer_version(old: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on this version knows one more migration."""
    del old  # made before
    folder = tmp_path / "migrations"
    shutil.copytree(schema._FOLDER, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "versions" / "0002_next.py").write_text(NEXT)
    monkeypatch.setattr(schema, "_FOLDER", folder)
    monkeypatch.setattr(schema, "HEAD", "0002_next")


@pytest.fixture
def before(old: str) -> dict[str, list[dict[str, Any]]]:
    engine = connect(old)
    with engine.begin() as connection:
        found = everything(connection)
    engine.dispose()
    return found


@pytest.fixture
def upgraded(old: str, before: object, newer_version: None) -> Iterator[Store]:
    del before, newer_version  # what was there has to be read first
    store = Store.open(old, upgrade=True)
    yield store
    store.close()


@pytest.mark.usefixtures("newer_version")
def test_an_old_database_is_upgraded_by_itself_only_where_nobody_else_uses_it(
    old: str, database: str
) -> None:
    if database == "sqlite":
        Store.open(old).close()
        return
    with pytest.raises(StoreOutdated, match="older schema") as caught:
        Store.open(old)
    assert "inboxsync db upgrade" in caught.value.hint


def test_opening_an_old_database_keeps_every_row(
    upgraded: Store, before: dict[str, list[dict[str, Any]]]
) -> None:
    with upgraded.read() as connection:
        assert schema.current_version(connection) == "0002_next"
        assert len(list_pages(connection)) == 1
    engine = connect(str(upgraded.engine.url.render_as_string(hide_password=False)))
    with engine.begin() as connection:
        after = everything(connection)
    engine.dispose()
    for name, rows in before.items():
        assert [{key: row[key] for key in rows[0]} for row in after[name]] == rows


def test_the_users_statements_work_on_an_upgraded_database(upgraded: Store) -> None:
    with upgraded.write() as connection:
        run = connection.exec_driver_sql
        totals = run(
            "SELECT page_id, COUNT(*) AS total_conversations, COUNT(DISTINCT sender_id) AS unique_contacts "
            "FROM messenger_conversations GROUP BY page_id;"
        )
        assert [tuple(row) for row in totals] == [("p", 2, 2)]
        events = run(
            "SELECT COUNT(*) AS total_events, COUNT(DISTINCT conversation_id) AS conversations_with_events\n"
            "  FROM contact_interaction_events WHERE metadata->>'source' = 'initial_sync';"
        )
        assert [tuple(row) for row in events] == [(1, 1)]
        assert run("UPDATE facebook_pages SET last_synced_at = NULL WHERE id = 'p';").rowcount == 1


@pytest.mark.usefixtures("newer_version")
def test_a_refused_upgrade_leaves_the_old_schema(old: str) -> None:
    engine = connect(old)
    with engine.begin() as connection:
        # A name the migration needs is taken: it fails half-way.
        connection.exec_driver_sql("CREATE TABLE added_later (id TEXT)")
    with pytest.raises(Exception, match="added_later"):
        Store.open(old, upgrade=True)
    with engine.begin() as connection:
        assert schema.current_version(connection) == "0001_initial"
        assert len(everything(connection)["messages"]) == 2
        assert connection.exec_driver_sql("SELECT COUNT(*) FROM contact_interaction_events").scalar() == 2
    engine.dispose()


@pytest.mark.parametrize("version", ["0001", "0008"])
@pytest.mark.parametrize("upgrade", [None, True])
def test_a_database_from_before_the_first_release_is_refused_in_one_sentence(
    old: str, version: str, upgrade: bool | None
) -> None:
    engine = connect(old)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE {VERSION_TABLE} SET version_num = '{version}'")
    with pytest.raises(StoreUnavailable, match="before its first release") as caught:
        Store.open(old, upgrade=upgrade)
    assert "new database" in caught.value.hint
    with engine.begin() as connection:
        assert schema.current_version(connection) == version
        assert len(everything(connection)["messages"]) == 2
    engine.dispose()


@pytest.mark.parametrize(
    "lacking",
    [
        "ALTER TABLE facebook_pages RENAME COLUMN source_url TO other",
        "ALTER TABLE page_totals RENAME TO other",
    ],
)
def test_a_database_of_an_earlier_development_version_is_told_what_to_do(url: str, lacking: str) -> None:
    store = Store.open(url)
    with store.write() as connection:
        connection.exec_driver_sql(lacking)

    def read() -> None:
        with store.read() as connection:
            list_pages(connection)
            connection.exec_driver_sql("SELECT * FROM page_totals")

    with pytest.raises(StoreUnavailable, match="before the first release") as caught:
        read()
    hint = caught.value.hint or ""
    assert "new database" in hint
    assert "demo --reset" in hint
    store.close()
