from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Connection, event

from inboxsync.model import Page, Platform
from inboxsync.store import Store
from inboxsync.store.connection.types import format_utc
from inboxsync.store.state.pages import upsert_page
from tests.fixtures import Row
from tests.store.fixtures import Rows, Statements

NOW = datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC)


@pytest.fixture
def page(store: Store) -> Page:
    return add_page(store, "104")


@pytest.fixture
def other_page(store: Store) -> Page:
    return add_page(store, "105")


def add_page(store: Store, facebook_page_id: str) -> Page:
    with store.write() as connection:
        added, _ = upsert_page(
            connection,
            facebook_page_id=facebook_page_id,
            platform=Platform.MESSENGER,
            account_id=facebook_page_id,
            name="A Page",
            access_token_encrypted="x",
            now=NOW,
        )
    return added


def plain(row: Sequence[Any]) -> Row:
    """A row as SQLite has it: times are text."""
    return tuple(format_utc(value) if isinstance(value, datetime) else value for value in row)


@pytest.fixture
def rows(store: Store) -> Rows:
    def query(sql: str) -> list[Row]:
        with store.read() as connection:
            return [plain(row) for row in connection.exec_driver_sql(sql)]

    return query


@pytest.fixture
def statements(store: Store) -> Statements:
    """Collects the SQL that is sent while it is open."""

    @contextmanager
    def watch() -> Iterator[list[str]]:
        seen: list[str] = []

        def note(_connection: Connection, _cursor: object, statement: str, *_: object) -> None:
            seen.append(statement)

        event.listen(store.engine, "before_cursor_execute", note)
        yield seen
        event.remove(store.engine, "before_cursor_execute", note)

    return watch
