"""What the fixtures of this directory give: a client, and sources that answer as a test has written."""

import socket
import ssl
import struct
import threading
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, closing, suppress
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeAlias, TypedDict, TypeVar, Unpack

from aiohttp import web

from inboxsync.clock import Clock
from inboxsync.graph import Access, App, GraphClient, RateLimiter
from inboxsync.model import Platform
from tests.fixtures import SandboxServer

T = TypeVar("T")
Use: TypeAlias = Callable[[GraphClient], Awaitable[T]]
Answering: TypeAlias = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
# The address of a source that answers in this way.
AnswerWith: TypeAlias = Callable[[Answering], AbstractAsyncContextManager[str]]
# Bytes to send; what becomes of the connection; or something to call.
Step: TypeAlias = bytes | Literal["close", "reset", "hold"] | Callable[[], object]
Script: TypeAlias = Sequence[Step]


class ClientOptions(TypedDict, total=False):
    """How a client differs from the usual one of these tests."""

    clock: Clock
    calls_per_second: float | None
    rate_limiter: RateLimiter
    timeout_seconds: float
    largest_bytes: int
    app: App


class OpenClient(Protocol):
    """The fixture `open_client`: a client of the source at an address; its waits take no time."""

    def __call__(
        self, url: str, **options: Unpack[ClientOptions]
    ) -> AbstractAsyncContextManager[GraphClient]: ...


class AccessTo(Protocol):
    """The fixture `access_to`: access to a sandbox's first Page."""

    def __call__(self, served: SandboxServer, platform: Platform = Platform.MESSENGER) -> Access: ...


class Ask(Protocol):
    """The fixture `ask`: what one use of a client of this sandbox returns."""

    def __call__(self, served: SandboxServer, use: Use[T], **options: Unpack[ClientOptions]) -> T: ...


class Play(Protocol):
    """The fixture `play`: what one use of a client returns with these answers, and the source."""

    def __call__(
        self, use: Use[T], *answers: "Said", **options: Unpack[ClientOptions]
    ) -> "tuple[T, Scripted]": ...


class Fail(Protocol):
    """The fixture `fail`: the error that one use of a client raises with these answers, and the source."""

    def __call__(self, use: Use[object], *answers: "Said") -> "tuple[Exception, Scripted]": ...


class StartPlayed(Protocol):
    """The fixture `played`: starts a server of bytes."""

    def __call__(self, *scripts: Script, tls: ssl.SSLContext | None = None) -> "Played": ...


@dataclass(frozen=True)
class Said:
    """An answer that a test has written."""

    body: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)

    def response(self) -> web.Response:
        return web.Response(status=self.status, body=self.body, headers=self.headers)


@dataclass
class Scripted:
    """A source that gives these answers, one after another; the last one for ever."""

    answers: list[Said]
    asked: list[web.BaseRequest] = field(default_factory=list)

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        self.asked.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return answer.response()

    def params(self) -> list[dict[str, str]]:
        return [dict(request.query) for request in self.asked]


_RESET = struct.pack("ii", 1, 0)


class Played:
    """A server of bytes, not of HTTP: each request gets the next script, and the last one for ever.

    `close` and `reset` end the connection, `hold` keeps it until the test ends.
    """

    def __init__(self, *scripts: Script, tls: ssl.SSLContext | None = None) -> None:
        self.scripts = list(scripts)
        self.requests: list[bytes] = []
        self.connections = 0
        self.ended = threading.Event()
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=500)
        self.port: int = self._listener.getsockname()[1]
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
