"""Each fault switch does what `config` says; a client that keeps the cursor and retries sees everything."""

import contextlib
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from http.client import RemoteDisconnected
from typing import Any

import pytest

from inboxsync.sandbox import Faults
from tests.fixtures import Json
from tests.sandbox.fixtures import Graph, StartGraph, StartProcess

NESTED = "id,messages.limit(5){id}"


def faults_of(values: Mapping[str, object]) -> Faults:
    # A wrong name or type is a fault of the test.
    chosen: dict[str, Any] = {**values}
    return Faults(**chosen)


def with_faults(graph: StartGraph, conversations: int = 300, /, **faults: object) -> Graph:
    return graph(conversations=conversations, messages=(1, 3), faults=faults_of(faults))


def ids(entries: Iterable[Json]) -> list[str]:
    return [each["id"] for each in entries]


def whole(graph: StartGraph, conversations: int = 300) -> list[str]:
    """What a sandbox without faults lists: the same world."""
    answers = graph(conversations=conversations, messages=(1, 3)).scan(limit=200)
    return [entry["id"] for answer in answers for entry in answer.data]


def test_reset_cuts_the_connection_before_any_answer(graph: StartGraph) -> None:
    served = with_faults(graph, reset=1.0)
    with pytest.raises((RemoteDisconnected, ConnectionResetError)):
        served.inbox()


def test_html_is_metas_error_page(graph: StartGraph) -> None:
    answer = with_faults(graph, html=1.0).inbox()
    assert (answer.status, answer.headers.get_content_type()) == (500, "text/html")
    assert "Facebook | Error" in answer.text


@pytest.mark.parametrize(("fault", "text"), [("empty", ""), ("null", "null")])
def test_an_answer_without_content_is_a_200(graph: StartGraph, fault: str, text: str) -> None:
    answer = with_faults(graph, **{fault: 1.0}).inbox()
    assert (answer.status, answer.text) == (200, text)


def test_cut_ends_the_body_half_way(graph: StartGraph) -> None:
    answer = with_faults(graph, cut=1.0).inbox()
    assert answer.status == 200
    assert answer.text.startswith('{"data":[{')
    assert whole(graph)[24] not in answer.text


@pytest.mark.parametrize(
    ("fault", "status", "expected"),
    [
        ("code_1", 500, {"code": 1, "error_subcode": 99}),
        ("code_2", 500, {"code": 2, "is_transient": True}),
        ("transient", 400, {"code": 960, "is_transient": True}),
    ],
)
def test_a_transient_error_is_an_error_object(
    graph: StartGraph, fault: str, status: int, expected: dict[str, Json]
) -> None:
    answer = with_faults(graph, **{fault: 1.0}).inbox()
    assert answer.status == status
    assert expected.items() <= answer.error.items()


def test_a_call_that_is_held_is_answered_when_it_is_released(graph: StartGraph) -> None:
    served = with_faults(graph, hold_after=1)
    assert served.inbox().status == 200
    with ThreadPoolExecutor(1) as elsewhere:
        held = elsewhere.submit(served.inbox)
        while served.open("/sandbox/stats").json["received"] < 2:
            time.sleep(0.01)
        assert not held.done()
        served.control("faults", hold_after=None)
        assert held.result().status == 200


def test_stall_delays_the_answer(graph: StartGraph) -> None:
    served = with_faults(graph, stall=1.0, stall_seconds=0.4)
    started = time.monotonic()
    assert served.inbox().status == 200
    assert time.monotonic() - started >= 0.4


def test_a_short_batch_has_a_next(graph: StartGraph) -> None:
    answer = with_faults(graph, short_batch=1.0).inbox(limit=90)
    assert (len(answer.data), "next" in answer.paging) == (30, True)


def test_an_empty_batch_has_a_next_with_another_cursor(graph: StartGraph) -> None:
    served = with_faults(graph)
    cursor = served.inbox().paging["cursors"]["after"]
    served.control("faults", empty_batch=1.0)
    answer = served.inbox(after=cursor)
    assert (answer.data, "next" in answer.paging) == ([], True)
    assert answer.paging["cursors"]["after"] != cursor


