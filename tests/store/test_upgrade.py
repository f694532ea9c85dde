"""A database that an older version made is brought up to date with every row kept."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, make_url

from inboxsync.errors import StoreOutdated
from inboxsync.model import History, Span, Walking
from inboxsync.store import Store, schema
from inboxsync.store.state.list_positions import list_progress
from inboxsync.store.state.pages import list_pages

EARLIER = "2026-05-01T12:00:00.000Z"
AT = "2026-06-01T12:00:00.000Z"
ROWS = f"""
INSERT INTO facebook_pages (
  id, facebook_page_id, platform, account_id, user_id, name, access_token_sealed, token_state, last_synced_at,
  created_at, updated_at
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
INSERT INTO sync_progress (page_id, folder, phase, pin_at, frontier_at, cursor, updated_at)
  VALUES ('p', 'inbox', 'walking', '{AT}', '{EARLIER}', 'c1', '{AT}');
INSERT INTO sync_runs (id, page_id, mode, status, started_at) VALUES ('r', 'p', 'full', 'partial', '{AT}')
"""
TABLES = ("facebook_pages", "messenger_conversations", "messages", "sync_progress", "sync_runs")


DRIVERS = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg"}


def everything(connection: Any) -> dict[str, list[dict[str, Any]]]:
    return {
        name: [dict(row) for row in connection.exec_driver_sql(f"SELECT * FROM {name}").mappings()]
        for name in TABLES
    }


def connect(url: str) -> Engine:
    return create_engine(make_url(url).set(drivername=DRIVERS[url.split(":", maxsplit=1)[0]]))


@pytest.fixture
def old(empty_url: str) -> str:
    """The URL of a database as the first schema had it, with rows in it."""
    engine = connect(empty_url)
    with engine.begin() as connection:
        schema.run_migrations(connection, to="0001")
        for statement in ROWS.split(";"):
            connection.exec_driver_sql(statement)
    engine.dispose()
    return empty_url


@pytest.fixture
def before(old: str) -> dict[str, list[dict[str, Any]]]:
    engine = connect(old)
    with engine.begin() as connection:
        found = everything(connection)
    engine.dispose()
    return found


@pytest.fixture
def upgraded(old: str, before: object) -> Iterator[Store]:
    del before  # what was there has to be read first
    store = Store.open(old, upgrade=True)
    yield store
    store.close()


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
        assert schema.current_version(connection) == schema.HEAD
        after = everything(connection)
    for name, rows in before.items():
        if name == "sync_progress":
            continue  # made anew: what is left of a walk is told in another way
        assert [{key: row[key] for key in rows[0]} for row in after[name]] == rows


def test_a_walk_of_an_old_database_goes_on_where_it_stood(upgraded: Store) -> None:
    with upgraded.read() as connection:
        (page,) = list_pages(connection)
        progress = list_progress(connection, page)
    assert progress == {
        "inbox": Walking(
            spans=(Span(frontier=datetime.fromisoformat(EARLIER), cursor="c1"),),
            pin=datetime.fromisoformat(AT),
        )
    }


def test_what_an_old_database_did_not_say_has_its_meaning_of_then(upgraded: Store) -> None:
    with upgraded.read() as connection:
        (page,) = list_pages(connection)
        readable = connection.exec_driver_sql("SELECT is_readable FROM messages").scalars().all()
    assert (page.history, page.token_reason, page.batch_size, page.time_windows) == (
        History.NEWEST,
        None,
        None,
        None,
    )
    assert readable == [1, 1]


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


def test_a_refused_upgrade_leaves_the_old_schema(old: str) -> None:
    engine = connect(old)
    with engine.begin() as connection:
        # A name the migration needs is taken: it fails half-way.
        connection.exec_driver_sql("CREATE TABLE certificates (id TEXT)")
    with pytest.raises(Exception, match="certificates"):
        Store.open(old, upgrade=True)
    with engine.begin() as connection:
        assert schema.current_version(connection) == "0001"
        assert len(everything(connection)["messages"]) == 2
        assert connection.exec_driver_sql("SELECT COUNT(*) FROM contact_interaction_events").scalar() == 2
    engine.dispose()
