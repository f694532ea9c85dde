"""Several calls of one inbox at once, at Meta's own pace, against limits that do not forgive."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from inboxsync.clock import SystemClock
from inboxsync.graph import Access, GraphClient

LANES = 4
SECONDS = 6.0
Use = Callable[[GraphClient], Any]


@pytest.fixture
def at_metas_call_rate(open_client: Any) -> Callable[..., Any]:
    def run(served: Any, use: Use) -> Any:
        async def go() -> Any:
            options = {"clock": SystemClock(), "calls_per_second": 2}
            async with open_client(served.url, **options) as client:
                return await use(client)

        return asyncio.run(go())

    return run


async def fetch_until(client: GraphClient, access: Access, ends_at: float, thread_id: str) -> None:
    """Whatever a sync asks for, one after the other."""
    asks = [
        lambda: client.fetch_conversations(access, after=None, limit=50, messages=10),
        lambda: client.fetch_messages(access, thread_id, after=None, limit=50),
        lambda: client.fetch_summary(access, after=None, limit=50, message_ids=5),
        lambda: client.fetch_conversation(access, thread_id, messages=10),
    ]
    while True:
        for ask in asks:
            if time.monotonic() >= ends_at:
                return
            await ask()


def test_no_call_is_refused_however_many_are_under_way(
    serve: Any, at_metas_call_rate: Any, access_to: Any, record_property: Any
) -> None:
    served = serve(conversations=200, limits=True, penalty_seconds=5.0, latency_seconds=0.3)
    access = access_to(served)
    thread_id = next(iter(served.threads()))

    async def use(client: GraphClient) -> tuple[Any, Any, float]:
        began = time.monotonic()
        lanes = (fetch_until(client, access, began + SECONDS, thread_id) for _ in range(LANES))
        await asyncio.gather(*lanes)
        return client.counts(access), client.call_rate(access), time.monotonic() - began

    counts, call_rate, seconds = at_metas_call_rate(served, use)
    record_property("share_of_the_allowance_used", counts.made / (2 * seconds))
    assert counts.refused == 0
    assert served.sandbox.http.counts["refused"] == 0
    assert counts.made > LANES
    assert call_rate.latency_seconds > 0.25
    assert call_rate.calls_per_second == pytest.approx(2 / 1.02)
