import asyncio
import json
import random
from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import chain, pairwise, repeat
from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inboxsync.errors import QuotaSpent
from inboxsync.graph import Access, RateLimiter
from inboxsync.graph.quotas import Endpoint, read_usage
from inboxsync.model import Platform, Quota
from tests.fixtures import FakeClock

# One quota of a usage header.
Entry: TypeAlias = dict[str, str | int]

PAGE, ACCOUNT, BUSINESS = "104", "17841", "900"
LIST, MESSAGES, PAGE_NODE = Endpoint.CONVERSATIONS, Endpoint.MESSAGES, Endpoint.PAGE


def inbox(page_id: str = PAGE) -> Access:
    return Access(page_id=page_id, platform=Platform.MESSENGER, account_id=page_id, token="x")


MESSENGER = inbox()
INSTAGRAM = Access(page_id=PAGE, platform=Platform.INSTAGRAM, account_id=ACCOUNT, token="x")


def entry(percent: int, *, regain_minutes: int = 0, kind: str = "messenger") -> Entry:
    return {
        "type": kind,
        "call_count": percent,
        "total_cputime": 0,
        "total_time": 0,
        "estimated_time_to_regain_access": regain_minutes,
    }


def header(**entries: list[Entry]) -> dict[str, str]:
    objects = {name.removeprefix("_"): value for name, value in entries.items()}
    return {"x-business-use-case-usage": json.dumps(objects)}


def used(percent: int, *, regain_minutes: int = 0) -> dict[str, str]:
    return header(_104=[entry(percent, regain_minutes=regain_minutes)])


def note(
    rate_limiter: RateLimiter, headers: dict[str, str], access: Access = MESSENGER, at: Endpoint = LIST
) -> None:
    asyncio.run(rate_limiter.note(access, at, headers))


def refuse(rate_limiter: RateLimiter, code: int, access: Access = MESSENGER, at: Endpoint = LIST) -> datetime:
    return asyncio.run(rate_limiter.refused(access, at, code=code))


async def call_times(
    rate_limiter: RateLimiter,
    clock: FakeClock,
    calls: int,
    access: Access = MESSENGER,
    at: Endpoint = LIST,
    late: Iterable[float] = repeat(0.0),
) -> list[float]:
    """When each call was sent, so many seconds `late` after it was due."""
    times = []
    for _, seconds in zip(range(calls), late, strict=False):
        slot = await rate_limiter.acquire(access, at)
        await clock.sleep(seconds)
        times.append(clock.monotonic())
        slot.sent()
    return times


def wait_of(
    rate_limiter: RateLimiter, clock: FakeClock, access: Access = MESSENGER, at: Endpoint = LIST
) -> float:
    """How long the next such call waits, in seconds."""
    began = clock.monotonic()
    (left,) = asyncio.run(call_times(rate_limiter, clock, 1, access, at))
    return left - began


@pytest.fixture
def rate_limiter(clock: FakeClock) -> RateLimiter:
    return RateLimiter(clock=clock, calls_per_second=2)


def test_no_three_calls_leave_within_a_second(rate_limiter: RateLimiter, clock: FakeClock) -> None:
    times = asyncio.run(call_times(rate_limiter, clock, 20))
    assert all(later - earlier > 1 for earlier, later in zip(times, times[2:], strict=False))


def test_at_least_nine_tenths_of_the_call_rate_are_used(rate_limiter: RateLimiter, clock: FakeClock) -> None:
    times = asyncio.run(call_times(rate_limiter, clock, 101))
    assert 100 / times[-1] >= 1.8


@pytest.mark.parametrize("most_late", [0.004, 0.05])
def test_the_delay_of_a_late_call_is_caught_up_and_no_three_leave_within_a_second(
    rate_limiter: RateLimiter, clock: FakeClock, most_late: float
) -> None:
    chance = random.Random(7)  # noqa: S311 - the same each time
    late = [chance.uniform(0, most_late) for _ in range(60)]
    times = asyncio.run(call_times(rate_limiter, clock, len(late), late=late))
    assert all(later - earlier > 1.01 for earlier, later in zip(times, times[2:], strict=False))
    over = sum(max(0.0, seconds - 0.005) for seconds in late)
    assert times[-1] - times[0] <= 0.51 * (len(late) - 1) + over + 0.0051


