import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect, make_url

from inboxsync.errors import InboxsyncError, SettingsInvalid, StoreOutdated, StoreTooNew, StoreUnavailable
from inboxsync.store import Store, schema
from inboxsync.store.tables import VERSION_TABLE, metadata
from inboxsync.store.tables.triggers import derived_ddl
from inboxsync.store.tables.views import events_view
from tests.fixtures import PostgresServer

sqlite_only = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
postgresql_only = pytest.mark.parametrize("database", ["postgresql"], indirect=True)


def sqlite_url(path: Path) -> str:
    return f"sqlite:///{path}"


def sql_of(path: Path) -> dict[str, str]:
    with sqlite3.connect(path) as connection:
        rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    connection.close()
    # The order of constraints within a table means nothing.
    return {name: str(sorted(sql.replace(",", "").split())) for name, sql in rows if name != VERSION_TABLE}


def test_replayed_migrations_equal_the_declared_schema(tmp_path: Path) -> None:
    Store.open(sqlite_url(tmp_path / "migrated.db")).close()
    engine = create_engine(sqlite_url(tmp_path / "declared.db"))
    with engine.begin() as connection:
        metadata.create_all(connection)
        for statement in (events_view("sqlite"), *derived_ddl("sqlite")):
            connection.exec_driver_sql(statement)
    engine.dispose()
    assert sql_of(tmp_path / "migrated.db") == sql_of(tmp_path / "declared.db")


# What PostgreSQL's own catalogue says of everything in a schema.
CATALOGUE = (
    (
        "SELECT c.relname, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, "
        "l.collname, pg_get_expr(d.adbin, d.adrelid), col_description(c.oid, a.attnum) FROM pg_attribute a "
        "JOIN pg_class c ON c.oid = a.attrelid AND c.relkind IN ('r', 'v') "
        "LEFT JOIN pg_collation l ON l.oid = a.attcollation "
        "LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum "
        "WHERE c.relnamespace = 'public'::regnamespace AND a.attnum > 0 AND NOT a.attisdropped"
    ),
    (
        "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint "
        "WHERE connamespace = 'public'::regnamespace"
    ),
    "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
    "SELECT viewname, definition FROM pg_views WHERE schemaname = 'public'",
    "SELECT tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal",
    "SELECT proname, pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace",
    (
        "SELECT relname, relkind, obj_description(oid, 'pg_class') FROM pg_class "
        "WHERE relnamespace = 'public'::regnamespace"
    ),
)


def catalogue(server: PostgresServer, url: str) -> list[set[tuple[Any, ...]]]:
    found = [server.execute(sql, url=url) for sql in CATALOGUE]
    return [{row for row in rows if VERSION_TABLE not in repr(row)} for rows in found]


@postgresql_only
def test_replayed_migrations_equal_the_declared_schema_in_postgresql(
    url: str, empty_url: str, server: PostgresServer
) -> None:
    engine = create_engine(make_url(empty_url).set(drivername="postgresql+psycopg"))
    with engine.begin() as connection:
        metadata.create_all(connection)
        for statement in (events_view("postgresql"), *derived_ddl("postgresql")):
            connection.exec_driver_sql(statement)
    engine.dispose()
    migrated, declared = catalogue(server, url), catalogue(server, empty_url)
    assert len(migrated[0]) > 100
    assert migrated == declared


@postgresql_only
def test_ids_are_compared_by_their_characters_times_have_a_zone_and_json_is_binary(
    url: str, server: PostgresServer
) -> None:
    columns = {(row[0], row[2]): row[3:6] for row in server.execute(CATALOGUE[0], url=url)}
    assert columns["messages", "message_id"] == ("text", True, "C")
    assert columns["messages", "sent_at"] == ("timestamp with time zone", False, None)
    assert columns["messages", "extra"] == ("jsonb", False, None)
    assert columns["contact_interaction_events", "metadata"][0] == "jsonb"
    ids = {table_column[1]: column[2] for table_column, column in columns.items() if column[2] == "C"}
    assert set(ids) >= {"id", "page_id", "conversation_id", "message_id", "sender_id", "facebook_page_id"}


