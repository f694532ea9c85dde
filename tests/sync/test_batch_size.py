"""The batch size is learned and remembered, and never larger than what the source serves."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Receive, Scope, Send

from inboxsync.model import RunStatus
from inboxsync.sandbox import Faults
from inboxsync.sandbox.call import Call
from inboxsync.sandbox.nodes import View
from inboxsync.sync.plan import LARGEST_BATCH, BatchSize
from tests.fixtures import Row, SandboxServer
from tests.sync.fixtures import Ready, Stored, Sync

SIZE = "SELECT batch_size FROM facebook_pages"
IDS = "SELECT conversation_id FROM messenger_conversations"


def ids(rows: list[Row]) -> set[str]:
    return {graph_id for (graph_id,) in rows}


def limits(served: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many conversations each heavy call asks for, from now on."""
    asked: list[int] = []
    answer = served.sandbox.conversations.answer

    def answering(call: Call, view: View) -> str:
        if "messages" in call.parameters.get("fields", "") and "folder" not in call.parameters:
            asked.append(int(call.parameters["limit"]))
        return answer(call, view)

    monkeypatch.setattr(served.sandbox.conversations, "answer", answering)
    return asked


def test_the_batch_size_is_remembered(
    ready: Ready, sync: Sync, stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    served, engine = ready(faults=Faults(weight_limit=300))
    asked = limits(served, monkeypatch)
    assert sync(engine).status is RunStatus.COMPLETE
    assert asked[:3] == [100, 50, 25]
    assert stored(engine, SIZE)[0][0] <= 30
    asked.clear()
    sync(engine)
    assert asked[0] <= 37


def test_a_growth_that_is_refused_is_tried_less_and_less_often(
    ready: Ready, sync: Sync, stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    served, engine = ready(conversations=2500, faults=Faults(weight_limit=300))
    asked = limits(served, monkeypatch)
    run = sync(engine)
    assert run.status is RunStatus.COMPLETE
    refused = sum(size > 30 for size in asked)
    assert refused <= 8
    assert ids(stored(engine, IDS)) == set(served.threads())


def test_answers_that_take_too_long_are_asked_for_less(ready: Ready, sync: Sync, stored: Stored) -> None:
    served, engine = ready(engine={"timeout_seconds": 0.5, "retry_attempts": 2}, conversations=200)
    http = served.sandbox.http
    take = type(http).__call__

    async def slow_for_many(scope: Scope, receive: Receive, send: Send) -> None:
        query = scope["query_string"].decode()
        if "messages" in query and "limit=100" in query.split("messages")[-1]:
            await asyncio.sleep(1.0)
        await take(http, scope, receive, send)

    served.sandbox.app._graph = slow_for_many
    run = sync(engine)
    assert run.status is RunStatus.COMPLETE
    assert ids(stored(engine, IDS)) == set(served.threads())
    assert stored(engine, SIZE)[0][0] <= 75


def test_stalls_within_the_timeout_cost_nothing_but_time(ready: Ready, sync: Sync, stored: Stored) -> None:
    served, engine = ready(engine={"timeout_seconds": 3.0})
    served.sandbox.http.faults = Faults(stall=0.5, stall_seconds=0.2)
    run = sync(engine)
    assert run.status is RunStatus.COMPLETE
    assert stored(engine, SIZE) == [(100,)]


def test_it_never_asks_for_more_than_the_source_serves(
    ready: Ready, sync: Sync, monkeypatch: pytest.MonkeyPatch
) -> None:
    served, engine = ready(conversations=1500, largest_limit=40)
    asked = limits(served, monkeypatch)
    run = sync(engine)
    assert run.status is RunStatus.COMPLETE
    assert set(asked[4:]) == {40}
    assert run.counts.fetched == 1500


def test_one_short_answer_is_not_a_limit() -> None:
    size = BatchSize()
    size.succeeded(asked=100, served=33, has_next=True)
    size.succeeded(asked=100, served=100, has_next=True)
    assert size.current == 100


def test_it_grows_back_slowly() -> None:
    size = BatchSize()
    size.shrink(100)
    grown = []
    for _ in range(40):
        size.succeeded(asked=size.current, served=size.current, has_next=True)
        grown.append(size.current)
    assert grown[8] == 50
    assert grown[9] == 75
    assert grown[-1] == LARGEST_BATCH


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 100)), max_size=200))
def test_it_stays_between_one_and_the_largest(events: list[tuple[bool, int]]) -> None:
    size = BatchSize()
    for fits, served in events:
        if fits:
            size.succeeded(asked=size.current, served=min(served, size.current), has_next=True)
        else:
            size.shrink(size.current)
        assert 1 <= size.current <= LARGEST_BATCH


@pytest.mark.parametrize("known", [None, 1, 40, 100, 500])
def test_it_begins_with_the_remembered_size(known: int | None) -> None:
    assert BatchSize(known).current == min(known or LARGEST_BATCH, LARGEST_BATCH)


def test_a_number_that_was_exceeded_before_is_not_the_sources_own_limit() -> None:
    size = BatchSize()
    size.succeeded(asked=100, served=80, has_next=True)
    for _ in range(5):
        size.succeeded(asked=100, served=33, has_next=True)
    assert size.current == 100