def test_the_call_rate_holds_for_all_kinds_of_call_together(
    rate_limiter: RateLimiter, clock: FakeClock
) -> None:
    async def at_once() -> list[list[float]]:
        kinds = [LIST, MESSAGES, Endpoint.CONVERSATION, PAGE_NODE]
        return await asyncio.gather(*(call_times(rate_limiter, clock, 5, at=kind) for kind in kinds))

    times = sorted(chain.from_iterable(asyncio.run(at_once())))
    assert all(later - earlier > 0.5 for earlier, later in pairwise(times))


def test_inboxes_do_not_wait_for_each_other(rate_limiter: RateLimiter, clock: FakeClock) -> None:
    async def both() -> None:
        (await rate_limiter.acquire(MESSENGER, LIST)).sent()
        (await rate_limiter.acquire(inbox("2"), LIST)).sent()
        (await rate_limiter.acquire(INSTAGRAM, LIST)).sent()

    asyncio.run(both())
    assert clock.slept == []


def test_the_call_rate_falls_from_three_quarters_of_the_quota(clock: FakeClock) -> None:
    gaps = []
    for percent in (74, 80, 90, 94):
        rate_limiter = RateLimiter(clock=clock, calls_per_second=2)
        note(rate_limiter, used(percent))
        times = asyncio.run(call_times(rate_limiter, clock, 2))
        gaps.append(times[1] - times[0])
        assert rate_limiter.calls_per_second(MESSENGER) == pytest.approx(1 / gaps[-1])
    assert gaps[0] == pytest.approx(0.51)
    assert all(slower > faster for faster, slower in pairwise(gaps))


def test_a_full_quota_blocks_calls_for_the_minutes_that_meta_reports(
    rate_limiter: RateLimiter, clock: FakeClock
) -> None:
    note(rate_limiter, used(96, regain_minutes=7))
    waiting = rate_limiter.waiting(MESSENGER)
    assert waiting is not None
    assert waiting.until == clock.now() + timedelta(minutes=7)
    assert (waiting.type, waiting.used_percent) == ("messenger", 96)
    assert wait_of(rate_limiter, clock) == 7 * 60
    assert rate_limiter.waiting(MESSENGER) is None


def test_reported_minutes_are_believed_up_to_a_day(rate_limiter: RateLimiter, clock: FakeClock) -> None:
    note(rate_limiter, used(100, regain_minutes=10**9))
    assert wait_of(rate_limiter, clock) == 24 * 3600


def test_without_reported_minutes_a_wait_is_a_minute_doubling_up_to_an_hour(
    rate_limiter: RateLimiter, clock: FakeClock
) -> None:
    waits = []
    for _ in range(8):
        note(rate_limiter, used(97))
        waits.append(wait_of(rate_limiter, clock))
    assert waits == [60, 120, 240, 480, 960, 1920, 3600, 3600]


def test_answers_under_way_do_not_make_the_wait_longer(rate_limiter: RateLimiter, clock: FakeClock) -> None:
    for _ in range(4):
        note(rate_limiter, used(97))
        clock.pass_seconds(1)
    assert refuse(rate_limiter, 80006) == clock.now() + timedelta(seconds=56)
    assert wait_of(rate_limiter, clock) == 56


def test_a_wait_that_helped_is_a_minute_the_next_time(rate_limiter: RateLimiter, clock: FakeClock) -> None:
    for _ in range(3):
        note(rate_limiter, used(97))
        wait_of(rate_limiter, clock)
    note(rate_limiter, used(40))
    rate_limiter.accepted(MESSENGER, LIST)
    note(rate_limiter, used(97))
    assert wait_of(rate_limiter, clock) == 60


def test_a_call_too_soon_waits_a_second_and_grows_until_one_is_accepted(
    rate_limiter: RateLimiter, clock: FakeClock
) -> None:
    waits = []
    for _ in range(3):
        waits.append((refuse(rate_limiter, 613) - clock.now()).total_seconds())
        rate_limiter.accepted(MESSENGER, LIST)  # one that had left before: it proves nothing
        clock.pass_seconds(waits[-1])
    rate_limiter.accepted(MESSENGER, LIST)
    waits.append((refuse(rate_limiter, 613) - clock.now()).total_seconds())
    assert waits == [1, 2, 4, 1]


