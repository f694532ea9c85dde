"""Serves a sandbox over HTTP."""

import json
import os
import sys
import threading
import time
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

from inboxsync.sandbox.config import SandboxConfig
from inboxsync.sandbox.control import Control
from inboxsync.sandbox.door import Door, listen
from inboxsync.sandbox.graph import Graph
from inboxsync.sandbox.http import GraphHttp
from inboxsync.sandbox.tokens import Tokens
from inboxsync.sandbox.world import World


class _Sides:
    """Control below `/sandbox/`, Graph elsewhere, outside Starlette: a reset needs the server's `send`."""

    def __init__(self, control: ASGIApp, graph: ASGIApp) -> None:
        self._control = control
        self._graph = graph

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        side = self._control if scope["path"].startswith("/sandbox/") else self._graph
        await side(scope, receive, send)


class Sandbox:
    """A world, and the ASGI app that serves it. Raises DatasetError."""

    def __init__(self, config: SandboxConfig) -> None:
        self.world = World(config)
        self.tokens = Tokens(self.world, days=config.token_days)
        self.graph = Graph(config, self.world, self.tokens)
        self.http = GraphHttp(config, self.graph, self.tokens)
        self.conversations = self.graph.conversations
        control = Control(self.world, self.tokens, self.graph, self.http)
        self.app = _Sides(Starlette(routes=control.routes()), self.http)

    def ready(self, *, url: str, port: int) -> dict[str, Any]:
        """What a client needs to know: the address, Pages, tokens, and which times were derived."""
        pages = [
            {
                "page_id": page.page_id,
                "name": page.name,
                "token": page.token,
                "instagram_id": page.instagram_id,
                "conversations": len(page.inbox),
                "folders": {name: len(folder) for name, folder in page.messenger.folders.items()},
            }
            for page in self.world.pages
        ]
        return {
            "url": url,
            "port": port,
            "page_id": pages[0]["page_id"],
            "token": pages[0]["token"],
            "pages": pages,
            "user_token": self.tokens.user,
            "app_id": self.tokens.app_id,
            "app_secret": self.tokens.app_secret,
            "app_token": self.tokens.app_token,
            "notes": list(self.world.notes),
        }


def serve(
    config: SandboxConfig, *, host: str = "127.0.0.1", port: int = 0, ends_with_parent: bool = False
) -> None:
    """Bind, print the ready line first on stdout, serve until SIGINT or SIGTERM.

    `ends_with_parent`: also when the process that started this one has ended in any way.
    Raises DatasetError, or OSError if the port is not free.
    """
    sandbox = Sandbox(config)
    with listen(host, port) as listener:
        bound = listener.getsockname()[1]
        print(json.dumps(sandbox.ready(url=f"http://{host}:{bound}", port=bound)), flush=True)  # noqa: T201 - the ready line
        server = uvicorn.Server(
            uvicorn.Config(
                sandbox.app, log_level="error", access_log=False, lifespan="off", timeout_keep_alive=60
            )
        )
        sandbox.http.door = Door(server, host, bound)
        if ends_with_parent:
            threading.Thread(target=_watch_parent, args=(server, os.getppid()), daemon=True).start()
        try:
            server.run(sockets=[listener])
        except KeyboardInterrupt:
            sys.stdout.flush()


def _watch_parent(server: uvicorn.Server, parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    server.should_exit = True
