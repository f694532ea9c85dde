"""Opens the user's database and hands out transactions; and opens the database of the workers' queue."""

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from threading import Lock

from sqlalchemy import URL, Connection, Engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from inboxsync.errors import SettingsInvalid, StoreReplaced, StoreUnavailable
from inboxsync.store import schema
from inboxsync.store.connection import sqlite
from inboxsync.store.connection.faults import pool_error, store_error
from inboxsync.store.connection.statements import Begin

_QUEUE = "_queue"
# Of a name in PostgreSQL.
_LONGEST_NAME = 63
_POSTGRESQL = ("postgresql", "postgres", "postgresql+psycopg")
_HINT = (
    "Write it as sqlite:////absolute/path/inboxsync.db or as postgresql://user:password@host:5432/database."
)


class Store:
    """The user's database, open.

    Safe to use from several threads: each transaction has a connection of its own.
    """

    def __init__(self, engine: Engine, *, where: str, begin: Begin, file: Path | None = None) -> None:
        self.engine = engine
        self.where = where
        self._begin = begin
        self.file = file
        self._identity = _identity_of(file)
        self._is_unchanging = sqlite.is_taken_for_unchanging(engine)
        # SQLite has one writer, and others ask for its file again and again: here each has its turn.
        is_sqlite = engine.dialect.name == "sqlite"
        self._turn: AbstractContextManager[object] = Lock() if is_sqlite else nullcontext()
        event.listen(engine, "begin", self._on_begin)

    @classmethod
    def open(
        cls, database: str | Path, *, schema_name: str | None = None, upgrade: bool | None = None
    ) -> "Store":
        """Connect to a URL or to SQLite's file at a path, and see that the schema is the one of this version.

        An embedded database is brought up to date by itself, any other only where it is new;
        `upgrade` decides otherwise. `schema_name` is PostgreSQL's; it is made where it is missing. Without
        one it is what the database user has first in the search path; `inboxsync` where a web API would serve
        that to everyone.
        Raises SettingsInvalid, StoreUnavailable, StoreTooNew, StoreOutdated.
        """
        parsed = _parse(database)
        is_server = parsed.drivername in _POSTGRESQL
        store = _connected_to_postgresql(parsed, schema_name) if is_server else _connected_to_sqlite(parsed)
        permission = schema.Upgrade.of(upgrade, is_server=is_server)
        try:
            with store.translated():
                if is_server and schema_name is None and schema.belongs_apart(store.engine):
                    schema_name = schema.APART
                    store.move_to(schema_name)
                schema.ensure(store.engine, where=store.where, upgrade=permission, schema_name=schema_name)
        except BaseException:
            store.close()
            raise
        return store

    @classmethod
    def open_existing(cls, url: str, *, schema_name: str | None = None) -> "Store":
        """Open a database that is there and up to date; nothing in it is changed, and none is made.

        Raises what `open` does.
        """
        parsed = _parse(url)
        path = parsed.database or ""
        if parsed.drivername in sqlite.DRIVERS and not path.startswith("file:") and not Path(path).is_file():
            raise StoreUnavailable(
                f"{sqlite.name_of(parsed)} does not exist.", hint="Correct its path, then run it again."
            )
        return cls.open(url, schema_name=schema_name, upgrade=False)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that sees one state of the database and changes nothing."""
        self._check_file()
        before = self._state()
        with self.translated(), self.engine.begin() as connection:
            yield connection
        if self._state() != before:
            raise StoreUnavailable(f"{self.where} was changed while it was read.", hint="Run it again.")

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that is committed whole or not at all; one at a time on SQLite.

        Raises StoreReplaced where the file is not the one that was opened.
        """
        self._check_file()
        with self._turn, self.translated(), self.engine.connect() as connection:
            writing = connection.execution_options(inboxsync_writes=True)
            with writing.begin():
                yield writing

    def move_to(self, schema_name: str) -> None:
        """Use this schema of PostgreSQL from now on."""
        from inboxsync.store.connection import postgresql  # noqa: PLC0415 - see below

        self._begin = postgresql.begin_in(schema_name)
        self.where = f"{self.where} (schema {schema_name})"

    def _on_begin(self, connection: Connection) -> None:
        writes = connection.get_execution_options().get("inboxsync_writes", False)
        connection.exec_driver_sql(self._begin.writing if writes else self._begin.reading)

    def _check_file(self) -> None:
        """SQLite would write on into a file that was removed, and make a new one for the next connection."""
        if self.file is not None and _identity_of(self.file) != self._identity:
            raise StoreReplaced(f"{self.where} was removed or replaced while it was in use.")

    def _state(self) -> tuple[int, int, int] | None:
        """Of a file that SQLite does not expect to change: what changes with it. None for any other."""
        if self.file is None or not self._is_unchanging:
            return None
        found = self.file.stat()
        return found.st_size, found.st_mtime_ns, int(Path(f"{self.file}-wal").exists())

    def close(self) -> None:
        """Give all connections back."""
        self.engine.dispose()

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Within, a driver's errors become ours."""
        try:
            yield
        except DBAPIError as error:
            raise store_error(error, where=self.where) from error
        except PoolTimeout as error:
            raise pool_error(where=self.where) from error