def test_a_full_pages_quota_does_not_block_messenger_calls(
    rate_limiter: RateLimiter, clock: FakeClock
) -> None:
    note(rate_limiter, header(_104=[entry(96, kind="pages")]), at=PAGE_NODE)
    note(rate_limiter, header(_104=[entry(96, kind="pages"), entry(3)]))
    assert rate_limiter.waiting(MESSENGER) is None
    assert wait_of(rate_limiter, clock) < 1
    assert wait_of(rate_limiter, clock, at=PAGE_NODE) >= 59


def test_an_instagram_inbox_is_blocked_by_either_of_its_two_ids(
    rate_limiter: RateLimiter, clock: FakeClock
) -> None:
    both = header(_17841=[entry(3, kind="instagram")], _900=[entry(96, kind="instagram")])
    note(rate_limiter, both, INSTAGRAM)
    waiting = rate_limiter.waiting(INSTAGRAM)
    assert waiting is not None
    assert waiting.type == "instagram"
    assert rate_limiter.waiting(MESSENGER) is None
    assert wait_of(rate_limiter, clock, INSTAGRAM) == 60


@pytest.mark.parametrize(
    ("access", "endpoint"), [(MESSENGER, MESSAGES), (INSTAGRAM, LIST), (inbox("2"), PAGE_NODE)]
)
def test_the_apps_quota_blocks_every_call(
    rate_limiter: RateLimiter, clock: FakeClock, access: Access, endpoint: Endpoint
) -> None:
    note(rate_limiter, {"x-app-usage": json.dumps({"call_count": 10, "total_time": 95, "total_cputime": 1})})
    waiting = rate_limiter.waiting(access)
    assert waiting is not None
    assert (waiting.type, waiting.used_percent) == ("app", 95)
    assert wait_of(rate_limiter, clock, access, endpoint) == 60


@pytest.mark.parametrize("code", [4, 341])
def test_a_refusal_for_the_app_blocks_every_inbox(rate_limiter: RateLimiter, code: int) -> None:
    refuse(rate_limiter, code)
    assert rate_limiter.waiting(inbox("2")) is not None


@pytest.mark.parametrize("code", [17, 32, 80006, 80003, 613])
def test_any_other_refusal_blocks_only_this_inbox(rate_limiter: RateLimiter, code: int) -> None:
    refuse(rate_limiter, code)
    assert rate_limiter.waiting(MESSENGER) is not None
    assert rate_limiter.waiting(INSTAGRAM) is None
    assert rate_limiter.waiting(inbox("2")) is None


def test_after_a_refusal_for_another_quota_the_call_counts_against_it(
    rate_limiter: RateLimiter, clock: FakeClock
) -> None:
    refuse(rate_limiter, 80001)
    assert wait_of(rate_limiter, clock) == 5
    assert wait_of(rate_limiter, clock, at=PAGE_NODE) < 1


def test_a_refusal_blocks_the_fullest_quota_of_its_type(rate_limiter: RateLimiter) -> None:
    both = header(_17841=[entry(3, kind="instagram")], _900=[entry(94, kind="instagram")])
    note(rate_limiter, both, INSTAGRAM)
    refuse(rate_limiter, 80002, INSTAGRAM)
    waiting = rate_limiter.waiting(INSTAGRAM)
    assert waiting is not None
    assert waiting.used_percent == 94


class Kept:
    """Which quotas were stored, and how many waits there had been by then."""

    def __init__(self, clock: FakeClock) -> None:
        self.quotas: list[Quota] = []
        self._clock = clock
        self.slept_before: list[int] = []

    async def __call__(self, quota: Quota) -> None:
        self.slept_before.append(len(self._clock.slept))
        await asyncio.sleep(0)  # others run while it is being stored
        self.quotas.append(quota)


