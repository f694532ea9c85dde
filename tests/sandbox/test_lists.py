"""The list and its paging, with the standard library alone (graph-facts 1.3, 1.5, 1.8)."""

import base64
from collections.abc import Iterable
from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.fixtures import Json
from tests.sandbox.fixtures import Answer, Graph, StartGraph, StartProcess

PLATFORMS = ["messenger", "instagram"]


def ids(answers: Iterable[Answer]) -> list[str]:
    return [entry["id"] for answer in answers for entry in answer.data]


def query(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query))


def index_cursor(index: int) -> str:
    encoded = base64.b64encode(str(index).encode()).decode()
    return encoded.replace("Z", "ZA").replace("=", "ZD")


@pytest.mark.parametrize("cursors", ["opaque", "index"])
@pytest.mark.parametrize("platform", PLATFORMS)
def test_following_next_finds_every_conversation_once(graph: StartGraph, platform: str, cursors: str) -> None:
    served = graph(conversations=333, cursors=cursors)
    found = ids(served.scan(platform=platform))
    assert len(found) == len(set(found)) == 333


def test_the_platforms_share_no_id(graph: StartGraph) -> None:
    served = graph(conversations=40)
    assert not set(ids(served.scan())) & set(ids(served.scan(platform="instagram")))


def test_the_list_is_newest_first(graph: StartGraph) -> None:
    times = [entry["updated_time"] for answer in graph(conversations=333).scan() for entry in answer.data]
    assert times == sorted(times, reverse=True)


def test_only_the_last_answer_has_no_next(graph: StartGraph) -> None:
    answers = graph(conversations=60).scan()
    assert ["next" in answer.paging for answer in answers] == [True, True, False]


def test_the_last_answer_has_cursors_all_the_same(graph: StartGraph) -> None:
    assert set(graph(conversations=60).scan()[-1].paging["cursors"]) == {"before", "after"}


def test_the_first_answer_has_no_previous(graph: StartGraph) -> None:
    assert ["previous" in answer.paging for answer in graph(conversations=60).scan()] == [False, True, True]


@pytest.mark.parametrize(("asked", "served_as"), [(None, 25), (1, 1), (100, 100), (200, 200), (5000, 200)])
def test_a_limit_is_served_up_to_the_cap(graph: StartGraph, asked: int | None, served_as: int) -> None:
    parameters = {} if asked is None else {"limit": asked}
    assert len(graph(conversations=300).inbox(**parameters).data) == served_as


def test_next_has_the_limit_in_force(graph: StartGraph) -> None:
    answer = graph(conversations=300).inbox(limit=5000)
    assert query(answer.paging["next"])["limit"] == "200"


def test_next_repeats_the_call_with_its_token_and_the_cursor(graph: StartGraph) -> None:
    served = graph(conversations=30)
    answer = served.inbox(fields="id,participants.limit(1){id}", limit=7, platform="messenger")
    assert query(answer.paging["next"]) == {
        "access_token": served.token,
        "fields": "id,participants.limit(1){id}",
        "platform": "messenger",
        "limit": "7",
        "after": answer.paging["cursors"]["after"],
    }


def test_next_keeps_the_callers_version_and_address(graph: StartGraph) -> None:
    served = graph(conversations=30)
    answer = served.open(f"/v2.8/me/conversations?access_token={served.token}")
    assert answer.paging["next"].startswith(f"{served.url}/v2.8/{served.page_id}/conversations?")


def test_an_entry_of_one_has_the_same_cursor_on_both_sides(graph: StartGraph) -> None:
    cursors = graph(conversations=3).inbox(limit=1).paging["cursors"]
    assert cursors["before"] == cursors["after"]


@pytest.mark.parametrize("cursors", ["opaque", "index"])
def test_previous_leads_back_over_the_same_entries(graph: StartGraph, cursors: str) -> None:
    served = graph(conversations=100, cursors=cursors)
    answers = served.scan(limit=10)
    back = [answers[-1]]
    while "previous" in back[-1].paging:
        back.append(served.open(back[-1].paging["previous"]))
        if not back[-1].data:
            break
    assert ids(reversed(back)) == ids(answers)


@pytest.mark.parametrize("cursors", ["opaque", "index"])
def test_before_the_first_entry_is_nothing(graph: StartGraph, cursors: str) -> None:
    served = graph(conversations=9, cursors=cursors)
    before = served.inbox().paging["cursors"]["before"]
    assert served.inbox(before=before).json == {"data": []}


def test_index_cursors_count_the_entries(graph: StartGraph) -> None:
    answer = graph(conversations=60, cursors="index").inbox()
    assert answer.paging["cursors"] == {"before": "MAZDZD", "after": "MjQZD"}


