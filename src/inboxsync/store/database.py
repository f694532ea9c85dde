"""Opens the user's database and hands out transactions."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from inboxsync.errors import SettingsInvalid, StoreUnavailable
from inboxsync.store import schema
from inboxsync.store.faults import store_error

# The users' own SQL reads JSON with `->>`.
_OLDEST_SQLITE = (3, 38, 0)
_BUSY_SECONDS = 30
_WRITES = "inboxsync_writes"


class Store:
    """The user's database, open.

    Safe to use from several threads: each transaction has a connection of its own.
    """

    def __init__(self, engine: Engine, *, where: str) -> None:
        self.engine = engine
        self.where = where

    @classmethod
    def open(cls, url: str, *, upgrade: bool | None = None) -> "Store":
        """Connect, and see that the schema is the one this version writes.

        An embedded database is brought up to date by itself; `upgrade` decides otherwise.
        Raises SettingsInvalid, StoreUnavailable, StoreTooNew, StoreOutdated.
        """
        store = cls(_create_engine(url), where=_where(url))
        with store._translated():
            schema.ensure(store.engine, where=store.where, upgrade=True if upgrade is None else upgrade)
        return store

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that sees one state of the database and changes nothing."""
        with self._translated(), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that is committed whole or not at all; one at a time on SQLite."""
        with self._translated(), self.engine.connect() as connection:
            writing = connection.execution_options(**{_WRITES: True})
            with writing.begin():
                yield writing

    def close(self) -> None:
        """Give all connections back."""
        self.engine.dispose()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            raise store_error(error, where=self.where) from error


def _create_engine(url: str) -> Engine:
    parsed = _parse(url)
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        raise StoreUnavailable(
            f"SQLite {sqlite3.sqlite_version} is too old: 3.38 or newer is needed.",
            hint="Use a Python built with a newer SQLite.",
        )
    if parsed.database and not parsed.database.startswith("file:"):
        folder = Path(parsed.database).parent
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise StoreUnavailable(f"The folder {folder} cannot be made: {error.strerror}.") from error
        _make_private(Path(parsed.database))
    engine = create_engine(parsed, connect_args={"timeout": _BUSY_SECONDS}, hide_parameters=True)
    event.listen(engine, "connect", _configure_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _make_private(path: Path) -> None:
    """A new database is its owner's alone: it holds what customers wrote. An old one keeps its mode."""
    with suppress(OSError):  # SQLite will say what is wrong
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def _parse(url: str) -> URL:
    hint = "Write it as sqlite:////absolute/path/inboxsync.db."
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise SettingsInvalid("INBOXSYNC_DATABASE_URL is not a database URL.", hint=hint) from None
    if parsed.drivername not in ("sqlite", "sqlite+pysqlite"):
        raise SettingsInvalid(f"This version stores in SQLite, not in {parsed.drivername}.", hint=hint)
    path = parsed.database or ""
    is_uri = path.startswith("file:")
    if path in ("", ":memory:") or parsed.host or (parsed.query and not is_uri):
        raise SettingsInvalid("INBOXSYNC_DATABASE_URL names no file to keep the data in.", hint=hint)
    return parsed


def _where(url: str) -> str:
    parsed = make_url(url)
    return f"The database {parsed.database or 'in memory'}"


def _configure_sqlite(connection: Any, _record: object) -> None:  # noqa: ANN401 - sqlite3's, as SQLAlchemy hands it
    # Transactions are ours (see _begin_sqlite): the driver's own begin one only at the first write.
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    # A writer takes its lock at once: a reader that turns writer half-way can be refused and lose its work.
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
