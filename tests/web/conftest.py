"""The dashboard as people meet it: over HTTP without a browser, and in a real Chromium."""

import asyncio
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from inboxsync.api import create_app
from inboxsync.api.server import Server
from inboxsync.engine import Engine
from inboxsync.model import Page, Platform, Scope
from inboxsync.store.state.api_keys import create_api_key
from inboxsync.sync import ignore
from inboxsync.web import mount_dashboard
from inboxsync.workers import RunQueue

INBOXSYNC = [sys.executable, "-m", "inboxsync"]
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
_TOKEN = re.compile(r'name="csrf" value="([^"]+)"')


@dataclass
class Visitor:
    """Somebody at the dashboard without a browser: cookies, and the token of the form they looked at."""

    client: httpx2.Client
    csrf: str = ""

    def get(self, path: str) -> httpx2.Response:
        answer = self.client.get(path)
        if found := _TOKEN.search(answer.text):
            self.csrf = found[1]
        return answer

    def post(self, path: str, **form: str) -> httpx2.Response:
        return self.client.post(path, data={"csrf": self.csrf} | form)

    def log_in(self, key: str = "") -> httpx2.Response:
        self.get("/login")
        answer = self.post("/login", key=key) if key else self.post("/login")
        self.get("/")
        return answer


@dataclass
class Desk:
    """`inboxsync serve` in a process of its own, in front of a sandbox in another."""

    url: str
    sandbox: dict[str, Any]
    run: Callable[..., subprocess.CompletedProcess[str]]
    clients: list[httpx2.Client] = field(default_factory=list)

    @property
    def page_id(self) -> str:
        return str(self.sandbox["pages"][0]["page_id"])

    @property
    def token(self) -> str:
        return str(self.sandbox["pages"][0]["token"])

    def visitor(self) -> Visitor:
        client = httpx2.Client(base_url=self.url, timeout=30)
        self.clients.append(client)
        return Visitor(client)

    def key(self, scope: str = "admin", name: str = "") -> str:
        made = self.run("keys", "create", name or scope, "--scope", scope)
        assert made.returncode == 0, made.stderr
        return made.stdout.strip()

    def add_page(self) -> None:
        added = self.run("pages", "add", self.page_id, "--token-stdin", stdin=self.token)
        assert added.returncode == 0, added.stderr

    def sync(self, *more: str) -> None:
        synced = self.run("sync", *more)
        assert synced.returncode == 0, synced.stderr

    def tell_sandbox(self, what: str, **asked: Any) -> Any:
        address, body = f"{self.sandbox['url']}/sandbox/{what}", json.dumps(asked).encode()
        with urllib.request.urlopen(address, body, timeout=20) as answer:  # noqa: S310 - our own sandbox
            return json.loads(answer.read())


@dataclass
class Web:
    """The dashboard over an engine of this process, whose sandbox is in this process too."""

    engine: Engine
    app: FastAPI
    url: str
    served: Any
    clients: list[httpx2.Client] = field(default_factory=list)

    def visitor(self, **headers: str) -> Visitor:
        client = httpx2.Client(base_url=self.url, timeout=30, headers=headers)
        self.clients.append(client)
        return Visitor(client)

    def key(self, scope: Scope = Scope.ADMIN, name: str = "") -> str:
        with self.engine.store.write() as connection:
            _, text = create_api_key(
                connection, name=name or scope.value, scope=scope, now=self.engine.clock.now()
            )
        self.forget_keys()
        return text

    def forget_keys(self) -> None:
        """As if the second had passed for which a key is believed."""
        self.app.state.service.keys._read_at = None

    def admin(self) -> Visitor:
        """Somebody who may do everything, logged in."""
        visitor = self.visitor()
        visitor.log_in(self.key())
        return visitor

    def add_page(self) -> Page:
        world = self.served.page
        page, _ = asyncio.run(
            self.engine.add_page(world.page_id, platform=Platform.MESSENGER, token=world.token, name=None)
        )
        return page

    def sync(self, page: Page) -> None:
        """Copy everything, and derive what follows from it."""

        async def go() -> None:
            async with self.engine.source() as source, self.engine.stop() as stop:
                run = self.engine.page_sync(
                    source, page, options=self.engine.sync_options(), stop=stop, listener=ignore
                )
                await run.run()

        asyncio.run(go())
        self.engine.derive()


