"""The service as its callers meet it: over HTTP, with a real database, in a thread of this process."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
import structlog
import uvicorn

from inboxsync.api import create_app
from inboxsync.api.middleware import Server
from inboxsync.cli.process import configure_logs
from inboxsync.engine import Engine
from inboxsync.model import Platform
from inboxsync.sandbox import Sandbox, SandboxConfig
from inboxsync.settings import Settings
from inboxsync.workers import RunQueue
from tests.api.fixtures import Api, Live, PlainEngine, ServeApi, WorkerThread
from tests.fixtures import PATIENCE_SECONDS, Ending, Json


@pytest.fixture(scope="session", autouse=True)
def _logs() -> Iterator[None]:
    """As `inboxsync serve` has them."""
    configure_logs("json")
    yield
    structlog.reset_defaults()


@pytest.fixture
def plain_engine(tmp_path: Path) -> Iterator[PlainEngine]:
    """Engines on a database of this test's own, and no source behind them."""
    engines: list[Engine] = []

    def build(**changes: object) -> Engine:
        values: dict[str, Json] = {"data_dir": tmp_path / "data", "graph_url": "http://127.0.0.1:9"} | changes
        engines.append(Engine(Settings(**values)))
        return engines[-1]

    yield build
    for engine in engines:
        engine.close()


@pytest.fixture
def serve_api(ending: Ending) -> Iterator[ServeApi]:
    """Serves an engine over HTTP until the test ends."""
    running: list[tuple[Api, Server, threading.Thread]] = []

    def start(engine: Engine) -> Api:
        app = create_app(engine, queue=RunQueue(engine))
        listener = socket.create_server(("127.0.0.1", 0))
        server = Server(app, trusted_proxies="127.0.0.1")
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        api = Api(app, engine, url, httpx2.Client(base_url=url, timeout=PATIENCE_SECONDS))
        running.append((api, server, thread))
        return api

    yield start
    for api, server, thread in running:
        api.client.close()
        server.force_exit = server.should_exit = True
        ending.append(thread)


@pytest.fixture
def api(plain_engine: PlainEngine, serve_api: ServeApi) -> Api:
    """A service with an empty database."""
    return serve_api(plain_engine())


@pytest.fixture(scope="module")
def live(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """One for all tests of a module: a worker takes a second to start. `SANDBOX` are its switches."""
    switches: dict[str, Json] = {"conversations": 120, "pages": 12, "messages": (1, 3), "limits": False}
    sandbox = Sandbox(SandboxConfig(**(switches | getattr(request.module, "SANDBOX", {}))))
    source = _Threaded(uvicorn.Server(uvicorn.Config(sandbox.app, log_level="critical", lifespan="off")))
    engine = Engine(
        Settings(
            data_dir=tmp_path_factory.mktemp("live"),
            graph_url=source.url,
            calls_per_second=0.0,
            retry_base_seconds=0.01,
            source_away_seconds=3.0,
            **getattr(request.module, "SETTINGS", {}),
        )
    )
    worker = WorkerThread(engine)
    worker.start()
    app = create_app(engine, queue=RunQueue(engine))
    service = _Threaded(Server(app, trusted_proxies="127.0.0.1"))
    client = httpx2.Client(base_url=service.url, timeout=PATIENCE_SECONDS)
    pages = [
        asyncio.run(engine.add_page(each.page_id, platform=Platform.MESSENGER, token=each.token, name=None))[
            0
        ]
        for each in sandbox.world.pages
    ]
    yield Live(Api(app, engine, service.url, client), sandbox, pages)
    client.close()
    app.state.service.drain()
    service.end()
    worker.drain()
    source.end()
    engine.close()


class _Threaded:
    def __init__(self, server: uvicorn.Server) -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self._server = server
        self._thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        self._thread.start()

    def end(self) -> None:
        self._server.force_exit = self._server.should_exit = True
        self._thread.join()