def test_opaque_cursors_begin_as_metas_do(graph: StartGraph) -> None:
    assert graph(conversations=60).inbox().paging["cursors"]["after"].startswith("QVFI")


def foreign_cursors(served: Graph) -> dict[str, str]:
    newest = served.inbox().data[0]["id"]
    return {
        "another platform's": served.inbox(platform="instagram").paging["cursors"]["after"],
        "another folder's": served.inbox(folder="spam").paging["cursors"]["after"],
        "a message list's": served.get(f"{newest}/messages").paging["cursors"]["after"],
        "another Page's": served.get(
            "me/conversations", access_token=served.ready["pages"][1]["token"]
        ).paging["cursors"]["after"],
        "an index": "MjQZD",
        "garbage": "garbage",
        "not ASCII": "\u00e9\u2603",
        "base64 of nothing": "QVFI",
    }


@pytest.mark.parametrize("side", ["after", "before"])
def test_a_cursor_of_another_list_is_refused(graph: StartGraph, side: str) -> None:
    served = graph(conversations=1000, pages=2, folders={"spam": 40})
    codes = {
        name: served.inbox(**{side: cursor}).json.get("error", {}).get("code")
        for name, cursor in foreign_cursors(served).items()
    }
    assert set(codes.values()) == {100}, codes


def test_a_conversations_messages_refuse_another_ones_cursor(graph: StartGraph) -> None:
    served = graph(conversations=2, messages=(50, 50))
    first, second = (entry["id"] for entry in served.inbox().data)
    cursor = served.get(f"{first}/messages").paging["cursors"]["after"]
    assert served.get(f"{second}/messages", after=cursor).error["code"] == 100


@pytest.mark.parametrize("cursor", ["garbage", "QVFI", index_cursor(-1), index_cursor(10**30)])
def test_index_mode_refuses_what_is_no_index(graph: StartGraph, cursor: str) -> None:
    assert graph(conversations=9, cursors="index").inbox(after=cursor).error["code"] == 100


@pytest.mark.parametrize("platform", ["messenger", "MESSENGER", "Messenger"])
def test_messenger_is_named_in_any_case(graph: StartGraph, platform: str) -> None:
    served = graph(conversations=9)
    assert ids([served.inbox(platform=platform)]) == ids([served.inbox()])


@pytest.mark.parametrize("platform", ["instagram", "INSTAGRAM", "Instagram"])
def test_instagram_is_named_in_any_case(graph: StartGraph, platform: str) -> None:
    first = graph(conversations=9).inbox(platform=platform).data[0]["id"]
    decoded = base64.urlsafe_b64decode(first.replace("ZD", "=") + "==")
    assert decoded.startswith(b"ig_dm:1:IGMessageThread:17841")


def test_the_token_alone_identifies_the_page(graph: StartGraph) -> None:
    served = graph(conversations=9)
    assert ids([served.get("me/conversations")]) == ids([served.inbox()])


def test_folders_share_no_conversation(graph: StartGraph) -> None:
    sizes = {"other": 70, "page_done": 40, "vip": 3}
    served = graph(conversations=200, folders=sizes)
    folders = {name: set(ids(served.scan(folder=name))) for name in ("inbox", *sizes)}
    assert {name: len(found) for name, found in folders.items()} == sizes | {"inbox": 200}
    assert len(set.union(*folders.values())) == 313


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_conversation_has_its_folder(graph: StartGraph, platform: str) -> None:
    served = graph(conversations=100, folders={"spam": 40})
    answer = served.inbox(folder="SPAM", fields="folder", platform=platform)
    assert [entry["folder"] for entry in answer.data] == ["spam"] * 25


def test_the_conversations_asked_for_are_the_whole_page(graph: StartGraph) -> None:
    served = graph(conversations=100)
    assert served.ready["pages"][0]["folders"] == {"inbox": 100, "other": 0, "page_done": 0, "spam": 0}
    for name in ("other", "page_done", "spam"):
        assert served.inbox(folder=name).json == {"data": []}


def test_the_ready_line_has_the_folders(process: StartProcess) -> None:
    served = process("--conversations", "50", "--folder", "spam=7", "--folder", "VIP=2").graph
    shown = served.ready["pages"][0]["folders"]
    assert shown == {"inbox": 50, "other": 0, "page_done": 0, "spam": 7, "vip": 2}
    assert len(served.inbox(folder="vip").data) == 2