@pytest.fixture
def web(
    serve: Callable[..., Any], engine_for: Callable[..., Engine], ending: list[threading.Thread]
) -> Iterator[Callable[..., Web]]:
    """Serves a dashboard over a sandbox with these switches until the test ends."""
    running: list[tuple[Web, Server]] = []

    def start(**switches: Any) -> Web:
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
def desk(tmp_path: Path) -> Iterator[Callable[..., Desk]]:
    """Starts a service and its sandbox; both end with the test."""
    processes: list[subprocess.Popen[str]] = []
    desks: list[Desk] = []
    kept = {name: value for name, value in os.environ.items() if not name.startswith("INBOXSYNC_")}
    environment = kept | {
        "INBOXSYNC_DATA_DIR": str(tmp_path / "data"),
        "INBOXSYNC_RETRY_BASE_SECONDS": "0.01",
        "INBOXSYNC_LOG_FORMAT": "json",
    }

    def start(command: list[str]) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*INBOXSYNC, *command],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        return process

    def run(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*INBOXSYNC, *arguments],
            input=stdin,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def open_desk(*switches: str, calls_per_second: float = 0) -> Desk:
        environment["INBOXSYNC_CALLS_PER_SECOND"] = str(calls_per_second)
        world = start(["sandbox", "--no-limits", *switches])
        assert world.stdout is not None
        ready = json.loads(world.stdout.readline())
        environment["INBOXSYNC_GRAPH_URL"] = ready["url"]
        service = start(["serve", "--port", "0"])
        desks.append(Desk(url=_address(service), sandbox=ready, run=run))
        return desks[-1]

    yield open_desk
    for each in desks:
        for client in each.clients:
            client.close()
    for process in processes:
        process.terminate()
    for process in processes:
        try:
            process.communicate(timeout=15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def _address(service: subprocess.Popen[str]) -> str:
    assert service.stderr is not None
    for line in service.stderr:
        told = json.loads(line) if line.startswith("{") else {}
        if told.get("event") == "serving":
            return str(told["url"])
    raise AssertionError("the service did not start")


def _chromium() -> str | None:
    named = os.environ.get("INBOXSYNC_TEST_CHROMIUM")
    return named or next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
    )


@pytest.fixture
def browser() -> Iterator[Any]:
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


class Tab:
    """One tab, and everything it complained about."""

    def __init__(self, page: Any, url: str) -> None:
        self.page = page
        self.url = url
        self.complaints: list[str] = []
        page.on("console", lambda said: said.type in ("error", "warning") and self._note(said.text))
        page.on("pageerror", lambda error: self._note(str(error)))

    def _note(self, text: str) -> None:
        self.complaints.append(text)

    def go(self, path: str) -> Any:
        return self.page.goto(f"{self.url}{path}")

    def log_in(self, key: str = "") -> None:
        self.go("/login")
        if key:
            self.page.get_by_label("API key").fill(key)
        self.page.get_by_role("button", name="Log in" if key else "Open the dashboard").click()
        self.page.get_by_role("heading", name="Pages", level=1).wait_for()

    def findings(self) -> list[str]:
        """What axe-core finds on the page as it is."""
        from axe_playwright_python.sync_playwright import Axe  # noqa: PLC0415 - only with a browser

        found = Axe().run(self.page).response["violations"]
        return [f"{each['id']}: {each['nodes'][0]['html'][:200]}" for each in found]


@pytest.fixture
def tab(browser: Any) -> Iterator[Callable[..., Tab]]:
    """Opens tabs, each with cookies of its own."""
    contexts = []

    def open_tab(desk: Desk, *, width: int = 1280, height: int = 860, **more: Any) -> Tab:
        options = {"viewport": {"width": width, "height": height}, "locale": "en-GB", "timezone_id": "UTC"}
        contexts.append(browser.new_context(**(options | more)))
        page = contexts[-1].new_page()
        page.set_default_timeout(60_000)
        return Tab(page, desk.url)

    yield open_tab
    for context in contexts:
        context.close()
