"""Each fault switch does what `config` says; who keeps the cursor and repeats sees everything."""

import time
from http.client import RemoteDisconnected
from typing import Any

import pytest

from inboxsync.sandbox import Faults

NESTED = "id,messages.limit(5){id}"


def with_faults(graph: Any, *, conversations: int = 300, **faults: Any) -> Any:
    return graph(conversations=conversations, messages=(1, 3), faults=Faults(**faults))


def ids(entries: Any) -> list[str]:
    return [each["id"] for each in entries]


def whole(graph: Any, conversations: int = 300) -> list[str]:
    """What a sandbox without faults lists: the same world."""
    answers = graph(conversations=conversations, messages=(1, 3)).walk(limit=200)
    return [entry["id"] for answer in answers for entry in answer.data]


def test_reset_cuts_the_connection_before_any_answer(graph: Any) -> None:
    served = with_faults(graph, reset=1.0)
    with pytest.raises((RemoteDisconnected, ConnectionResetError)):
        served.inbox()


def test_html_is_metas_error_page(graph: Any) -> None:
    answer = with_faults(graph, html=1.0).inbox()
    assert (answer.status, answer.headers.get_content_type()) == (500, "text/html")
    assert "Facebook | Error" in answer.text


@pytest.mark.parametrize(("fault", "text"), [("empty", ""), ("null", "null")])
def test_an_answer_without_content_is_a_200(graph: Any, fault: str, text: str) -> None:
    answer = with_faults(graph, **{fault: 1.0}).inbox()
    assert (answer.status, answer.text) == (200, text)


def test_cut_ends_the_body_half_way(graph: Any) -> None:
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
def test_a_passing_error_is_an_envelope(
    graph: Any, fault: str, status: int, expected: dict[str, Any]
) -> None:
    answer = with_faults(graph, **{fault: 1.0}).inbox()
    assert answer.status == status
    assert expected.items() <= answer.error.items()


def test_stall_delays_the_answer(graph: Any) -> None:
    served = with_faults(graph, stall=1.0, stall_seconds=0.4)
    started = time.monotonic()
    assert served.inbox().status == 200
    assert time.monotonic() - started >= 0.4


def test_a_short_batch_has_a_next(graph: Any) -> None:
    answer = with_faults(graph, short_batch=1.0).inbox(limit=90)
    assert (len(answer.data), "next" in answer.paging) == (30, True)


def test_an_empty_batch_has_a_next_with_another_cursor(graph: Any) -> None:
    served = with_faults(graph)
    cursor = served.inbox().paging["cursors"]["after"]
    served.control("faults", empty_batch=1.0)
    answer = served.inbox(after=cursor)
    assert (answer.data, "next" in answer.paging) == ([], True)
    assert answer.paging["cursors"]["after"] != cursor


def test_a_repeated_cursor_is_the_one_that_was_sent(graph: Any) -> None:
    served = with_faults(graph)
    cursor = served.inbox().paging["cursors"]["after"]
    served.control("faults", repeat_cursor=1.0)
    assert served.inbox(after=cursor).paging["cursors"]["after"] == cursor


def test_refuse_cursors_refuses_even_its_own(graph: Any) -> None:
    served = with_faults(graph, refuse_cursors=True)
    answer = served.inbox()
    refused = served.open(answer.paging["next"])
    assert (refused.status, refused.error["code"]) == (400, 100)


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
def test_weight_is_conversations_times_messages(graph: Any, limit: int, fields: str, status: int) -> None:
    assert with_faults(graph, weight_limit=500).inbox(limit=limit, fields=fields).status == status


def test_too_much_has_code_and_message_alone(graph: Any) -> None:
    answer = with_faults(graph, weight_limit=1).inbox()
    assert set(answer.error) == {"code", "message"}
    assert answer.error["message"].startswith("Please reduce the amount of data")


def poisoned(served: Any) -> set[str]:
    return {each for each in ids(served.insist(limit=200)) if served.get(each).status == 500}


def test_as_many_conversations_are_poisoned_as_asked_for(graph: Any) -> None:
    assert len(poisoned(with_faults(graph, conversations=40, poison=3))) == 3


def test_poison_fails_every_answer_with_the_conversations_messages(graph: Any) -> None:
    served = with_faults(graph, conversations=40, poison=1)
    (bad,) = poisoned(served)
    answers = [
        served.get(bad),
        served.get(f"{bad}/messages"),
        served.get("", ids=bad),
        served.inbox(limit=200, fields=NESTED),
    ]
    assert {(each.status, each.error["code"], each.error["error_subcode"]) for each in answers} == {
        (500, 1, 99)
    }


def test_poison_does_not_reach_the_light_list(graph: Any) -> None:
    served = with_faults(graph, poison=3)
    assert ids(served.insist(limit=100)) == whole(graph)


def test_poison_stays_where_it_is_when_conversations_begin(graph: Any) -> None:
    served = with_faults(graph, conversations=40, poison=3)
    before = poisoned(served)
    for _ in range(8):
        served.control("messages", text="a new conversation")
    assert poisoned(served) == before


