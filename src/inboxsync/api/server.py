"""The HTTP server: uvicorn, with the signals left to whoever runs it."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import uvicorn
from fastapi import FastAPI

# A stream or a waiting call ends at once when it is told to; what does not is broken off after this.
_DRAIN_SECONDS: Final = 8
_KEEP_ALIVE_SECONDS: Final = 65


class Server(uvicorn.Server):
    """Serves an app on a socket that is bound already, until `end`."""

    def __init__(self, app: FastAPI, *, trusted_proxies: str) -> None:
        self._app = app
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="off",
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=_DRAIN_SECONDS,
            proxy_headers=True,
            forwarded_allow_ips=trusted_proxies,
        )
        super().__init__(config)

    async def run_on(self, listener: socket.socket) -> None:
        """Serve until `end` is called and every answer is out."""
        await self.serve(sockets=[listener])

    def end(self) -> None:
        """Take nothing more. Streams and waiting calls answer with what there is, their runs go on."""
        self._app.state.service.drain()
        self.should_exit = True

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """None: streams have to end before uvicorn waits for connections, and a worker drains beside it."""
        yield
