"""The dashboard as people meet it: what the fixtures of this directory give."""

import asyncio
import json
import re
import urllib.request
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import httpx2
from fastapi import FastAPI

from inboxsync.engine import Engine
from inboxsync.model import Page, Platform, Scope
from inboxsync.store.state.credentials import create_api_key
from inboxsync.sync import ignore
from tests.cli.fixtures import Run
from tests.fixtures import PATIENCE_SECONDS, Json, SandboxServer

if TYPE_CHECKING:
    from playwright.sync_api import ConsoleMessage, Response
    from playwright.sync_api import Page as Browsed

_TOKEN = re.compile(r'name="csrf" value="([^"]+)"')


@dataclass
class Visitor:
    """A person at the dashboard without a browser: cookies, and the token of the form they looked at."""

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
    sandbox: Json
    run: Run
    clients: list[httpx2.Client] = field(default_factory=list)

    @property
    def page_id(self) -> str:
        return str(self.sandbox["pages"][0]["page_id"])

    @property
    def token(self) -> str:
        return str(self.sandbox["pages"][0]["token"])

    def visitor(self) -> Visitor:
        client = httpx2.Client(base_url=self.url, timeout=PATIENCE_SECONDS)
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

    def tell_sandbox(self, what: str, **asked: object) -> Json:
        address, body = f"{self.sandbox['url']}/sandbox/{what}", json.dumps(asked).encode()
        with urllib.request.urlopen(address, body, timeout=PATIENCE_SECONDS) as answer:  # noqa: S310 - our own sandbox
            return json.loads(answer.read())


@dataclass
class Web:
    """The dashboard over an engine of this process, whose sandbox is in this process too."""

    engine: Engine
    app: FastAPI
    url: str
    served: SandboxServer
    clients: list[httpx2.Client] = field(default_factory=list)

    def visitor(self, **headers: str) -> Visitor:
        client = httpx2.Client(base_url=self.url, timeout=PATIENCE_SECONDS, headers=headers)
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


class Tab:
    """One tab, and everything it complained about."""

    def __init__(self, page: "Browsed", url: str) -> None:
        self.page = page
        self.url = url
        self.complaints: list[str] = []
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _on_console(self, message: "ConsoleMessage") -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def go(self, path: str) -> "Response | None":
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


class ServeWeb(Protocol):
    """The fixture `web`: a dashboard over a sandbox with these switches."""

    def __call__(self, **switches: object) -> Web: ...


class OpenDesk(Protocol):
    """The fixture `desk`: a service in front of a sandbox with these switches, both processes.

    `extra` are environment variables.
    """

    def __call__(self, *switches: str, calls_per_second: float = 0, **extra: str) -> Desk: ...


class OpenTab(Protocol):
    """The fixture `tab`: a tab with cookies of its own; `more` are Playwright's options of a context."""

    def __call__(self, desk: Desk | Web, *, width: int = 1280, height: int = 860, **more: object) -> Tab: ...
