"""Several calls of one inbox at once, at Meta's own call rate, against limits that are enforced strictly."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from inboxsync.clock import SystemClock
from inboxsync.graph import Access, CallCounts, CallRate, GraphClient
from tests.fixtures import Serve
from tests.graph.fixtures import AccessTo, Ask

READERS = 4
SECONDS = 6.0


async def fetch_until(client: GraphClient, access: Access, ends_at: float, thread_id: str) -> None:
    """Everything that a sync asks for, one call after the other."""
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: client.fetch_conversations(access, after=None, limit=50, messages=10),
        lambda: client.fetch_messages(access, thread_id, after=None, limit=50),
        lambda: client.fetch_summary(access, after=None, limit=50, message_ids=5),
        lambda: client.fetch_conversation(access, thread_id, messages=10),
    ]
    while True:
        for call in calls:
            if time.monotonic() >= ends_at:
                return
            await call()


def test_no_call_is_refused_however_many_are_under_way(
    serve: Serve, ask: Ask, access_to: AccessTo, record_property: Callable[[str, object], None]
) -> None:
    served = serve(conversations=200, limits=True, penalty_seconds=5.0, latency_seconds=0.3)
    access = access_to(served)
    thread_id = next(iter(served.threads()))

    async def use(client: GraphClient) -> tuple[CallCounts, CallRate, float]:
        began = time.monotonic()
        readers = (fetch_until(client, access, began + SECONDS, thread_id) for _ in range(READERS))
        await asyncio.gather(*readers)
        return client.counts(access), client.call_rate(access), time.monotonic() - began

    counts, call_rate, seconds = ask(served, use, clock=SystemClock(), calls_per_second=2)
    record_property("share_of_the_call_rate_used", counts.made / (2 * seconds))
    assert counts.refused == 0
    assert served.sandbox.http.counts["refused"] == 0
    assert counts.made > READERS
    assert call_rate.latency_seconds is not None
    assert call_rate.latency_seconds > 0.25
    assert call_rate.calls_per_second is not None
    assert abs(call_rate.calls_per_second - 2 / 1.02) < 0.001
