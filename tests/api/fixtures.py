"""The service as its callers meet it: what the fixtures of this directory give."""

import asyncio
import threading
from dataclasses import dataclass
from typing import Protocol

import httpx2
from fastapi import FastAPI

from inboxsync.api import Service
from inboxsync.engine import Engine
from inboxsync.model import Page, Platform, Scope
from inboxsync.sandbox import Sandbox
from inboxsync.store.state.credentials import create_api_key
from inboxsync.store.state.pages import upsert_page
from inboxsync.workers import Worker
from tests.fixtures import PATIENCE_SECONDS, Json

Headers = dict[str, str] | httpx2.Headers | None


@dataclass
class Api:
    """A running service and a client of it."""

    app: FastAPI
    engine: Engine
    url: str
    client: httpx2.Client

    @property
    def service(self) -> Service:
        service: Service = self.app.state.service
        return service

    def forget_keys(self) -> None:
        """As if the second had passed for which keys are remembered."""
        self.service.keys._read_at = None

    def key(self, scope: Scope, name: str = "") -> dict[str, str]:
        """A new key, as the header that sends it."""
        with self.engine.store.write() as connection:
            _, text = create_api_key(
                connection, name=name or scope.value, scope=scope, now=self.engine.clock.now()
            )
        self.forget_keys()
        return {"Authorization": f"Bearer {text}"}

    def page(self, facebook_page_id: str = "104") -> Page:
        """A Page that exists only in the database."""
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

    def get(self, path: str, *, params: Json = None, headers: Headers = None) -> httpx2.Response:
        return self.client.get(path, params=params, headers=headers)

    def post(
        self,
        path: str,
        *,
        json: Json = None,
        data: dict[str, str] | None = None,
        content: Json = None,
        headers: Headers = None,
    ) -> httpx2.Response:
        return self.client.post(path, json=json, data=data, content=content, headers=headers)


class WorkerThread:
    """A worker on a loop of its own, as a process of its own would have it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._loop = asyncio.new_event_loop()
        self._worker = Worker(engine, schedules=False)
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def start(self) -> None:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._worker.start(), self._loop).result(PATIENCE_SECONDS)

    def drain(self) -> None:
        asyncio.run_coroutine_threadsafe(self._worker.drain(2), self._loop).result(PATIENCE_SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@dataclass
class Live:
    """A service, a worker, and a sandbox with Pages that were added; each test takes one for itself."""

    api: Api
    served: Sandbox
    pages: list[Page]

    def page(self) -> Page:
        return self.pages.pop()

    def asked(self, page: Page, **more: object) -> dict[str, Json]:
        return {"pageId": page.id, "facebookPageId": page.facebook_page_id} | more


class PlainEngine(Protocol):
    """The fixture `plain_engine`: an engine with these settings changed, and no source behind it."""

    def __call__(self, **changes: object) -> Engine: ...


class ServeApi(Protocol):
    """The fixture `serve_api`: serves an engine over HTTP until the test ends."""

    def __call__(self, engine: Engine) -> Api: ...
