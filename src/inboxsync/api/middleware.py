"""What surrounds every request: its id and log line, the Host check, the limit of its body, safe headers."""

import asyncio
import re
import time
from collections.abc import Callable
from ipaddress import ip_address
from typing import Final
from uuid import uuid4

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from inboxsync.api.errors import AnswerTooLate, HostUnknown
from inboxsync.api.problems import problem, problem_of
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
    # A page that needs more says so itself.
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}
# Between two pieces of a body, and for all of it.
_BODY_SECONDS = 30.0
_WHOLE_BODY_SECONDS = 60.0
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# What is asked so often that a line each would bury the rest.
_QUIET: Final = frozenset({"/healthz", "/readyz", "/metrics"})

# Told of each request that has been answered: its route's path, method, status, seconds.
OnAnswer = Callable[[str, str, int, float], None]


class RequestLog:
    """Outermost: gives a request an id, and tells of it once it has been answered.

    The id is the caller's `X-Request-ID` where that is a plain word, else a new one; the answer
    carries it. What is unexpected becomes a problem without a trace of where it happened.
    """

    def __init__(self, app: ASGIApp, *, on_answer: OnAnswer) -> None:
        self._app = app
        self._on_answer = on_answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else uuid4().hex[:16]
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
            # The service ends and has waited long enough.
            answer = problem_of(AnswerTooLate("The service is ending, and this was not done in time."))
            await answer(scope, receive, send_with_id)
        except Exception:
            log.exception("unexpected error", method=scope["method"], path=scope["path"])
            if status:
                raise  # the answer has begun: all that is left is to break it off
            answer = problem(
                500,
                code=Unexpected.code,
                detail="Something unexpected went wrong.",
                hint="Ask again; the service's log tells more, under this requestId.",
            )
            await answer(scope, receive, send_with_id)
        finally:
            self._tell(scope, status, time.monotonic() - began)

    def _tell(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "")
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._on_answer(route, method, status, seconds)
        if scope["path"] not in _QUIET:
            # The path alone: what stands behind the `?` may be a person's name.
            log.info(
                "answered",
                method=scope["method"],
                path=scope["path"],
                status=status,
                seconds=round(seconds, 4),
            )


class HostCheck:
    """Refuses names that this service does not answer to.

    A web page whose name is made to lead here (DNS rebinding) is thereby told nothing. Addresses are
    no names, so they are let through.
    """

    def __init__(self, app: ASGIApp, *, names: frozenset[str]) -> None:
        self._app = app
        self._names = names | {"localhost"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""
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
        try:
            ip_address(name.removeprefix("[").removesuffix("]"))
        except ValueError:
            return False
        return True


class HeadAsGet:
    """Answers HEAD as GET, without the body (RFC 9110).

    Not where an answer goes on for as long as a run does, and asking begins one.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""
        if scope["type"] != "http" or scope["method"] != "HEAD" or not takes_head(scope["path"]):
            await self._app(scope, receive, send)
            return

        async def send_without_body(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {"type": message["type"], "body": b"", "more_body": message.get("more_body", False)}
            await send(message)

        asked = dict(scope) | {"method": "GET"}
        try:
            await self._app(asked, receive, send_without_body)
        finally:
            scope["route"] = asked.get("route")


def takes_head(path: str) -> bool:
    """Whether an address that takes GET takes HEAD too."""
    return not path.endswith(("/stream", "/sync-stream"))


class BodyLimit:
    """Reads so many bytes of a body and no more, and waits for it so long and no longer."""

    def __init__(self, app: ASGIApp, *, most: int) -> None:
        self._app = app
        self._most = most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""
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
                # What follows the body is the news that the client has gone, which may take for ever.
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
