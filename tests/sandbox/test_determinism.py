"""The same switches, the same world; however large, at no cost."""

import re
import tracemalloc
from urllib.parse import urlencode

import pytest

from inboxsync.sandbox import Sandbox, SandboxConfig
from tests.sandbox.fixtures import Graph, Process, StartGraph, StartProcess

pytestmark = pytest.mark.system

FIELDS = (
    "updated_time,snippet,participants,link,unread_count,"
    "messages.limit(5){from,to,message,attachments,sticker,reactions,reply_to}"
)
SWITCHES = (
    "--folder",
    "page_done=40",
    "--conversations",
    "700",
    "--messages",
    "1:30",
    "--pages",
    "2",
    "--seed",
    "7",
)


def paths(served: Graph) -> list[str]:
    """Calls of each kind, on both platforms."""
    token = {"access_token": served.token}
    lists = [
        {"fields": FIELDS, "limit": 100, "platform": platform} | token
        for platform in ("messenger", "instagram")
    ]
    return [
        *(f"/v27.0/{served.page_id}/conversations?{urlencode(each)}" for each in lists),
        f"/v27.0/me/accounts?{urlencode({'access_token': served.ready['user_token']})}",
        f"/v27.0/debug_token?{urlencode({'input_token': served.token} | token)}",
        f"/v27.0/me/conversations?{urlencode({'folder': 'page_done'} | token)}",
        f"/v27.0/t_100000000000699/messages?{urlencode({'fields': 'message,attachments'} | token)}",
    ]


def bodies(served: Graph) -> list[str]:
    """The answers at the same address, without the signatures, which change."""
    answers = [served.open(path, headers={"Host": "graph.test"}) for path in paths(served)]
    assert {each.status for each in answers} == {200}
    return [re.sub(r"oh=[0-9a-f]{32}", "oh=", each.text) for each in answers]


def test_two_processes_with_the_same_switches_serve_the_same_bytes(process: StartProcess) -> None:
    first, second = process(*SWITCHES).graph, process(*SWITCHES).graph
    assert bodies(first) == bodies(second)


def test_the_ready_lines_differ_only_in_the_address(process: StartProcess) -> None:
    first, second = (process(*SWITCHES).graph.ready for _ in range(2))
    assert {name for name in first if first[name] != second[name]} == {"url", "port"}


@pytest.mark.parametrize("change", [("--seed", "8"), ("--conversations", "701"), ("--messages", "2:30")])
def test_another_world_has_other_pages_and_tokens(graph: StartGraph, change: tuple[str, str]) -> None:
    values = {"--seed": 7, "--conversations": 700, "--messages": (1, 30)}
    changed = values | {change[0]: (2, 30) if ":" in change[1] else int(change[1])}
    readies = [
        graph(seed=each["--seed"], conversations=each["--conversations"], messages=each["--messages"]).ready
        for each in (values, changed)
    ]
    for name in ("page_id", "token", "user_token", "app_id", "app_secret"):
        assert readies[0][name] != readies[1][name]


def test_media_is_signed_again_in_every_answer(graph: StartGraph) -> None:
    served = graph(conversations=100, messages=(30, 30))
    fields = "messages.limit(30){attachments}"
    answers = [served.inbox(limit=100, fields=fields).text for _ in range(3)]
    signatures = [re.findall(r"oh=([0-9a-f]{32})", text)[0] for text in answers]
    assert len(set(signatures)) == 3


@pytest.fixture
def million(process: StartProcess) -> Process:
    return process("--conversations", "1000000", "--cursors", "index", "--time-windows")


def test_a_million_conversations_cost_nothing_until_they_are_read() -> None:
    tracemalloc.start()
    sandbox = Sandbox(SandboxConfig(conversations=1_000_000))
    _, most_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(sandbox.world.pages[0].inbox) == 1_000_000
    assert most_bytes < 1_000_000


def test_the_last_of_a_million_is_within_reach(million: Process) -> None:
    answer = million.graph.inbox(after="OTk5OTk4", limit=5)
    assert [each["id"] for each in answer.data] == ["t_100000000999999"]
    assert "next" not in answer.paging


def test_a_window_leads_deep_into_a_million_at_once(million: Process) -> None:
    first = million.graph.inbox(updated_before_ms=1_704_067_200_000, limit=1).data[0]
    assert first["updated_time"].startswith("2023-12-31")


def test_reading_much_of_a_million_takes_bounded_memory(million: Process) -> None:
    served = million.graph
    fields = "snippet,messages.limit(1){id}"
    end_ms = 1_751_000_000_000
    for step in range(15):
        served.inbox(limit=200, fields=fields, updated_before_ms=end_ms - step * 10**10)
    filled = million.memory_bytes()
    for step in range(15, 45):
        served.inbox(limit=200, fields=fields, updated_before_ms=end_ms - step * 10**9)
    assert million.memory_bytes() - filled < 30 * 2**20
    assert filled < 300 * 2**20
