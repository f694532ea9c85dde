"""Messages between two syncs of a conversation are stored, all of them."""

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta
from typing import TypeAlias

import pytest

from inboxsync.engine import Engine
from inboxsync.errors import AnswerFailed
from inboxsync.model import MessageBatch, RunStatus
from inboxsync.sandbox import Faults
from inboxsync.sandbox.call import Call
from inboxsync.sandbox.conversations import Conversations
from inboxsync.sandbox.nodes import View
from inboxsync.sync.fetch import MessageFetcher
from tests.fixtures import SandboxServer
from tests.sync.fixtures import (
    BacklogOf,
    Ready,
    ServedMessages,
    Stored,
    StoredMessages,
    Sync,
    Verify,
    WriteMessages,
    graph_id_of,
    thread_in,
)

SANDBOX = {"conversations": 30, "messages": (1, 8)}

SOURCES = (
    "SELECT DISTINCT metadata->>'source' FROM contact_interaction_events e "
    "JOIN messenger_conversations c ON c.id = e.conversation_id WHERE c.conversation_id = '{}' "
    "AND event_timestamp >= (SELECT max(event_timestamp) FROM contact_interaction_events "
    "WHERE metadata->>'source' = 'initial_sync')"
)


# Whether every message of a conversation (Graph's id) that is served is stored.
Whole: TypeAlias = Callable[[SandboxServer, Engine, str], bool]


@pytest.fixture
def whole(stored_messages: StoredMessages, served_messages: ServedMessages) -> Whole:
    def check(served: SandboxServer, engine: Engine, graph_id: str) -> bool:
        return set(served_messages(served)[graph_id]) <= stored_messages(engine)[graph_id]

    return check


@pytest.mark.parametrize("count", [40, 500])
def test_messages_between_two_syncs_are_all_stored_after_the_second(
    ready: Ready,
    sync: Sync,
    write: WriteMessages,
    whole: Whole,
    backlog: BacklogOf,
    stored: Stored,
    count: int,
) -> None:
    served, engine = ready()
    sync(engine)
    graph_id = write(served, 20, count)
    run = sync(engine)
    assert (run.status, run.counts.events) == (RunStatus.COMPLETE, count)
    assert whole(served, engine, graph_id)
    assert backlog(engine) == []
    assert stored(engine, SOURCES.format(graph_id)) == [("incremental_sync",)]
    # One list call, and one for each hundred messages, the last of them down to what was stored.
    assert run.calls == 1 + count // 100 + 1
    assert sync(engine).calls == 1


def test_a_new_conversation_between_two_syncs_is_stored_whole(
    ready: Ready, sync: Sync, write: WriteMessages, whole: Whole, backlog: BacklogOf
) -> None:
    served, engine = ready()
    sync(engine)
    graph_id = write(served, None, 240, apart=0)
    run = sync(engine)
    assert (run.status, run.counts.events) == (RunStatus.COMPLETE, 240)
    assert whole(served, engine, graph_id)
    assert backlog(engine) == []


def test_a_new_conversation_of_which_all_that_is_new_came_with_the_list_costs_no_call(
    ready: Ready, sync: Sync, write: WriteMessages, stored: Stored
) -> None:
    """It lay where no sync looked, and got one message: what it had before was not asked for."""
    served, engine = ready(messages=(20, 30))
    view = View(served.page, is_instagram=False)
    hidden = view.mailbox.thread(7)
    assert hidden is not None
    view.mailbox.inbox.remove(7)
    sync(engine)
    graph_id = write(served, 7)
    run = sync(engine)
    assert (run.status, run.calls, run.counts.inserted) == (RunStatus.COMPLETE, 1, 1)
    older = f"SELECT has_older_messages FROM messenger_conversations WHERE conversation_id = '{graph_id}'"
    assert stored(engine, older) == [(1,)]


