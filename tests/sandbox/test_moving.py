"""A list that moves while it is scanned (graph-facts 1.3)."""

from collections.abc import Iterable
from random import Random

import pytest

from tests.fixtures import Json
from tests.sandbox.fixtures import Graph, Parameter, StartGraph


def ids(entries: Iterable[Json]) -> list[str]:
    return [each["id"] for each in entries]


def whole(graph: StartGraph, conversations: int = 300) -> list[str]:
    """What the same world lists when no one writes."""
    answers = graph(conversations=conversations).scan(limit=200)
    return [entry["id"] for answer in answers for entry in answer.data]


def test_people_write_while_the_list_is_scanned(graph: StartGraph) -> None:
    served = graph(conversations=300, write_every=2)
    before = ids(served.inbox(limit=1).data)
    served.scan(limit=50)
    moved = served.inbox(limit=3, fields="id,snippet").data
    assert ids(moved)[0] not in before
    assert {each["snippet"].startswith("written during call ") for each in moved} == {True}


def test_a_moving_list_stays_newest_first(graph: StartGraph) -> None:
    served = graph(conversations=300, write_every=1)
    served.scan(limit=50)
    times = [each["updated_time"] for each in served.inbox(limit=200).data]
    assert times == sorted(times, reverse=True)


def test_a_conversation_written_in_during_a_scan_is_at_the_top_afterwards(graph: StartGraph) -> None:
    served = graph(conversations=300, write_every=3)
    scanned = ids(entry for answer in served.scan(limit=20) for entry in answer.data)
    top = ids(served.inbox(limit=30).data)
    assert set(scanned) | set(top) == set(whole(graph))


def written_in(served: Graph, **parameters: Parameter) -> list[int]:
    """How many messages were written during the walk, by conversation, newest first."""
    entries = served.inbox(limit=200, fields="messages.limit(40){message}", **parameters).data
    counts = [
        sum(each.get("message", "").startswith("written during") for each in entry["messages"]["data"])
        for entry in entries
    ]
    return [count for count in counts if count]


def test_several_people_write_several_messages_each(graph: StartGraph) -> None:
    served = graph(conversations=180, write_every=1, write_people=4, write_burst=7)
    served.inbox()
    assert written_in(served) == [7, 7, 7, 7]


@pytest.mark.parametrize("platform", ["messenger", "instagram"])
def test_conversations_begin_while_the_list_is_scanned(graph: StartGraph, platform: str) -> None:
    served = graph(conversations=100, write_new_every=2, write_burst=3, messages=(1, 3))
    before = ids(served.inbox(limit=200, platform=platform).data)
    for _ in range(5):
        served.inbox(platform=platform, limit=1)
    after = ids(served.inbox(limit=200, platform=platform).data)
    assert (len(after), after[3:]) == (103, before)
    assert written_in(served, platform=platform) == [3, 3, 3]


def test_people_write_in_the_folder_that_is_scanned(graph: StartGraph) -> None:
    served = graph(conversations=30, folders={"spam": 30}, write_every=1)
    served.scan(folder="spam", limit=10)
    assert written_in(served) == []
    assert sum(written_in(served, folder="spam")) >= 3


def test_people_write_in_the_inbox_while_an_empty_folder_is_scanned(graph: StartGraph) -> None:
    served = graph(conversations=30, write_every=1, write_new_every=1)
    for name in ("spam", "nowhere"):
        assert served.inbox(folder=name).data == []
    assert sum(written_in(served)) == 4
    assert served.inbox(folder="spam").data == []


def test_a_message_written_from_outside_is_the_newest(graph: StartGraph) -> None:
    served = graph(conversations=300)
    written = served.control("messages", text="hello \u2603", slot=200).json
    entry = served.inbox(limit=1, fields="id,snippet,messages.limit(1){id,message}").data[0]
    assert (entry["id"], entry["snippet"]) == (written["conversation_id"], "hello \u2603")
    assert entry["messages"]["data"] == [{"message": "hello \u2603", "id": written["message_id"]}]


def test_a_message_without_a_slot_begins_a_conversation(graph: StartGraph) -> None:
    served = graph(conversations=30)
    before = set(whole(graph, 30))
    begun = served.control("messages", text="new", times=2).json["conversation_id"]
    entries = {each["id"]: each for each in served.inbox(limit=200, fields="message_count").data}
    assert set(entries) - before == {begun}
    assert entries[begun]["message_count"] == 2


def test_a_message_into_no_conversation_is_not_found(graph: StartGraph) -> None:
    assert graph(conversations=30).control("messages", text="lost", slot=31).status == 404


# Everything at once


class Model:
    """What the lists must be, kept in the plainest way: a list of (folder, time, id, messages)."""

    def __init__(self, served: Graph, platform: str, random: Random) -> None:
        self.served = served
        self.platform = platform
        self.random = random
        self.folders = ("inbox", "spam", "other")
        self.threads = {each["conversation_id"]: each for name in self.folders for each in self.shown(name)}

    def shown(self, folder: str) -> Json:
        return self.served.open(f"/sandbox/inbox?folder={folder}&platform={self.platform}").json

    def step(self) -> None:
        thread = self.threads[self.random.choice(sorted(self.threads))]
        asked = {"conversation_id": thread["conversation_id"], "platform": self.platform}
        match self.random.choice(("write", "begin", "move", "move", "delete", "unsend")):
            case "write":
                self.write(asked)
            case "begin":
                self.write({"platform": self.platform, "folder": self.random.choice(self.folders)})
            case "move":
                thread["folder"] = self.random.choice(self.folders)
                self.served.control("conversations", **asked, move_to=thread["folder"])
            case "delete":
                del self.threads[thread["conversation_id"]]
                self.served.control("conversations", **asked, delete=True)
            case "unsend" if thread["message_ids"]:
                gone = self.served.control("conversations", **asked, unsend=-1).json["message_id"]
                assert thread["message_ids"].pop(0) == gone

    def write(self, asked: dict[str, Json]) -> None:
        written = self.served.control("messages", text="hello", **asked).json
        named = written["conversation_id"]
        now = self.served.get(named).json["updated_time"]
        begun = {"conversation_id": named, "folder": asked.get("folder"), "message_ids": []}
        thread = self.threads.setdefault(named, begun)
        thread["updated_time"] = now
        thread["message_ids"].insert(0, written["message_id"])


@pytest.mark.parametrize("cursors", ["opaque", "index"])
@pytest.mark.parametrize("platform", ["messenger", "instagram"])
@pytest.mark.parametrize("seed", range(3))
def test_whatever_happens_each_folder_lists_what_lies_in_it_newest_first(
    graph: StartGraph, platform: str, cursors: str, seed: int
) -> None:
    served = graph(
        conversations=20, folders={"spam": 8, "other": 3}, cursors=cursors, seed=seed, messages=(1, 4)
    )
    model = Model(served, platform, Random(seed))  # noqa: S311 - which changes are tried
    for _ in range(60):
        model.step()
    for folder in model.folders:
        expected = {name: each for name, each in model.threads.items() if each["folder"] == folder}
        fields = "updated_time,messages.limit(99){id}"
        listed = [
            entry
            for answer in served.scan(platform=platform, folder=folder, limit=4, fields=fields)
            for entry in answer.data
        ]
        assert sorted(ids(listed)) == sorted(expected)
        times = [each["updated_time"] for each in listed]
        assert times == sorted(times, reverse=True)
        for entry in listed:
            thread = expected[entry["id"]]
            assert entry["updated_time"] == thread["updated_time"]
            assert ids(entry.get("messages", {"data": []})["data"]) == thread["message_ids"]
