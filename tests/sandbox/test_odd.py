"""Odd refusals, contents, headers and sizes by name; what each is, docs/sandbox.md says."""

import contextlib
import gzip
import json
import time
from collections import Counter
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import get_args

import pytest

from inboxsync.sandbox import Faults
from inboxsync.sandbox.config import OddContent, OddRefusalName, OddUsage
from tests.fixtures import PATIENCE_SECONDS, Json
from tests.sandbox.fixtures import Graph, Parameter, StartGraph
from tests.sandbox.test_faults import faults_of

LIST = "id,updated_time,participants,messages.limit(5){id,created_time,from,message,sticker,reply_to}"


def with_faults(graph: StartGraph, **faults: object) -> Graph:
    return graph(conversations=30, messages=(3, 8), faults=faults_of(faults))


CASES = Path(__file__).parents[3] / "shared" / "cases" / "source"
shared_cases = pytest.mark.skipif(
    not CASES.exists(), reason="the cases are not beside this checkout (../shared/cases/source)"
)


def source_case(name: str) -> Json:
    return json.loads((CASES / name).read_text(encoding="utf-8"))


@contextlib.contextmanager
def raw(served: Graph) -> Iterator[HTTPResponse]:
    """The list's answer, unread."""
    connection = HTTPConnection(served.url.removeprefix("http://"), timeout=PATIENCE_SECONDS)
    path = f"/v27.0/{served.page_id}/conversations?access_token={served.token}"
    connection.request("GET", path)
    try:
        yield connection.getresponse()
    finally:
        connection.close()


def body_of(response: HTTPResponse) -> bytes:
    body = response.read()
    return gzip.decompress(body) if response.headers["Content-Encoding"] == "gzip" else body


@pytest.mark.parametrize("form", ["packed", "plain"])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_huge_answer_is_the_true_one_with_blanks(graph: StartGraph, form: str, chunked: bool) -> None:
    served = with_faults(graph)
    listed = served.inbox().data
    served.control("faults", huge=1.0, huge_bytes=5_000_001, huge_form=form, huge_chunked=chunked)
    with raw(served) as response:
        assert (response.headers["Content-Length"] is None) == chunked
        body = body_of(response)
    assert len(body) == 5_000_001
    assert json.loads(body)["data"] == listed


def test_a_huge_answer_can_end_in_the_middle(graph: StartGraph) -> None:
    with raw(with_faults(graph, huge=1.0, huge_bytes=2_000_000, huge_is_json=False)) as response:
        body = body_of(response)
    with pytest.raises(json.JSONDecodeError):
        json.loads(body)


def test_400_megabytes_are_less_than_one_on_the_wire(graph: StartGraph) -> None:
    with raw(with_faults(graph, huge=1.0)) as response:
        assert int(response.headers["Content-Length"]) < 1_000_000


def test_padding_makes_an_answer_as_large_as_its_conversations_are_many(graph: StartGraph) -> None:
    served = with_faults(graph, padding_bytes=100_000)
    sizes = [len(served.inbox(limit=limit).text) for limit in (1, 10)]
    assert 100_000 < sizes[0] < 110_000
    assert 1_000_000 < sizes[1] < 1_010_000
    assert served.inbox(limit=10).data == with_faults(graph).inbox(limit=10).data


