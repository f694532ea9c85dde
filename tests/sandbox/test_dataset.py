"""Conversations from a file are served as they are, and the error for a broken file says where."""

import gzip
import itertools
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from inboxsync.sandbox import DatasetError, Sandbox, SandboxConfig
from tests.fixtures import Json, Serve
from tests.processes import ForkServer
from tests.sandbox.fixtures import Graph, StartGraph

RECORDED = Path(__file__).parents[3] / "shared" / "data" / "conversations.ndjson.gz"

needs_recorded = pytest.mark.skipif(
    not RECORDED.exists(), reason="the recorded conversations are not beside this checkout (../shared/data)"
)

AT = "2024-05-06T07:08:09+00:00"


def conversation(number: int = 1, **changes: object) -> dict[str, Json]:
    messages = [
        {"from": "customer", "text": "first", "at": AT},
        {"from": "page", "text": "second", "at": "2024-05-06T07:09:00Z"},
    ]
    return {"id": f"c:{number}", "customer": {"name": "Zo\u00eb"}, "messages": messages} | changes


class Write(Protocol):
    """The fixture `write`: a file of these lines; what is not bytes is written as JSON."""

    def __call__(self, *lines: object, packed: bool = False) -> Path: ...


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_file(*lines: object, packed: bool = False) -> Path:
        path = tmp_path / "conversations.ndjson"
        texts = [each if isinstance(each, bytes) else json.dumps(each).encode() for each in lines]
        whole = b"\n".join(texts) + b"\n"
        path.write_bytes(gzip.compress(whole) if packed else whole)
        return path

    return write_file


def served_texts(served: Graph, thread_id: str) -> Iterator[tuple[str, str]]:
    """(who wrote, the text) of a conversation, oldest first."""
    answer = served.get(f"{thread_id}/messages", limit=200, fields="from,message")
    assert "next" not in answer.paging
    for message in reversed(answer.data):
        yield "page" if message["from"]["id"] in page_ids(served) else "customer", message.get("message", "")


def page_ids(served: Graph) -> set[str]:
    return {each["page_id"] for each in served.ready["pages"]}


def contact_name(served: Graph, thread_id: str) -> str:
    people = served.get(thread_id, fields="participants").json["participants"]["data"]
    (name,) = (str(each["name"]) for each in people if each["id"] not in page_ids(served))
    return name


@needs_recorded
def test_recorded_names_and_texts_are_served_byte_for_byte(serve: Serve, graph: StartGraph) -> None:
    count = 3000
    served = graph(dataset=RECORDED, conversations=count)
    world = serve(dataset=RECORDED, conversations=count).sandbox.world
    with gzip.open(RECORDED, "rt", encoding="utf-8", newline="\n") as lines:
        sample = [json.loads(line) for line in itertools.islice(lines, 0, count, 100)]
    for recorded in sample:
        thread_id = world.conversation_id_of(recorded["id"])
        assert contact_name(served, thread_id) == recorded["customer"]["name"]
        assert list(served_texts(served, thread_id)) == [
            (each["from"], each["text"]) for each in recorded["messages"]
        ]


@needs_recorded
def test_the_first_recorded_conversations_are_all_listed_once(graph: StartGraph) -> None:
    answers = graph(dataset=RECORDED, conversations=1000).scan(limit=200)
    found = [entry["id"] for answer in answers for entry in answer.data]
    assert len(found) == len(set(found)) == 1000


@pytest.mark.parametrize("packed", [True, False])
def test_a_file_is_read_packed_or_plain(graph: StartGraph, write: Write, packed: bool) -> None:
    served = graph(dataset=write(*(conversation(number) for number in range(3)), packed=packed))
    assert len(served.inbox().data) == 3


HARD_TEXTS = [
    "line\nbreak\r\n\ttab",
    "\u0008backspace\u0000nul",
    "\U0001f469\u200d\U0001f4bb",
    '"quoted" \\ / </script>',
    "e\u0301 is not \u00e9",
    "\u202eright to left",
    "x" * 20_000,
    " ",
]


@pytest.mark.parametrize("text", HARD_TEXTS, ids=range(len(HARD_TEXTS)))
def test_a_text_comes_back_as_it_was(graph: StartGraph, write: Write, text: str) -> None:
    recorded = conversation(messages=[{"from": "customer", "text": text, "at": AT}])
    served = graph(dataset=write(recorded | {"customer": {"name": text[:60]}}))
    thread_id = served.inbox().data[0]["id"]
    assert list(served_texts(served, thread_id)) == [("customer", text)]
    assert contact_name(served, thread_id) == text[:60]


