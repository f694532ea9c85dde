"""With time windows the segments of a list are read side by side; nothing is lost where they fail."""

from dataclasses import replace

import pytest
from starlette.types import Receive, Scope, Send

from inboxsync.engine import Engine
from inboxsync.model import Platform, Run, RunStatus
from inboxsync.sandbox import Faults, Sandbox
from inboxsync.sandbox.call import Call
from inboxsync.sandbox.config import ANCHOR
from inboxsync.sandbox.conversations import Conversations
from inboxsync.sandbox.lists import ConversationList, Slice
from inboxsync.sandbox.mailbox import Mailbox
from inboxsync.sandbox.refusal import Refusal
from tests.fixtures import Row, SandboxServer
from tests.sync.fixtures import Passed, Ready, Slow, Stored, Sync

IDS = "SELECT conversation_id FROM messenger_conversations"
BACKLOG = "SELECT conversation_id FROM backlog"
HONOURED = "SELECT time_windows FROM facebook_pages"
SEGMENTS = "SELECT segments FROM list_positions WHERE folder = 'inbox'"
SLOW = {"calls_per_second": 40.0}


def ids(rows: list[Row]) -> list[str]:
    return sorted(value for (value,) in rows)


def assert_all_stored(served: SandboxServer, stored: Stored, engine: Engine) -> None:
    assert ids(stored(engine, IDS)) == sorted(served.threads())


def honour(served: SandboxServer, *, windows: bool) -> None:
    conversations = served.sandbox.conversations
    conversations._config = replace(conversations._config, time_windows=windows)


@pytest.fixture
def slow(ready: Ready) -> Slow:
    """A source whose answers take four times as long as the call rate allows."""

    def start(**switches: object) -> tuple[SandboxServer, Engine]:
        usual: dict[str, object] = {"conversations": 1500, "time_windows": True, "latency_seconds": 0.1}
        return ready(platform=Platform.MESSENGER, engine=SLOW, **(usual | switches))

    return start


def most_at_once(sandbox: Sandbox) -> list[int]:
    """Counts how many calls are under way at once: [now, most]."""
    seen = [0, 0]
    answer = sandbox.app._graph

    async def counting(scope: Scope, receive: Receive, send: Send) -> None:
        seen[0] += 1
        seen[1] = max(seen)
        try:
            await answer(scope, receive, send)
        finally:
            seen[0] -= 1

    sandbox.app._graph = counting
    return seen


def test_readers_fill_the_call_rate_and_fetch_each_conversation_once(
    slow: Slow, sync: Sync, stored: Stored
) -> None:
    served, engine = slow(conversations=4000)
    seen = most_at_once(served.sandbox)
    run = sync(engine)
    assert run.status is RunStatus.COMPLETE
    assert_all_stored(served, stored, engine)
    assert run.counts.fetched == run.counts.inserted == 4000
    assert seen[1] >= 4
    assert run.calls <= 40 * 1.5
    assert stored(engine, HONOURED) == [(1,)]


