"""Brings up to date what is derived, for a command: what it shows, and what may go wrong with it."""

import sys

from inboxsync.cli.output import print_problem, stderr
from inboxsync.engine import Engine
from inboxsync.errors import StoreError
from inboxsync.store import Store

# What a sync leaves to the next search or export, which then wait for it.
_AFTER_A_SYNC_SECONDS = 20.0
_QUIET_SECONDS = 1.0
_LATER = "What was synced is stored; the next search or export goes on from here."
_DOING = "Sorting in the words and contacts of what has come ..."


def derive_all(engine: Engine, store: Store | None = None) -> None:
    """All of it, before an answer needs it; says so where it takes a while."""
    if engine.derive(store, max_seconds=_QUIET_SECONDS).is_current:
        return
    console = stderr()
    if sys.stderr.isatty():
        with console.status(_DOING):
            engine.derive(store)
    else:
        console.print(_DOING)
        engine.derive(store)


def derive_after_sync(engine: Engine) -> None:
    """As much as fits into a moment: the run is over, and whatever becomes of this its result stands."""
    try:
        engine.derive(max_seconds=_AFTER_A_SYNC_SECONDS)
    except StoreError as error:
        print_problem(error.message, _LATER)
    except KeyboardInterrupt:
        print_problem("Stopped.", _LATER)
