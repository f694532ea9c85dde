"""The dashboard as people meet it: over HTTP without a browser, and in a real Chromium."""

import json
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from inboxsync.api import create_app
from inboxsync.api.middleware import Server
from inboxsync.web import mount_dashboard
from inboxsync.workers import RunQueue
from tests.cli.fixtures import INBOXSYNC
from tests.fixtures import PATIENCE_SECONDS, Ending, EngineFor, Serve
from tests.processes import ForkServer, Sandboxes
from tests.waiting import wait_until
from tests.web.fixtures import Desk, OpenDesk, OpenTab, ServeWeb, Tab, Web

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext

# As root it needs --no-sandbox; the rest keeps it from asking its maker's hosts for anything.
_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]


@pytest.fixture
def web(serve: Serve, engine_for: EngineFor, ending: Ending) -> Iterator[ServeWeb]:
    """Serves a dashboard over a sandbox with these switches until the test ends."""
    running: list[tuple[Web, Server]] = []

    def start(**switches: object) -> Web:
        served = serve(**switches)
        engine = engine_for(served)
        app = create_app(engine, queue=RunQueue(engine))
        mount_dashboard(app)
        listener = socket.create_server(("127.0.0.1", 0))
        server = Server(app, trusted_proxies="127.0.0.1")
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        ending.append(thread)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        running.append((Web(engine, app, url, served), server))
        return running[-1][0]

    yield start
    for each, server in running:
        for client in each.clients:
            client.close()
        server.force_exit = server.should_exit = True


@pytest.fixture
def desk(tmp_path: Path, forks: ForkServer) -> Iterator[OpenDesk]:
    """Starts a service and its sandbox; both end with the test."""
    services: list[subprocess.Popen[bytes]] = []
    desks: list[Desk] = []
    sandboxes = Sandboxes(forks)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("INBOXSYNC_")}
    environment = kept | {
        "INBOXSYNC_DATA_DIR": str(tmp_path / "data"),
        "INBOXSYNC_RETRY_BASE_SECONDS": "0.01",
        "INBOXSYNC_SOURCE_AWAY_SECONDS": "3",
        "INBOXSYNC_LOG_FORMAT": "json",
    }

    def run(*arguments: str, stdin: str = "", **extra: str) -> subprocess.CompletedProcess[str]:
        return forks.run(*arguments, environment=environment | extra, stdin=stdin)

    def serve() -> str:
        """The address of a service; its log is in a file, which never fills up."""
        path = tmp_path / "serve.log"
        with path.open("wb") as log:
            services.append(
                subprocess.Popen([*INBOXSYNC, "serve", "--port", "0"], env=environment, stderr=log)
            )
        wait_until(lambda: '"serving"' in path.read_text() or services[-1].poll() is not None)
        (serving,) = (line for line in path.read_text().splitlines() if '"serving"' in line)
        return str(json.loads(serving)["url"])

    def open_desk(*switches: str, calls_per_second: float = 0, **extra: str) -> Desk:
        environment.update(extra)
        environment["INBOXSYNC_CALLS_PER_SECOND"] = str(calls_per_second)
        ready = sandboxes.start("--no-limits", *switches)
        environment["INBOXSYNC_GRAPH_URL"] = ready["url"]
        desks.append(Desk(url=serve(), sandbox=ready, run=run))
        return desks[-1]

    yield open_desk
    for each in desks:
        for client in each.clients:
            client.close()
    for service in services:
        service.terminate()
        service.wait(PATIENCE_SECONDS)
    sandboxes.close()


def _chromium() -> str | None:
    named = os.environ.get("INBOXSYNC_TEST_CHROMIUM")
    return named or next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
    )


@pytest.fixture
def browser() -> "Iterator[Browser]":
    """A real Chromium.

    One a test: Playwright's loop lives as long as it does, and other tests have loops of their own.
    """
    executable = _chromium()
    if executable is None:
        pytest.skip("no Chromium: install Debian's package chromium, or set INBOXSYNC_TEST_CHROMIUM")
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - only where there is a browser

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=executable, args=_FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def tab(browser: "Browser") -> Iterator[OpenTab]:
    """Opens tabs, each with cookies of its own."""
    contexts: list[BrowserContext] = []

    def open_tab(desk: Desk | Web, *, width: int = 1280, height: int = 860, **more: object) -> Tab:
        options: dict[str, Any] = {
            "viewport": {"width": width, "height": height},
            "locale": "en-GB",
            "timezone_id": "UTC",
        }
        contexts.append(browser.new_context(**(options | more)))
        page = contexts[-1].new_page()
        page.set_default_timeout(1000 * PATIENCE_SECONDS)
        return Tab(page, desk.url)

    yield open_tab
    for context in contexts:
        context.close()
