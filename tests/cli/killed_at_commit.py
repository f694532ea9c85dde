"""Runs the command and ends it by SIGKILL just before, or just after, its n-th commit that changes anything.

`python killed_at_commit.py N before|after ARGUMENT ...`: a process of its own, since nothing of it is left.
A run that commits less often ends as it would.
"""

import os
import signal
import sqlite3
import sys

from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.pool import PoolProxiedConnection

from inboxsync.cli import main

number, when = int(sys.argv[1]), sys.argv[2]
del sys.argv[1:3]

_commit = DefaultDialect.do_commit
_commits = 0
_changes: dict[int, int] = {}


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _do_commit(dialect: DefaultDialect, connection: PoolProxiedConnection) -> None:
    global _commits  # noqa: PLW0603 - one count a process
    driver = connection.dbapi_connection
    assert isinstance(driver, sqlite3.Connection)
    key, changes = id(driver), driver.total_changes
    if _changes.get(key, 0) == changes:  # it has read, and no more
        _commit(dialect, connection)
        return
    _changes[key] = changes
    _commits += 1
    if _commits == number and when == "before":
        _die()
    _commit(dialect, connection)
    if _commits == number and when == "after":
        _die()


DefaultDialect.do_commit = _do_commit  # type: ignore[method-assign]
main()
