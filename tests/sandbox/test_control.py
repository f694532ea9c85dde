"""What a test in another process may see and do while the sandbox serves."""

from collections.abc import Iterable
from datetime import datetime
from typing import TypeAlias

import pytest

from tests.fixtures import Json
from tests.sandbox.fixtures import Graph, Parameter, StartGraph

PLATFORMS = ["messenger", "instagram"]
# A sandbox, its newest conversation, that one's messages oldest first, and how it is asked for.
Talk: TypeAlias = tuple[Graph, str, list[str], dict[str, Json]]


def ids(entries: Iterable[Json]) -> list[str]:
    return [each["id"] for each in entries]


def listed(served: Graph, **parameters: Parameter) -> list[str]:
    return [entry["id"] for answer in served.scan(limit=40, **parameters) for entry in answer.data]


def seen(served: Graph, **parameters: Parameter) -> Json:
    query = "&".join(f"{name}={value}" for name, value in parameters.items())
    return served.open(f"/sandbox/inbox?{query}").json


def change(served: Graph, **asked: object) -> Json:
    answer = served.control("conversations", **asked)
    assert answer.status == 200, answer.text
    return answer.json


# Looking


@pytest.mark.parametrize("platform", PLATFORMS)
def test_the_inbox_is_shown_as_the_list_has_it(graph: StartGraph, platform: str) -> None:
    served = graph(conversations=90, messages=(1, 30))
    entries = [
        each
        for answer in served.scan(platform=platform, fields="updated_time,messages.limit(100){id}")
        for each in answer.data
    ]
    shown = seen(served, platform=platform)
    assert [each["conversation_id"] for each in shown] == ids(entries)
    assert [each["updated_time"] for each in shown] == [each["updated_time"] for each in entries]
    assert [each["message_ids"] for each in shown] == [ids(each["messages"]["data"]) for each in entries]
    assert all(datetime.fromisoformat(each["updated_time"]).tzinfo for each in shown)


@pytest.mark.parametrize(("platform", "part"), [("messenger", "name"), ("instagram", "username")])
def test_the_inbox_shows_the_name_that_the_participants_have(
    graph: StartGraph, platform: str, part: str
) -> None:
    served = graph(conversations=90)
    own = {served.page_id, served.ready["pages"][0]["instagram_id"]}
    entries = served.inbox(platform=platform, limit=100, fields="participants").data
    for shown, entry in zip(seen(served, platform=platform), entries, strict=True):
        people = [each for each in entry["participants"]["data"] if each["id"] not in own]
        assert shown["name"] == (people[0].get(part) if people else None)


def test_looking_is_no_call(graph: StartGraph) -> None:
    served = graph(conversations=9, limits=True)
    for _ in range(9):
        assert len(seen(served)) == 9
    assert served.open("/sandbox/stats").json == {"calls": {}, "most_in_a_second": {}}


def test_each_folder_of_each_page_can_be_looked_at(graph: StartGraph) -> None:
    served = graph(conversations=9, folders={"spam": 4}, pages=2)
    shown = [
        seen(served, page=number, folder=name) for number in (0, 1) for name in ("inbox", "spam", "other")
    ]
    assert [len(each) for each in shown] == [9, 4, 0, 9, 4, 0]
    assert {each["folder"] for each in shown[1]} == {"spam"}


@pytest.mark.parametrize("asked", [{"page": 2}, {"folder": "nowhere"}, {"platform": "fax"}])
def test_what_is_not_there_cannot_be_looked_at(graph: StartGraph, asked: dict[str, Json]) -> None:
    query = "&".join(f"{name}={value}" for name, value in asked.items())
    answer = graph(conversations=9).open(f"/sandbox/inbox?{query}")
    assert (answer.status, set(answer.json)) == (404, {"error"})


def test_the_stats_count_the_calls_of_each_object(graph: StartGraph) -> None:
    served = graph(conversations=9, limits=True)
    for _ in range(3):
        served.inbox()
    served.inbox(platform="instagram")
    account = served.ready["pages"][0]["instagram_id"]
    assert served.open("/sandbox/stats").json["calls"] == {served.page_id: 3, account: 1}


