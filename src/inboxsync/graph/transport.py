"""Connections to Meta: one HTTP request, and the bytes of its answer.

Nothing else knows the HTTP client. It is imported only when a client is opened, because a command
that needs no network must not wait for the import.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from urllib.parse import quote, urlencode

import aiohttp
from yarl import URL

from inboxsync.graph.errors import Fault, FaultError
from inboxsync.graph.proxy_and_tls import environment_proxy, trusted_authorities

_CONNECT_SECONDS = 10
# A hundred conversations have some hundred kilobytes.
LARGEST_BYTES = 64_000_000
_TOTAL_FACTOR = 5
# As long as the sandbox's server and many balancers keep theirs.
_KEPT_SECONDS = 5
# Meta's usage header lists every quota of a business, and a balancer adds its own headers.
_LONGEST_HEADER_BYTES = 256 * 1024
_MOST_HEADERS = 1000
# An answer has some hundred kilobytes, and all of it is read: no need to pause in the middle.
_BUFFER_BYTES = 1024 * 1024
# The event loop needs so many turns to notice that a connection was closed, and with TLS to end it.
_TURNS_TO_NOTICE = 3
# Everything that can fail before there is a connection; after it, Meta was there.
_NO_CONNECTION = (
    aiohttp.ClientConnectorError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.ClientHttpProxyError,
    aiohttp.InvalidURL,
)
# The first that matches: subclasses come before their base classes.
_REASONS: tuple[tuple[type[Exception], str], ...] = (
    (aiohttp.ClientHttpProxyError, "the proxy refused to connect."),
    (aiohttp.ConnectionTimeoutError, "it took too long to connect."),
    (aiohttp.SocketTimeoutError, "it stopped answering."),
    (aiohttp.ClientPayloadError, "the answer was cut off or could not be decompressed."),
    (aiohttp.ClientConnectionError, "the connection was closed before an answer came."),
    (aiohttp.ClientResponseError, "the answer is not HTTP."),
    (aiohttp.InvalidURL, "its address is not valid."),
    (TimeoutError, "the whole answer took too long."),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """An answer: status, headers, and the whole body, decompressed."""

    status: int
    headers: Mapping[str, str]
    body: bytearray


class Transport:
    """Connections to one source, kept alive; each request is made once and never repeated."""

    def __init__(
        self, session: aiohttp.ClientSession, base: URL, *, to_proxy: Mapping[str, str], largest_bytes: int
    ) -> None:
        self._session = session
        self._largest_bytes = largest_bytes
        self._base = str(base)
        # For a tunnel the proxy gets its own request with these headers; otherwise it reads our request.
        self._for_tunnel = to_proxy if base.scheme == "https" else {}
        self._own = {} if self._for_tunnel else to_proxy

    async def get(
        self,
        path: str,
        *,
        params: Mapping[str, str | int],
        token: str,
        sent: Callable[[], None],
        source: str | None = None,
    ) -> Received:
        """The answer to `path`, which is quoted already. `sent` is called as soon as the request is sent.

        `source` is another address than the transport's own, with its version.
        Raises FaultError without a whole answer. Its text quotes neither the request nor the answer.
        """
        # Quoted here and nowhere else, so that Meta reads exactly what was meant.
        base = self._base if source is None else f"{source}/"
        url = URL(f"{base}{path}?{urlencode(params, quote_via=quote)}", encoded=True)
        headers = {**self._own, "Authorization": f"Bearer {token}"}
        # A connection that Meta has closed meanwhile must be noticed before it is used again.
        for _ in range(_TURNS_TO_NOTICE):
            await asyncio.sleep(0)
        try:
            async with self._session.get(
                url,
                headers=headers,
                proxy_headers=self._for_tunnel,
                allow_redirects=False,
                trace_request_ctx=sent,
            ) as response:
                body = await self._read(response)
        # A ValueError means that the token does not fit into a header.
        except (aiohttp.ClientError, OSError, ValueError) as broken:
            fault = Fault(
                message=f"No answer from {url.host}: {_reason(broken)}",
                is_answered=not isinstance(broken, _NO_CONNECTION),
            )
            raise FaultError(fault) from None
        if body is None:
            megabytes = self._largest_bytes // 1_000_000
            message = f"The answer is longer than {megabytes} MB (INBOXSYNC_LARGEST_ANSWER_MB)."
            raise FaultError(Fault(message=message, is_too_large=True))
        return Received(status=response.status, headers=response.headers, body=body)

    async def _read(self, response: aiohttp.ClientResponse) -> bytearray | None:
        """The body, unpacked; None where it is too long, and the connection is then closed."""
        body = bytearray()
        async for piece in response.content.iter_any():
            body += piece
            if len(body) > self._largest_bytes:
                response.close()
                return None
        return body


@asynccontextmanager
async def open_transport(
    address: str,
    *,
    timeout_seconds: float,
    largest_bytes: int = LARGEST_BYTES,
    headers: Mapping[str, str] | None = None,
) -> AsyncIterator[Transport]:
    """The transport to `address`; it belongs to the running event loop.

    `timeout_seconds` limits how long Meta sends nothing, five times as much a whole answer; `largest_bytes`
    limits an answer once it is unpacked. The proxy and the certificate authorities are those of the
    environment. Raises SettingsInvalid for a proxy that cannot be used.
    """
    base = URL(address.rstrip("/") + "/")
    # Looked up once: the HTTP client's own way takes two threads for each call, and reads .netrc.
    proxy = environment_proxy(base.scheme, base.host or "", base.port)
    has_tls = "https" in (base.scheme, proxy.url.scheme if proxy else "")
    connector = aiohttp.TCPConnector(
        # However many Pages are read at once: the rate limiter spaces the calls of each.
        limit=0,
        keepalive_timeout=_KEPT_SECONDS,
        ssl=trusted_authorities() if has_tls else True,
        # The system's resolver, whatever else is installed: it knows how long a name is valid.
        resolver=aiohttp.ThreadedResolver(),
        use_dns_cache=False,
    )
    async with aiohttp.ClientSession(
        connector=connector,
        headers=headers,
        proxy=proxy.url if proxy else None,
        timeout=_timeout(timeout_seconds, is_proxied=proxy is not None),
        cookie_jar=aiohttp.DummyCookieJar(),
        middlewares=(_never_repeated,),
        trace_configs=[_reporting_what_is_sent()],
        read_bufsize=_BUFFER_BYTES,
        max_line_size=_LONGEST_HEADER_BYTES,
        max_field_size=_LONGEST_HEADER_BYTES,
        max_headers=_MOST_HEADERS,
    ) as session:
        to_proxy = proxy.headers if proxy else {}
        yield Transport(session, base, to_proxy=to_proxy, largest_bytes=largest_bytes)


def _timeout(seconds: float, *, is_proxied: bool) -> aiohttp.ClientTimeout:
    """Also for resolving the name, connecting, TLS, and the proxy's tunnel: else these have no limit."""
    connect = 2 * _CONNECT_SECONDS + (seconds if is_proxied else 0)
    return aiohttp.ClientTimeout(
        total=_TOTAL_FACTOR * seconds, connect=connect, sock_connect=_CONNECT_SECONDS, sock_read=seconds
    )


async def _never_repeated(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """The HTTP client would repeat a call whose connection ended: unnoticed, at once, and counted by Meta."""
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as lost:
        raise aiohttp.ClientConnectionError from lost


def _reporting_what_is_sent() -> aiohttp.TraceConfig:
    async def report(
        _session: aiohttp.ClientSession,
        context: SimpleNamespace,
        _params: aiohttp.TraceRequestHeadersSentParams,
    ) -> None:
        context.trace_request_ctx()

    config = aiohttp.TraceConfig()
    config.on_request_headers_sent.append(report)
    return config


def _reason(broken: Exception) -> str:
    """In our own words: the HTTP client's quote the URL and the answer."""
    if isinstance(broken, aiohttp.ClientConnectorCertificateError):
        return str(broken.certificate_error)
    if isinstance(broken, aiohttp.ClientConnectorError):
        is_proxy = isinstance(broken, aiohttp.ClientProxyConnectionError)
        return f"{'the proxy cannot be reached: ' if is_proxy else ''}{broken.os_error}"
    known = (reason for kind, reason in _REASONS if isinstance(broken, kind))
    return next(known, f"the request could not be made ({type(broken).__name__}).")
