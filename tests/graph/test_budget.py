import asyncio
import json
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from inboxsync.graph import Budget

PAGE = "104"


def business_usage(percent: int, *, regain_minutes: int = 0, object_id: str = PAGE) -> dict[str, str]:
    entry = {
        "type": "messenger",
        "call_count": percent,
        "total_cputime": 0,
        "total_time": 0,
        "estimated_time_to_regain_access": regain_minutes,
    }
    return {"x-business-use-case-usage": json.dumps({object_id: [entry]})}


async def call_times(budget: Budget, clock: Any, calls: int) -> list[float]:
    times = []
    for _ in range(calls):
        slot = await budget.acquire(PAGE)
        times.append(clock.monotonic())
        slot.sent()
    return times


def test_no_three_calls_leave_within_a_second(clock: Any) -> None:
    times = asyncio.run(call_times(Budget(clock=clock, calls_per_second=2), clock, 20))
    assert all(later - earlier > 1 for earlier, later in zip(times, times[2:], strict=False))


def test_at_least_nine_tenths_of_the_pace_are_used(clock: Any) -> None:
    times = asyncio.run(call_times(Budget(clock=clock, calls_per_second=2), clock, 101))
    assert 100 / times[-1] >= 1.8


def test_pages_do_not_wait_for_each_other(clock: Any) -> None:
    async def both() -> None:
        budget = Budget(clock=clock, calls_per_second=2)
        (await budget.acquire("1")).sent()
        (await budget.acquire("2")).sent()

    asyncio.run(both())
    assert clock.slept == []


def test_the_pace_falls_from_three_quarters_of_the_allowance(clock: Any) -> None:
    gaps = []
    for percent in (74, 80, 90, 94):
        budget = Budget(clock=clock, calls_per_second=2)
        budget.note(PAGE, business_usage(percent))
        times = asyncio.run(call_times(budget, clock, 2))
        gaps.append(times[1] - times[0])
    assert gaps[0] == pytest.approx(0.51)
    assert all(slower > faster for faster, slower in pairwise(gaps))


def test_a_full_allowance_holds_calls_back_for_the_minutes_told(clock: Any) -> None:
    budget = Budget(clock=clock, calls_per_second=2)
    budget.note(PAGE, business_usage(96, regain_minutes=7))
    assert budget.blocked_until(PAGE) == clock.now() + timedelta(minutes=7)
    asyncio.run(call_times(budget, clock, 1))
    assert clock.monotonic() >= 7 * 60


def test_no_minutes_told_means_unknown_and_the_wait_grows(clock: Any) -> None:
    budget = Budget(clock=clock, calls_per_second=2)
    waits = []
    for _ in range(3):
        waits.append((budget.refused(PAGE, pace_only=False) - clock.now()).total_seconds())
        clock.pass_seconds(waits[-1])
    assert waits == [60, 120, 240]


def test_a_call_too_soon_waits_a_second_and_grows_until_one_is_accepted(clock: Any) -> None:
    budget = Budget(clock=clock, calls_per_second=2)
    waits = []
    for _ in range(3):
        waits.append((budget.refused(PAGE, pace_only=True) - clock.now()).total_seconds())
        clock.pass_seconds(waits[-1])
    budget.accepted(PAGE)
    waits.append((budget.refused(PAGE, pace_only=True) - clock.now()).total_seconds())
    assert waits == [1, 2, 4, 1]


def test_another_objects_usage_counts_only_where_ours_is_not_told(clock: Any) -> None:
    budget = Budget(clock=clock, calls_per_second=2)
    both = {PAGE: [{"type": "messenger", "call_count": 3}], "999": [{"type": "messenger", "call_count": 99}]}
    budget.note(PAGE, {"x-business-use-case-usage": json.dumps(both)})
    usage = budget.usage(PAGE)
    assert usage is not None
    assert usage.percent == 3
    budget.note(PAGE, business_usage(40, object_id="17841"))
    usage = budget.usage(PAGE)
    assert usage is not None
    assert usage.percent == 40


@pytest.mark.parametrize(
    "header", ["", "{}", "null", "[]", "{", '{"104": 7}', '{"104": [7]}', '{"104": [{}]}']
)
def test_no_header_makes_reading_fail(clock: Any, header: str) -> None:
    budget = Budget(clock=clock, calls_per_second=2)
    budget.note(PAGE, {"x-business-use-case-usage": header, "x-app-usage": header})


def test_an_absent_header_says_nothing(clock: Any) -> None:
    budget = Budget(clock=clock, calls_per_second=2)
    budget.note(PAGE, business_usage(50))
    budget.note(PAGE, {})
    usage = budget.usage(PAGE)
    assert usage is not None
    assert usage.percent == 50