def test_a_block_is_stored_once_and_before_any_call_waits(clock: FakeClock) -> None:
    kept = Kept(clock)
    rate_limiter = RateLimiter(clock=clock, calls_per_second=None, keep=kept)

    async def at_once() -> None:
        async def note_it() -> None:
            await rate_limiter.note(MESSENGER, LIST, used(96))

        await asyncio.gather(note_it(), *(call_times(rate_limiter, clock, 1) for _ in range(3)))

    asyncio.run(at_once())
    assert kept.slept_before == [0]
    (quota,) = kept.quotas
    assert (quota.object_id, quota.type, quota.used_percent, quota.refusals) == (PAGE, "messenger", 96, 1)


def test_no_call_waits_for_a_block_that_cannot_be_stored(clock: FakeClock) -> None:
    async def fail(_: Quota) -> None:
        raise OSError("disk full")

    rate_limiter = RateLimiter(clock=clock, calls_per_second=None, keep=fail)
    with pytest.raises(OSError, match="disk full"):
        note(rate_limiter, used(96))
    with pytest.raises(OSError, match="disk full"):
        asyncio.run(call_times(rate_limiter, clock, 1))
    assert clock.slept == []


def test_a_new_process_continues_the_last_ones_wait_and_its_doubling(clock: FakeClock) -> None:
    kept = Kept(clock)
    killed = RateLimiter(clock=clock, calls_per_second=None, keep=kept)
    note(killed, used(96))
    clock.pass_seconds(20)
    rate_limiter = RateLimiter(clock=clock, calls_per_second=None)
    rate_limiter.restore(kept.quotas)
    assert wait_of(rate_limiter, clock) == 40
    note(rate_limiter, used(96))
    assert wait_of(rate_limiter, clock) == 120


def test_a_new_process_waits_for_a_quota_under_another_id_too(clock: FakeClock) -> None:
    kept = Kept(clock)
    killed = RateLimiter(clock=clock, calls_per_second=None, keep=kept)
    note(killed, header(_900=[entry(96, kind="instagram", regain_minutes=5)]), INSTAGRAM)
    rate_limiter = RateLimiter(clock=clock, calls_per_second=None)
    rate_limiter.restore(kept.quotas)
    assert wait_of(rate_limiter, clock, INSTAGRAM) == 300


def test_a_stored_block_that_is_over_is_ignored(rate_limiter: RateLimiter, clock: FakeClock) -> None:
    passed = clock.now() - timedelta(seconds=1)
    stored = Quota(object_id=PAGE, type="messenger", used_percent=99, blocked_until=passed, refusals=5)
    rate_limiter.restore([stored])
    assert rate_limiter.waiting(MESSENGER) is None
    assert rate_limiter.usage(MESSENGER) is None
    assert wait_of(rate_limiter, clock) == 0


def test_the_usage_shown_is_the_fullest_quotas(rate_limiter: RateLimiter) -> None:
    assert rate_limiter.usage(MESSENGER) is None
    app = {"x-app-usage": json.dumps({"call_count": 12, "total_time": 0, "total_cputime": 0})}
    note(rate_limiter, used(50) | app)
    usage = rate_limiter.usage(MESSENGER)
    assert usage is not None
    assert (usage.type, usage.percent) == ("messenger", 50)


def test_an_absent_header_changes_nothing(rate_limiter: RateLimiter) -> None:
    note(rate_limiter, used(50))
    note(rate_limiter, {})
    usage = rate_limiter.usage(MESSENGER)
    assert usage is not None
    assert usage.percent == 50


def test_a_call_that_is_cancelled_while_it_waits_leaves_its_slot_to_others(
    rate_limiter: RateLimiter, clock: FakeClock
) -> None:
    async def give_up() -> None:
        held = await rate_limiter.acquire(MESSENGER, LIST)
        waiting = asyncio.create_task(rate_limiter.acquire(MESSENGER, LIST))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        held.sent()
        held.sent()
        await call_times(rate_limiter, clock, 1)

    asyncio.run(give_up())


