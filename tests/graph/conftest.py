import socket
import ssl
import struct
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import RawTestServer

from inboxsync.clock import Clock
from inboxsync.graph import Access, GraphClient, RateLimiter, RetryPolicy
from inboxsync.graph.transport import open_transport
from inboxsync.model import Platform

Answering = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
Opening = Callable[..., AbstractAsyncContextManager[GraphClient]]


@asynccontextmanager
async def opened(url: str, clock: Clock, **options: Any) -> AsyncIterator[GraphClient]:
    rate_limiter = options.get("rate_limiter") or RateLimiter(
        clock=clock, calls_per_second=options.get("calls_per_second")
    )
    async with open_transport(f"{url}/v25.0", timeout_seconds=options.get("timeout_seconds", 30)) as http:
        yield GraphClient(
            http=http,
            rate_limiter=rate_limiter,
            policy=RetryPolicy(attempts=3, base_seconds=0.01),
            clock=clock,
            version="v25.0",
            app=options.get("app"),
        )


@pytest.fixture
def open_client(clock: Any) -> Opening:
    """A client of the source at an address; waits take no time."""

    def build(url: str, **options: Any) -> AbstractAsyncContextManager[GraphClient]:
        return opened(url, options.pop("clock", clock), **options)

    return build


@pytest.fixture
def access_to() -> Callable[..., Access]:
    """Access to a sandbox's first Page."""

    def access(served: Any, platform: Platform = Platform.MESSENGER) -> Access:
        page = served.page
        is_instagram = platform is Platform.INSTAGRAM
        return Access(
            page_id=page.page_id,
            platform=platform,
            account_id=page.instagram_id if is_instagram else page.page_id,
            token=page.token,
        )

    return access


@dataclass(frozen=True)
class Said:
    """An answer that a test has written."""

    body: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)

    def response(self) -> web.Response:
        return web.Response(status=self.status, body=self.body, headers=self.headers)


@asynccontextmanager
async def answering(answer: Answering) -> AsyncIterator[str]:
    """The address of a source that answers whatever it is asked in this way."""
    async with RawTestServer(answer) as server:
        yield str(server.make_url("")).rstrip("/")


@dataclass
class Scripted:
    """A source that answers as it is told, one answer after another; the last one for ever."""

    answers: list[Said]
    asked: list[web.BaseRequest] = field(default_factory=list)

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        self.asked.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return answer.response()

    def params(self) -> list[dict[str, str]]:
        return [dict(request.query) for request in self.asked]


@pytest.fixture
def scripted() -> type[Scripted]:
    return Scripted


@pytest.fixture
def say() -> type[Said]:
    return Said


@pytest.fixture
def answer_with() -> Callable[[Answering], AbstractAsyncContextManager[str]]:
    return answering


_RESET = struct.pack("ii", 1, 0)


class Played:
    """A server of bytes, not of HTTP: each request gets the next script, and the last one for ever.

    A step is bytes to send; `close`, `reset`, or `hold` until the test ends; or a callable that is called.
    """

    def __init__(self, *scripts: list[Any], tls: ssl.SSLContext | None = None) -> None:
        self.scripts = list(scripts)
        self.requests: list[bytes] = []
        self.connections = 0
        self.ended = threading.Event()
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=500)
        self.port = self._listener.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def end(self) -> None:
        self.ended.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                thread = threading.Thread(target=self._serve, args=(connection,))
                self._threads.append(thread)
                thread.start()

    def _serve(self, plain: socket.socket) -> None:
        with closing(plain), suppress(OSError):
            plain.settimeout(20)
            with self._tls.wrap_socket(plain, server_side=True) if self._tls else plain as connection:
                while (request := _read_head(connection)) and self._play(connection, request):
                    pass

    def _play(self, connection: socket.socket, request: bytes) -> bool:
        """Whether the connection goes on."""
        self.requests.append(request)
        for step in self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]:
            match step:
                case bytes():
                    connection.sendall(step)
                case "close":
                    return False
                case "reset":
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                    return False
                case "hold":
                    self.ended.wait()
                    return False
                case _:
                    step()
        return True


def _read_head(connection: socket.socket) -> bytes:
    head = b""
    while b"\r\n\r\n" not in head:
        if not (more := connection.recv(65536)):
            return b""
        head += more
    return head


@pytest.fixture
def played() -> Iterator[Callable[..., Played]]:
    servers: list[Played] = []

    def start(*scripts: list[Any], **options: Any) -> Played:
        servers.append(Played(*scripts, **options))
        return servers[-1]

    yield start
    for server in servers:
        server.end()
