"""One HTTP request to the source, and what came of it.

Nothing else knows the HTTP client, and only what opens a source imports this: a command that needs no
network must not wait for it.
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
# As long as the sandbox's server and many balancers keep theirs.
_KEPT_SECONDS = 5
# Meta's usage header names every pool of a business, and a balancer adds its own.
_LONGEST_HEADER_BYTES = 256 * 1024
_MOST_HEADERS = 1000
# An answer has some hundred kilobytes, and all of it is read: no need to hold it up half-way.
_BUFFER_BYTES = 1024 * 1024
# It takes the loop so many turns to see that a connection is gone, and under TLS to take leave of it.
_TURNS_TO_NOTICE = 3
# Whatever comes before there is a connection; after it, the source was there.
_NO_CONNECTION = (
    aiohttp.ClientConnectorError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.ClientHttpProxyError,
    aiohttp.InvalidURL,
)
# The first that fits: the narrow ones come before those that they are kinds of.
_REASONS: tuple[tuple[type[Exception], str], ...] = (
    (aiohttp.ClientHttpProxyError, "the proxy refused to connect to it."),
    (aiohttp.ConnectionTimeoutError, "it took too long to connect."),
    (aiohttp.SocketTimeoutError, "it fell silent."),
    (aiohttp.ClientPayloadError, "the answer was cut off or could not be unpacked."),
    (aiohttp.ClientConnectionError, "the connection was closed before an answer came."),
    (aiohttp.ClientResponseError, "what came is no HTTP."),
    (aiohttp.InvalidURL, "it is no address."),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """An answer: its head, and its whole body unpacked."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Transport:
    """Connections to one source, kept alive; each request is made once and never repeated."""

    def __init__(self, session: aiohttp.ClientSession, base: URL, *, to_proxy: Mapping[str, str]) -> None:
        self._session = session
        self._base = str(base)
        self._host = base.host
        # Through a tunnel the proxy is told before, by itself; else it reads the request as we send it.
        self._for_tunnel = to_proxy if base.scheme == "https" else {}
        self._own = {} if self._for_tunnel else to_proxy

    async def get(
        self, path: str, *, params: Mapping[str, str | int], token: str, sent: Callable[[], None]
    ) -> Received:
        """What `path`, quoted already, answers. `sent` is called as soon as the request is on the wire.

        Raises FaultError where no whole answer comes. No text of it quotes the request or the answer.
        """
        # Quoted here and by nobody else: what the source reads is what was meant, to the letter.
        url = URL(f"{self._base}{path}?{urlencode(params, quote_via=quote)}", encoded=True)
        headers = {**self._own, "Authorization": f"Bearer {token}"}
        # One that the source has closed meanwhile must be seen to be gone before it is taken.
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
                body = await response.read()
                return Received(status=response.status, headers=response.headers, body=body)
        # A ValueError is a token that fits into no header.
        except (aiohttp.ClientError, OSError, ValueError) as broken:
            fault = Fault(
                message=f"No answer from {self._host}: {_reason(broken)}",
                is_answered=not isinstance(broken, _NO_CONNECTION),
            )
            raise FaultError(fault) from None


@asynccontextmanager
async def open_transport(
    address: str, *, timeout_seconds: float, headers: Mapping[str, str] | None = None
) -> AsyncIterator[Transport]:
    """Requests to what lies under `address`; belongs to the loop that is running.

    `timeout_seconds` bounds each silence of the source, not an answer that keeps coming. Proxies and
    authorities are those of the environment. Raises SettingsInvalid for a proxy we cannot speak to.
    """
    base = URL(address.rstrip("/") + "/")
    # Asked once: the client's own look at the environment takes two threads a call, and reads .netrc.
    proxy = environment_proxy(base.scheme, base.host or "", base.port)
    has_tls = "https" in (base.scheme, proxy.url.scheme if proxy else "")
    connector = aiohttp.TCPConnector(
        # However many Pages are read at once: the pace of each is kept by its budget.
        limit=0,
        keepalive_timeout=_KEPT_SECONDS,
        ssl=trusted_authorities() if has_tls else True,
        # The system's own, whatever else is installed: it knows how long a name holds.
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
        trace_configs=[_telling_what_is_sent()],
        read_bufsize=_BUFFER_BYTES,
        max_line_size=_LONGEST_HEADER_BYTES,
        max_field_size=_LONGEST_HEADER_BYTES,
        max_headers=_MOST_HEADERS,
    ) as session:
        yield Transport(session, base, to_proxy=proxy.headers if proxy else {})


def _timeout(seconds: float, *, is_proxied: bool) -> aiohttp.ClientTimeout:
    """For the address and the connection, for TLS, and for a proxy's leave: else nothing bounds that."""
    connect = 2 * _CONNECT_SECONDS + (seconds if is_proxied else 0)
    return aiohttp.ClientTimeout(
        total=None, connect=connect, sock_connect=_CONNECT_SECONDS, sock_read=seconds
    )


async def _never_repeated(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """The client would repeat what ends with its connection: unseen, unpaced, and counted by Meta."""
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as lost:
        raise aiohttp.ClientConnectionError from lost


def _telling_what_is_sent() -> aiohttp.TraceConfig:
    async def tell(
        _session: aiohttp.ClientSession,
        context: SimpleNamespace,
        _told: aiohttp.TraceRequestHeadersSentParams,
    ) -> None:
        context.trace_request_ctx()

    config = aiohttp.TraceConfig()
    config.on_request_headers_sent.append(tell)
    return config


def _reason(broken: Exception) -> str:
    """In words of our own: the client's quote the URL, and what came instead of an answer."""
    if isinstance(broken, aiohttp.ClientConnectorCertificateError):
        return str(broken.certificate_error)
    if isinstance(broken, aiohttp.ClientConnectorError):
        is_proxys = isinstance(broken, aiohttp.ClientProxyConnectionError)
        return f"{'the proxy cannot be reached: ' if is_proxys else ''}{broken.os_error}"
    known = (said for kind, said in _REASONS if isinstance(broken, kind))
    return next(known, f"the request could not be made ({type(broken).__name__}).")
