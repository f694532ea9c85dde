"""The call rate, the day's quota, and the headers that report them (graph-facts 2)."""

import json

import pytest

from tests.fixtures import FakeClock, Json
from tests.sandbox.fixtures import Answer, Graph, Parameter, StartGraph

OAUTH = "OAuthException"


def facts(answer: Answer) -> tuple[int, int, int | None, str]:
    error = answer.error
    return answer.status, error["code"], error.get("error_subcode"), error["type"]


def burst(served: Graph, calls: int, **parameters: Parameter) -> list[Answer]:
    return [served.inbox(**parameters) for _ in range(calls)]


@pytest.mark.parametrize("code", [613, 80006])
def test_a_third_call_within_the_second_is_refused(graph: StartGraph, code: int) -> None:
    answers = burst(graph(conversations=30, limits=True, rate_code=code), 3)
    assert [each.status for each in answers] == [200, 200, 400]
    assert facts(answers[2]) == (400, code, None, OAUTH)


def test_half_a_second_later_one_more_call_is_answered(graph: StartGraph, clock: FakeClock) -> None:
    served = graph(conversations=30, limits=True)
    burst(served, 3)
    clock.pass_seconds(0.55)
    assert [each.status for each in burst(served, 2)] == [200, 400]


def test_a_bucket_lets_three_calls_into_one_second(graph: StartGraph, clock: FakeClock) -> None:
    served = graph(conversations=30, limits=True)
    statuses = [each.status for each in burst(served, 2)]
    clock.pass_seconds(0.55)
    assert [*statuses, served.inbox().status] == [200] * 3


def test_a_rolling_second_never_holds_more_than_two_calls(graph: StartGraph, clock: FakeClock) -> None:
    served = graph(conversations=30, limits=True, pace="rolling")
    statuses = [each.status for each in burst(served, 2)]
    clock.pass_seconds(0.55)
    statuses.append(served.inbox().status)
    clock.pass_seconds(0.6)
    assert [*statuses, *(each.status for each in burst(served, 3))] == [200, 200, 400, 200, 200, 400]


def test_a_strict_bucket_never_lets_two_calls_in_at_once(graph: StartGraph, clock: FakeClock) -> None:
    served = graph(conversations=30, limits=True, pace="strict")
    statuses = [each.status for each in burst(served, 2)]
    for seconds in (0.5, 0.49, 0.01, 5):
        clock.pass_seconds(seconds)
        statuses.append(served.inbox().status)
    assert [*statuses, served.inbox().status] == [200, 400, 200, 400, 200, 200, 400]


def test_each_platform_has_its_own_call_rate(graph: StartGraph) -> None:
    served = graph(conversations=30, limits=True)
    answers = burst(served, 2) + burst(served, 2, platform="instagram")
    assert {each.status for each in answers} == {200}


def test_each_page_has_its_own_call_rate(graph: StartGraph) -> None:
    served = graph(conversations=30, limits=True, pages=2)
    tokens = [each["token"] for each in served.ready["pages"]] * 2
    assert {served.get("me/conversations", access_token=each).status for each in tokens} == {200}


def test_each_call_of_a_batch_counts(graph: StartGraph) -> None:
    answers = graph(conversations=30, limits=True).batch(*["me/conversations"] * 3)
    assert (answers.status, [each["code"] for each in answers.json]) == (200, [200, 200, 400])


def test_a_penalty_refuses_every_call_until_it_ends(graph: StartGraph, clock: FakeClock) -> None:
    served = graph(conversations=30, limits=True, penalty_seconds=0.8)
    burst(served, 3)
    clock.pass_seconds(0.55)
    assert served.inbox().status == 400
    clock.pass_seconds(0.9)
    assert served.inbox().status == 200


def usage(answer: Answer) -> Json:
    return json.loads(answer.headers["X-Business-Use-Case-Usage"])


def test_the_first_answers_report_no_usage(graph: StartGraph) -> None:
    answer = graph(conversations=30, limits=True).inbox()
    assert answer.headers["X-Business-Use-Case-Usage"] is None
    assert answer.headers["X-App-Usage"] is None


def test_refusals_report_the_usage_too(graph: StartGraph) -> None:
    served = graph(conversations=30, limits=True, engaged_users=1)
    answer = burst(served, 4)[-1]
    assert (answer.status, usage(answer)) == (
        400,
        {
            served.page_id: [
                {
                    "type": "messenger",
                    "call_count": 2,
                    "total_cputime": 1,
                    "total_time": 1,
                    "estimated_time_to_regain_access": 0,
                }
            ]
        },
    )


def test_a_batch_reports_the_usage_of_every_object(graph: StartGraph) -> None:
    served = graph(conversations=30, limits=True)
    answer = served.batch(*["me/conversations", "me/conversations?platform=instagram"] * 4)
    assert set(usage(answer)) == {served.page_id, served.ready["pages"][0]["instagram_id"]}


