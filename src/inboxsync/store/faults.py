"""A database's own errors, said as ours."""

from sqlalchemy.exc import DatabaseError, DBAPIError

from inboxsync.errors import StoreError, StoreUnavailable

_SENTENCES = {
    "disk is full": (
        "The disk is full: {where} could not be written.",
        "Free some space, then run it again.",
    ),
    "readonly database": (
        "{where} cannot be written: it is read-only.",
        "Make it and its folder writable for this user, then run it again.",
    ),
    "unable to open": (
        "{where} cannot be opened.",
        "Check that its folder exists and that this user may read and write there.",
    ),
    "not a database": (
        "{where} is not an SQLite database.",
        "Point INBOXSYNC_DATABASE_URL at another file; this one is left as it is.",
    ),
    "malformed": (
        "{where} is damaged.",
        "Restore it from a backup, or move it away and sync anew.",
    ),
    "locked": (
        "{where} is locked by another program.",
        "Close whatever holds it open for writing, then run it again.",
    ),
    "disk i/o error": ("{where} could not be read or written: the disk reports an error.", None),
}


def store_error(error: DBAPIError, *, where: str) -> StoreError:
    """The sentence for a driver's error; values of the statement are left out, they are customers' words."""
    said = str(error.orig) if isinstance(error, DatabaseError) or error.orig else type(error).__name__
    for sign, (sentence, hint) in _SENTENCES.items():
        if sign in said.lower():
            return StoreUnavailable(sentence.format(where=where), hint=hint)
    return StoreUnavailable(f"{where} failed: {said}.")
