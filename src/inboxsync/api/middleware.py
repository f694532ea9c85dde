"""What every request passes, from outside to inside.

`Server` limits its head. `RequestLog` gives it an id, a log line and safe headers. Then come `HostCheck`,
`BodyLimit` and `HeadAsGet`.
"""

import asyncio
import re
import socket
import struct
import time
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from typing import Final
from urllib.parse import quote
from uuid import uuid4

import structlog
import uvicorn
from anyio import to_thread
from fastapi import FastAPI
from prometheus_client import Counter, Histogram
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from inboxsync.api.problems import AnswerTooLate, HostUnknown, problem, problem_of
from inboxsync.errors import Unexpected

log = structlog.get_logger("inboxsync.api")

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    # A page that needs more sets its own.
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}
# The time between two chunks of a body, and for the whole body.
_BODY_SECONDS = 30.0
_WHOLE_BODY_SECONDS = 60.0
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# Requested so often that a log line each would hide the rest.
_QUIET: Final = frozenset({"/healthz", "/readyz", "/metrics"})
# Streams and waiting calls end at once when asked to; anything else is cut off after this time.
_DRAIN_SECONDS: Final = 8
_KEEP_ALIVE_SECONDS: Final = 65
# A client that is sent more than it takes must take so much in this time.
_TAKING_SECONDS = 60.0
_LEAST_TAKEN: Final = 16_384
# Limits for a request's line and headers.
_HEAD_SECONDS = 30.0
_HEAD_BYTES: Final = 65_536
# Reads compute: more threads would not answer sooner, because they share one interpreter.
_READERS = 6


class _Connection(HttpToolsProtocol):
    """Limits the time and the size of a request's head, and how long an answer may wait for its client.

    uvicorn does not. An answer that nobody takes holds whatever it is made from, a transaction for example.
    """

    _late: asyncio.TimerHandle | None = None
    _waiting: asyncio.TimerHandle | None = None
    _head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._has_head()
        self._stop_waiting()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._wait_for_client()

    def resume_writing(self) -> None:
        self._stop_waiting()
        super().resume_writing()

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

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGIApp) -> None:  # type: ignore[override]
        is_old = cycle.scope["http_version"] == "1.0"
        super()._start_asgi_task(cycle, _UntilClosed(app, cycle) if is_old else app)  # type: ignore[arg-type]

    def _wait_for_client(self) -> None:
        waiting = self.transport.get_write_buffer_size()
        self._waiting = self.loop.call_later(_TAKING_SECONDS, self._look_at_client, waiting)

    def _look_at_client(self, waiting: int) -> None:
        if waiting - self.transport.get_write_buffer_size() < _LEAST_TAKEN:
            log.info("a client takes nothing: it is dropped")
            self.transport.abort()
        else:
            self._wait_for_client()

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

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


