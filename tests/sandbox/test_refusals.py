"""What Meta refuses (graph-facts 1, 2, 3): code, subcode, type, HTTP status, headers."""

import hashlib
import hmac
from collections.abc import Callable
from typing import TypeAlias

import pytest

from tests.sandbox.fixtures import Answer, Graph, Parameter, StartGraph

OAUTH = "OAuthException"
METHOD = "GraphMethodException"


def facts(answer: Answer) -> tuple[int, int, int | None, str]:
    error = answer.error
    return answer.status, error["code"], error.get("error_subcode"), error["type"]


def newest(served: Graph, **parameters: Parameter) -> str:
    return str(served.inbox(**parameters).data[0]["id"])


def other_pages(served: Graph) -> str:
    token = served.ready["pages"][1]["token"]
    return str(served.get("me/conversations", access_token=token).data[0]["id"])


Ask: TypeAlias = Callable[[Graph], Answer]
# A sandbox, and the ids of its one Instagram conversation's messages, newest first.
Instagram: TypeAlias = tuple[Graph, list[str]]
REFUSALS: dict[str, tuple[Ask, tuple[int, int, int | None, str]]] = {
    "a wrong token": (lambda s: s.inbox(access_token="EAAwrong"), (400, 190, None, OAUTH)),
    "no token": (lambda s: s.inbox(access_token=None), (400, 104, None, OAUTH)),
    "no token, of oneself": (lambda s: s.get("me", access_token=None), (400, 2500, None, OAUTH)),
    "the app's token, of oneself": (
        lambda s: s.get("me/accounts", access_token=s.ready["app_token"]),
        (400, 2500, None, OAUTH),
    ),
    "a person's token on the list": (
        lambda s: s.inbox(access_token=s.ready["user_token"]),
        (403, 210, None, OAUTH),
    ),
    "another Page's list": (
        lambda s: s.get(f"{s.ready['pages'][1]['page_id']}/conversations"),
        (400, 100, 33, METHOD),
    ),
    "another Page's conversation": (lambda s: s.get(other_pages(s)), (400, 100, 33, METHOD)),
    "another Page's messages": (lambda s: s.get(f"{other_pages(s)}/messages"), (400, 100, 33, METHOD)),
    "another Page": (lambda s: s.get(s.ready["pages"][1]["page_id"]), (400, 100, 33, METHOD)),
    "an unknown conversation": (lambda s: s.get("t_1"), (400, 100, 33, METHOD)),
    "a conversation past the last": (lambda s: s.get("t_100000000900000"), (400, 100, 33, METHOD)),
    "an id of absurd length": (lambda s: s.get("t_" + "9" * 5000), (400, 100, 33, METHOD)),
    "an unknown message": (lambda s: s.get("m_AAAA"), (400, 100, 33, METHOD)),
    "an unknown Instagram id": (lambda s: s.get("aWdfZG0ZD"), (400, 100, 33, METHOD)),
    "an Instagram id with junk in it": (
        lambda s: s.get(newest(s, platform="instagram").replace("a", "a!", 1)),
        (400, 100, 33, METHOD),
    ),
    "an unknown person": (lambda s: s.get("6000000000000000"), (400, 100, 33, METHOD)),
    "the root": (lambda s: s.get(""), (400, 100, 33, METHOD)),
    "the list by Instagram's own id": (
        lambda s: s.get(f"{s.ready['pages'][0]['instagram_id']}/conversations"),
        (400, 100, 33, METHOD),
    ),
    "an unknown edge": (lambda s: s.get("me/feed"), (400, 100, None, OAUTH)),
    "a path too deep": (lambda s: s.get("me/conversations/more"), (400, 2500, None, OAUTH)),
    "an unknown field": (lambda s: s.inbox(fields="id,subject"), (400, 100, None, OAUTH)),
    "an unknown field of an empty list": (
        lambda s: s.inbox(folder="nowhere", fields="subject"),
        (400, 100, None, OAUTH),
    ),
    "an unknown field of messages": (
        lambda s: s.inbox(fields="messages{id,snippet}"),
        (400, 100, None, OAUTH),
    ),
    "an unknown field of people": (lambda s: s.inbox(fields="participants{age}"), (400, 100, None, OAUTH)),
    "an unknown field of attachments nobody has": (
        lambda s: s.inbox(limit=1, fields="messages.limit(1){attachments{colour}}"),
        (400, 100, None, OAUTH),
    ),
    "an unknown field of one conversation": (
        lambda s: s.get(newest(s), fields="subject"),
        (400, 100, None, OAUTH),
    ),
    "an unknown field of the Page": (lambda s: s.get("me", fields="nothing"), (400, 100, None, OAUTH)),
    "an open brace": (lambda s: s.inbox(fields="messages{id"), (400, 2500, None, OAUTH)),
    "a closed brace": (lambda s: s.inbox(fields="id}"), (400, 2500, None, OAUTH)),
    "nothing between commas": (lambda s: s.inbox(fields="id,,link"), (400, 2500, None, OAUTH)),
    "empty braces": (lambda s: s.inbox(fields="messages{}"), (400, 2500, None, OAUTH)),
    "an argument without parentheses": (lambda s: s.inbox(fields="messages.limit"), (400, 2500, None, OAUTH)),
    "a sign that is none": (lambda s: s.inbox(fields="id;link"), (400, 2500, None, OAUTH)),
    "braces without end": (lambda s: s.inbox(fields="messages{" * 40), (400, 2500, None, OAUTH)),
    "a limit of nothing": (lambda s: s.inbox(limit=0), (400, 100, None, OAUTH)),
    "a limit of words": (lambda s: s.inbox(limit="many"), (400, 100, None, OAUTH)),
    "a limit of absurd length": (lambda s: s.inbox(limit="9" * 5000), (400, 100, None, OAUTH)),
    "a nested limit of words": (lambda s: s.inbox(fields="messages.limit(x)"), (400, 100, None, OAUTH)),
    "an unknown platform": (lambda s: s.inbox(platform="whatsapp"), (400, 100, None, OAUTH)),
    "51 calls in a batch": (lambda s: s.batch(*["me"] * 51), (400, 100, None, "GraphBatchException")),
    "a batch of nothing": (lambda s: s.batch(), (400, 100, None, "GraphBatchException")),
    "a batch that is no JSON": (lambda s: s.batch(batch="["), (400, 100, None, "GraphBatchException")),
    "a POST to what is only read": (
        lambda s: s.open(f"/v27.0/me/conversations?access_token={s.token}", method="POST"),
        (400, 100, 33, METHOD),
    ),
    "a DELETE": (
        lambda s: s.open(f"/v27.0/{newest(s)}?access_token={s.token}", method="DELETE"),
        (400, 100, 33, METHOD),
    ),
    "a token debugged that is not named": (lambda s: s.get("debug_token"), (400, 100, None, OAUTH)),
    "an exchange by another app": (lambda s: exchange(s, client_id="1"), (400, 101, None, OAUTH)),
    "an exchange with a wrong secret": (lambda s: exchange(s, client_secret="x"), (400, 1, None, OAUTH)),
    "an exchange of a wrong token": (
        lambda s: exchange(s, fb_exchange_token="EAAwrong"),
        (400, 190, None, OAUTH),
    ),
    "an exchange of nothing": (lambda s: exchange(s, fb_exchange_token=""), (400, 100, None, OAUTH)),
    "a code without its address": (lambda s: exchange(s, grant_type=""), (400, 191, None, OAUTH)),
}