@pytest.mark.parametrize("slot", [3, None])
def test_messages_during_the_first_scan_are_all_stored(
    ready: Ready,
    sync: Sync,
    whole: Whole,
    write: WriteMessages,
    monkeypatch: pytest.MonkeyPatch,
    slot: int | None,
) -> None:
    served, engine = ready(conversations=250)
    answer = Conversations.answer
    written: list[str] = []

    def write_after(self: Conversations, call: Call, view: View) -> str:
        text = answer(self, call, view)
        if call.parameters.get("after") and not written:
            written.append(write(served, slot, 40, apart=0))
        return text

    monkeypatch.setattr(Conversations, "answer", write_after)
    run = sync(engine)
    assert run.status is RunStatus.COMPLETE
    assert whole(served, engine, written[0])


def test_anchors_that_were_unsent_meanwhile_lose_nothing(
    ready: Ready, sync: Sync, write: WriteMessages, whole: Whole, backlog: BacklogOf
) -> None:
    served, engine = ready()
    slot = 11
    sync(engine)
    before = [message.ordinal for message in thread_in(served, slot).messages]
    for ordinal in before:
        served.page.messenger.unsend(slot, ordinal)
    graph_id = write(served, slot, 150)
    assert sync(engine).status is RunStatus.COMPLETE
    assert whole(served, engine, graph_id)
    assert backlog(engine) == []


def test_messages_with_equal_times_make_no_gap(
    ready: Ready, sync: Sync, write: WriteMessages, whole: Whole
) -> None:
    served, engine = ready()
    sync(engine)
    graph_id = write(served, 5, 60, apart=0)
    sync(engine)
    assert whole(served, engine, graph_id)
    newcomer = write(served, None, 230, apart=0)
    assert sync(engine).status is RunStatus.COMPLETE
    assert whole(served, engine, newcomer)


def test_a_conversation_in_another_folder_has_no_gap_either(
    ready: Ready, sync: Sync, write: WriteMessages, whole: Whole, stored: Stored
) -> None:
    served, engine = ready(folders={"spam": 12})
    sync(engine)
    slot = served.page.messenger.folders["spam"].first_slot + 4
    graph_id = write(served, slot, 40)
    assert sync(engine, folder_interval=timedelta(0)).status is RunStatus.COMPLETE
    assert whole(served, engine, graph_id)
    folder = f"SELECT folder FROM messenger_conversations WHERE conversation_id = '{graph_id}'"
    assert stored(engine, folder) == [("spam",)]


def fail_messages(monkeypatch: pytest.MonkeyPatch, *, after_batches: int = 0) -> list[int]:
    """Every call for messages fails after so many answers, until the list that is returned is emptied."""
    fetch, answered = MessageFetcher.fetch, [0]

    async def fetch_or_fail(self: MessageFetcher, after: str | None) -> MessageBatch:
        if answered and answered[0] >= after_batches:
            raise AnswerFailed("(#2) Service temporarily unavailable")
        if answered:
            answered[0] += 1
        return await fetch(self, after)

    monkeypatch.setattr(MessageFetcher, "fetch", fetch_or_fail)
    return answered