def test_alembic_sees_no_difference(store: Store, url: str) -> None:
    # An engine of its own: where JSON is text, as for us, alembic cannot look.
    engine = create_engine(make_url(url).set(drivername=store.engine.url.drivername))
    with engine.begin() as connection:
        # The search's own tables and index are not SQLAlchemy's (see `triggers`).
        options = {
            "version_table": VERSION_TABLE,
            "include_name": lambda name, *_: "_search" not in (name or ""),
        }
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def test_the_known_head_is_the_newest_migration() -> None:
    folder = Path(schema.__file__).parent / "migrations"
    assert ScriptDirectory(str(folder)).get_heads() == [schema.HEAD]


def test_every_table_and_column_is_explained() -> None:
    for table in metadata.tables.values():
        assert table.comment, table.name
        for column in table.columns:
            assert column.comment, f"{table.name}.{column.name}"


@sqlite_only
def test_sqlite_shows_the_comments(store: Store) -> None:
    with store.read() as connection:
        query = "SELECT sql FROM sqlite_master WHERE name = 'messenger_conversations'"
        assert "/* Graph's id of the conversation */" in str(connection.exec_driver_sql(query).scalar())


@sqlite_only
def test_the_database_is_durable_and_keeps_its_references(store: Store) -> None:
    with store.read() as connection:
        settings = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    assert settings == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


def test_a_database_of_a_newer_version_is_left_alone(store: Store, url: str) -> None:
    with store.write() as connection:
        connection.exec_driver_sql(f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
    with pytest.raises(StoreTooNew, match="newer inboxsync"):
        Store.open(url)


def names_of(url: str) -> set[str]:
    engine = create_engine(
        make_url(url).set(drivername="postgresql+psycopg" if "postgres" in url else "sqlite")
    )
    names = inspect(engine).get_table_names()
    engine.dispose()
    return set(names)


def test_a_database_that_must_not_be_upgraded_is_not(empty_url: str) -> None:
    with pytest.raises(StoreOutdated):
        Store.open(empty_url, upgrade=False)
    assert names_of(empty_url) == set()


def test_somebody_elses_tables_are_left_alone(empty_url: str, database: str) -> None:
    engine = create_engine(
        make_url(empty_url).set(drivername="postgresql+psycopg" if database == "postgresql" else "sqlite")
    )
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE facebook_pages (id TEXT)")
    engine.dispose()
    with pytest.raises(StoreUnavailable, match="already has a table named facebook_pages"):
        Store.open(empty_url)
    assert names_of(empty_url) == {"facebook_pages"}


def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a database, " * 100)
    with pytest.raises(StoreUnavailable, match="not an SQLite database"):
        Store.open(sqlite_url(tmp_path / "notes.txt"))
    assert (tmp_path / "notes.txt").read_text().startswith("not a database")


def test_a_folder_that_is_a_file_is_one_clear_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnavailable, match="cannot be made"):
        Store.open(sqlite_url(tmp_path / "file" / "inboxsync.db"))


def test_several_openings_of_a_new_database_make_it_once(empty_url: str) -> None:
    problems: list[InboxsyncError] = []

    def open_it() -> None:
        try:
            Store.open(empty_url).close()
        except InboxsyncError as error:
            problems.append(error)

    threads = [threading.Thread(target=open_it) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []


@sqlite_only
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
        "postgresql+asyncpg://x/y",
        "postgresql://x/y?no_such_option=1",
        "mysql://x/y",
        "nonsense",
    ],
)
def test_a_url_that_names_no_file_is_refused(bad: str) -> None:
    with pytest.raises(SettingsInvalid):
        Store.open(bad)
