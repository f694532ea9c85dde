"""A database's own errors, said as ours.

SQLite is known by its words, PostgreSQL by its SQLSTATE (and by its words where a connection
was refused before there was one). Values of a statement are left out: they are customers' words.
"""

import re
from dataclasses import dataclass

from sqlalchemy.exc import DatabaseError, DBAPIError

from inboxsync.errors import StoreError, StoreFull, StoreUnavailable, StoreUnreachable


@dataclass(frozen=True, slots=True)
class _Fault:
    """What is said, what to do about it (None: the error's own hint), and what kind of error it is."""

    sentence: str
    hint: str | None
    kind: type[StoreUnavailable] = StoreUnavailable


_FULL = _Fault(
    "The disk is full: {where} could not be written.", "Free some space, then run it again.", StoreFull
)
_READ_ONLY = _Fault(
    "{where} cannot be written: it is read-only.",
    "Make it and its folder writable for this user, then run it again.",
)
_LOCKED = _Fault(
    "{where} is locked by another program.",
    "Close whatever holds it open for writing, then run it again.",
    StoreUnreachable,
)
_OTHER_SCHEMA = _Fault(
    "{where} lacks what this version needs ({said}): it was made by a version before the first release, or "
    "changed by hand.",
    "Point INBOXSYNC_DATA_DIR, INBOXSYNC_DATABASE_URL or INBOXSYNC_DATABASE_SCHEMA at a new database, add "
    "your Pages again and sync; this one is left as it is. For the demo: `inboxsync demo --reset`.",
)
_SQLITE = {
    "no such table": _OTHER_SCHEMA,
    "no such column": _OTHER_SCHEMA,
    "has no column": _OTHER_SCHEMA,
    "disk is full": _FULL,
    "readonly database": _READ_ONLY,
    "unable to open": _Fault(
        "{where} cannot be opened.",
        "Check that its folder exists and that this user may read and write there.",
    ),
    "not a database": _Fault(
        "{where} is not an SQLite database.",
        "Point INBOXSYNC_DATABASE_URL at another file; this one is left as it is.",
    ),
    "malformed": _Fault(
        "{where} is damaged.", "Restore it from a backup, or move it to another place and sync again."
    ),
    "is locked": _LOCKED,
    "disk i/o error": _Fault("{where} could not be read or written: the disk reports an error.", None),
}
_WRONG_PASSWORD = _Fault(
    "{where} does not let this user in: the password is wrong or missing.",
    "Correct the user and the password in INBOXSYNC_DATABASE_URL.",
)
_NOT_LET_IN = _Fault(
    "{where} does not let this user in.",
    "Correct the user in INBOXSYNC_DATABASE_URL, or allow it in the server's pg_hba.conf.",
)
_MISSING = _Fault(
    "{where} does not exist.", "Make it with CREATE DATABASE, or correct INBOXSYNC_DATABASE_URL."
)
_REFUSED = _Fault(
    "{where} cannot be reached: nothing listens there.",
    "Check that the server runs, and the host and port in INBOXSYNC_DATABASE_URL.",
    StoreUnreachable,
)
_STARTING = _Fault("{where} is starting or stopping.", None, StoreUnreachable)
_LOST = _Fault("{where} has closed the connection.", None, StoreUnreachable)
_TOO_MANY = _Fault(
    "{where} has no connection left to give.",
    "Close other programs' connections, or raise max_connections.",
    StoreUnreachable,
)
_BUSY = _Fault("{where} was changed by others at the same moment.", "Run it again.", StoreUnreachable)
_NOT_ALLOWED = _Fault(
    "{where} does not allow this user what is needed ({said}).",
    "Grant the user CREATE on the schema and the rights to its tables, or name another schema in "
    "INBOXSYNC_DATABASE_SCHEMA.",
)
_STATES = {
    "28P01": _WRONG_PASSWORD,
    "28000": _NOT_LET_IN,
    "3D000": _MISSING,
    "53100": _FULL,
    "53300": _TOO_MANY,
    "25006": _Fault(
        "{where} cannot be written: it is read-only.",
        "Point INBOXSYNC_DATABASE_URL at the primary server, not at a replica, then run it again.",
    ),
    "42501": _NOT_ALLOWED,
    "42703": _OTHER_SCHEMA,
    "42P01": _OTHER_SCHEMA,
    "3F000": _NOT_ALLOWED,
    "40001": _BUSY,
    "40P01": _BUSY,
    "55P03": _LOCKED,
    "57014": _Fault(
        "{where} has given up ({said}).", "Raise statement_timeout for this user.", StoreUnreachable
    ),
    "57P01": _LOST,
    "57P02": _LOST,
    "57P03": _STARTING,
    "57P05": _LOST,
    "25P03": _LOST,
}
_CLASSES = {"08": _LOST, "53": _Fault("{where} lacks resources ({said}).", None, StoreUnreachable)}
# Where a connection could not be made there is no SQLSTATE.
_WORDS = {
    "password authentication failed": _WRONG_PASSWORD,
    "no password supplied": _WRONG_PASSWORD,
    "no pg_hba.conf entry": _NOT_LET_IN,
    "connection refused": _REFUSED,
    "no such file or directory": _REFUSED,
    "starting up": _STARTING,
    "shutting down": _STARTING,
    "recovery mode": _STARTING,
    "too many clients": _TOO_MANY,
    "remaining connection slots": _TOO_MANY,
    "timeout expired": _Fault(
        "{where} does not answer.",
        "Check the network, and the host and port in INBOXSYNC_DATABASE_URL.",
        StoreUnreachable,
    ),
    "resolve host": _Fault(
        "{where} cannot be found: its name leads nowhere.",
        "Check the host in INBOXSYNC_DATABASE_URL, and the network.",
        StoreUnreachable,
    ),
    "ssl": _Fault("{where} cannot be reached ({said}).", "Check sslmode and the certificates it names."),
}
_NO_DATABASE = re.compile(r'database "[^"]*" does not exist')
_NO_ROLE = re.compile(r'role "[^"]*" does not exist')


def store_error(error: DBAPIError, *, where: str) -> StoreError:
    """The sentence for a driver's error."""
    cause = error.orig
    said = str(cause) if isinstance(error, DatabaseError) or cause else type(error).__name__
    if type(cause).__module__.startswith("psycopg"):
        fault = _postgresql_fault(cause, said.lower())
        said = _first_line(said)
    else:
        fault = next((fault for sign, fault in _SQLITE.items() if sign in said.lower()), None)
    if fault is None:
        return StoreUnavailable(f"{where} failed: {said.rstrip('.')}.")
    return fault.kind(fault.sentence.format(where=where, said=said.rstrip(".")), hint=fault.hint)


def pool_error(*, where: str) -> StoreError:
    """Every connection has been in use for as long as one is waited for."""
    return StoreUnreachable(f"{where} is busy: every connection to it is in use.")


def _postgresql_fault(cause: BaseException | None, said: str) -> _Fault | None:
    if state := getattr(cause, "sqlstate", None):
        return _STATES.get(state) or _CLASSES.get(state[:2])
    if _NO_DATABASE.search(said):
        return _MISSING
    if _NO_ROLE.search(said):
        return _NOT_LET_IN
    found = next((fault for sign, fault in _WORDS.items() if sign in said), None)
    # What the server did not say, the client met: a connection that is no more.
    return found or (_LOST if type(cause).__name__ == "OperationalError" else None)


def _first_line(said: str) -> str:
    """What went wrong, without the statement it points into."""
    return next((line.strip() for line in said.splitlines() if line.strip()), "it does not say why")