def test_the_stats_have_the_most_calls_within_a_second(graph: StartGraph) -> None:
    served = graph(conversations=9)
    served.batch(*["me/conversations"] * 7)
    assert served.open("/sandbox/stats").json["most_in_a_second"] == {served.page_id: 7}


# Writing


@pytest.mark.parametrize("platform", PLATFORMS)
def test_what_is_written_on_one_platform_is_only_on_that_one(graph: StartGraph, platform: str) -> None:
    served = graph(conversations=30)
    before = {name: listed(served, platform=name) for name in PLATFORMS}
    written = served.control("messages", text="hello", slot=20, platform=platform).json
    assert listed(served, platform=platform)[0] == written["conversation_id"] == before[platform][20]
    (other,) = set(PLATFORMS) - {platform}
    assert listed(served, platform=other) == before[other]


def test_a_slot_counts_from_the_newest_of_its_folder(graph: StartGraph) -> None:
    served = graph(conversations=30, folders={"spam": 5})
    before = listed(served, folder="spam")
    served.control("messages", text="hello", slot=3, folder="spam")
    assert listed(served, folder="spam") == [before[3], *before[:3], before[4]]
    assert served.control("messages", text="hello", slot=5, folder="spam").status == 404


def test_a_conversation_begins_in_the_folder_that_is_named(graph: StartGraph) -> None:
    served = graph(conversations=30)
    begun = served.control("messages", text="hello", folder="page_done", times=3).json
    entries = served.inbox(folder="page_done", fields="folder,message_count").data
    assert entries == [{"folder": "page_done", "message_count": 3, "id": begun["conversation_id"]}]
    assert begun["conversation_id"] not in listed(served)


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_conversation_may_be_named_by_its_id(graph: StartGraph, platform: str) -> None:
    served = graph(conversations=30)
    begun = served.control("messages", text="one", platform=platform).json["conversation_id"]
    again = served.control("messages", text="two", platform=platform, conversation_id=begun).json
    assert again["conversation_id"] == begun
    assert len(listed(served, platform=platform)) == 31


def test_the_page_may_write(graph: StartGraph) -> None:
    served = graph(conversations=30)
    written = served.control("messages", text="hello", slot=2, from_page=True).json
    assert served.get(written["message_id"], fields="from").json["from"]["id"] == served.page_id


@pytest.mark.parametrize("asked", [{}, {"text": "x", "slot": "first"}, {"text": "x", "page": "first"}])
def test_a_request_that_cannot_be_read_is_an_error(graph: StartGraph, asked: dict[str, Json]) -> None:
    answer = graph(conversations=9).control("messages", **asked)
    assert (answer.status, set(answer.json)) == (400, {"error"})


def test_an_unknown_fault_is_an_error(graph: StartGraph) -> None:
    assert graph(conversations=9).control("faults", earthquake=1).status == 400


# Moving


@pytest.mark.parametrize("cursors", ["opaque", "index"])
@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_moved_conversation_leaves_one_list_for_its_place_in_another(
    graph: StartGraph, platform: str, cursors: str
) -> None:
    served = graph(conversations=60, folders={"page_done": 60}, cursors=cursors)
    asked = {"platform": platform, "fields": "id,updated_time,folder"}
    before = [each for answer in served.scan(**asked) for each in answer.data]
    moved = before[30]
    assert change(served, slot=30, platform=platform, move_to="page_done")["conversation_id"] == moved["id"]
    assert listed(served, platform=platform) == ids(before[:30] + before[31:])
    done = [each for answer in served.scan(**asked, folder="page_done") for each in answer.data]
    assert len(done) == 61
    assert moved | {"folder": "page_done"} in done
    times = [each["updated_time"] for each in done]
    assert times == sorted(times, reverse=True)


def test_a_conversation_moved_there_and_back_is_at_its_old_place(graph: StartGraph) -> None:
    served = graph(conversations=60)
    before = listed(served)
    change(served, slot=30, move_to="spam")
    change(served, slot=30, move_to="inbox")
    assert (listed(served), listed(served, folder="spam")) == (before, [])


def test_a_written_conversation_takes_its_time_along(graph: StartGraph) -> None:
    served = graph(conversations=60, folders={"spam": 9})
    written = served.control("messages", text="hello", slot=30).json["conversation_id"]
    change(served, conversation_id=written, move_to="spam")
    assert listed(served, folder="spam")[0] == written
    assert written not in listed(served)