def exchange(served: Graph, **changes: str) -> Answer:
    asked = {
        "grant_type": "fb_exchange_token",
        "client_id": served.ready["app_id"],
        "client_secret": served.ready["app_secret"],
        "fb_exchange_token": served.ready["user_token"],
    }
    return served.get("oauth/access_token", access_token=None, **(asked | changes))


@pytest.mark.parametrize("name", REFUSALS)
def test_it_refuses(shared: Graph, name: str) -> None:
    ask, expected = REFUSALS[name]
    assert facts(ask(shared)) == expected


@pytest.mark.parametrize(("token", "reason"), [("EAAwrong", "invalid_token"), (None, "invalid_request")])
def test_a_refusal_challenges_as_meta_does(graph: StartGraph, token: str | None, reason: str) -> None:
    answer = graph(conversations=1).inbox(access_token=token)
    assert (
        answer.headers["WWW-Authenticate"]
        == f'OAuth "Facebook Platform" "{reason}" "{answer.error["message"]}"'
    )


def test_a_refusal_is_not_to_be_stored(graph: StartGraph) -> None:
    assert graph(conversations=1).get("t_1").headers["Cache-Control"] == "no-store"


def test_a_refusal_has_a_trace_id(graph: StartGraph) -> None:
    answer = graph(conversations=1).get("t_1")
    assert answer.error["fbtrace_id"] == answer.headers["x-fb-trace-id"]


