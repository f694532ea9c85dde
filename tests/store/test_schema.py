import sqlite3
import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from inboxsync.errors import InboxsyncError, SettingsInvalid, StoreOutdated, StoreTooNew, StoreUnavailable
from inboxsync.store import Store, schema
from inboxsync.store.tables import metadata
from inboxsync.store.views import events_view


def url(path: Path) -> str:
    return f"sqlite:///{path}"


def sql_of(path: Path) -> dict[str, str]:
    with sqlite3.connect(path) as connection:
        rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    connection.close()
    # The order of constraints within a table means nothing.
    return {
        name: str(sorted(sql.replace(",", "").split())) for name, sql in rows if name != schema.VERSION_TABLE
    }


def test_replayed_migrations_equal_the_declared_schema(tmp_path: Path) -> None:
    Store.open(url(tmp_path / "migrated.db")).close()
    engine = create_engine(url(tmp_path / "declared.db"))
    with engine.begin() as connection:
        metadata.create_all(connection)
        connection.exec_driver_sql(events_view("sqlite"))
    engine.dispose()
    assert sql_of(tmp_path / "migrated.db") == sql_of(tmp_path / "declared.db")


def test_alembic_sees_no_difference(store: Store) -> None:
    with store.read() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": schema.VERSION_TABLE})
        assert compare_metadata(context, metadata) == []


def test_the_known_head_is_the_newest_migration() -> None:
    folder = Path(schema.__file__).parent / "migrations"
    assert ScriptDirectory(str(folder)).get_heads() == [schema.HEAD]


def test_every_table_and_column_is_explained() -> None:
    for table in metadata.tables.values():
        assert table.comment, table.name
        for column in table.columns:
            assert column.comment, f"{table.name}.{column.name}"


def test_sqlite_shows_the_comments(store: Store) -> None:
    with store.read() as connection:
        query = "SELECT sql FROM sqlite_master WHERE name = 'messenger_conversations'"
        assert "/* Graph's id of the conversation */" in str(connection.exec_driver_sql(query).scalar())


def test_the_database_is_durable_and_keeps_its_references(store: Store) -> None:
    with store.read() as connection:
        settings = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    assert settings == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


def test_a_database_of_a_newer_version_is_left_alone(store: Store, tmp_path: Path) -> None:
    with store.write() as connection:
        connection.exec_driver_sql(f"UPDATE {schema.VERSION_TABLE} SET version_num = '9999'")
    with pytest.raises(StoreTooNew, match="newer inboxsync"):
        Store.open(url(tmp_path / "inboxsync.db"))


def test_a_database_that_must_not_be_upgraded_is_not(tmp_path: Path) -> None:
    with pytest.raises(StoreOutdated):
        Store.open(url(tmp_path / "new.db"), upgrade=False)
    assert sql_of(tmp_path / "new.db") == {}


def test_somebody_elses_tables_are_left_alone(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "theirs.db") as connection:
        connection.execute("CREATE TABLE facebook_pages (id TEXT)")
    connection.close()
    with pytest.raises(StoreUnavailable, match="already has a table named facebook_pages"):
        Store.open(url(tmp_path / "theirs.db"))
    assert set(sql_of(tmp_path / "theirs.db")) == {"facebook_pages"}


def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a database, " * 100)
    with pytest.raises(StoreUnavailable, match="not an SQLite database"):
        Store.open(url(tmp_path / "notes.txt"))
    assert (tmp_path / "notes.txt").read_text().startswith("not a database")


def test_a_folder_that_is_a_file_is_one_clear_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnavailable, match="cannot be made"):
        Store.open(url(tmp_path / "file" / "inboxsync.db"))


def test_several_openings_of_a_new_database_make_it_once(tmp_path: Path) -> None:
    problems: list[InboxsyncError] = []

    def open_it() -> None:
        try:
            Store.open(url(tmp_path / "shared.db")).close()
        except InboxsyncError as error:
            problems.append(error)

    threads = [threading.Thread(target=open_it) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []


def test_a_new_database_is_its_owners_alone(store: Store, tmp_path: Path) -> None:
    with store.write() as connection:
        connection.exec_driver_sql("DELETE FROM sync_runs")
    for path in tmp_path.glob("inboxsync.db*"):
        assert path.stat().st_mode & 0o077 == 0, path.name


@pytest.mark.parametrize(
    "bad",
    [
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite+aiosqlite:///x.db",
        "sqlite+foo:///x.db",
        "sqlite://host/x.db",
        "sqlite:///x.db?timeout=abc",
        "postgresql://x/y",
        "nonsense",
    ],
)
def test_a_url_that_names_no_file_is_refused(bad: str) -> None:
    with pytest.raises(SettingsInvalid):
        Store.open(bad)