def test_what_is_written_in_a_moved_conversation_stays_in_its_folder(graph: StartGraph) -> None:
    served = graph(conversations=60, folders={"spam": 9})
    change(served, slot=59, move_to="spam")
    written = served.control("messages", text="hello", slot=59).json["conversation_id"]
    assert listed(served, folder="spam")[0] == written
    assert len(listed(served)) == 59


def test_a_conversation_cannot_move_to_no_folder(graph: StartGraph) -> None:
    served = graph(conversations=9)
    assert served.control("conversations", slot=1, move_to="nowhere").status == 404
    assert len(listed(served)) == 9


def test_a_persons_list_follows_a_moved_conversation(graph: StartGraph) -> None:
    served = graph(conversations=9)
    entry = next(e for e in served.inbox(fields="participants").data if len(e["participants"]["data"]) == 2)
    person = next(each["id"] for each in entry["participants"]["data"] if each["id"] != served.page_id)
    change(served, conversation_id=entry["id"], move_to="other")
    assert served.inbox(user_id=person).data == []
    assert ids(served.inbox(user_id=person, folder="other").data) == [entry["id"]]


# Deleting


@pytest.mark.parametrize("cursors", ["opaque", "index"])
@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_deleted_conversation_is_nowhere(graph: StartGraph, platform: str, cursors: str) -> None:
    served = graph(conversations=60, cursors=cursors)
    before = listed(served, platform=platform)
    message = served.get(f"{before[30]}/messages").data[0]["id"]
    change(served, slot=30, platform=platform, delete=True)
    assert listed(served, platform=platform) == before[:30] + before[31:]
    for path in (before[30], f"{before[30]}/messages", message):
        error = served.get(path).error
        assert (error["code"], error["error_subcode"]) == (100, 33)


def test_a_deleted_conversation_cannot_be_written_in(graph: StartGraph) -> None:
    served = graph(conversations=9)
    change(served, slot=3, delete=True)
    assert served.control("messages", text="hello", slot=3).status == 404
    assert served.control("conversations", slot=3, delete=True).status == 404


def test_a_begun_conversation_can_be_deleted(graph: StartGraph) -> None:
    served = graph(conversations=9)
    before = listed(served)
    begun = served.control("messages", text="hello").json["conversation_id"]
    change(served, conversation_id=begun, delete=True)
    assert listed(served) == before


@pytest.mark.parametrize("wish", [{"delete": True}, {"move_to": "spam"}])
def test_the_cursor_of_an_entry_that_left_the_list_is_refused(
    graph: StartGraph, wish: dict[str, Json]
) -> None:
    served = graph(conversations=60)
    answer = served.inbox(limit=20)
    change(served, slot=19, **wish)
    assert served.open(answer.paging["next"]).error["code"] == 100


def test_the_cursor_of_an_entry_that_moved_up_goes_on_where_it_was(graph: StartGraph) -> None:
    served = graph(conversations=60)
    before = listed(served)
    answer = served.inbox(limit=20)
    served.control("messages", text="hello", slot=19)
    assert ids(served.open(answer.paging["next"]).data) == before[20:40]


def test_an_index_cursor_is_shifted_by_a_deletion_above_it(graph: StartGraph) -> None:
    served = graph(conversations=60, cursors="index")
    before = listed(served)
    answer = served.inbox(limit=20)
    change(served, slot=5, delete=True)
    assert ids(served.open(answer.paging["next"]).data) == before[21:41]


# Messages


@pytest.fixture(params=PLATFORMS)
def talk(graph: StartGraph, request: pytest.FixtureRequest) -> Talk:
    served = graph(conversations=5, messages=(18, 18))
    thread = served.inbox(platform=request.param).data[0]["id"]
    messages = ids(served.get(f"{thread}/messages").data)[::-1]
    return served, thread, messages, {"slot": 0, "platform": request.param}


