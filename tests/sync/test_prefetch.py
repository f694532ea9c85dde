"""Lists with slow answers and without time windows are prefetched, and nothing is lost."""

import json
from dataclasses import replace

import pytest

from inboxsync.engine import Engine
from inboxsync.model import Platform, RunStatus
from inboxsync.sandbox import Faults
from inboxsync.sandbox.call import Call
from inboxsync.sandbox.conversations import Conversations
from inboxsync.sandbox.nodes import View
from inboxsync.sandbox.refusal import bad_cursor
from tests.fixtures import SandboxServer
from tests.sync.fixtures import Ready, Slow, Stored, Sync

IDS = "SELECT conversation_id FROM messenger_conversations"
SEGMENTS = "SELECT segments FROM list_positions WHERE folder = 'inbox'"
SLOW = {"calls_per_second": 40.0}


@pytest.fixture
def slow(ready: Ready) -> Slow:
    """A source whose answers take four times as long as the call rate allows, and that honours no windows."""

    def start(**switches: object) -> tuple[SandboxServer, Engine]:
        usual: dict[str, object] = {"conversations": 1500, "latency_seconds": 0.1}
        return ready(platform=Platform.MESSENGER, engine=SLOW, **(usual | switches))

    return start


def light_and_heavy(served: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Notes of each list answer whether it held messages."""
    heavy: list[bool] = []
    answer = Conversations.answer

    def noting(self: Conversations, call: Call, view: View) -> str:
        if self is served.sandbox.conversations:
            heavy.append("messages" in call.parameters.get("fields", ""))
        return answer(self, call, view)

    monkeypatch.setattr(Conversations, "answer", noting)
    return heavy


def assert_all_stored(served: SandboxServer, stored: Stored, engine: Engine) -> None:
    assert sorted(graph_id for (graph_id,) in stored(engine, IDS)) == sorted(served.threads())


def test_a_slow_list_is_prefetched_and_stored_whole(
    slow: Slow, sync: Sync, stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    served, engine = slow()
    heavy = light_and_heavy(served, monkeypatch)
    run = sync(engine)
    assert (run.status, run.counts.fetched, run.counts.inserted) == (RunStatus.COMPLETE, 1500, 1500)
    assert_all_stored(served, stored, engine)
    # Two heavy answers for a light one; the first, the probe for windows, the catch-up scan and the other
    # folders.
    assert 6 <= heavy.count(False) <= 9
    assert heavy.count(True) <= 15 + 7


def test_a_fast_list_is_not_prefetched(ready: Ready, sync: Sync, monkeypatch: pytest.MonkeyPatch) -> None:
    served, engine = ready(conversations=1500)
    heavy = light_and_heavy(served, monkeypatch)
    assert sync(engine).status is RunStatus.COMPLETE
    assert all(heavy)


def test_messages_written_during_a_prefetch_are_not_missed(slow: Slow, sync: Sync, stored: Stored) -> None:
    served, engine = slow(write_every=2, write_new_every=5, cursors="opaque")
    assert sync(engine).status is RunStatus.COMPLETE
    late = 4  # what is begun while the other folders are looked at comes with the next sync
    missing = set(served.threads()) - {graph_id for (graph_id,) in stored(engine, IDS)}
    assert len(missing) <= late
    sync(engine)
    served.sandbox.conversations._config = replace(
        served.sandbox.conversations._config, write_every=0, write_new_every=0
    )
    assert sync(engine).status is RunStatus.COMPLETE
    assert_all_stored(served, stored, engine)


def test_a_stopped_prefetch_continues_at_its_position(slow: Slow, sync: Sync, stored: Stored) -> None:
    served, engine = slow()
    first = sync(engine, stop_after=6)
    assert first.status is RunStatus.PARTIAL
    ((segments,),) = stored(engine, SEGMENTS)
    assert len(json.loads(segments)) > 1
    second = sync(engine)
    assert second.status is RunStatus.COMPLETE
    assert_all_stored(served, stored, engine)
    # What had been read of the blocks that were open is read again, no more.
    assert second.counts.fetched <= 1500 - first.counts.fetched + 600


def test_a_limit_of_conversations_is_kept(slow: Slow, sync: Sync, stored: Stored) -> None:
    served, engine = slow()
    run = sync(engine, max_conversations=730)
    assert (run.status, run.counts.fetched) == (RunStatus.PARTIAL, 730)
    assert sync(engine).status is RunStatus.COMPLETE
    assert_all_stored(served, stored, engine)


@pytest.mark.parametrize("refuses", [True, False])
def test_cursors_bound_to_their_limit_or_fields_end_only_the_prefetch(
    slow: Slow, sync: Sync, stored: Stored, monkeypatch: pytest.MonkeyPatch, refuses: bool
) -> None:
    served, engine = slow()
    answer = Conversations.answer

    def bound(self: Conversations, call: Call, view: View) -> str:
        """Each cursor ends with a letter for the fields it was made with."""
        kind = "H" if "messages" in call.parameters.get("fields", "") else "L"
        parameters = dict(call.parameters)
        if after := parameters.pop("after", None):
            if after.endswith(kind):
                parameters["after"] = after[:-1]
            elif refuses:
                raise bad_cursor()  # else the top is served, as if there were no cursor
        served_json = json.loads(answer(self, replace(call, parameters=parameters), view))
        if "after" in served_json.get("paging", {}).get("cursors", {}):
            served_json["paging"]["cursors"]["after"] += kind
        return json.dumps(served_json)

    monkeypatch.setattr(Conversations, "answer", bound)
    assert sync(engine).status is RunStatus.COMPLETE
    assert_all_stored(served, stored, engine)


def test_unreadable_conversations_and_faults_inside_a_chunk_lose_nothing(
    slow: Slow, sync: Sync, stored: Stored
) -> None:
    served, engine = slow()
    served.sandbox.http.faults = served.sandbox.conversations.faults = Faults(
        poison=2, html=0.04, cut=0.04, code_2=0.04, short_batch=0.1, empty_batch=0.1
    )
    run = sync(engine)
    assert run.status is RunStatus.PARTIAL
    backlog = {graph_id for (graph_id,) in stored(engine, "SELECT conversation_id FROM backlog")}
    kept = {graph_id for (graph_id,) in stored(engine, IDS)}
    assert kept | backlog == set(served.threads())
    assert len(backlog) == 2


@pytest.mark.parametrize("conversations", [100, 700])
def test_a_list_that_ends_with_an_empty_answer_is_complete(
    slow: Slow, sync: Sync, stored: Stored, monkeypatch: pytest.MonkeyPatch, conversations: int
) -> None:
    served, engine = slow(conversations=conversations)
    answer = Conversations.answer

    def one_more(self: Conversations, call: Call, view: View) -> str:
        served_json = json.loads(answer(self, call, view))
        if served_json["data"]:
            served_json["paging"].setdefault("next", "https://graph.invalid/next")
        return json.dumps(served_json)

    monkeypatch.setattr(Conversations, "answer", one_more)
    assert sync(engine).status is RunStatus.COMPLETE
    assert_all_stored(served, stored, engine)