@pytest.mark.parametrize("subcode", [458, 459, 460, 463, 464, 467, 490, 492])
def test_the_error_for_a_dead_token_says_why_it_died(graph: StartGraph, subcode: int) -> None:
    served = graph(conversations=1)
    served.control("tokens", kill=subcode)
    assert facts(served.inbox()) == (400, 190, subcode, OAUTH)


def test_a_dead_token_is_described_inside_a_normal_answer(graph: StartGraph) -> None:
    served = graph(conversations=1)
    served.control("tokens", kill=467)
    answer = served.get("debug_token", input_token=served.token, access_token=served.ready["app_token"])
    shown = answer.json["data"]
    assert (answer.status, shown["is_valid"], shown["error"]["code"], shown["error"]["subcode"]) == (
        200, False, 190, 467,
    )  # fmt: skip


def test_a_token_minted_after_the_others_died_is_valid(graph: StartGraph) -> None:
    served = graph(conversations=1)
    served.control("tokens", kill=463)
    minted = served.control("tokens", mint=True).json["token"]
    assert served.inbox(access_token=minted).status == 200


def test_the_apps_token_does_not_open_a_page(graph: StartGraph) -> None:
    served = graph(conversations=1)
    answer = served.get(served.page_id, access_token=served.ready["app_token"], fields="name,access_token")
    assert "access_token" not in answer.json


@pytest.mark.parametrize("scheme", ["Bearer", "OAuth", "bearer"])
def test_a_token_may_come_in_the_header(graph: StartGraph, scheme: str) -> None:
    served = graph(conversations=1)
    answer = served.open("/v27.0/me", headers={"Authorization": f"{scheme} {served.token}"})
    assert answer.json["id"] == served.page_id


@pytest.mark.parametrize(
    ("asked", "answers"),
    [("v2.8", "v21.0"), ("v20.0", "v21.0"), ("v23.0", "v23.0"), ("v27.0", "v27.0"), ("v99.0", "v27.0")],
)
def test_an_ended_version_is_answered_by_the_oldest_usable_one(
    graph: StartGraph, asked: str, answers: str
) -> None:
    served = graph(conversations=1)
    answer = served.open(f"/{asked}/me?access_token={served.token}")
    assert (answer.status, answer.headers["facebook-api-version"]) == (200, answers)


# Instagram's 20 messages


@pytest.fixture
def instagram(graph: StartGraph) -> Instagram:
    served = graph(conversations=1, messages=(30, 30))
    thread = newest(served, platform="instagram")
    return served, [each["id"] for each in served.get(f"{thread}/messages", limit=50).data]


def test_the_20_newest_instagram_messages_are_readable(instagram: Instagram) -> None:
    served, messages = instagram
    assert {served.get(each).status for each in messages[:20]} == {200}


def test_older_instagram_messages_are_refused_as_deleted(instagram: Instagram) -> None:
    served, messages = instagram
    assert {facts(served.get(each)) for each in messages[20:]} == {(400, 9000001, None, OAUTH)}


def test_the_attachments_of_older_instagram_messages_are_as_unreadable(instagram: Instagram) -> None:
    served, messages = instagram
    assert facts(served.get(f"{messages[25]}/attachments")) == (400, 9000001, None, OAUTH)


def test_an_instagram_list_shows_older_messages_by_id_and_time(graph: StartGraph) -> None:
    served = graph(conversations=1, messages=(30, 30))
    thread = newest(served, platform="instagram")
    entries = served.get(f"{thread}/messages", limit=50, fields="id,created_time,from,tags").data
    assert [set(each) == {"id", "created_time"} for each in entries] == [False] * 20 + [True] * 10


DETAILS = {"fields": "id,created_time,from"}