def open_queue_database(database: str | Path, *, schema_name: str | None) -> tuple[Engine, str | None]:
    """The database of the workers' queue, beside the store, and its schema. What is in it is DBOS's.

    It is no part of the user's data: if it is deleted while no worker runs, tasks are dispatched again.
    """
    parsed = _parse(database)
    if parsed.drivername in sqlite.DRIVERS:
        return sqlite.make_queue_engine(parsed), None
    from inboxsync.store.connection import postgresql  # noqa: PLC0415 - see below

    return postgresql.make_queue_engine(parsed), queue_schema(schema_name)


def queue_schema(schema_name: str | None) -> str:
    """The schema of the workers' queue, beside this one on PostgreSQL."""
    return (schema_name or schema.APART)[: _LONGEST_NAME - len(_QUEUE)] + _QUEUE


def _connected_to_sqlite(url: URL) -> Store:
    engine, path = sqlite.make_engine(url), url.database or ""
    file = None if path.startswith("file:") else Path(path).absolute()
    return Store(engine, where=sqlite.name_of(url), begin=sqlite.BEGIN, file=file)


def _identity_of(file: Path | None) -> tuple[int, int] | None:
    """Which file is there now; None if none is."""
    try:
        found = file.stat() if file is not None else None
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if found is not None else None


def _connected_to_postgresql(url: URL, schema_name: str | None) -> Store:
    # The driver, whose import takes a tenth of a second, is for those who use it.
    from inboxsync.store.connection import postgresql  # noqa: PLC0415

    begin = postgresql.begin_in(schema_name)
    return Store(postgresql.make_engine(url), where=postgresql.name_of(url), begin=begin)


def has_password(url: str) -> bool:
    """Whether a URL has a password, before the host or in its options; also one that is no URL of ours."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        return bool(re.search(r"//[^/@]*:[^/@]+@", url))
    return bool(parsed.password) or any("password" in name.lower() for name in parsed.query)


def _parse(database: str | Path) -> URL:
    if isinstance(database, Path):
        # Put into the text of a URL, a path with `?`, `#` or `%` would be another file's.
        # The driver leaves `link/..` out, which need not be the folder that the system means.
        path = database.parent.resolve() / database.name if ".." in database.parts else database.absolute()
        return URL.create("sqlite", database=str(path))
    try:
        parsed = make_url(database)
    except (ArgumentError, ValueError):
        raise SettingsInvalid("INBOXSYNC_DATABASE_URL is not a database URL.", hint=_HINT) from None
    if parsed.drivername not in (*sqlite.DRIVERS, *_POSTGRESQL):
        raise SettingsInvalid(
            f"inboxsync stores in SQLite or PostgreSQL, not in {parsed.drivername}.", hint=_HINT
        )
    return parsed
