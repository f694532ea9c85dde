"""The HTTP server: uvicorn, with limits for slow clients. Signals are left to the caller."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import uvicorn
from anyio import to_thread
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# Streams and waiting calls end at once when asked to; anything else is cut off after this time.
_DRAIN_SECONDS: Final = 8
_KEEP_ALIVE_SECONDS: Final = 65
# Limits for a request's line and headers.
_HEAD_SECONDS = 30.0
_HEAD_BYTES: Final = 65_536
# Reads compute: more threads would not answer sooner, because they share one interpreter.
_READERS = 6


class _Connection(HttpToolsProtocol):
    """Limits the time and the size of a request's head, which uvicorn does not."""

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
        # While one request is being answered the next one may take longer.
        answering = getattr(self, "cycle", None)  # None before the first one, despite its type
        if answering is None or answering.response_complete:
            self.transport.abort()
        else:
            self._expect_head()


class Server(uvicorn.Server):
    """Serves an app on a bound socket, until `end`."""

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
        """Serve until `end` is called and every answer is sent."""
        to_thread.current_default_thread_limiter().total_tokens = _READERS
        await self.serve(sockets=[listener])

    def end(self) -> None:
        """Accept nothing more. Streams and waiting calls answer with what they have; their runs continue."""
        self._app.state.service.drain()
        self.should_exit = True

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none: streams must end before uvicorn waits for connections, while a worker drains."""
        yield