def test_several_gaps_one_above_the_other_are_all_closed(
    ready: Ready,
    sync: Sync,
    write: WriteMessages,
    whole: Whole,
    backlog: BacklogOf,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    served, engine = ready()
    sync(engine)
    failing = fail_messages(monkeypatch)
    graph_id = graph_id_of(served, 9)
    for _ in range(3):
        assert write(served, 9, 40) == graph_id
        run = sync(engine)
        assert run.status is RunStatus.PARTIAL
        assert [problem.code for problem in run.problems] == ["backlog_open"]
        assert "between those stored" in run.problems[0].message
        assert run.next == f"inboxsync sync {served.page.page_id}"
        assert backlog(engine) == [("gap", graph_id)]
    failing.clear()
    assert sync(engine).status is RunStatus.COMPLETE
    assert whole(served, engine, graph_id)
    assert backlog(engine) == []


def test_a_gap_above_one_that_was_read_half_way_is_closed_too(
    ready: Ready,
    sync: Sync,
    write: WriteMessages,
    whole: Whole,
    backlog: BacklogOf,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    served, engine = ready()
    sync(engine)
    failing = fail_messages(monkeypatch, after_batches=2)
    graph_id = write(served, 9, 450)
    assert sync(engine).status is RunStatus.PARTIAL
    write(served, 9, 40)
    assert sync(engine).status is RunStatus.PARTIAL
    failing.clear()
    assert sync(engine).status is RunStatus.COMPLETE
    assert whole(served, engine, graph_id)
    assert backlog(engine) == []


def test_a_gap_is_continued_where_it_was_interrupted(
    ready: Ready, sync: Sync, write: WriteMessages, whole: Whole, backlog: BacklogOf
) -> None:
    served, engine = ready()
    sync(engine)
    graph_id = write(served, 9, 450)
    stopped = sync(engine, stop_after=3)  # the list, and two of five
    assert stopped.status is RunStatus.PARTIAL
    assert backlog(engine) == [("gap", graph_id)]
    run = sync(engine)
    assert (run.status, run.calls) == (RunStatus.COMPLETE, 1 + 3)
    assert whole(served, engine, graph_id)


def test_a_gap_is_continued_after_a_run_out_of_time(
    ready: Ready, sync: Sync, write: WriteMessages, whole: Whole, monkeypatch: pytest.MonkeyPatch
) -> None:
    served, engine = ready()
    sync(engine)
    graph_id = write(served, 9, 300)
    fetch = MessageFetcher.fetch
    fetched: list[str | None] = []

    async def slow(self: MessageFetcher, after: str | None) -> MessageBatch:
        if fetched:
            await asyncio.sleep(60)
        fetched.append(after)
        return await fetch(self, after)

    monkeypatch.setattr(MessageFetcher, "fetch", slow)
    assert sync(engine, max_seconds=1.0).status is RunStatus.PARTIAL
    monkeypatch.setattr(MessageFetcher, "fetch", fetch)
    run = sync(engine)
    assert (run.status, run.counts.events) == (RunStatus.COMPLETE, 300 - 100)
    assert whole(served, engine, graph_id)


def test_a_gap_with_a_dead_cursor_is_read_from_the_top(
    ready: Ready, sync: Sync, write: WriteMessages, whole: Whole, backlog: BacklogOf
) -> None:
    served, engine = ready()
    sync(engine)
    graph_id = write(served, 9, 350)
    sync(engine, stop_after=2)
    served.sandbox.http.faults = served.sandbox.conversations.faults = Faults(forget_cursors=1)
    with engine.store.write() as connection:
        connection.exec_driver_sql("UPDATE backlog SET cursor = 'QVFIbm9ib2R5cwZDZD'")
    assert sync(engine).status is RunStatus.COMPLETE
    assert whole(served, engine, graph_id)
    assert backlog(engine) == []


def test_a_gap_in_an_unreadable_conversation_stays_open_and_is_closed_once_it_is_readable(
    ready: Ready, sync: Sync, write: WriteMessages, whole: Whole, backlog: BacklogOf
) -> None:
    served, engine = ready()
    sync(engine)
    graph_id = write(served, 9, 40)
    neighbour = write(served, 10, 40)
    served.sandbox.conversations.faults = Faults(poison_slots=(9,))
    run = sync(engine)
    assert run.status is RunStatus.PARTIAL
    assert backlog(engine) == [("conversation", graph_id)]
    assert whole(served, engine, neighbour)
    write(served, 9, 40)
    assert sync(engine).status is RunStatus.PARTIAL
    served.sandbox.conversations.heal(served.sandbox.world.pages)
    assert sync(engine).status is RunStatus.COMPLETE
    assert whole(served, engine, graph_id)
    assert backlog(engine) == []


def test_a_new_conversation_that_was_unreadable_for_several_syncs_is_stored_whole(
    ready: Ready, sync: Sync, whole: Whole, backlog: BacklogOf
) -> None:
    served, engine = ready()
    sync(engine)
    slot = served.page.messenger.begin()
    for _ in range(150):
        served.page.write(slot, "before")
    served.sandbox.conversations.faults = Faults(poison_slots=(slot,))
    for _ in range(2):
        assert sync(engine).status is RunStatus.PARTIAL
        # Long enough that its first messages are older than the watermark of the last sync.
        with engine.store.write() as connection:
            connection.exec_driver_sql(
                "UPDATE list_positions SET watermark_at = strftime('%Y-%m-%dT%H:%M:%f', 'now', '+40 seconds')"
                "|| 'Z'"
            )
    served.sandbox.conversations.heal(served.sandbox.world.pages)
    for _ in range(120):
        served.page.write(slot, "after", at=int(time.time()) + 60)
    graph_id = graph_id_of(served, slot)
    assert sync(engine).status is RunStatus.COMPLETE
    assert whole(served, engine, graph_id)
    assert backlog(engine) == []


def test_a_gap_of_a_conversation_that_the_source_deletes_stays_open_until_verified(
    ready: Ready,
    sync: Sync,
    write: WriteMessages,
    verify: Verify,
    stored: Stored,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    served, engine = ready()
    sync(engine)
    failing = fail_messages(monkeypatch)
    graph_id = write(served, 9, 40)
    sync(engine)
    failing.clear()
    served.page.messenger.delete(9)
    run = sync(engine)
    assert run.status is RunStatus.PARTIAL
    errors = "SELECT error_code, error_hint FROM backlog"
    ((code, hint),) = stored(engine, errors)
    assert (code, "inboxsync verify" in hint) == ("conversation_missing", True)
    verification, findings = verify(engine)
    assert (verification.is_complete, findings.marked_gone) == (True, (graph_id,))
    assert sync(engine).status is RunStatus.COMPLETE


def test_a_conversation_deleted_by_hand_while_its_gap_is_open_is_fetched_again(
    ready: Ready,
    sync: Sync,
    write: WriteMessages,
    stored_messages: StoredMessages,
    backlog: BacklogOf,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    served, engine = ready()
    sync(engine)
    failing = fail_messages(monkeypatch)
    graph_id = write(served, 9, 40)
    sync(engine)
    failing.clear()
    with engine.store.write() as connection:
        connection.exec_driver_sql(
            f"DELETE FROM messenger_conversations WHERE conversation_id = '{graph_id}'"
        )
    served.page.messenger.inbox.remove(9)  # no list shows it, its own node answers
    assert sync(engine).status is RunStatus.PARTIAL
    assert backlog(engine) == [("conversation", graph_id)]
    assert sync(engine).status is RunStatus.COMPLETE
    assert len(stored_messages(engine)[graph_id]) == 10


@pytest.mark.parametrize("counts", [(10, 3), (3, 50), (1, 1)])
def test_another_number_of_messages_between_two_runs_leaves_no_gap(
    ready: Ready,
    sync: Sync,
    write: WriteMessages,
    stored_messages: StoredMessages,
    served_messages: ServedMessages,
    counts: tuple[int, int],
) -> None:
    served, engine = ready(messages=(5, 60))
    sync(engine, messages=counts[0])
    for slot in range(0, 12, 3):
        write(served, slot, 20)
    assert sync(engine, messages=counts[1]).status is RunStatus.COMPLETE
    assert_without_gaps(stored_messages(engine), served_messages(served))


def assert_without_gaps(stored_messages: dict[str, set[str]], served: dict[str, list[str]]) -> None:
    """Of each conversation everything from the newest message down to the oldest stored one."""
    assert stored_messages.keys() == served.keys()
    for graph_id, ids in served.items():
        stored = [message_id in stored_messages[graph_id] for message_id in ids]
        assert stored == sorted(stored, reverse=True), graph_id
        assert not ids or stored[0]


def test_with_one_failed_call_in_five_every_gap_is_closed(
    ready: Ready,
    sync: Sync,
    write: WriteMessages,
    stored_messages: StoredMessages,
    served_messages: ServedMessages,
    backlog: BacklogOf,
) -> None:
    served, engine = ready(conversations=60, messages=(5, 30))
    sync(engine)
    for slot in range(0, 60, 4):
        write(served, slot, 35)
    served.sandbox.http.faults = Faults(
        reset=0.04, html=0.03, empty=0.03, null=0.03, cut=0.03, code_2=0.03, transient=0.01
    )
    for _ in range(4):
        if sync(engine).status is RunStatus.COMPLETE:
            break
    assert backlog(engine) == []
    assert_without_gaps(stored_messages(engine), served_messages(served))