class _UntilClosed:
    """Answers HTTP/1.0, which has no chunks (RFC 9112, 7.1): there a stream ends with the connection.

    uvicorn sends chunks nevertheless, so that a saved file begins with the length of a chunk.
    """

    def __init__(self, app: ASGIApp, cycle: RequestResponseCycle) -> None:
        self._app = app
        self._cycle = cycle
        self._is_open_ended = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI interface."""

        async def send_plain(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._is_open_ended = "content-length" not in Headers(raw=message.get("headers", []))
                if self._is_open_ended:
                    self._cycle.chunked_encoding = False
            elif self._is_open_ended:
                # Whatever comes is as long as it should be.
                self._cycle.expected_content_length = len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, receive, send_plain)
        except BaseException:
            if self._is_open_ended:
                self._reset()
            raise

    def _reset(self) -> None:
        """Cut the connection so that its client sees an error: a close would look like the end."""
        sock = self._cycle.transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._cycle.transport.abort()


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
            proxy_headers=bool(trusted_proxies),
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


class RequestLog:
    """Outermost: gives a request an id, adds safe headers, and logs and counts it when it is answered.

    The id is the client's `X-Request-ID` where that is a plain word, else a new one; the answer has it too.
    An unexpected error becomes a problem without a traceback.
    """

    def __init__(self, app: ASGIApp, *, requests: Counter, seconds: Histogram) -> None:
        self._app = app
        self._requests = requests
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI interface."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        sent = Headers(scope=scope).get("x-request-id", "")
        request_id = sent if _REQUEST_ID.fullmatch(sent) else uuid4().hex[:16]
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        status, began = 0, time.monotonic()

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = request_id
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except asyncio.CancelledError:
            if status:
                raise
            # The service ends and has waited long enough for this request.
            answer = problem_of(AnswerTooLate("The service ends, and this was not completed in time."))
            await answer(scope, receive, send_with_id)
        except Exception:
            log.exception("unexpected error", method=scope["method"], path=_path_as_sent(scope))
            if status:
                raise  # the answer has begun: it can only be cut off
            answer = problem(
                500,
                code=Unexpected.code,
                detail="Something unexpected went wrong.",
                hint="Send it again; the service's log has more, under this requestId.",
            )
            await answer(scope, receive, send_with_id)
        finally:
            self._note(scope, status, time.monotonic() - began)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "") or "none"
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._requests.labels(route, method, status).inc()
        self._seconds.labels(route).observe(seconds)
        if scope["path"] not in _QUIET:
            # Only the path: a query may contain a person's name.
            log.info(
                "answered",
                method=scope["method"],
                path=_path_as_sent(scope),
                status=status,
                seconds=round(seconds, 4),
            )


def _path_as_sent(scope: Scope) -> str:
    """The path with its percent signs: decoded, it may hold any character."""
    sent: bytes | None = scope.get("raw_path")
    return sent.decode("latin-1") if sent is not None else quote(scope["path"])


class HostCheck:
    """Refuses names that this service does not answer to.

    So a web page that points its own name here (DNS rebinding) gets nothing. Addresses are not names: they
    are let through.
    """

    def __init__(self, app: ASGIApp, *, names: frozenset[str]) -> None:
        self._app = app
        self._names = names | {"localhost"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI interface."""
        if scope["type"] == "http" and not self._is_known(Headers(scope=scope).get("host", "")):
            error = HostUnknown("This service does not answer to the name in the Host header.")
            await problem_of(error)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _is_known(self, host: str) -> bool:
        name = host.rpartition(":")[0] if re.search(r":\d*$", host) else host
        name = name.lower().rstrip(".")
        if name in self._names:
            return True
        if "%" in name:  # what follows would be any text, and no part of an address
            return False
        try:
            ip_address(name.removeprefix("[").removesuffix("]"))
        except ValueError:
            return False
        return True


class HeadAsGet:
    """Answers HEAD as GET, without the body (RFC 9110). An answer without a length ends behind its head.

    Except for streams of the API: a request may start a run, and an export reads everything.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI interface."""
        if scope["type"] != "http" or scope["method"] != "HEAD" or not takes_head(scope["path"]):
            await self._app(scope, receive, send)
            return

        is_answered = asyncio.Event()

        async def send_head(message: Message) -> None:
            if is_answered.is_set():
                return
            is_start = message["type"] == "http.response.start"
            if is_start:
                await send(message)
            # A stream has no length, and may have no end.
            if not is_start or "content-length" not in Headers(raw=message["headers"]):
                is_answered.set()
                await send({"type": "http.response.body", "body": b""})

        as_get = dict(scope) | {"method": "GET"}
        try:
            await _until(is_answered, self._app(as_get, receive, send_head))
        finally:
            scope["route"] = as_get.get("route")


async def _until(is_enough: asyncio.Event, answering: Awaitable[None]) -> None:
    """Let it answer; what it does when it has answered enough is cancelled, as for a client that has gone."""
    task, waiting = asyncio.ensure_future(answering), asyncio.ensure_future(is_enough.wait())
    try:
        await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
        task.cancel()
        await asyncio.wait({task})
    if not task.cancelled():
        task.result()


def takes_head(path: str) -> bool:
    """Whether an address that takes GET also takes HEAD."""
    return not (path.endswith(("/stream", "/sync-stream")) or path.startswith("/api/v1/exports/"))


class BodyLimit:
    """Limits how many bytes of a body are read, and how long it may take."""

    def __init__(self, app: ASGIApp, *, most: int) -> None:
        self._app = app
        self._most = most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI interface."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = Headers(scope=scope).get("content-length", "0")
        read, is_whole = 0, False
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + _WHOLE_BODY_SECONDS

        async def receive_some() -> Message:
            nonlocal read, is_whole
            if declared.isdecimal() and int(declared) > self._most:
                raise HTTPException(413)
            try:
                # After the body comes the message that the client has gone, which may take forever.
                until = min(ends_at, loop.time() + _BODY_SECONDS)
                async with asyncio.timeout_at(None if is_whole else until):
                    message = await receive()
            except TimeoutError:
                raise HTTPException(408) from None
            is_whole = not message.get("more_body", False)
            read += len(message.get("body", b""))
            if read > self._most:
                raise HTTPException(413)
            return message

        await self._app(scope, receive_some, send)