@pytest.mark.parametrize(
    "text",
    ["", "{}", "null", "[]", "{", '{"104": 7}', '{"104": [7]}', '{"104": [{}]}', "[" * 5000, '"\\ud83d"'],
)
def test_no_header_makes_reading_fail(rate_limiter: RateLimiter, text: str) -> None:
    note(rate_limiter, {"x-business-use-case-usage": text, "x-app-usage": text})


@given(st.one_of(st.integers(), st.floats(), st.text(), st.none(), st.lists(st.integers())))
def test_no_value_in_a_header_makes_reading_fail(value: object) -> None:
    entry = {
        "type": value,
        "call_count": value,
        "estimated_time_to_regain_access": value,
    }
    headers = {
        "x-business-use-case-usage": json.dumps({"1": [entry]}),
        "x-app-usage": json.dumps(entry),
    }
    for usage in read_usage(headers):
        assert 0 <= usage.percent <= 1000
        assert 0 <= usage.regain_seconds <= 24 * 3600


def test_a_wait_longer_than_the_callers_patience_fails_and_says_when_it_would_end(clock: FakeClock) -> None:
    rate_limiter = RateLimiter(clock=clock, calls_per_second=None, patience_seconds=30.0)

    async def use() -> None:
        (await rate_limiter.acquire(MESSENGER, LIST)).sent()
        await rate_limiter.note(MESSENGER, LIST, header(_104=[entry(97, regain_minutes=90)]))
        await rate_limiter.acquire(MESSENGER, LIST)

    with pytest.raises(QuotaSpent, match="messenger quota: 97 % used"):
        asyncio.run(use())
    assert clock.slept == []


@pytest.mark.parametrize(
    ("text", "percent"),
    [
        ('{"call_volume":100,"cpu_time":0}', 100),
        ('{"call_count":"97","total_time":1}', 97),
        ('{"call_count":97.5}', 97),
        ('{"call_count":"97.5 "}', 97),
        ('{"call_count":%s}' % ("9" * 400), None),
        ('{"call_count":"%s","total_time":12}' % ("9" * 400), 12),
        ('{"call_count":NaN}', None),
        ('{"call_count":"NaN","cpu_time":5}', 5),
        ('{"call_count":-3}', 0),
        ('{"call_count":true}', None),
        ('{"call_count":null}', None),
        ('{"call_count":[97]}', None),
        ('{"call_count":97', None),
        ('{"something":97}', None),
        ("[97]", None),
        ("", None),
    ],
)
def test_a_usage_header_is_read_in_every_shape_and_an_unreadable_one_says_nothing(
    text: str, percent: int | None
) -> None:
    expected = [] if percent is None else [percent]
    assert [usage.percent for usage in read_usage({"x-app-usage": text})] == expected
    entry = text.removesuffix("}") + ',"type":"messenger"}' if text.endswith("}") else text
    for body in (f'{{"104":[{entry}]}}', f'{{"104":{entry}}}'):
        usages = read_usage({"x-business-use-case-usage": body})
        assert [usage.percent for usage in usages] == expected, body


def test_another_pages_used_quota_holds_back_only_where_ones_own_is_not_reported(
    rate_limiter: RateLimiter, clock: FakeClock
) -> None:
    own, other = entry(3), entry(100, regain_minutes=30)
    note(rate_limiter, header(_999=[other], _104=[own]))
    assert wait_of(rate_limiter, clock) < 1
    note(rate_limiter, header(_999=[other]))
    assert wait_of(rate_limiter, clock) > 60


@pytest.mark.parametrize("seconds", [None, 20.0])
def test_calls_under_way_that_are_refused_together_count_as_one_refusal(
    rate_limiter: RateLimiter, clock: FakeClock, seconds: float | None
) -> None:
    async def refused() -> datetime:
        return await rate_limiter.refused(MESSENGER, LIST, code=613, seconds=seconds)

    before = rate_limiter.calls_per_second(MESSENGER) or 0.0
    until = [asyncio.run(refused()) for _ in range(5)]
    assert set(until) == {clock.now() + timedelta(seconds=seconds or 1)}
    assert (rate_limiter.calls_per_second(MESSENGER) or 0.0) > 0.85 * before
    clock.pass_seconds(seconds or 1)
    assert refuse(rate_limiter, 613) == clock.now() + timedelta(seconds=2)
