import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import uvicorn

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


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(f"sqlite:///{tmp_path / 'inboxsync.db'}")
    yield opened
    opened.close()


@dataclass
class Served:
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
def serve(ending: list[threading.Thread]) -> Iterator[Callable[..., Served]]:
    """Serves as many sandboxes as a test asks for; without limits unless it says otherwise."""
    servers: list[tuple[uvicorn.Server, threading.Thread]] = []

    def start(**switches: Any) -> Served:
        sandbox = Sandbox(SandboxConfig(**({"limits": False, "messages": (1, 14)} | switches)))
        listener = socket.create_server(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(sandbox.app, log_level="critical", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        servers.append((server, thread))
        return Served(sandbox, f"http://127.0.0.1:{listener.getsockname()[1]}")

    yield start
    for server, thread in servers:
        server.force_exit = server.should_exit = True
        ending.append(thread)


@pytest.fixture
def engine_for(tmp_path: Path) -> Iterator[Callable[..., Engine]]:
    """Engines that store in this test's folder and hurry where a user's would wait."""
    engines: list[Engine] = []

    def build(served: Served, **changes: Any) -> Engine:
        values: dict[str, Any] = {
            "data_dir": tmp_path / "data",
            "graph_url": served.url,
            "calls_per_second": 0.0,
            "retry_base_seconds": 0.01,
        }
        engines.append(Engine(Settings(**(values | changes))))
        return engines[-1]

    yield build
    for engine in engines:
        engine.close()
