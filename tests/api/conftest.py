"""The service as its callers meet it: over HTTP, with a real database, in a thread of this process."""

import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from inboxsync.api import create_app
from inboxsync.api.server import Server
from inboxsync.engine import Engine
from inboxsync.model import Page, Platform, Scope
from inboxsync.settings import Settings
from inboxsync.store.api_keys import create_api_key
from inboxsync.store.pages import upsert_page


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
                access_token_sealed="x",
                now=self.engine.clock.now(),
            )
        return added

    def get(self, path: str, **more: Any) -> httpx2.Response:
        return self.client.get(path, **more)

    def post(self, path: str, **more: Any) -> httpx2.Response:
        return self.client.post(path, **more)


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
        app = create_app(engine)
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