def test_a_recorded_time_is_served(graph: StartGraph, write: Write) -> None:
    served = graph(dataset=write(conversation()))
    edge = f"{served.inbox().data[0]['id']}/messages"
    assert [each["created_time"] for each in served.get(edge).data] == [
        "2024-05-06T07:09:00+0000",
        "2024-05-06T07:08:09+0000",
    ]


def test_a_missing_time_is_derived_and_noted(graph: StartGraph, write: Write) -> None:
    untimed = [{"from": "customer", "text": "when?", "at": None}]
    served = graph(dataset=write(conversation(messages=untimed)))
    assert "created_time" in served.get(f"{served.inbox().data[0]['id']}/messages").data[0]
    assert [note.partition(" have")[0] for note in served.ready["notes"]] == ["1 messages"]


def test_times_that_run_backwards_are_noted(graph: StartGraph, write: Write) -> None:
    backwards = [
        {"from": "customer", "text": "later", "at": AT},
        {"from": "page", "text": "earlier", "at": "2020-01-01T00:00:00Z"},
    ]
    served = graph(dataset=write(conversation(messages=backwards)))
    thread_id = served.inbox().data[0]["id"]
    assert [text for _, text in served_texts(served, thread_id)] == ["later", "earlier"]
    assert "before the one they follow" in served.ready["notes"][0]


def test_several_pages_share_the_file_without_overlap(graph: StartGraph, write: Write) -> None:
    served = graph(dataset=write(*(conversation(number) for number in range(7))), pages=3)
    assert sorted(page["conversations"] for page in served.ready["pages"]) == [2, 2, 3]


def test_blank_lines_are_passed_over(graph: StartGraph, write: Write) -> None:
    served = graph(dataset=write(conversation(1), b"", b"  ", conversation(2)))
    assert len(served.inbox().data) == 2


def without(name: str) -> dict[str, Json]:
    return {key: value for key, value in conversation().items() if key != name}


def with_message(**changes: object) -> dict[str, Json]:
    return conversation(messages=[{"from": "page", "text": "x", "at": AT} | changes])


BROKEN = {
    "the line before once more": conversation(),
    "half a line": b'{"id": "c:1", "cust',
    "a list": [],
    "a number": 5,
    "no id": without("id"),
    "no customer": without("customer"),
    "no messages": without("messages"),
    "an id that is a number": conversation(id=5),
    "a name that is none": conversation(customer={"name": None}),
    "messages that are text": conversation(messages="hello"),
    "messages that are a number": conversation(messages=5),
    "a message that is text": conversation(messages=["hello"]),
    "a message from nobody": with_message(**{"from": "robot"}),
    "a message without a text": with_message(text=None),
    "a time that is none": with_message(at="yesterday"),
    "a time that is a number": with_message(at=5),
    "bytes that are no UTF-8": b'{"id": "\xff"}',
}


@pytest.mark.parametrize("name", BROKEN)
def test_the_error_for_a_broken_line_names_it(write: Write, name: str) -> None:
    path = write(conversation(), BROKEN[name])
    with pytest.raises(DatasetError) as caught:
        Sandbox(SandboxConfig(dataset=path))
    assert str(caught.value).startswith(f"{path}, line 2: ")


def test_the_error_for_a_missing_file_names_it(tmp_path: Path) -> None:
    path = tmp_path / "nothing.ndjson"
    with pytest.raises(DatasetError, match=r"There is no file .*nothing\.ndjson"):
        Sandbox(SandboxConfig(dataset=path))


def test_the_error_for_an_empty_file_names_it(tmp_path: Path) -> None:
    path = tmp_path / "empty.ndjson"
    path.touch()
    with pytest.raises(DatasetError, match=r"empty\.ndjson holds no conversation"):
        Sandbox(SandboxConfig(dataset=path))


def test_the_error_for_a_cut_gzip_file_names_it(write: Write) -> None:
    path = write(*(conversation(number) for number in range(500)), packed=True)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DatasetError, match="cannot be read"):
        Sandbox(SandboxConfig(dataset=path))


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="cannot be read"):
        Sandbox(SandboxConfig(dataset=tmp_path))


@pytest.mark.system
def test_the_command_names_the_broken_line(forks: ForkServer, write: Write) -> None:
    path = write(conversation(), b"{")
    ended = forks.run("sandbox", "--dataset", str(path), environment=os.environ)
    assert ended.returncode != 0
    assert "line 2" in " ".join(ended.stderr.split())
    assert "Traceback" not in ended.stderr
