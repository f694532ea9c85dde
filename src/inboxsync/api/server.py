"""The HTTP server: uvicorn, with the signals left to whoever runs it."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import uvicorn
from anyio import to_thread
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# A stream or a waiting call ends at once when it is told to; what does not is broken off after this.
_DRAIN_SECONDS: Final = 8
_KEEP_ALIVE_SECONDS: Final = 65
# For a request's line and headers.
_HEAD_SECONDS = 30.0
_HEAD_BYTES: Final = 65_536
# Reads compute: more threads than this do not answer sooner, they wait for the interpreter in turn.
_READERS = 6


class _Connection(HttpToolsProtocol):
    """Waits for the head of a request so long and reads so much of it, where uvicorn sets no bounds."""

    _late: asyncio.TimerHandle | None = None
    _head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._has_head()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._late is not None:
            self._head_bytes += len(data)
            if self._head_bytes > _HEAD_BYTES:
                self.transport.abort()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._expect_head()

    def on_headers_complete(self) -> None:
        self._has_head()
        super().on_headers_complete()

    def _expect_head(self) -> None:
        self._has_head()
        self._head_bytes = 0
        self._late = self.loop.call_later(_HEAD_SECONDS, self._give_up)

    def _has_head(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _give_up(self) -> None:
        # Behind a request that is still being answered the next one may take its time.
        answering = getattr(self, "cycle", None)  # None before the first, whatever its type says
        if answering is None or answering.response_complete:
            self.transport.abort()
        else:
            self._expect_head()


class Server(uvicorn.Server):
    """Serves an app on a socket that is bound already, until `end`."""

    def __init__(self, app: FastAPI, *, trusted_proxies: str) -> None:
        self._app = app
        config = uvicorn.Config(
            app,
            http=_Connection,
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
        to_thread.current_default_thread_limiter().total_tokens = _READERS
        await self.serve(sockets=[listener])

    def end(self) -> None:
        """Take nothing more. Streams and waiting calls answer with what there is, their runs go on."""
        self._app.state.service.drain()
        self.should_exit = True

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """None: streams have to end before uvicorn waits for connections, and a worker drains beside it."""
        yield
