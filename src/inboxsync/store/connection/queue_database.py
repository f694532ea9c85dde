"""Connects to the database of the workers' queue. What is in it is DBOS's own.

It is not a part of the user's data: if it is deleted while no worker runs, the tasks are dispatched again.
"""

import time
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Engine, create_engine, event, make_url

from inboxsync.store.connection import sqlite

_BUSY_SECONDS: Final = 30
_LONGEST_NAME: Final = 63


def open_queue_database(url: str, *, schema_name: str | None) -> tuple[Engine, str | None]:
    """An engine for it, and its schema: it is beside the store at `url`."""
    parsed = make_url(url)
    if parsed.drivername in sqlite.DRIVERS:
        return _on_sqlite(_beside(parsed.database or "")), None
    from inboxsync.store.connection import postgresql  # noqa: PLC0415 - see `database`

    suffix = "_queue"
    return postgresql.make_plain_engine(parsed), (schema_name or "inboxsync")[
        : _LONGEST_NAME - len(suffix)
    ] + suffix


def _beside(path: str) -> str:
    """`inboxsync.db` -> `inboxsync-queue.db`."""
    if path.startswith("file:"):  # one of SQLite's own URIs
        path = path.removeprefix("file:").partition("?")[0]
    store = Path(path)
    return str(store.with_name(f"{store.stem}-queue{store.suffix or '.db'}"))


def _on_sqlite(path: str) -> Engine:
    sqlite.make_private(Path(path))
    engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": _BUSY_SECONDS}, hide_parameters=True)
    event.listen(engine, "connect", _configure)
    return engine


def _configure(connection: Any, _record: object) -> None:  # noqa: ANN401 - sqlite3's, as SQLAlchemy hands it
    # As in DBOS's own engine: it expects that the driver begins a transaction at the first write.
    connection.isolation_level = "IMMEDIATE"
    # SQLite before 3.42 has no fractions of a second here, and DBOS's clock needs them.
    connection.create_function("unixepoch", -1, _unixepoch)
    sqlite.switch_to_wal(connection)
    # A crash of the machine may lose the last moments of the queue: what is to be done is in `run_tasks`.
    for pragma in ("synchronous=NORMAL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _unixepoch(*arguments: object) -> float | int:
    return time.time() if "subsec" in arguments else int(time.time())