def test_readers_read_dense_and_thin_segments_alike(
    slow: Slow, sync: Sync, stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Most conversations are of the last week, the others spread over years.
    monkeypatch.setattr(
        Mailbox,
        "_base_time",
        lambda *_: lambda slot: ANCHOR - (slot * 300 if slot < 1200 else 360_000 + (slot - 1200) * 90_000),
    )
    served, engine = slow()
    run = sync(engine)
    assert run.status is RunStatus.COMPLETE
    assert_all_stored(served, stored, engine)
    assert run.counts.inserted == 1500
    assert run.counts.fetched <= 1500 * 1.1


@pytest.mark.parametrize("cursors", ["opaque", "index"])
@pytest.mark.parametrize("in_one_second", [7, 150, 450])
def test_many_conversations_in_one_second_are_all_read(
    slow: Slow,
    sync: Sync,
    stored: Stored,
    monkeypatch: pytest.MonkeyPatch,
    *,
    cursors: str,
    in_one_second: int,
) -> None:
    monkeypatch.setattr(Mailbox, "_base_time", lambda *_: lambda slot: ANCHOR - slot // in_one_second * 5000)
    served, engine = slow(conversations=1300, cursors=cursors)
    runs = [sync(engine, max_conversations=190)]
    while runs[-1].status is not RunStatus.COMPLETE and len(runs) < 25:
        runs.append(sync(engine, max_conversations=190))
    assert runs[-1].status is RunStatus.COMPLETE
    assert_all_stored(served, stored, engine)


@pytest.mark.parametrize("cursors", ["opaque", "index"])
@pytest.mark.parametrize("every", [2, 5])
def test_writes_during_the_scan_lose_nothing(
    slow: Slow, sync: Sync, stored: Stored, cursors: str, every: int
) -> None:
    served, engine = slow(conversations=2500, cursors=cursors, write_every=every, write_new_every=7)
    run = sync(engine)
    assert run.status is RunStatus.COMPLETE
    listed = set(served.threads())
    missing = listed - set(ids(stored(engine, IDS)))
    assert len(missing) <= 1  # begun during the very last call
    sync(engine)
    assert len(set(served.threads()) - set(ids(stored(engine, IDS)))) <= 1


def test_an_interrupted_scan_in_segments_does_not_start_over(slow: Slow, sync: Sync, stored: Stored) -> None:
    served, engine = slow(conversations=3000)
    runs: list[Run] = [sync(engine, stop_after=6)]
    assert stored(engine, SEGMENTS)[0][0].count("position") > 1
    while runs[-1].status is not RunStatus.COMPLETE and len(runs) < 12:
        runs.append(sync(engine, stop_after=6))
    assert runs[-1].status is RunStatus.COMPLETE
    assert_all_stored(served, stored, engine)
    assert sum(run.counts.inserted for run in runs) == 3000
    assert sum(run.counts.fetched for run in runs) <= 3000 * 1.25


def test_max_conversations_holds_for_all_readers_together(slow: Slow, sync: Sync, stored: Stored) -> None:
    served, engine = slow(conversations=2000)
    runs = [sync(engine, max_conversations=450)]
    while runs[-1].status is not RunStatus.COMPLETE and len(runs) < 10:
        runs.append(sync(engine, max_conversations=450))
    assert runs[-1].status is RunStatus.COMPLETE
    assert all(run.counts.fetched <= 450 + 100 for run in runs[-1:])
    assert all(run.counts.fetched <= 450 for run in runs[:-1])
    assert_all_stored(served, stored, engine)


def test_a_source_that_ignores_windows_is_asked_once(slow: Slow, sync: Sync, stored: Stored) -> None:
    served, engine = slow(time_windows=False)
    run = sync(engine)
    assert run.status is RunStatus.COMPLETE
    assert_all_stored(served, stored, engine)
    assert run.counts.fetched == 1500
    assert run.calls <= 15 + 1 + 1 + 3 + 8  # heavy ones, the probe, the catch-up scan, folders, the prefetch
    assert stored(engine, HONOURED) == [(0,)]
    with engine.store.write() as connection:
        connection.exec_driver_sql("UPDATE facebook_pages SET last_synced_at = NULL")
    again = sync(engine)
    assert again.calls <= run.calls - 1


@pytest.mark.parametrize("batches", [3, 8])
def test_a_source_that_stops_honouring_windows_during_a_scan_is_read_whole(
    slow: Slow, sync: Sync, stored: Stored, monkeypatch: pytest.MonkeyPatch, batches: int
) -> None:
    served, engine = slow(conversations=3000)
    part = Conversations._part
    calls = []

    def then_no_more(self: Conversations, *arguments: Passed) -> Slice:
        calls.append(1)
        if len(calls) == batches + 3:
            honour(served, windows=False)
        return part(self, *arguments)

    monkeypatch.setattr(Conversations, "_part", then_no_more)
    run = sync(engine)
    assert run.status is RunStatus.COMPLETE
    assert_all_stored(served, stored, engine)
    assert stored(engine, HONOURED) == [(0,)]


def test_segments_of_an_earlier_run_are_read_where_windows_are_no_longer_honoured(
    slow: Slow, sync: Sync, stored: Stored
) -> None:
    served, engine = slow(conversations=3000)
    first = sync(engine, stop_after=12)
    honour(served, windows=False)
    second = sync(engine)
    assert second.status is RunStatus.COMPLETE
    assert_all_stored(served, stored, engine)
    # What lies above the newest gap is not read in full again.
    assert second.counts.fetched <= 3000
    assert first.counts.fetched + second.counts.fetched < 2 * 3000


def test_continuing_without_windows_far_down_is_no_stall(slow: Slow, sync: Sync, stored: Stored) -> None:
    served, engine = slow(conversations=3000)
    sync(engine, stop_after=20)
    honour(served, windows=False)
    with engine.store.write() as connection:
        connection.exec_driver_sql("UPDATE facebook_pages SET batch_size = 20")
    run = sync(engine, stall_calls=10)
    assert run.status is RunStatus.COMPLETE, run.problems
    assert_all_stored(served, stored, engine)


def test_a_source_that_refuses_windows_after_a_while_is_read_whole(
    slow: Slow, sync: Sync, stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    served, engine = slow(conversations=2000)
    part = Conversations._part
    calls = []

    def refusing(self: Conversations, call: Call, *arguments: Passed) -> Slice:
        calls.append(1)
        if len(calls) > 9 and "updated_before_ms" in call.parameters:
            raise Refusal(100, "(#100) Unknown parameter updated_before_ms")
        return part(self, call, *arguments)

    monkeypatch.setattr(Conversations, "_part", refusing)
    run = sync(engine)
    assert run.status is RunStatus.COMPLETE, run.problems
    assert_all_stored(served, stored, engine)


@pytest.mark.parametrize(
    "faults",
    [
        Faults(poison_slots=(10, 700, 701, 1499)),
        Faults(weight_limit=400, poison_slots=(600,)),
        Faults(reset=0.05, html=0.05, empty=0.05, cut=0.05),
        Faults(short_batch=0.3, empty_batch=0.2),
        Faults(repeat_cursor=0.3),
        Faults(refuse_cursors=True),
        Faults(deepest_cursor=150),
    ],
    ids=["poison", "weight", "broken", "short", "repeat", "refuse", "deep"],
)
def test_failures_inside_readers_lose_nothing(slow: Slow, sync: Sync, stored: Stored, faults: Faults) -> None:
    served, engine = slow()
    served.sandbox.http.faults = served.sandbox.conversations.faults = faults
    run = sync(engine)
    bad = set(ids(stored(engine, BACKLOG)))
    assert set(ids(stored(engine, IDS))) | bad == set(served.threads()), run.problems
    assert len(bad) == len(faults.poison_slots)
    assert run.status is (RunStatus.PARTIAL if bad else RunStatus.COMPLETE)


def test_forgotten_cursors_are_not_missed(slow: Slow, sync: Sync, stored: Stored) -> None:
    served, engine = slow(conversations=2500)
    for number in range(1, 9):
        if sync(engine, stop_after=3).status is RunStatus.COMPLETE:
            break
        served.sandbox.http.faults = Faults(forget_cursors=number)
    assert sync(engine).status is RunStatus.COMPLETE
    assert_all_stored(served, stored, engine)


def test_windows_whose_bounds_are_both_exclusive_lose_nothing(
    slow: Slow, sync: Sync, stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    def is_between(self: ConversationList, slot: int) -> bool:
        at_ms = -self._folder.key(slot)[0] * 1000
        is_later = self._later_ms is None or at_ms > self._later_ms
        return is_later and (self._earlier_ms is None or at_ms < self._earlier_ms)

    monkeypatch.setattr(ConversationList, "_is_between", is_between)
    served, engine = slow(conversations=2500)
    assert sync(engine).status is RunStatus.COMPLETE
    assert_all_stored(served, stored, engine)
