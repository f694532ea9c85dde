"""The service as its callers meet it: over HTTP, with a real database, in a thread of this process."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
import structlog
import uvicorn
from fastapi import FastAPI

from inboxsync.api import create_app
from inboxsync.api.server import Server
from inboxsync.cli.logs import configure_logs
from inboxsync.engine import Engine
from inboxsync.model import Page, Platform, Scope
from inboxsync.sandbox import Sandbox, SandboxConfig
from inboxsync.settings import Settings
from inboxsync.store.state.api_keys import create_api_key
from inboxsync.store.state.pages import upsert_page
from inboxsync.workers import RunQueue, Worker


@dataclass
class Api:
    """A running service and a client of it."""

    app: FastAPI
    engine: Engine
    url: str
    client: httpx2.Client

    def key(self, scope: Scope, name: str = "") -> dict[str, str]:
        """A new key, as the header that shows it."""
        with self.engine.store.write() as connection:
            _, text = create_api_key(
                connection, name=name or scope.value, scope=scope, now=self.engine.clock.now()
            )
        self.app.state.service.keys._read_at = None  # as if a second had passed
        return {"Authorization": f"Bearer {text}"}

    def page(self, facebook_page_id: str = "104") -> Page:
        """A Page of nobody's."""
        with self.engine.store.write() as connection:
            added, _ = upsert_page(
                connection,
                facebook_page_id=facebook_page_id,
                platform=Platform.MESSENGER,
                account_id=facebook_page_id,
                name=f"Page {facebook_page_id}",
                access_token_encrypted="x",
                now=self.engine.clock.now(),
            )
        return added

    def get(self, path: str, **more: Any) -> httpx2.Response:
        return self.client.get(path, **more)

    def post(self, path: str, **more: Any) -> httpx2.Response:
        return self.client.post(path, **more)


@pytest.fixture(scope="session", autouse=True)
def _logs() -> Iterator[None]:
    """As `inboxsync serve` has them."""
    configure_logs("json")
    yield
    structlog.reset_defaults()


@pytest.fixture
def plain_engine(tmp_path: Any) -> Iterator[Callable[..., Engine]]:
    """Engines on a database of this test's own, and no source behind them."""
    engines: list[Engine] = []

    def build(**changes: Any) -> Engine:
        values = {"data_dir": tmp_path / "data", "graph_url": "http://127.0.0.1:9"} | changes
        engines.append(Engine(Settings(**values)))
        return engines[-1]

    yield build
    for engine in engines:
        engine.close()


@pytest.fixture
def serve_api(ending: list[threading.Thread]) -> Iterator[Callable[[Engine], Api]]:
    """Serves an engine over HTTP until the test ends."""
    running: list[tuple[Api, Server, threading.Thread]] = []

    def start(engine: Engine) -> Api:
        app = create_app(engine, queue=RunQueue(engine))
        listener = socket.create_server(("127.0.0.1", 0))
        server = Server(app, trusted_proxies="127.0.0.1")
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        api = Api(app, engine, url, httpx2.Client(base_url=url, timeout=30))
        running.append((api, server, thread))
        return api

    yield start
    for api, server, thread in running:
        api.client.close()
        server.force_exit = server.should_exit = True
        ending.append(thread)


@pytest.fixture
def api(plain_engine: Callable[..., Engine], serve_api: Callable[[Engine], Api]) -> Api:
    """A service with an empty database."""
    return serve_api(plain_engine())


class WorkerThread:
    """A worker on a loop of its own, as a process of its own would have it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._loop = asyncio.new_event_loop()
        self._worker = Worker(engine, schedules=False)
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def start(self) -> None:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._worker.start(), self._loop).result(30)

    def drain(self) -> None:
        asyncio.run_coroutine_threadsafe(self._worker.drain(2), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@dataclass
class Live:
    """A service, a worker, and a sandbox with Pages that were added; each test takes one for itself."""

    api: Api
    served: Any
    pages: list[Page]

    def page(self) -> Page:
        return self.pages.pop()

    def asked(self, page: Page, **more: Any) -> dict[str, Any]:
        return {"pageId": page.id, "facebookPageId": page.facebook_page_id} | more


@pytest.fixture(scope="module")
def live(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """One for all tests of a module: a worker takes a second to start. `SANDBOX` are its switches."""
    switches = {"conversations": 120, "pages": 12, "messages": (1, 3), "limits": False}
    sandbox = Sandbox(SandboxConfig(**(switches | getattr(request.module, "SANDBOX", {}))))
    source = _Threaded(uvicorn.Server(uvicorn.Config(sandbox.app, log_level="critical", lifespan="off")))
    engine = Engine(
        Settings(
            data_dir=tmp_path_factory.mktemp("live"),
            graph_url=source.url,
            calls_per_second=0.0,
            retry_base_seconds=0.01,
            **getattr(request.module, "SETTINGS", {}),
        )
    )
    worker = WorkerThread(engine)
    worker.start()
    app = create_app(engine, queue=RunQueue(engine))
    service = _Threaded(Server(app, trusted_proxies="127.0.0.1"))
    client = httpx2.Client(base_url=service.url, timeout=30)
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