def test_a_trickle_is_whole_in_the_end_and_takes_its_time(graph: StartGraph) -> None:
    served = with_faults(graph)
    text = served.inbox(limit=1).text
    served.control("faults", trickle=1.0, trickle_bytes=100, trickle_seconds=0.05)
    started = time.monotonic()
    assert served.inbox(limit=1).text == text
    assert time.monotonic() - started >= 0.05 * (len(text) // 100)


def test_a_cut_error_is_half_an_error(graph: StartGraph) -> None:
    answer = with_faults(graph, cut_error=1.0).inbox()
    assert answer.status == 500
    assert answer.text.startswith('{"error":{"message"')
    with pytest.raises(json.JSONDecodeError):
        json.loads(answer.text)


@pytest.mark.parametrize(
    ("where", "statuses"),
    [
        ("all", [500, 500, 500, 500, 500]),
        ("lists", [500, 200, 200, 200, 200]),
        ("page", [200, 500, 200, 200, 200]),
        ("nodes", [200, 200, 500, 500, 200]),
    ],
)
@pytest.mark.parametrize("fault", [{"html": 1.0}, {"refuse_code": 2}])
def test_where_says_which_calls_meet_a_fault(
    graph: StartGraph, where: str, statuses: list[int], fault: dict[str, object]
) -> None:
    served = with_faults(graph)
    thread = served.inbox().data[0]["id"]
    served.control("faults", where=where, **fault)
    answers = [
        served.inbox(),
        served.get(served.page_id),
        served.get(thread),
        served.get(f"{thread}/messages"),
        served.get("debug_token", input_token=served.token),
    ]
    assert [each.status for each in answers] == statuses


@pytest.mark.parametrize("name", get_args(OddRefusalName))
def test_every_odd_refusal_is_an_answer_of_its_own_and_counts(graph: StartGraph, name: str) -> None:
    served = with_faults(graph, refusal=name, where="lists")
    answer = served.inbox()
    assert "data" not in answer.text
    assert served.get(served.page_id).status == 200
    assert served.open("/sandbox/stats").json["refused"] == 1


# What serves the behaviour of each shared case.
SWITCHES: dict[str, list[dict[str, object]]] = {
    "01-refused-field-in-page-call.json": [
        {"refuse_fields": ("instagram_business_account",), "where": "page"},
    ],
    "02-own-account-second-id.json": [{"odd": ("second_account_id",)}],
    "03-refused-field-other-words.json": [
        {"refuse_fields": ("snippet",), "refuse_fields_code": 12},
        {
            "refuse_fields": ("sticker",),
            "refuse_fields_code": 12,
            "refuse_fields_words": "(#12) {field} is deprecated for versions v26.0 and higher",
        },
        {"refuse_fields": ("sticker",), "refuse_fields_words": "(#100) Unknown fields: {fields}."},
        {"refuse_fields": ("snippet",), "refuse_fields_language": "fr"},
    ],
    "04-usage-call-volume.json": [{"usage": "call_volume"}],
    "05-usage-number-as-text.json": [{"usage": "text_numbers"}],
    "06-usage-huge-number.json": [{"usage": "huge_number"}],
    "07-usage-of-another-page.json": [{"usage": "other_page"}],
    "08-only-a-person-can-help.json": [
        {"refusal": each}
        for each in ("page_merged", "no_application", "page_unpublished", "new_pages_experience")
    ],
    "09-refusal-without-error-object.json": [
        {"refusal": each} for each in ("code_on_top", "error_code_on_top", "error_is_text")
    ],
    "10-too-many-requests.json": [{"outage_kind": "429", "outage_seconds": 25, "retry_after": "30"}],
    "11-known-field-of-another-type.json": [
        {"odd": (each,)}
        for each in (
            *("message_object", "message_number", "story_reply", "sticker_number", "sender_without_id"),
            "bare_messages",
        )
    ],
    "12-times-in-milliseconds.json": [{"odd": ("milliseconds",)}],
    "13-cursor-cycle.json": [{"cursor_cycle": 2}],
    "14-large-answer.py": [{"huge": 1.0, "where": "lists"}],
}


@shared_cases
def test_every_shared_case_can_be_served(graph: StartGraph) -> None:
    found = {each.name for each in CASES.iterdir() if each.name[:1].isdigit()}
    assert found == set(SWITCHES)
    for switches in SWITCHES.values():
        for faults in switches:
            assert with_faults(graph, **faults).open("/sandbox/stats").status == 200


@shared_cases
def test_the_refused_fields_of_the_shared_case_are_refused_in_its_words(graph: StartGraph) -> None:
    name = "03-refused-field-other-words.json"
    case = source_case(name)
    words = [case["body"]["error"]["message"], *case["also"]]
    for expected, faults in zip(words, SWITCHES[name], strict=True):
        error = with_faults(graph, **faults).inbox(fields="id,snippet,messages{sticker}").error
        assert (error["code"], error["message"]) == (
            int(expected[2:].partition(")")[0]) if expected.startswith("(#") else 100,
            expected,
        )


@shared_cases
def test_the_refusals_of_the_shared_cases_are_served_word_for_word(graph: StartGraph) -> None:
    page = "104567890123456"
    found = {
        "08-only-a-person-can-help.json": (
            "answers",
            ["page_merged", "no_application", "page_unpublished", "new_pages_experience"],
        ),
        "09-refusal-without-error-object.json": (
            "cases",
            ["code_on_top", "error_code_on_top", "error_is_text"],
        ),
    }
    for file, (key, names) in found.items():
        for name, case in zip(names, source_case(file)[key], strict=True):
            served = with_faults(graph, refusal=name)
            answer = served.inbox()
            shown = json.loads(answer.text.replace(served.page_id, page))
            for body in (shown, case["body"]):
                if isinstance(body.get("error"), dict):
                    body["error"].pop("fbtrace_id", None)
            assert (answer.status, shown) == (case["status"], case["body"]), name


@pytest.mark.parametrize("name", get_args(OddUsage))
def test_odd_usage_replaces_the_true_headers(graph: StartGraph, name: str) -> None:
    headers = with_faults(graph, usage=name).inbox().headers
    assert sum("usage" in each.lower() for each in headers) == 1


@shared_cases
def test_the_usage_of_the_shared_cases_is_served_as_it_is(graph: StartGraph) -> None:
    page = "104567890123456"
    found = {
        "04-usage-call-volume.json": "call_volume",
        "05-usage-number-as-text.json": "text_numbers",
        "06-usage-huge-number.json": "huge_number",
        "07-usage-of-another-page.json": "other_page",
    }
    for file, name in found.items():
        served = with_faults(graph, usage=name)
        answered = served.inbox().headers
        for header, value in source_case(file)["headers of every answer"].items():
            shown = answered[header].replace(served.page_id, page)
            assert shown.replace(" ", "") == value.replace(" ", "")


def test_usage_headers_can_be_any(graph: StartGraph) -> None:
    given = json.dumps({"X-App-Usage": "nonsense", "X-Business-Use-Case-Usage": '{"PAGE":[]}'})
    served = with_faults(graph, usage_headers=given)
    headers = served.inbox().headers
    assert headers["X-App-Usage"] == "nonsense"
    assert headers["X-Business-Use-Case-Usage"] == f'{{"{served.page_id}":[]}}'
    assert served.control("faults", usage_headers="[1]").status == 400


def test_a_refused_field_is_refused_however_deep_and_only_if_it_is_asked_for(graph: StartGraph) -> None:
    served = with_faults(graph, refuse_fields=("sticker", "instagram_business_account"))
    answers = [
        served.inbox(fields=LIST),
        served.inbox(fields="id,snippet"),
        served.get(served.page_id, fields="id,instagram_business_account{id}"),
    ]
    assert [each.status for each in answers] == [400, 200, 400]
    assert answers[0].error["message"] == (
        "(#100) Tried accessing nonexisting field (sticker) on node type (UnifiedThread)"
    )


@pytest.mark.parametrize(
    ("faults", "locale", "code", "words"),
    [
        (
            {"refuse_fields_code": 12},
            None,
            12,
            "(#12) snippet field is deprecated for versions v26.0 and higher",
        ),
        (
            {"refuse_fields_words": "(#100) Unknown fields: {fields}."},
            None,
            100,
            "(#100) Unknown fields: snippet, sticker.",
        ),
        (
            {"refuse_fields_language": "fr"},
            "fr_FR",
            100,
            "(#100) Tentative d'accès à un champ inexistant (snippet) sur le type de noeud (UnifiedThread)",
        ),
        (
            {"refuse_fields_language": "fr"},
            "en_US",
            100,
            "(#100) Tried accessing nonexisting field (snippet) on node type (UnifiedThread)",
        ),
    ],
)
def test_a_refused_field_has_any_code_words_and_language(
    graph: StartGraph, faults: dict[str, object], locale: str | None, code: int, words: str
) -> None:
    served = with_faults(graph, refuse_fields=("sticker", "snippet"), **faults)
    error = served.inbox(fields="id,snippet,messages{sticker}", locale=locale).error
    assert (error["code"], error["message"]) == (code, words)


def first(served: Graph, **parameters: str) -> Json:
    return served.inbox(fields=LIST, limit=30, **parameters).data


def test_without_odd_contents_all_is_as_it_was(graph: StartGraph) -> None:
    served = with_faults(graph)
    asked: dict[str, Parameter] = {"fields": "id,messages{id,message}", "limit": 30}
    before = served.inbox(**asked).data
    served.control("faults", odd=["message_object"])
    changed = served.inbox(**asked).data
    served.control("faults", odd=[])
    assert before != changed
    assert before == served.inbox(**asked).data


@pytest.mark.parametrize("name", get_args(OddContent))
def test_every_odd_content_changes_messages_or_conversations(graph: StartGraph, name: str) -> None:
    served = with_faults(graph)
    asked: dict[str, Parameter] = {
        "fields": LIST.replace(",sticker", ""),
        "platform": "instagram",
        "limit": 30,
    }
    if name == "sticker_number":
        asked["fields"] = "id,messages{sticker}"
    before = served.inbox(**asked).data
    served.control("faults", odd=[name])
    assert served.inbox(**asked).data != before


def test_known_fields_come_with_another_type(graph: StartGraph) -> None:
    served = with_faults(graph, odd=("message_object", "sticker_number", "story_reply", "sender_without_id"))
    message = first(served)[0]["messages"]["data"][0]
    assert isinstance(message["sticker"], int)
    assert message["from"] == {"name": "Facebook User"}
    assert set(message["reply_to"]) == {"story"}
    assert isinstance(message["message"]["text"], str)


def test_times_come_in_milliseconds(graph: StartGraph) -> None:
    served = with_faults(graph, odd=("milliseconds",))
    thread = first(served)[0]
    assert thread["updated_time"] == str(thread["messages"]["data"][0]["created_time"])
    assert len(thread["updated_time"]) == 13


def test_the_account_has_a_second_id(graph: StartGraph) -> None:
    served = with_faults(graph, odd=("second_account_id",))
    account = served.get(served.page_id, fields="instagram_business_account{id,username}").json
    known = account["instagram_business_account"]
    own = [
        person
        for thread in first(served, platform="instagram")
        for person in thread["participants"]["data"]
        if person["username"] == known["username"]
    ]
    assert {(each["id"] != known["id"], each["user_id"]) for each in own} == {(True, known["id"])}


def test_a_share_of_the_messages_is_odd_and_always_the_same_ones(graph: StartGraph) -> None:
    served = with_faults(graph, odd=("message_number",), odd_share=0.3)
    runs = []
    for _ in range(2):
        found = [each for thread in first(served) for each in thread["messages"]["data"] if "message" in each]
        runs.append({each["id"] for each in found if each["message"] == 12345})
        assert 0.1 < len(runs[-1]) / len(found) < 0.5
    assert runs[0] == runs[1]


@pytest.mark.parametrize("order", ["reversed", "oldest"])
def test_messages_come_oldest_first(graph: StartGraph, order: str) -> None:
    served = with_faults(graph)
    newest = [[each["id"] for each in thread["messages"]["data"]] for thread in first(served)]
    served.control("faults", message_order=order)
    threads = first(served)
    times = [[each["created_time"] for each in thread["messages"]["data"]] for thread in threads]
    assert times == [sorted(each) for each in times]
    found = [[each["id"] for each in thread["messages"]["data"]] for thread in threads]
    assert (found == [each[::-1] for each in newest]) == (order == "reversed")


def test_all_messages_come_oldest_first_by_following_next(graph: StartGraph) -> None:
    served = with_faults(graph)
    thread = served.inbox().data[0]["id"]
    newest = [each["id"] for each in served.get(f"{thread}/messages").data]
    served.control("faults", message_order="oldest")
    answers = [served.get(f"{thread}/messages", limit=2)]
    while "next" in answers[-1].paging:
        answers.append(served.open(answers[-1].paging["next"]))
    assert [each["id"] for answer in answers for each in answer.data] == newest[::-1]


@pytest.mark.parametrize("cursors", ["opaque", "index"])
def test_a_cursor_cycle_never_ends_and_repeats_what_lies_in_it(graph: StartGraph, cursors: str) -> None:
    served = graph(conversations=6, cursors=cursors, faults=Faults(cursor_cycle=2))
    answers = [served.inbox(limit=2)]
    for _ in range(6):
        answers.append(served.open(answers[-1].paging["next"]))
    found = [each["id"] for answer in answers for each in answer.data]
    assert sorted(Counter(found).values()) == [1, 1, 3, 3, 3, 3]
    assert answers[3].paging["cursors"]["after"] == answers[1].paging["cursors"]["after"]
