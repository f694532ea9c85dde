"""What a shell offers behind Tab: ids and names of Pages, ids of runs. It creates and prints nothing else."""

import os
import re
import signal
from collections.abc import Callable
from contextlib import closing
from typing import Final, TypeVar

from sqlalchemy import Connection

from inboxsync.cli.output import local
from inboxsync.cli.process import configure_logs
from inboxsync.settings import Settings, load_settings
from inboxsync.store import Store
from inboxsync.store.state.pages import list_pages
from inboxsync.store.state.runs import list_runs

# A database that does not answer must not hold the prompt.
_LONGEST_SECONDS = 3
_RUNS = 50
# The shells' scripts evaluate what is offered, and a name is from outside: only letters, digits, blanks and
# signs that mean nothing to any shell.
_HARMLESS: Final = re.compile(r"[\w .,+@/-]*")
_BY_SHELL: Final = "_INBOXSYNC_COMPLETE"

T = TypeVar("T")


def complete_page(incomplete: str) -> list[tuple[str, str]]:
    """Ids of Pages, and names once something was typed: what to type, and what it is."""
    pages = _read(list_pages) or []
    names = [page.name or "" for page in pages]
    offered = {}
    for page in pages:
        name = page.name if page.name and _HARMLESS.fullmatch(page.name) else ""
        offered[page.facebook_page_id] = name
        if name and names.count(name) == 1 and incomplete:
            offered[name] = page.facebook_page_id
    # Typer leaves out those that begin otherwise.
    return [(_written(text), explained) for text, explained in offered.items()]


def complete_run() -> list[tuple[str, str]]:
    """The newest runs: of which Page and when they are."""
    if not (runs := _read(lambda connection: list_runs(connection, limit=_RUNS))):
        return []
    zone = load_settings().zone
    return [
        (run.id, f"Page {run.facebook_page_id}, {local(run.started_at, zone)}, {run.status.value}")
        for run in runs
    ]


def _written(text: str) -> str:
    """As it must stand in a command: Bash inserts it as it is, the others quote it themselves."""
    return text.replace(" ", "\\ ") if os.environ.get(_BY_SHELL) == "complete_bash" else text


def _read(get: Callable[[Connection], T]) -> T | None:
    """From the database, if there is one that answers."""
    if hasattr(signal, "alarm"):
        signal.alarm(_LONGEST_SECONDS)
    try:
        settings = load_settings()
        configure_logs(settings.log_format)
        with closing(_existing(settings)) as store, store.read() as connection:
            return get(connection)
    except Exception:  # noqa: BLE001 - whatever it is, there is nothing to offer
        return None


def _existing(settings: Settings) -> Store:
    """The database, which is not made here."""
    database = settings.database
    if isinstance(database, str):
        return Store.open_existing(database, schema_name=settings.database_schema)
    database.stat()  # raises where there is no file
    return Store.open(database, upgrade=False)