def test_healed_conversations_answer_on_both_platforms(graph: Any) -> None:
    served = with_faults(graph, conversations=40, poison=3)
    served.control("faults", heal=True)
    for platform in ("messenger", "instagram"):
        assert served.inbox(platform=platform, limit=200, fields=NESTED).status == 200


def test_the_token_dies_after_so_many_calls(graph: Any) -> None:
    served = with_faults(graph, token_dies_after=3, token_subcode=460)
    answers = [served.inbox() for _ in range(5)]
    assert [each.status for each in answers] == [200, 200, 200, 400, 400]
    assert (answers[3].error["code"], answers[3].error["error_subcode"]) == (190, 460)


def test_a_token_minted_after_that_lives(graph: Any) -> None:
    served = with_faults(graph, token_dies_after=0)
    served.inbox()
    minted = served.control("tokens", mint=True).json["token"]
    assert [served.inbox(access_token=minted).status for _ in range(3)] == [200] * 3


MIXED = {"reset": 0.1, "html": 0.1, "empty": 0.1, "null": 0.1, "cut": 0.1, "code_1": 0.1, "transient": 0.1}


@pytest.mark.parametrize(
    "faults",
    [
        *({name: 0.4} for name in ("reset", "html", "empty", "null", "cut", "code_1", "code_2", "transient")),
        *({name: 0.5} for name in ("short_batch", "empty_batch", "repeat_cursor")),
        MIXED | {"short_batch": 0.3, "empty_batch": 0.3, "repeat_cursor": 0.3},
    ],
    ids=lambda faults: "+".join(faults) if len(faults) == 1 else "all",
)
@pytest.mark.parametrize("cursors", ["opaque", "index"])
def test_who_keeps_the_cursor_and_repeats_sees_every_conversation(
    graph: Any, faults: dict[str, float], cursors: str
) -> None:
    served = graph(conversations=300, messages=(1, 3), faults=Faults(**faults), cursors=cursors)
    found = ids(served.insist(limit=20))
    assert list(dict.fromkeys(found)) == whole(graph)


def test_which_call_is_hit_depends_on_the_seed_and_its_number(graph: Any) -> None:
    runs = [with_faults(graph, html=0.5) for _ in range(2)]
    first, second = ([served.inbox().status for _ in range(20)] for served in runs)
    assert first == second
    assert set(first) == {200, 500}


def test_the_stats_count_what_happened(graph: Any) -> None:
    served = with_faults(graph, html=1.0)
    served.inbox()
    served.control("faults", html=0.0)
    served.inbox()
    served.inbox(fields="nothing")
    told = served.open("/sandbox/stats").json
    assert (told.pop("calls"), told.pop("most_in_a_second")) == ({served.page_id: 2}, {served.page_id: 2})
    assert told == {"fault:html": 1, "answered": 1, "edge:conversations": 1, "refused": 1, "error:100": 1}


# A list that moves


def test_somebody_writes_while_the_list_is_walked(graph: Any) -> None:
    served = graph(conversations=300, write_every=2)
    before = ids(served.inbox(limit=1).data)
    served.walk(limit=50)
    moved = served.inbox(limit=3, fields="id,snippet").data
    assert ids(moved)[0] not in before
    assert {each["snippet"].startswith("written during call ") for each in moved} == {True}


def test_a_moving_list_stays_newest_first(graph: Any) -> None:
    served = graph(conversations=300, write_every=1)
    served.walk(limit=50)
    times = [each["updated_time"] for each in served.inbox(limit=200).data]
    assert times == sorted(times, reverse=True)


def test_who_is_written_to_during_a_walk_is_at_its_top_afterwards(graph: Any) -> None:
    served = graph(conversations=300, write_every=3)
    walked = ids(entry for answer in served.walk(limit=20) for entry in answer.data)
    top = ids(served.inbox(limit=30).data)
    assert set(walked) | set(top) == set(whole(graph))


def test_a_message_written_from_outside_is_the_newest(graph: Any) -> None:
    served = graph(conversations=300)
    written = served.control("messages", text="hello \u2603", slot=200).json
    entry = served.inbox(limit=1, fields="id,snippet,messages.limit(1){id,message}").data[0]
    assert (entry["id"], entry["snippet"]) == (written["conversation_id"], "hello \u2603")
    assert entry["messages"]["data"] == [{"message": "hello \u2603", "id": written["message_id"]}]


def test_a_message_without_a_slot_begins_a_conversation(graph: Any) -> None:
    served = graph(conversations=30)
    before = set(whole(graph, 30))
    begun = served.control("messages", text="new", times=2).json["conversation_id"]
    entries = {each["id"]: each for each in served.inbox(limit=200, fields="message_count").data}
    assert set(entries) - before == {begun}
    assert entries[begun]["message_count"] == 2


def test_a_message_into_no_conversation_is_not_found(graph: Any) -> None:
    assert graph(conversations=30).control("messages", text="lost", slot=31).status == 404
