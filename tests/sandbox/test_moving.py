"""A list that moves while it is walked (graph-facts 1.3)."""

from typing import Any

import pytest


def ids(entries: Any) -> list[str]:
    return [each["id"] for each in entries]


def whole(graph: Any, conversations: int = 300) -> list[str]:
    """What the same world lists when nobody writes."""
    answers = graph(conversations=conversations).walk(limit=200)
    return [entry["id"] for answer in answers for entry in answer.data]


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


def written_in(served: Any, **parameters: Any) -> list[int]:
    """How many messages were written during the walk, by conversation, newest first."""
    entries = served.inbox(limit=200, fields="messages.limit(40){message}", **parameters).data
    counts = [
        sum(each.get("message", "").startswith("written during") for each in entry["messages"]["data"])
        for entry in entries
    ]
    return [count for count in counts if count]


def test_several_people_write_several_messages_each(graph: Any) -> None:
    served = graph(conversations=180, write_every=1, write_people=4, write_burst=7)
    served.inbox()
    assert written_in(served) == [7, 7, 7, 7]


@pytest.mark.parametrize("platform", ["messenger", "instagram"])
def test_conversations_begin_while_the_list_is_walked(graph: Any, platform: str) -> None:
    served = graph(conversations=100, write_new_every=2, write_burst=3, messages=(1, 3))
    before = ids(served.inbox(limit=200, platform=platform).data)
    for _ in range(5):
        served.inbox(platform=platform, limit=1)
    after = ids(served.inbox(limit=200, platform=platform).data)
    assert (len(after), after[3:]) == (103, before)
    assert written_in(served, platform=platform) == [3, 3, 3]


def test_who_writes_does_so_in_the_folder_that_is_walked(graph: Any) -> None:
    served = graph(conversations=30, folders={"spam": 30}, write_every=1)
    served.walk(folder="spam", limit=10)
    assert written_in(served) == []
    assert sum(written_in(served, folder="spam")) >= 3


def test_who_walks_an_empty_folder_meets_the_inbox_written_in(graph: Any) -> None:
    served = graph(conversations=30, write_every=1, write_new_every=1)
    for name in ("spam", "nowhere"):
        assert served.inbox(folder=name).data == []
    assert sum(written_in(served)) == 4
    assert served.inbox(folder="spam").data == []


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
