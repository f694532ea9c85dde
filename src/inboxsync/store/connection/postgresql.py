"""Connects to PostgreSQL, directly or through a pooler.

A pooler in transaction mode (Supabase's, PgBouncer's) may give every transaction another
session, so nothing is expected of one: no prepared statements, and what a transaction needs
is set within it.
"""

import logging
import time
from collections.abc import Iterable, Sequence
from typing import Any

import psycopg
from psycopg.adapt import Buffer
from psycopg.types.string import StrDumperUnknown, TextLoader
from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, InvalidatePoolError

from inboxsync.errors import SettingsInvalid, StoreUnavailable
from inboxsync.store.connection.nul import text_without_nul
from inboxsync.store.connection.statements import Begin

_OLDEST = 130000
# As long as SQLite is waited for.
_LOCK_SECONDS = 30
_CONNECTIONS = 5
_MORE_CONNECTIONS = 15
_POOL_SECONDS = 60
# A connection is not kept for ever: a server may be moved behind its name.
_RECYCLE_SECONDS = 1800
# One that was in use a moment ago is taken to be there still: a batch that finds otherwise is run again.
_TRUSTED_SECONDS = 1.0
# Where the network swallows everything, nobody says so: a minute of silence is an end.
_DEFAULTS = {
    "application_name": "inboxsync",
    "connect_timeout": "10",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "60000",
}
# What other clients are told about poolers in the same URL; for us nothing follows from it.
_FOR_OTHERS = ("pgbouncer", "connection_limit", "pool_timeout", "schema")


def make_engine(url: URL) -> Engine:
    """Where connections come from; they are made when they are needed."""
    known = {option.keyword.decode() for option in psycopg.pq.Conninfo.get_defaults()}
    url = url.difference_update_query(_FOR_OTHERS)
    for name in url.query:
        if name not in known:
            raise SettingsInvalid(
                f"INBOXSYNC_DATABASE_URL has an option that PostgreSQL does not know: {name}."
            )
    given = {name: value for name, value in _DEFAULTS.items() if name not in url.query}
    logging.getLogger("psycopg").addFilter(_lower_follow_up_errors)
    engine = create_engine(
        url.set(drivername="postgresql+psycopg"),
        connect_args={**given, "prepare_threshold": None, "client_encoding": "UTF8"},
        hide_parameters=True,
        pool_size=_CONNECTIONS,
        max_overflow=_MORE_CONNECTIONS,
        pool_timeout=_POOL_SECONDS,
        pool_recycle=_RECYCLE_SECONDS,
        use_native_hstore=False,
    )
    where = name_of(url)
    event.listen(engine, "connect", lambda connection, _: _configure(connection, where))
    _ask_after_idling(engine)
    return engine


def make_queue_engine(url: URL) -> Engine:
    """Connections as another library expects them: no schema set, no read-only transactions, no own types."""
    url = url.difference_update_query(_FOR_OTHERS)
    given = {name: value for name, value in _DEFAULTS.items() if name not in url.query}
    return create_engine(
        url.set(drivername="postgresql+psycopg"),
        connect_args={**given, "application_name": "inboxsync-queue", "prepare_threshold": None},
        hide_parameters=True,
        pool_size=_CONNECTIONS,
        max_overflow=_CONNECTIONS,
        pool_timeout=_POOL_SECONDS,
        pool_recycle=_RECYCLE_SECONDS,
        pool_pre_ping=True,
        use_native_hstore=False,
    )


def begin_in(schema_name: str | None) -> Begin:
    """What begins a transaction: what it may do, how long it waits for others, whose tables it means.

    One round trip.
    """
    settings = f"SET LOCAL lock_timeout = '{_LOCK_SECONDS}s'"
    if schema_name is not None:
        # A percent sign would be the driver's.
        quoted = schema_name.replace('"', '""').replace("%", "%%")
        settings += f'; SET LOCAL search_path = "{quoted}"'
    # A reader sees one state, as it does on SQLite.
    reading = f"BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY; {settings}"
    return Begin(reading=reading, writing=f"BEGIN; {settings}")


def name_of(url: URL) -> str:
    """The database as people call it; without the password."""
    host = url.host or _one(url.query.get("host")) or "this machine"
    port = f":{url.port}" if url.port else ""
    return f"The database {url.database or url.username or 'postgres'} on {host}{port}"


def copy_into(
    connection: Connection, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]
) -> None:
    """Add these rows by COPY; their texts have no U+0000."""
    statement = f"COPY {table} ({', '.join(columns)}) FROM STDIN"
    driver: Any = connection.connection.driver_connection
    try:
        with driver.cursor() as cursor:
            # Nothing is left to replace: the driver's own way is the fast one.
            cursor.adapters.register_dumper(str, StrDumperUnknown)
            with cursor.copy(statement) as copy:
                for row in rows:
                    copy.write_row(row)
    except psycopg.Error as error:
        raise DBAPIError(statement, None, error, hide_parameters=True) from error


def _one(value: str | tuple[str, ...] | None) -> str | None:
    return ",".join(value) if isinstance(value, tuple) else value


class _WithoutNul(StrDumperUnknown):
    """Text as PostgreSQL takes it: everything but U+0000."""

    def dump(self, obj: str) -> Buffer | None:
        return super().dump(text_without_nul(obj) if "\0" in obj else obj)


def _ask_after_idling(engine: Engine) -> None:
    """Have a connection that lay idle asked whether it is still there, before it is used.

    SQLAlchemy's own `pool_pre_ping` asks each time: a round trip more for every batch.
    """

    def note_idle(_connection: object, record: Any) -> None:  # noqa: ANN401 - SQLAlchemy's record
        record.info["idle_since"] = time.monotonic()

    def ask(connection: Any, record: Any, _proxy: object) -> None:  # noqa: ANN401 - likewise
        idle_since = record.info.get("idle_since")
        if idle_since is None or time.monotonic() - idle_since < _TRUSTED_SECONDS:
            return
        try:
            engine.dialect.do_ping(connection)
        except psycopg.Error:
            # What ended this one has most likely ended all of them.
            raise InvalidatePoolError from None

    event.listen(engine, "checkin", note_idle)
    event.listen(engine, "checkout", ask)


def _lower_follow_up_errors(record: logging.LogRecord) -> bool:
    """Lower to debug what psycopg warns of while it leaves a connection that is lost.

    "error ignored terminating <Pipeline ...>: the connection is lost": the error that lost it is raised as
    well, and reported by who meets it.
    """
    if record.msg.startswith("error ignored"):
        record.levelno, record.levelname = logging.DEBUG, logging.getLevelName(logging.DEBUG)
    return True


def _configure(connection: psycopg.Connection[Any], where: str) -> None:
    info = connection.info
    if info.server_version < _OLDEST:
        raise StoreUnavailable(
            f"{where} is PostgreSQL {info.server_version // 10000}: 13 or newer is needed.",
            hint="Upgrade the server, or point INBOXSYNC_DATABASE_URL at another.",
        )
    if (encoding := info.parameter_status("server_encoding")) != "UTF8":
        raise StoreUnavailable(
            f"{where} is kept in {encoding}, which does not hold every letter.",
            hint="Make one with CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0, and point "
            "INBOXSYNC_DATABASE_URL at it.",
        )
    # Transactions are ours (see begin_in): the driver's own begin costs a round trip of its own.
    connection.autocommit = True
    connection.adapters.register_dumper(str, _WithoutNul)
    for name in ("json", "jsonb"):
        connection.adapters.register_loader(name, TextLoader)
