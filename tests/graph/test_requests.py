"""One call with its retries, against a source whose answers a test has written."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web

from inboxsync.errors import MessageUnreadable, PermissionMissing, SourceRefused, TokenInvalid
from inboxsync.graph import Access, CallCounts, CallRate, GraphClient, RateLimiter
from inboxsync.model import Batch, Platform, Quota, TokenReason, Window
from tests.fixtures import FakeClock
from tests.graph.fixtures import AnswerWith, Fail, OpenClient, Play, Said, Use

TOKEN = "EAAmarked" + "x" * 40
ACCESS = Access(page_id="104", platform=Platform.MESSENGER, account_id="104", token=TOKEN)
INSTAGRAM = Access(page_id="104", platform=Platform.INSTAGRAM, account_id="17841", token=TOKEN)
LISTED = {"data": [{"id": "t_1"}]}


def answer(body: object, *, status: int = 200, headers: dict[str, str] | None = None) -> Said:
    return Said(json.dumps(body).encode(), status=status, headers=headers or {})


def refusal(code: int, message: str = "no", *, subcode: int | None = None) -> Said:
    return answer({"error": {"code": code, "message": message, "error_subcode": subcode}}, status=400)


def test_no_folder_and_no_window_are_not_sent(play: Play) -> None:
    _, source = play(
        lambda client: client.fetch_conversations(ACCESS, after=None, limit=7, messages=3), answer(LISTED)
    )
    (asked,) = source.params()
    assert {name for name in asked if name != "fields"} == {"platform", "limit", "locale"}
    assert "messages.limit(3){" in asked["fields"]


def test_folder_window_and_cursor_are_sent(play: Play) -> None:
    at = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)
    window = Window(before=at, after=at - timedelta(days=1))
    _, source = play(
        lambda client: client.fetch_conversation_times(
            ACCESS, folder="spam", window=window, after="c", limit=7
        ),
        answer(LISTED),
    )
    (asked,) = source.params()
    assert asked == {
        "platform": "messenger",
        "locale": "en_US",
        "fields": "id,updated_time",
        "limit": "7",
        "folder": "spam",
        "after": "c",
        "updated_before_ms": "1767323045678",
        "updated_after_ms": "1767236645678",
    }


@pytest.mark.parametrize(("asked_for", "limit"), [(5, 5), (20, 20), (21, 20), (100, 20)])
def test_instagram_is_never_asked_for_more_than_has_details(play: Play, asked_for: int, limit: int) -> None:
    _, source = play(
        lambda client: client.fetch_conversations(INSTAGRAM, after=None, limit=7, messages=asked_for),
        answer(LISTED),
    )
    assert f"messages.limit({limit}){{" in source.params()[0]["fields"]


def test_a_count_that_is_no_longer_served_is_no_longer_asked_for(play: Play) -> None:
    gone = refusal(100, "(#100) Tried accessing nonexisting field (message_count) on node type (X)")
    batch, source = play(
        lambda client: client.fetch_summary(ACCESS, after=None, limit=7, message_ids=2),
        gone,
        answer(LISTED),
    )
    assert len(batch.conversations) == 1
    assert [each["fields"] for each in source.params()] == [
        "id,updated_time,message_count,messages.limit(2){id}",
        "id,updated_time,messages.limit(2){id}",
    ]


def test_all_calls_under_way_with_a_field_that_is_refused_continue_without_it(
    open_client: OpenClient, answer_with: AnswerWith
) -> None:
    asked_for_it = []
    gone = {"error": {"code": 100, "message": "(#100) Tried accessing nonexisting field (snippet) on X"}}

    async def source(request: web.BaseRequest) -> web.StreamResponse:
        if "snippet" not in request.query["fields"]:
            return answer(LISTED).response()
        asked_for_it.append(request)
        while len(asked_for_it) < 3:  # until all three are under way
            await asyncio.sleep(0)
        return answer(gone, status=400).response()

    async def use() -> list[Batch]:
        async with answer_with(source) as url, open_client(url) as client:
            calls = (client.fetch_conversations(ACCESS, after=None, limit=7, messages=1) for _ in range(3))
            return await asyncio.gather(*calls)

    assert len(asyncio.run(use())) == 3
    assert len(asked_for_it) == 3


def test_a_call_fails_if_a_field_is_refused_that_it_did_not_ask_for(fail: Fail) -> None:
    gone = refusal(100, "(#100) Tried accessing nonexisting field (snippet) on node type (X)")
    error, source = fail(
        lambda client: client.fetch_conversations(ACCESS, after=None, limit=7, messages=1), gone
    )
    assert isinstance(error, SourceRefused)
    assert len(source.asked) == 3  # without that field, then without all that are not required


def test_unreadable_messages_are_reported_as_such(fail: Fail) -> None:
    deleted = refusal(9000001, "This Message has been deleted by the user or the business.")
    uses: list[Use[object]] = [
        lambda client: client.fetch_conversation(INSTAGRAM, "aWdf", messages=5),
        lambda client: client.fetch_messages(INSTAGRAM, "aWdf", after=None, limit=5),
    ]
    for use in uses:
        error, source = fail(use, deleted)
        assert isinstance(error, MessageUnreadable)
        assert len(source.asked) == 1


def test_old_ids_stay_one_part_of_the_path(play: Play) -> None:
    _, source = play(
        lambda client: client.fetch_messages(ACCESS, "t_mid.$c:1/2", after=None, limit=5, ids_only=True),
        answer({"data": []}),
    )
    assert source.asked[0].raw_path.startswith("/v27.0/t_mid.%24c%3A1%2F2/messages?")
    assert source.params()[0]["fields"] == "id,created_time"


def test_the_reason_is_on_the_error(fail: Fail) -> None:
    error, _ = fail(lambda client: client.fetch_page(ACCESS), refusal(190, subcode=460))
    assert isinstance(error, TokenInvalid)
    assert error.reason is TokenReason.PASSWORD_CHANGED
    error, _ = fail(lambda client: client.fetch_page(ACCESS), refusal(368))
    assert isinstance(error, PermissionMissing)
    assert error.reason is TokenReason.BLOCKED


def test_no_error_holds_the_token(fail: Fail) -> None:
    for bad in (
        refusal(100, f"Malformed access token {TOKEN}"),
        answer(f"<html>{TOKEN}</html>"),
        Said(f"<html>{TOKEN}</html>".encode(), status=502),
    ):
        error, source = fail(lambda client: client.fetch_page(ACCESS), bad)
        assert "marked" not in str(error)
        assert source.asked
        assert all("marked" not in request.raw_path for request in source.asked)


def test_a_stored_block_is_waited_for_before_any_call(play: Play, clock: FakeClock) -> None:
    rate_limiter = RateLimiter(clock=clock, calls_per_second=2)
    until = clock.now() + timedelta(minutes=9)
    rate_limiter.restore([Quota(object_id="104", type="messenger", used_percent=98, blocked_until=until)])
    seen = []

    async def use(client: GraphClient) -> None:
        await client.fetch_conversation_times(ACCESS, after=None, limit=1)
        seen.append(clock.now())

    _, source = play(use, answer(LISTED), rate_limiter=rate_limiter)
    assert len(source.asked) == 1
    assert seen[0] >= until


def test_a_refusal_for_the_quota_is_waited_out_and_counted(play: Play, clock: FakeClock) -> None:
    kept: list[Quota] = []

    async def keep(quota: Quota) -> None:
        assert clock.slept == []
        kept.append(quota)

    usage = {"type": "messenger", "call_count": 100, "estimated_time_to_regain_access": 3}
    headers = {"X-Business-Use-Case-Usage": json.dumps({"104": [usage]})}
    refused = answer({"error": {"code": 80006, "message": "too many"}}, status=400, headers=headers)

    async def use(client: GraphClient) -> CallCounts:
        await client.fetch_conversation_times(ACCESS, after=None, limit=1)
        return client.counts(ACCESS)

    counts, _ = play(
        use, refused, answer(LISTED), rate_limiter=RateLimiter(clock=clock, calls_per_second=None, keep=keep)
    )
    assert (counts.made, counts.refused) == (2, 1)
    assert sum(clock.slept) == pytest.approx(180)
    assert [(quota.type, quota.used_percent) for quota in kept] == [("messenger", 100)]


def test_without_a_limit_of_ours_there_is_no_call_rate(play: Play) -> None:
    async def use(client: GraphClient) -> tuple[CallRate, CallRate]:
        before = client.call_rate(ACCESS)
        await client.fetch_conversation_times(ACCESS, after=None, limit=1)
        return before, client.call_rate(ACCESS)

    (before, after), _ = play(use, answer(LISTED))
    assert (before.latency_seconds, before.calls_per_second) == (None, None)
    assert after.latency_seconds is not None
    assert after.calls_per_second is None


def test_latency_does_not_include_the_wait_for_a_call_slot(play: Play, clock: FakeClock) -> None:
    async def use(client: GraphClient) -> CallRate:
        for _ in range(5):
            await client.fetch_conversation_times(ACCESS, after=None, limit=1)
        return client.call_rate(ACCESS)

    call_rate, _ = play(use, answer(LISTED), calls_per_second=0.5)
    assert clock.monotonic() > 8
    assert call_rate.latency_seconds is not None
    assert call_rate.latency_seconds < 0.1
    assert call_rate.calls_per_second == pytest.approx(0.5 / 1.02)
