"""Connects to SQLite: to the user's file, and to that of the workers' queue beside it."""

import os
import sqlite3
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from sqlalchemy import URL, Engine, create_engine, event

from inboxsync.errors import SettingsInvalid, StoreUnavailable
from inboxsync.store.connection.statements import Begin

DRIVERS: Final = ("sqlite", "sqlite+pysqlite")
# The users' own SQL reads JSON with `->>`.
_OLDEST = (3, 38, 0)
# A writer takes its lock at once: a reader that turns writer half-way can be refused and lose its work.
BEGIN: Final = Begin(reading="BEGIN", writing="BEGIN IMMEDIATE")
_BUSY_SECONDS = 30
# A service reads from several threads at once. To open one more costs more than most that is read.
_CONNECTIONS = 20
_MORE_CONNECTIONS = 30
_AGAIN_SECONDS = 0.02
_IMMUTABLE = "&immutable=1"
# Of a new database. Messages are long and come in bulk: with SQLite's 4,096 a sync takes a tenth longer.
_PAGE_BYTES = 16_384


def make_engine(url: URL) -> Engine:
    """Where connections come from. Makes the file and its folder, readable by their owner alone."""
    path = url.database or ""
    is_uri = path.startswith("file:")
    if path in ("", ":memory:") or url.host or (url.query and not is_uri):
        raise SettingsInvalid(
            "INBOXSYNC_DATABASE_URL names no file to keep the data in.",
            hint="Write it as sqlite:////absolute/path/inboxsync.db.",
        )
    if sqlite3.sqlite_version_info < _OLDEST:
        raise StoreUnavailable(
            f"SQLite {sqlite3.sqlite_version} is too old: 3.38 or newer is needed.",
            hint="Use a Python built with a newer SQLite.",
        )
    is_read_only = False
    if not is_uri:
        _make_folder(Path(path).parent)
        _make_private(Path(path))
        is_read_only = not is_writable(Path(path))
    engine = create_engine(
        _to_read(Path(path), where=name_of(url)) if is_read_only else url,
        connect_args={"timeout": _BUSY_SECONDS},
        hide_parameters=True,
        pool_size=_CONNECTIONS,
        max_overflow=_MORE_CONNECTIONS,
    )
    event.listen(engine, "connect", _configure_to_read if is_read_only else _configure)
    return engine


def is_writable(file: Path) -> bool:
    """Whether this user may write the database, and the files that SQLite makes beside it."""
    return not file.exists() or (os.access(file, os.W_OK) and os.access(file.parent, os.W_OK))


def _to_read(file: Path, *, where: str) -> URL:
    """How a database is opened that cannot be written.

    SQLite reads one of our kind (https://www.sqlite.org/wal.html#read_only_databases) with the two files that
    a writer leaves beside it, or if it may make them. Else it is told that nothing changes the file, which is
    so if these files are not there: whoever has the database open for writing has them. With the first of
    them alone it would leave out what is in there.
    """
    beside, shared = (Path(f"{file}{ending}") for ending in ("-wal", "-shm"))
    is_alone = not os.access(file.parent, os.W_OK) and not shared.exists()
    if is_alone and any(_has_content(each) for each in (beside, Path(f"{file}-journal"))):
        raise StoreUnavailable(
            f"{where} cannot be read where it lies: its newest changes are in {beside.name}, and its folder "
            "is read-only.",
            hint=f"Copy {file.name} and {beside.name} into a folder that you may write to, and set "
            "INBOXSYNC_DATA_DIR to it.",
        )
    address = f"file:{quote(os.fsencode(file.absolute()))}?mode=ro{_IMMUTABLE if is_alone else ''}"
    return URL.create("sqlite", database=address, query={"uri": "true"})


def is_taken_for_unchanging(engine: Engine) -> bool:
    """Whether SQLite was told that nothing changes the file: then it looks for no changes."""
    return (engine.url.database or "").endswith(_IMMUTABLE)


def _has_content(file: Path) -> bool:
    try:
        return file.stat().st_size > 0
    except OSError:
        return False


def make_queue_engine(url: URL) -> Engine:
    """Where connections to the queue's file come from, beside the store at `url`; as DBOS expects them."""
    path = _beside(url.database or "")
    _make_private(path)
    file = path.absolute()

    def connect() -> sqlite3.Connection:
        # SQLAlchemy gives a connection to one thread at a time.
        return sqlite3.connect(file, timeout=_BUSY_SECONDS, check_same_thread=False)

    # DBOS logs the URL, which cannot hold every name of a file.
    shown = URL.create("sqlite", database=os.fsencode(file).decode(errors="replace"))
    engine = create_engine(shown, creator=connect, hide_parameters=True)
    event.listen(engine, "connect", _configure_queue)
    return engine


def name_of(url: URL) -> str:
    """The database as people call it, on one line whatever its path is."""
    path = url.database or "in memory"
    return f"The database {path if path.isprintable() else repr(path)}"


def _beside(path: str) -> Path:
    """`inboxsync.db` -> `inboxsync-queue.db`."""
    if path.startswith("file:"):  # one of SQLite's own URIs
        path = path.removeprefix("file:").partition("?")[0]
    store = Path(path)
    return store.with_name(f"{store.stem}-queue{store.suffix or '.db'}")


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise StoreUnavailable(f"The folder {folder} cannot be made: {error.strerror}.") from error


def _make_private(path: Path) -> None:
    """A new database is its owner's alone: it holds what customers wrote. An old one keeps its mode."""
    with suppress(OSError):  # SQLite will say what is wrong
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def _configure(connection: Any, _record: object) -> None:  # noqa: ANN401 - sqlite3's, as SQLAlchemy hands it
    # Transactions are ours (see BEGIN): the driver's own begin one only at the first write.
    connection.isolation_level = None
    connection.execute(f"PRAGMA page_size={_PAGE_BYTES}")  # passed over where there is a page already
    _switch_to_wal(connection)
    for pragma in ("synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _configure_to_read(connection: Any, _record: object) -> None:  # noqa: ANN401 - likewise
    connection.isolation_level = None


def _configure_queue(connection: Any, _record: object) -> None:  # noqa: ANN401 - likewise
    # As in DBOS's own engine: it expects that the driver begins a transaction at the first write.
    connection.isolation_level = "IMMEDIATE"
    # SQLite before 3.42 has no fractions of a second here, and DBOS's clock needs them.
    connection.create_function("unixepoch", -1, _unixepoch)
    _switch_to_wal(connection)
    # A crash of the machine may lose the last moments of the queue: what is to be done is in `run_tasks`.
    for pragma in ("synchronous=NORMAL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _unixepoch(*arguments: object) -> float | int:
    return time.time() if "subsec" in arguments else int(time.time())


def _switch_to_wal(connection: Any) -> None:  # noqa: ANN401 - likewise
    """Of two that open a new database at once SQLite refuses one here without waiting: so wait for it."""
    ends_at = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if "is locked" not in str(error) or time.monotonic() > ends_at:
                raise
            time.sleep(_AGAIN_SECONDS)
        else:
            return