def test_a_repeated_cursor_is_the_one_that_was_sent(graph: StartGraph) -> None:
    served = with_faults(graph)
    cursor = served.inbox().paging["cursors"]["after"]
    served.control("faults", repeat_cursor=1.0)
    assert served.inbox(after=cursor).paging["cursors"]["after"] == cursor


def test_refuse_cursors_refuses_even_its_own(graph: StartGraph) -> None:
    served = with_faults(graph, refuse_cursors=True)
    answer = served.inbox()
    refused = served.open(answer.paging["next"])
    assert (refused.status, refused.error["code"]) == (400, 100)


def test_every_opaque_cursor_is_forgotten_by_raising_its_epoch(graph: StartGraph) -> None:
    served = with_faults(graph)
    nested = f"{served.inbox().data[0]['id']}/messages"
    lists = [served.inbox(), served.inbox(platform="instagram"), served.get(nested)]
    cursors = [each.paging["cursors"]["after"] for each in lists]

    def codes() -> list[int | None]:
        answers = [
            served.inbox(after=cursors[0]),
            served.inbox(after=cursors[1], platform="instagram"),
            served.get(nested, after=cursors[2]),
        ]
        return [each.json.get("error", {}).get("code") for each in answers]

    assert codes() == [None] * 3
    served.control("faults", forget_cursors=1)
    assert codes() == [100] * 3
    assert len(served.scan(limit=100)) == 3
    served.control("faults", forget_cursors=0)
    assert codes() == [None] * 3


def test_nested_cursors_are_of_the_new_epoch_at_once(graph: StartGraph) -> None:
    served = with_faults(graph)
    asked = {"fields": "messages.limit(1){id}"}
    served.inbox(**asked)
    served.control("faults", forget_cursors=1)
    nested = [each["messages"]["paging"] for each in served.inbox(**asked).data]
    assert {served.open(each["next"]).status for each in nested if "next" in each} == {200}


@pytest.mark.parametrize(("switch", "code"), [(True, 100), (False, None)])
def test_by_switch_cursors_die_with_the_token(graph: StartGraph, switch: bool, code: int | None) -> None:
    served = graph(conversations=60, cursors_die_with_token=switch)
    cursor = served.inbox().paging["cursors"]["after"]
    served.control("tokens", kill=460)
    minted = served.control("tokens", mint=True).json["token"]
    answer = served.inbox(after=cursor, access_token=minted)
    assert answer.json.get("error", {}).get("code") == code
    assert served.open(served.inbox(access_token=minted).paging["next"]).status == 200


@pytest.mark.parametrize("cursors", ["opaque", "index"])
def test_an_endless_list_goes_on_with_empty_answers(graph: StartGraph, cursors: str) -> None:
    served = graph(conversations=60, cursors=cursors, faults=Faults(endless=True))
    answer = served.inbox()
    sizes = []
    for _ in range(8):
        sizes.append(len(answer.data))
        answer = served.open(answer.paging["next"])
    assert sizes == [25, 25, 10, 0, 0, 0, 0, 0]


@pytest.mark.parametrize("cursors", ["opaque", "index"])
def test_an_after_too_deep_in_the_list_is_refused(graph: StartGraph, cursors: str) -> None:
    served = graph(conversations=60, cursors=cursors, faults=Faults(deepest_cursor=40))
    answers = [served.inbox(limit=20)]
    while "next" in answers[-1].paging:
        answers.append(served.open(answers[-1].paging["next"]))
    assert [each.status for each in answers] == [200, 200, 200]
    too_deep = served.inbox(after=answers[-1].paging["cursors"]["before"])
    assert "exceeds the max limit" in too_deep.error["message"]


@pytest.mark.parametrize(
    ("code", "subcode", "status"),
    [
        (368, None, 403),
        (10, None, 403),
        (200, 2534041, 403),
        (17, None, 400),
        (2, None, 500),
        (36103, 5, 400),
    ],
)
def test_any_code_can_be_what_every_call_gets(
    graph: StartGraph, code: int, subcode: int | None, status: int
) -> None:
    answer = with_faults(graph, refuse_code=code, refuse_subcode=subcode).inbox()
    assert (answer.status, answer.error["code"], answer.error.get("error_subcode")) == (status, code, subcode)


