from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest

from inboxsync.clock import Clock
from inboxsync.graph import Access, Budget, GraphClient, RetryPolicy
from inboxsync.model import Platform

Answering = Callable[[httpx2.Request], httpx2.Response]
Opening = Callable[..., AbstractAsyncContextManager[GraphClient]]


@asynccontextmanager
async def opened(url: str, clock: Clock, **options: Any) -> AsyncIterator[GraphClient]:
    budget = options.get("budget") or Budget(clock=clock, calls_per_second=options.get("calls_per_second"))
    async with httpx2.AsyncClient(
        base_url=f"{url}/v25.0/",
        transport=options.get("transport"),
        timeout=options.get("timeout_seconds", 30),
    ) as http:
        yield GraphClient(
            http=http,
            budget=budget,
            policy=RetryPolicy(attempts=3, base_seconds=0.01),
            clock=clock,
            version="v25.0",
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


@dataclass
class Scripted:
    """A source that answers as it is told, one answer after another; the last one for ever."""

    answers: list[httpx2.Response | Exception]
    asked: list[httpx2.Request] = field(default_factory=list)

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def params(self) -> list[dict[str, str]]:
        return [dict(request.url.params) for request in self.asked]


@pytest.fixture
def scripted() -> type[Scripted]:
    return Scripted