@pytest.mark.parametrize("switches", [{}, {"unknown_folders": "empty"}])
def test_a_folder_of_no_ones_is_empty(graph: StartGraph, switches: dict[str, Json]) -> None:
    assert graph(conversations=9, **switches).inbox(folder="nowhere").json == {"data": []}


def test_by_switch_a_folder_of_no_ones_is_refused(graph: StartGraph) -> None:
    served = graph(conversations=9, unknown_folders="refuse")
    assert served.inbox(folder="nowhere").error["code"] == 100
    assert served.inbox(folder="spam").json == {"data": []}


@pytest.mark.parametrize("name", ["nowhere", "spam", "other", "inbox"])
def test_by_switch_no_folder_is_honoured(graph: StartGraph, name: str) -> None:
    served = graph(conversations=9, folders={"spam": 5}, unknown_folders="ignore")
    assert ids([served.inbox(folder=name)]) == ids([served.inbox()])


@pytest.mark.parametrize("cursors", ["opaque", "index"])
@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_persons_list_is_their_conversation(graph: StartGraph, platform: str, cursors: str) -> None:
    served = graph(conversations=20, cursors=cursors)
    for entry in served.inbox(platform=platform, fields="participants").data:
        people = {each["id"] for each in entry["participants"]["data"]}
        contacts = people - {served.page_id, served.ready["pages"][0]["instagram_id"]}
        for person in contacts:
            answer = served.inbox(platform=platform, user_id=person)
            assert ids([answer]) == [entry["id"]]
            assert all(answer.paging["cursors"].values())


@pytest.mark.parametrize("person", ["1", "nobody", "9" * 5000, "\u0663"])
def test_a_strangers_list_is_empty(graph: StartGraph, person: str) -> None:
    assert graph(conversations=9).inbox(user_id=person).json == {"data": []}


def test_a_persons_list_keeps_to_the_folder(graph: StartGraph) -> None:
    served = graph(conversations=1000, folders={"spam": 40})
    entry = next(
        each
        for each in served.inbox(folder="spam", fields="participants").data
        if len(each["participants"]["data"]) == 2
    )
    person = next(each["id"] for each in entry["participants"]["data"] if each["id"] != served.page_id)
    assert [len(served.inbox(user_id=person, folder=name).data) for name in ("spam", "inbox")] == [1, 0]


# Messages


@pytest.mark.parametrize("platform", PLATFORMS)
def test_nested_paging_leads_to_the_rest_of_the_messages(graph: StartGraph, platform: str) -> None:
    served = graph(conversations=5, messages=(90, 90))
    entry = served.inbox(platform=platform, fields="messages.limit(10){id,created_time}").data[0]
    nested = entry["messages"]
    assert urlsplit(nested["paging"]["next"]).path == f"/v27.0/{entry['id']}/messages"
    found = nested["data"]
    url = nested["paging"]["next"]
    while url:
        answer = served.open(url)
        found = [*found, *answer.data]
        url = answer.paging.get("next")
    assert len({each["id"] for each in found}) == len(found) == 90


def test_messages_are_newest_first(graph: StartGraph) -> None:
    served = graph(conversations=1, messages=(90, 90))
    thread = served.inbox().data[0]
    times = [each["created_time"] for each in served.get(f"{thread['id']}/messages", limit=100).data]
    assert times == sorted(times, reverse=True)
    assert times[0] == thread["updated_time"]


@pytest.mark.parametrize("fields", ["messages", "messages{id}"])
def test_twenty_five_messages_are_nested_by_default(graph: StartGraph, fields: str) -> None:
    entry = graph(conversations=1, messages=(90, 90)).inbox(fields=fields).data[0]
    assert len(entry["messages"]["data"]) == 25


def test_before_a_message_are_the_newer_ones(graph: StartGraph) -> None:
    served = graph(conversations=1, messages=(60, 60))
    edge = f"{served.inbox().data[0]['id']}/messages"
    first = served.get(edge, limit=20)
    second = served.open(first.paging["next"])
    assert ids([served.open(second.paging["previous"])]) == ids([first])


def test_a_conversation_without_messages_has_no_messages_key(graph: StartGraph) -> None:
    entry = graph(conversations=1, messages=(0, 0)).inbox(fields="messages,snippet").data[0]
    assert set(entry) == {"id"}


def test_following_an_attachments_next_finds_it_empty(graph: StartGraph) -> None:
    served = graph(conversations=60)
    answer = served.inbox(limit=200, fields="messages.limit(40){attachments}")
    messages = [each for entry in answer.data for each in entry["messages"]["data"] if "attachments" in each]
    followed = served.open(messages[0]["attachments"]["paging"]["next"])
    assert followed.json == {"data": []}
