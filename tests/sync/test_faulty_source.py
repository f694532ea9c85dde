"""One call in five goes wrong: one sync, complete, in less than three times the calls."""

import asyncio
import time
from datetime import datetime

import pytest
from starlette.types import Message, Receive, Scope, Send

from inboxsync.errors import Stalled
from inboxsync.model import RunStatus
from inboxsync.sandbox import Faults
from inboxsync.sandbox.call import Call
from inboxsync.sandbox.nodes import View
from tests.fixtures import Row
from tests.sync.fixtures import Ready, Stored, Sync

IDS = "SELECT conversation_id FROM messenger_conversations"
FIFTH = Faults(
    reset=0.03,
    html=0.03,
    empty=0.02,
    null=0.02,
    cut=0.03,
    code_1=0.02,
    code_2=0.02,
    transient=0.02,
    stall=0.01,
    stall_seconds=0.1,
)
ODD = Faults(
    reset=0.03, html=0.02, cut=0.02, code_2=0.02, short_batch=0.04, empty_batch=0.04, repeat_cursor=0.03
)


def ids(rows: list[Row]) -> set[str]:
    return {graph_id for (graph_id,) in rows}


@pytest.mark.parametrize("faults", [FIFTH, ODD], ids=["broken", "odd"])
@pytest.mark.parametrize("seed", range(5))
def test_one_call_in_five_goes_wrong(
    ready: Ready, sync: Sync, stored: Stored, seed: int, faults: Faults
) -> None:
    served, engine = ready(conversations=3000, seed=seed)
    served.sandbox.http.faults = served.sandbox.conversations.faults = faults
    run = sync(engine)
    assert run.status is RunStatus.COMPLETE, run.problems
    assert ids(stored(engine, IDS)) == set(served.threads())
    assert run.counts.fetched == 3000
    assert run.calls < 3 * (30 + 1 + 3)


@pytest.mark.parametrize(
    "faults",
    [Faults(endless=True), Faults(empty_batch=1.0), Faults(repeat_cursor=1.0)],
    ids=["endless", "empty", "repeated"],
)
def test_calls_that_gain_nothing_end_the_run_and_it_says_where(
    ready: Ready, sync: Sync, stored: Stored, faults: Faults
) -> None:
    served, engine = ready()
    served.sandbox.http.faults = served.sandbox.conversations.faults = faults
    run = sync(engine, stall_calls=20)
    assert run.status is not RunStatus.COMPLETE
    assert run.calls < 150
    assert run.problems[-1].code != "unexpected"
    if not faults.repeat_cursor:
        assert (run.status, run.problems[-1].code) == (RunStatus.PARTIAL, Stalled.code)
        assert "UTC" in run.problems[-1].message
    served.sandbox.http.faults = served.sandbox.conversations.faults = Faults()
    assert sync(engine).status is RunStatus.COMPLETE
    assert ids(stored(engine, IDS)) == set(served.threads())


def test_a_source_that_refuses_its_own_cursors_ends_the_run(ready: Ready, sync: Sync, stored: Stored) -> None:
    served, engine = ready()
    served.sandbox.conversations.faults = Faults(refuse_cursors=True)
    run = sync(engine, stall_calls=20)
    assert (run.status, run.problems[-1].code) == (RunStatus.PARTIAL, Stalled.code)
    assert run.calls < 30
    served.sandbox.conversations.faults = Faults()
    assert sync(engine).status is RunStatus.COMPLETE
    assert ids(stored(engine, IDS)) == set(served.threads())


def test_a_position_is_found_again_though_the_light_calls_fail_too(
    ready: Ready, sync: Sync, stored: Stored
) -> None:
    served, engine = ready(conversations=2000, seed=3)
    sync(engine, stop_after=15)
    served.sandbox.http.faults = served.sandbox.conversations.faults = Faults(
        forget_cursors=1, html=0.1, repeat_cursor=0.3
    )
    run = sync(engine)
    assert run.status is RunStatus.COMPLETE, run.problems
    assert ids(stored(engine, IDS)) == set(served.threads())
    assert run.counts.fetched <= 700


def test_a_position_is_found_again_by_large_answers_though_the_batch_size_is_small(
    ready: Ready, sync: Sync, stored: Stored
) -> None:
    served, engine = ready(conversations=1000, faults=Faults(weight_limit=40))
    sync(engine, max_conversations=900)
    served.sandbox.http.faults = Faults(forget_cursors=1)
    run = sync(engine)
    assert run.status is RunStatus.COMPLETE
    assert ids(stored(engine, IDS)) == set(served.threads())
    assert run.calls < 100


def test_messages_written_during_a_slow_answer_are_not_below_the_snapshot_time(
    ready: Ready, sync: Sync, stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    served, engine = ready(conversations=30)
    http = served.sandbox.http
    looked: list[float] = []
    take, answer = type(http).__call__, served.sandbox.conversations.answer

    async def sent_late(scope: Scope, receive: Receive, send: Send) -> None:
        async def late(message: Message) -> None:
            if message["type"] == "http.response.start" and looked:
                await asyncio.sleep(3.0)
            await send(message)

        await take(http, scope, receive, late)

    def noting(call: Call, view: View) -> str:
        looked.append(time.time())
        return answer(call, view)

    monkeypatch.setattr(served.sandbox.app, "_graph", sent_late)
    monkeypatch.setattr(served.sandbox.conversations, "answer", noting)
    sync(engine, max_seconds=5)
    ((watermark,),) = stored(engine, "SELECT watermark_at FROM list_positions WHERE folder = 'inbox'")
    assert datetime.fromisoformat(watermark).timestamp() <= looked[0]