def test_after_the_days_calls_a_refusal_has_the_minutes_to_wait(graph: StartGraph, clock: FakeClock) -> None:
    served = graph(conversations=30, limits=True, engaged_users=1)
    served.batch(*["me/conversations"] * 50)
    for _ in range(3):
        served.batch(*["me/conversations"] * 50)
    clock.pass_seconds(0.55)
    answer = served.inbox()
    assert facts(answer) == (400, 80006, None, OAUTH)
    assert usage(answer)[served.page_id][0]["call_count"] == 100
    assert usage(answer)[served.page_id][0]["estimated_time_to_regain_access"] == 1440


# Pools


def quotas(answer: Answer) -> set[tuple[str, str]]:
    return {(object_id, each["type"]) for object_id, shown in usage(answer).items() for each in shown}


@pytest.fixture
def small(graph: StartGraph) -> Graph:
    """20 calls a day of each type, reported from the first on; no limit a second."""
    return graph(conversations=30, limits=True, calls_a_day=20)


def test_each_type_of_calls_has_its_own_quota(small: Graph) -> None:
    small.batch(*["me"] * 19)
    listed = small.batch(*["me/conversations"] * 4)
    shown = usage(small.batch("me", "me/conversations"))[small.page_id]
    assert quotas(listed) == {(small.page_id, "messenger")}
    assert [(each["type"], each["call_count"]) for each in shown] == [("messenger", 25), ("pages", 100)]


def test_an_instagram_call_reports_two_keys_of_one_type(small: Graph) -> None:
    account = small.ready["pages"][0]["instagram_id"]
    shown = usage(small.batch(*["me/conversations?platform=instagram"] * 4))
    assert set(shown) == {account, small.page_id}
    assert shown[account] == shown[small.page_id]
    assert shown[account][0]["type"] == "instagram"


@pytest.mark.parametrize(
    ("path", "code"),
    [("me", 80001), ("me/conversations", 80006), ("me/conversations?platform=instagram", 80002)],
)
def test_a_used_quota_has_its_own_code(graph: StartGraph, path: str, code: int) -> None:
    served = graph(conversations=30, limits=True, calls_a_day=3)
    served.batch(*[path] * 4)
    answers = [json.loads(each["body"]) for each in served.batch(path).json]
    assert [each["error"]["code"] for each in answers] == [code]


def test_a_used_quota_does_not_change_the_others(graph: StartGraph, clock: FakeClock) -> None:
    served = graph(conversations=30, limits=True, calls_a_day=3)
    served.batch(*["me/conversations"] * 9)
    clock.pass_seconds(1.1)
    assert [served.get(each).status for each in ("me/conversations", "me")] == [400, 200]


def test_a_used_quota_answers_again_when_the_day_is_over(graph: StartGraph, clock: FakeClock) -> None:
    served = graph(conversations=30, limits=True, calls_a_day=3, day_seconds=1.5)
    served.batch(*["me/conversations"] * 5)
    clock.pass_seconds(0.6)
    assert served.inbox().error["code"] == 80006
    clock.pass_seconds(1.6)
    assert served.inbox().status == 200


def test_a_short_day_reports_the_minutes_that_are_left_of_it(graph: StartGraph) -> None:
    served = graph(conversations=30, limits=True, calls_a_day=3, day_seconds=150)
    shown = usage(served.batch(*["me/conversations"] * 5))[served.page_id][0]
    assert (shown["call_count"], shown["estimated_time_to_regain_access"]) == (100, 3)


@pytest.mark.parametrize("minutes", [0, 7])
@pytest.mark.parametrize(("calls", "is_told"), [(18, False), (19, True), (20, True), (25, True)])
def test_the_minutes_of_the_switch_are_reported_from_95_percent_on(
    graph: StartGraph, minutes: int, calls: int, is_told: bool
) -> None:
    served = graph(conversations=30, limits=True, calls_a_day=20, regain_minutes=minutes)
    shown = usage(served.batch(*["me/conversations"] * calls))[served.page_id][0]
    assert shown["estimated_time_to_regain_access"] == (minutes if is_told else 0)


def test_a_nearly_used_quota_is_reported_even_by_the_first_answers(graph: StartGraph) -> None:
    served = graph(conversations=30, limits=True, calls_a_day=1)
    assert usage(served.inbox())[served.page_id][0]["call_count"] == 100


# The app


def test_a_switch_reports_the_apps_usage(graph: StartGraph) -> None:
    answer = graph(conversations=9, app_usage_percent=83).inbox()
    assert json.loads(answer.headers["X-App-Usage"])["call_count"] == 83
    assert answer.headers["X-Business-Use-Case-Usage"] is None


def test_without_usage_of_the_app_there_is_no_header(small: Graph) -> None:
    answer = small.batch(*["me"] * 9)
    assert usage(answer)
    assert answer.headers["X-App-Usage"] is None


def test_an_app_that_has_used_its_quota_is_refused_as_transient(graph: StartGraph) -> None:
    answer = graph(conversations=9, app_usage_percent=100).inbox()
    assert facts(answer) == (403, 4, None, OAUTH)
    assert answer.error["is_transient"] is True
    assert json.loads(answer.headers["X-App-Usage"])["call_count"] == 100