@pytest.mark.parametrize(
    ("limit", "fields", "status"),
    [
        (100, "messages.limit(10){id}", 500),
        (50, "messages.limit(10){id}", 200),
        (51, "messages.limit(10){id}", 500),
        (20, "messages{id}", 200),
        (21, "messages{id}", 500),
        (200, "id", 200),
    ],
)
def test_weight_is_conversations_times_messages(
    graph: StartGraph, limit: int, fields: str, status: int
) -> None:
    assert with_faults(graph, weight_limit=500).inbox(limit=limit, fields=fields).status == status


def test_the_error_for_too_much_data_has_only_code_and_message(graph: StartGraph) -> None:
    answer = with_faults(graph, weight_limit=1).inbox()
    assert set(answer.error) == {"code", "message"}
    assert answer.error["message"].startswith("Please reduce the amount of data")


def poisoned(served: Graph) -> set[str]:
    return {each for each in ids(served.insist(limit=200)) if served.get(each).status == 500}


def test_as_many_conversations_are_poisoned_as_asked_for(graph: StartGraph) -> None:
    assert len(poisoned(with_faults(graph, 40, poison=3))) == 3


def test_poison_fails_every_answer_with_the_conversations_messages(graph: StartGraph) -> None:
    served = with_faults(graph, 40, poison=1)
    (bad,) = poisoned(served)
    answers = [
        served.get(bad),
        served.get(f"{bad}/messages"),
        served.inbox(limit=200, fields=NESTED),
    ]
    assert {(each.status, each.error["code"], each.error["error_subcode"]) for each in answers} == {
        (500, 1, 99)
    }


@pytest.mark.parametrize("platform", ["messenger", "instagram"])
def test_exactly_the_named_slots_are_poisoned(graph: StartGraph, platform: str) -> None:
    served = with_faults(graph, 40, poison_slots=(0, 5))
    listed = ids(served.insist(limit=200, platform=platform))
    assert [at for at, each in enumerate(listed) if served.get(each).status == 500] == [0, 5]


@pytest.mark.parametrize("platform", ["messenger", "instagram"])
def test_poison_in_lists_is_readable_by_its_own_node(graph: StartGraph, platform: str) -> None:
    served = with_faults(graph, 40, list_poison_slots=(0, 5))
    listed = ids(served.insist(limit=200, platform=platform))
    assert served.inbox(limit=1, fields=NESTED, platform=platform).status == 500
    assert {served.get(each, fields=NESTED).status for each in listed} == {200}
    assert served.get(f"{listed[0]}/messages").status == 200


def test_both_kinds_of_poison_are_of_different_conversations(graph: StartGraph) -> None:
    served = with_faults(graph, 40, poison=3, list_poison=4)
    by_node = poisoned(served)
    in_lists = set()
    cursor: dict[str, str] = {}
    for each in ids(served.insist(limit=200)):
        if served.inbox(limit=1, fields=NESTED, **cursor).status == 500:
            in_lists.add(each)
        cursor = {"after": served.inbox(limit=1, **cursor).paging["cursors"]["after"]}
    assert (len(by_node), len(in_lists), by_node <= in_lists) == (3, 7, True)


def test_poison_in_lists_heals(graph: StartGraph) -> None:
    served = with_faults(graph, 40, list_poison=2)
    served.control("faults", heal=True)
    assert served.inbox(limit=40, fields=NESTED).status == 200


def test_poisoned_slots_heal_and_can_be_poisoned_again(graph: StartGraph) -> None:
    served = with_faults(graph, 40)
    statuses = [served.inbox(limit=200, fields=NESTED).status]
    changes: list[dict[str, object]] = [
        {"poison_slots": [0]},
        {"heal": True},
        {"poison_slots": [0]},
        {"poison_slots": []},
    ]
    for change in changes:
        served.control("faults", **change)
        statuses.append(served.inbox(limit=200, fields=NESTED).status)
    assert statuses == [200, 500, 200, 500, 200]


def test_the_command_takes_slots_to_poison(process: StartProcess) -> None:
    served = process("--conversations", "40", "--fault", "poison_slots=0,5").graph
    listed = ids(served.insist(limit=200))
    assert [at for at, each in enumerate(listed) if served.get(each).status == 500] == [0, 5]


def test_poison_does_not_reach_the_light_list(graph: StartGraph) -> None:
    served = with_faults(graph, poison=3)
    assert ids(served.insist(limit=100)) == whole(graph)