@pytest.mark.parametrize(("rule", "listed"), [("bare", 30), ("omit", 20)])
def test_an_instagram_list_shows_as_many_as_the_switch_says(
    graph: StartGraph, rule: str, listed: int
) -> None:
    served = graph(conversations=1, messages=(30, 30), unreadable_messages=rule)
    thread = newest(served, platform="instagram")
    nested = served.get(thread, fields="messages.limit(50){from}").json["messages"]
    scanned = served.get(f"{thread}/messages", limit=20, **DETAILS)
    rest = served.open(scanned.paging["next"]).data if "next" in scanned.paging else []
    assert (len(nested["data"]), len(scanned.data + rest)) == (listed, listed)


def test_by_switch_an_instagram_list_with_an_unreadable_message_is_refused(graph: StartGraph) -> None:
    served = graph(conversations=3, messages=(30, 30), unreadable_messages="refuse")
    thread = newest(served, platform="instagram")
    readable = served.get(f"{thread}/messages", limit=20, **DETAILS)
    assert len(readable.data) == 20
    refused = [
        served.open(readable.paging["next"]),
        served.get(f"{thread}/messages", limit=21, **DETAILS),
        served.get(thread, fields="messages.limit(21){message}"),
        served.inbox(platform="instagram", fields="messages.limit(21){message}"),
    ]
    assert {facts(each) for each in refused} == {(400, 9000001, None, OAUTH)}
    assert served.inbox(platform="instagram", fields="messages.limit(20){message}").status == 200


@pytest.mark.parametrize("rule", ["bare", "omit", "refuse"])
def test_the_ids_of_all_instagram_messages_are_listed_whatever_the_switch(
    graph: StartGraph, rule: str
) -> None:
    served = graph(conversations=1, messages=(30, 30), unreadable_messages=rule)
    thread = newest(served, platform="instagram")
    assert len(served.get(f"{thread}/messages", limit=50).data) == 30


def test_messenger_has_no_such_rule(graph: StartGraph) -> None:
    served = graph(conversations=1, messages=(30, 30))
    oldest = served.get(f"{newest(served)}/messages", limit=50).data[-1]["id"]
    assert served.get(oldest).status == 200


# Access


def test_standard_access_shows_an_empty_messenger_list(graph: StartGraph) -> None:
    assert graph(conversations=30, standard_access=True).inbox().json == {"data": []}


def test_standard_access_times_out_on_instagram(graph: StartGraph) -> None:
    answer = graph(conversations=30, standard_access=True).inbox(platform="instagram")
    assert facts(answer) == (400, -2, 2534084, "IGApiException")
    assert "do not have a role on app" in answer.error["error_user_msg"]


def test_standard_access_hides_a_persons_list_too(graph: StartGraph) -> None:
    switches: dict[str, object] = {"conversations": 1, "seed": 3}
    people = graph(**switches).inbox(fields="participants").data[0]["participants"]["data"]
    served = graph(**switches, standard_access=True)
    person = next(each["id"] for each in people if each["id"] != served.page_id)
    assert served.inbox(user_id=person).json == {"data": []}


def test_a_high_volume_page_is_not_listed(graph: StartGraph) -> None:
    answer = graph(conversations=30, high_volume=True).inbox()
    assert facts(answer) == (500, 1, 99, OAUTH)


def test_a_high_volume_pages_single_conversations_are_read(graph: StartGraph) -> None:
    known = newest(graph(conversations=30))
    assert graph(conversations=30, high_volume=True).get(known).json["id"] == known


def proof(served: Graph, *, token: str | None = None) -> str:
    secret = served.ready["app_secret"].encode()
    return hmac.new(secret, (token or served.token).encode(), hashlib.sha256).hexdigest()


@pytest.mark.parametrize("wrong", [None, "", "0" * 64])
def test_a_wrong_or_missing_proof_is_refused(graph: StartGraph, wrong: str | None) -> None:
    answer = graph(conversations=1, require_proof=True).inbox(appsecret_proof=wrong)
    assert facts(answer) == (400, 100, None, METHOD)


def test_another_tokens_proof_is_refused(graph: StartGraph) -> None:
    served = graph(conversations=1, require_proof=True)
    answer = served.inbox(appsecret_proof=proof(served, token=served.ready["user_token"]))
    assert facts(answer) == (400, 100, None, METHOD)


def test_the_right_proof_is_accepted(graph: StartGraph) -> None:
    served = graph(conversations=1, require_proof=True)
    assert served.inbox(appsecret_proof=proof(served)).status == 200
