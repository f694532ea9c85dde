"""The fixtures of tests/graph; their types are in its `fixtures`."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeVar, Unpack

import pytest
from aiohttp.test_utils import RawTestServer

from inboxsync.graph import Access, GraphClient, RateLimiter, RetryPolicy
from inboxsync.graph.transport import LARGEST_BYTES, open_transport
from inboxsync.model import Platform
from tests.fixtures import FakeClock, SandboxServer
from tests.graph.fixtures import (
    AccessTo,
    Answering,
    AnswerWith,
    Ask,
    ClientOptions,
    Fail,
    OpenClient,
    Play,
    Played,
    Said,
    Script,
    Scripted,
    StartPlayed,
    Use,
)

T = TypeVar("T")


@pytest.fixture
def open_client(clock: FakeClock) -> OpenClient:
    @asynccontextmanager
    async def opened(url: str, options: ClientOptions) -> AsyncIterator[GraphClient]:
        used = options.get("clock", clock)
        rate_limiter = options.get("rate_limiter") or RateLimiter(
            clock=used, calls_per_second=options.get("calls_per_second")
        )
        async with open_transport(
            f"{url}/v27.0",
            timeout_seconds=options.get("timeout_seconds", 30),
            largest_bytes=options.get("largest_bytes", LARGEST_BYTES),
        ) as http:
            yield GraphClient(
                http=http,
                rate_limiter=rate_limiter,
                policy=RetryPolicy(attempts=3, base_seconds=0.01),
                clock=used,
                version="v27.0",
                app=options.get("app"),
            )

    def build(url: str, **options: Unpack[ClientOptions]) -> AbstractAsyncContextManager[GraphClient]:
        return opened(url, options)

    return build


@pytest.fixture
def access_to() -> AccessTo:
    def access(served: SandboxServer, platform: Platform = Platform.MESSENGER) -> Access:
        page = served.page
        is_instagram = platform is Platform.INSTAGRAM
        return Access(
            page_id=page.page_id,
            platform=platform,
            account_id=page.instagram_id if is_instagram else page.page_id,
            token=page.token,
        )

    return access


@pytest.fixture
def ask(open_client: OpenClient) -> Ask:
    def run(served: SandboxServer, use: Use[T], **options: Unpack[ClientOptions]) -> T:
        async def go() -> T:
            async with open_client(served.url, **options) as client:
                return await use(client)

        return asyncio.run(go())

    return run


@pytest.fixture
def answer_with() -> AnswerWith:
    @asynccontextmanager
    async def answering(answer: Answering) -> AsyncIterator[str]:
        async with RawTestServer(answer) as server:
            yield str(server.make_url("")).rstrip("/")

    return answering


@pytest.fixture
def play(open_client: OpenClient, answer_with: AnswerWith) -> Play:
    def run(use: Use[T], *answers: Said, **options: Unpack[ClientOptions]) -> tuple[T, Scripted]:
        source = Scripted([*answers])

        async def go() -> T:
            async with answer_with(source) as url, open_client(url, **options) as client:
                return await use(client)

        return asyncio.run(go()), source

    return run


@pytest.fixture
def fail(open_client: OpenClient, answer_with: AnswerWith) -> Fail:
    def run(use: Use[object], *answers: Said) -> tuple[Exception, Scripted]:
        source = Scripted([*answers])

        async def go() -> None:
            async with answer_with(source) as url, open_client(url) as client:
                await use(client)

        with pytest.raises(Exception) as caught:  # noqa: PT011 - the test looks at it
            asyncio.run(go())
        return caught.value, source

    return run


@pytest.fixture
def played() -> Iterator[StartPlayed]:
    servers: list[Played] = []

    def start(*scripts: Script, tls: ssl.SSLContext | None = None) -> Played:
        servers.append(Played(*scripts, tls=tls))
        return servers[-1]

    yield start
    for server in servers:
        server.end()
