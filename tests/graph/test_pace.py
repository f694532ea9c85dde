"""The call rate against a strict source, with calls that take longer on their way: a simulation."""

import asyncio
from random import Random

import pytest

from inboxsync.graph import Access
from inboxsync.graph.quotas import Endpoint
from inboxsync.graph.rate_limiter import RateLimiter
from inboxsync.model import Platform
from tests.fixtures import FakeClock

ACCESS = Access(page_id="104", platform=Platform.MESSENGER, account_id="104", token="EAAsecret")
CALLS = 400


class Bucket:
    """Two calls a second, none saved up."""

    def __init__(self) -> None:
        self._full_at = 0.0

    def takes(self, at: float) -> bool:
        if at < self._full_at:
            return False
        self._full_at = at + 0.5
        return True


class Rolling:
    """At most two calls in any second."""

    def __init__(self) -> None:
        self._taken: list[float] = []

    def takes(self, at: float) -> bool:
        self._taken = [each for each in self._taken if each > at - 1.0]
        if len(self._taken) >= 2:
            return False
        self._taken.append(at)
        return True


def run(source: Bucket | Rolling, *, jitter: float, seed: int, calls: int = CALLS) -> tuple[int, float]:
    """How many of the calls were refused, and the share of the allowed rate that the others used."""
    clock, random = FakeClock(), Random(seed)  # noqa: S311 - no secret
    limiter = RateLimiter(clock=clock, calls_per_second=2.0)
    refused = accepted = 0

    async def make() -> None:
        nonlocal refused, accepted
        arrived = 0.0
        while accepted < calls:
            slot = await limiter.acquire(ACCESS, Endpoint.CONVERSATIONS)
            slot.sent()
            # One connection: no call overtakes another.
            arrived = max(arrived, clock.monotonic() + random.uniform(0, jitter))
            if source.takes(arrived):
                accepted += 1
                limiter.accepted(ACCESS, Endpoint.CONVERSATIONS)
            else:
                refused += 1
                await limiter.refused(ACCESS, Endpoint.CONVERSATIONS, code=613)

    asyncio.run(make())
    return refused, calls / clock.monotonic() / 2.0


@pytest.mark.parametrize("source", [Bucket, Rolling])
@pytest.mark.parametrize("seed", range(8))
def test_at_most_one_call_is_refused_though_calls_take_up_to_60_ms_on_their_way(
    source: type[Bucket | Rolling], seed: int
) -> None:
    refused, used = run(source(), jitter=0.06, seed=seed)
    assert refused <= 1
    assert used >= 0.85


@pytest.mark.parametrize("source", [Bucket, Rolling])
def test_without_such_delays_none_is_refused_and_nearly_all_is_used(source: type[Bucket | Rolling]) -> None:
    refused, used = run(source(), jitter=0.0, seed=1)
    assert refused == 0
    assert used >= 0.95


def test_a_run_of_hours_is_refused_no_more_often_than_a_short_one() -> None:
    refused, used = run(Bucket(), jitter=0.06, seed=3, calls=22_000)
    assert refused <= 1
    assert used >= 0.85