def test_poison_stays_where_it_is_when_conversations_begin(graph: StartGraph) -> None:
    served = with_faults(graph, 40, poison=3)
    before = poisoned(served)
    for _ in range(8):
        served.control("messages", text="a new conversation")
    assert poisoned(served) == before


def test_healed_conversations_answer_on_both_platforms(graph: StartGraph) -> None:
    served = with_faults(graph, 40, poison=3)
    served.control("faults", heal=True)
    for platform in ("messenger", "instagram"):
        assert served.inbox(platform=platform, limit=200, fields=NESTED).status == 200


def test_the_token_dies_after_so_many_calls(graph: StartGraph) -> None:
    served = with_faults(graph, token_dies_after=3, token_subcode=460)
    answers = [served.inbox() for _ in range(5)]
    assert [each.status for each in answers] == [200, 200, 200, 400, 400]
    assert (answers[3].error["code"], answers[3].error["error_subcode"]) == (190, 460)


def test_a_token_minted_after_that_is_valid(graph: StartGraph) -> None:
    served = with_faults(graph, token_dies_after=0)
    served.inbox()
    minted = served.control("tokens", mint=True).json["token"]
    assert [served.inbox(access_token=minted).status for _ in range(3)] == [200] * 3


MIXED = {"reset": 0.1, "html": 0.1, "empty": 0.1, "null": 0.1, "cut": 0.1, "code_1": 0.1, "transient": 0.1}


@pytest.mark.parametrize(
    "faults",
    [
        *({name: 0.4} for name in ("reset", "html", "empty", "null", "cut", "code_1", "code_2", "transient")),
        {"passing": 0.6},
        *({name: 0.5} for name in ("short_batch", "empty_batch", "repeat_cursor")),
        {"passing": 0.4, "cut_error": 0.1, "short_batch": 0.3, "jitter_seconds": 0.002},
        MIXED | {"short_batch": 0.3, "empty_batch": 0.3, "repeat_cursor": 0.3},
    ],
    ids=lambda faults: "+".join(faults) if len(faults) == 1 else "all",
)
@pytest.mark.parametrize("cursors", ["opaque", "index"])
def test_a_client_that_keeps_the_cursor_and_retries_sees_every_conversation(
    graph: StartGraph, faults: dict[str, float], cursors: str
) -> None:
    served = graph(conversations=300, messages=(1, 3), faults=faults_of(faults), cursors=cursors)
    found = ids(served.insist(limit=20))
    assert list(dict.fromkeys(found)) == whole(graph)


def test_which_call_is_hit_depends_on_the_seed_and_its_number(graph: StartGraph) -> None:
    runs = [with_faults(graph, html=0.5) for _ in range(2)]
    first, second = ([served.inbox().status for _ in range(20)] for served in runs)
    assert first == second
    assert set(first) == {200, 500}


def test_the_stats_count_what_happened(graph: StartGraph) -> None:
    served = with_faults(graph, html=1.0)
    served.inbox()
    served.control("faults", html=0.0)
    served.inbox()
    served.inbox(fields="nothing")
    shown = served.open("/sandbox/stats").json
    assert (shown.pop("calls"), shown.pop("most_in_a_second")) == ({served.page_id: 2}, {served.page_id: 2})
    assert shown == {
        "received": 3,
        "fault:html": 1,
        "answered": 1,
        "edge:conversations": 1,
        "refused": 1,
        "error:100": 1,
    }


def test_passing_faults_are_a_mix_of_six(graph: StartGraph) -> None:
    served = with_faults(graph, passing=1.0)
    for _ in range(60):
        with contextlib.suppress(OSError, RemoteDisconnected):
            served.inbox()
    shown = served.open("/sandbox/stats").json
    met = {name.removeprefix("fault:") for name in shown if name.startswith("fault:")}
    assert met == {"reset", "html", "empty", "null", "code_2", "cut"}
    assert sum(shown[f"fault:{name}"] for name in met) == 60


def test_a_fault_that_does_not_exist_or_a_value_of_another_kind_is_refused_whole(graph: StartGraph) -> None:
    served = with_faults(graph)
    answers = [served.control("faults", html=1.0, hmtl=1.0), served.control("faults", html=7)]
    assert [each.status for each in answers] == [400, 400]
    assert served.inbox().status == 200