@pytest.mark.parametrize("ordinal", [0, 9, 17, -1])
def test_an_unsent_message_is_gone_and_the_others_stay(talk: Talk, ordinal: int) -> None:
    served, thread, messages, named = talk
    before = served.get(thread).json
    gone = change(served, **named, unsend=ordinal)["message_id"]
    assert gone == messages[ordinal]
    left = [each for each in messages if each != gone]
    assert ids(served.get(f"{thread}/messages").data)[::-1] == left
    nested = served.get(thread, fields="messages.limit(30){id,message}").json["messages"]["data"]
    assert ids(nested)[::-1] == left
    assert served.get(thread).json == before
    error = served.get(gone).error
    assert (error["code"], error["error_subcode"]) == (100, 33)
    assert {served.get(each, fields="reply_to,message").status for each in left} == {200}


def test_the_id_of_an_unsent_message_is_never_used_again(talk: Talk) -> None:
    served, _, messages, named = talk
    change(served, **named, unsend=-1)
    written = served.control("messages", text="hello", **named).json["message_id"]
    assert written not in messages


def test_every_message_can_be_unsent(talk: Talk) -> None:
    served, thread, messages, named = talk
    before = served.get(thread).json
    for _ in messages:
        change(served, **named, unsend=-1)
    assert served.get(f"{thread}/messages").json == {"data": []}
    assert served.get(thread, fields="id,updated_time,messages").json == before


def test_messages_are_paged_over_an_unsent_one(talk: Talk) -> None:
    served, thread, messages, named = talk
    change(served, **named, unsend=7)
    found = []
    answer = served.get(f"{thread}/messages", limit=5)
    found += ids(answer.data)
    while "next" in answer.paging:
        answer = served.open(answer.paging["next"])
        found += ids(answer.data)
    assert found[::-1] == messages[:7] + messages[8:]
    back = ids(served.open(answer.paging["previous"]).data)
    assert back == found[: -len(answer.data)][-len(back) :]


def test_the_cursor_of_an_unsent_message_is_refused(talk: Talk) -> None:
    served, thread, _, named = talk
    answer = served.get(f"{thread}/messages", limit=5)
    change(served, **named, unsend=13)
    assert served.open(answer.paging["next"]).error["code"] == 100


def test_an_unsent_instagram_message_makes_an_older_one_readable(graph: StartGraph) -> None:
    served = graph(conversations=1, messages=(30, 30))
    thread = served.inbox(platform="instagram").data[0]["id"]
    messages = ids(served.get(f"{thread}/messages", limit=50).data)
    assert served.get(messages[20]).status == 400
    change(served, slot=0, platform="instagram", unsend=-1)
    assert served.get(messages[20]).status == 200


def test_an_edited_message_differs_only_in_its_text(talk: Talk) -> None:
    served, thread, messages, named = talk
    before = served.get(thread).json
    change(served, **named, edit={"ordinal": 4, "text": "better"})
    shown = served.get(thread, fields="id,updated_time,messages{id,message}").json
    texts = {each["id"]: each.get("message") for each in shown.pop("messages")["data"]}
    assert (texts[messages[4]], shown) == ("better", before)


def test_a_message_has_the_reaction_given_to_it(talk: Talk) -> None:
    served, thread, messages, named = talk
    before = served.get(thread).json
    change(served, **named, react={"ordinal": 4, "reaction": "wow"})
    shown = served.get(messages[4], fields="reactions").json["reactions"]["data"]
    assert [each["reaction"] for each in shown] == ["wow"]
    change(served, **named, react={"ordinal": 4, "reaction": None})
    assert "reactions" not in served.get(messages[4], fields="reactions").json
    assert served.get(thread).json == before


@pytest.mark.parametrize("wish", [{"unsend": 99}, {"unsend": -99}, {"edit": {"ordinal": 99, "text": ""}}])
def test_a_message_that_is_not_there_cannot_be_changed(talk: Talk, wish: dict[str, Json]) -> None:
    served, _, _, named = talk
    assert served.control("conversations", **named, **wish).status == 404


@pytest.mark.parametrize("wish", [{}, {"delete": True, "move_to": "spam"}])
def test_one_change_is_asked_for_at_a_time(graph: StartGraph, wish: dict[str, Json]) -> None:
    served = graph(conversations=9)
    assert served.control("conversations", slot=0, **wish).status == 400
    assert len(listed(served)) == 9
