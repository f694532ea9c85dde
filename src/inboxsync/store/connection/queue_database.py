"""Connects to the database in which the workers' queue is kept. What is in it is DBOS's own.

It is no part of the user's data: thrown away while no worker runs, it is made anew from `run_tasks`.
"""

import time
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Engine, create_engine, event, make_url

from inboxsync.store.connection import sqlite

_BUSY_SECONDS: Final = 30
_LONGEST_NAME: Final = 63


def open_queue_database(url: str, *, schema_name: str | None) -> tuple[Engine, str | None]:
    """An engine for it, and the schema that it is in: beside the store at `url`."""
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
    # As DBOS's own engine does it: it expects the driver to begin a transaction at the first write.
    connection.isolation_level = "IMMEDIATE"
    # SQLite before 3.42 has it without fractions of a second, which DBOS's clock is made of.
    connection.create_function("unixepoch", -1, _unixepoch)
    sqlite.switch_to_wal(connection)
    # A crash of the machine may lose the last moments of the queue: `run_tasks` knows what is to be done.
    for pragma in ("synchronous=NORMAL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _unixepoch(*arguments: object) -> float | int:
    return time.time() if "subsec" in arguments else int(time.time())
