"""Where all history is wanted, every message of every conversation is stored, and later syncs keep it so."""

import pytest

from inboxsync.errors import AnswerFailed, AnswerTooLarge
from inboxsync.graph import GraphClient
from inboxsync.model import History, MessageBatch, RunStatus
from inboxsync.sandbox import Faults
from inboxsync.sandbox.nodes import View
from inboxsync.sync import Outcome
from inboxsync.sync.fetch import MessageFetcher
from tests.sync.fixtures import (
    BacklogOf,
    Passed,
    Ready,
    ServedMessages,
    Stored,
    StoredMessages,
    Sync,
    WriteMessages,
)

SANDBOX = {"conversations": 30, "messages": (1, 8)}

SOURCE_COUNTS = "SELECT source, count(*) FROM messages GROUP BY source ORDER BY source"


def sets(served_messages: dict[str, list[str]]) -> dict[str, set[str]]:
    return {graph_id: set(ids) for graph_id, ids in served_messages.items()}


def test_every_message_of_every_conversation_is_stored(
    ready: Ready, sync: Sync, stored_messages: StoredMessages, served_messages: ServedMessages, stored: Stored
) -> None:
    served, engine = ready(conversations=40, messages=(1, 130), folders={"spam": 5})
    run = sync(engine, history=History.ALL)
    assert run.status is RunStatus.COMPLETE
    assert stored_messages(engine) == sets(served_messages(served))
    assert {source for source, _ in stored(engine, SOURCE_COUNTS)} == {"initial_sync", "history_sync"}
    assert stored(engine, "SELECT count(*) FROM messenger_conversations WHERE has_older_messages") == [(0,)]


def test_short_conversations_cost_no_call_of_their_own(ready: Ready, sync: Sync) -> None:
    served, engine = ready(conversations=300, messages=(1, 10), unknown_folders="empty")
    run = sync(engine, history=History.ALL)
    assert run.status is RunStatus.COMPLETE
    assert served.sandbox.http.counts["edge:messages"] == 0
    assert run.calls == 3 + 1 + 3  # the full scan, the catch-up scan, and the folders that are not there


def test_deep_conversations_are_read_a_hundred_messages_a_call(
    ready: Ready, sync: Sync, stored_messages: StoredMessages, served_messages: ServedMessages
) -> None:
    served, engine = ready(conversations=3, messages=(600, 600))
    run = sync(engine, history=History.ALL)
    assert run.status is RunStatus.COMPLETE
    assert stored_messages(engine) == sets(served_messages(served))
    assert served.sandbox.http.counts["edge:messages"] == 3 * 6


def test_the_newest_conversations_come_first(ready: Ready, sync: Sync, stored: Stored) -> None:
    served, engine = ready(conversations=12, messages=(120, 140))
    sync(engine, history=History.ALL, stop_after=1 + 1 + 5)  # the list, its catch-up scan, and five more
    whole = "SELECT conversation_id FROM messenger_conversations WHERE NOT has_older_messages"
    done = {graph_id for (graph_id,) in stored(engine, whole)}
    order = [View(served.page, is_instagram=False).thread_id(each) for each in served.threads().values()]
    assert 0 < len(done) <= 5
    assert done == set(order[: len(done)])


def test_a_stopped_history_continues_where_it_was(
    ready: Ready, sync: Sync, stored_messages: StoredMessages, served_messages: ServedMessages
) -> None:
    served, engine = ready(conversations=4, messages=(600, 600))
    assert sync(engine, history=History.ALL, stop_after=7).status is RunStatus.PARTIAL
    again = sync(engine)  # remembered: it is not chosen again
    assert again.status is RunStatus.COMPLETE
    assert stored_messages(engine) == sets(served_messages(served))
    assert served.sandbox.http.counts["edge:messages"] <= 4 * 6 + 2


def test_later_syncs_keep_it_whole(
    ready: Ready,
    sync: Sync,
    stored_messages: StoredMessages,
    served_messages: ServedMessages,
    write: WriteMessages,
) -> None:
    served, engine = ready(conversations=20, messages=(1, 60))
    sync(engine, history=History.ALL)
    write(served, 3, 40)
    write(served, 15)
    write(served, None, 150)
    assert sync(engine).status is RunStatus.COMPLETE
    assert stored_messages(engine) == sets(served_messages(served))


def test_without_history_the_outcome_says_how_much_is_older(
    ready: Ready, sync: Sync, outcomes: list[Outcome], served_messages: ServedMessages
) -> None:
    served, engine = ready(conversations=20, messages=(5, 60))
    run = sync(engine)
    assert run.status is RunStatus.COMPLETE
    older = outcomes[-1].unfinished.older
    deep = {graph_id: ids for graph_id, ids in served_messages(served).items() if len(ids) > 10}
    assert older is not None
    assert older.conversations == len(deep)
    # Meta's own estimate, which is wrong of one conversation in eleven.
    assert abs(older.messages - sum(len(ids) - 10 for ids in deep.values())) <= len(deep)
    sync(engine, history=History.ALL)
    older = outcomes[-1].unfinished.older
    assert older is not None
    assert (older.conversations, older.messages) == (0, 0)


def test_history_can_be_switched_on_for_a_page_that_is_synced(
    ready: Ready, sync: Sync, stored_messages: StoredMessages, served_messages: ServedMessages, stored: Stored
) -> None:
    served, engine = ready(conversations=30, messages=(5, 90))
    sync(engine)
    before: dict[str, int] = dict(stored(engine, SOURCE_COUNTS))
    run = sync(engine, history=History.ALL)
    assert run.status is RunStatus.COMPLETE
    assert stored_messages(engine) == sets(served_messages(served))
    after: dict[str, int] = dict(stored(engine, SOURCE_COUNTS))
    assert after["initial_sync"] == before["initial_sync"]
    assert after["history_sync"] > 0
    assert sync(engine).calls == 1


def fail_one(monkeypatch: pytest.MonkeyPatch, graph_id: str) -> list[str]:
    """Every call for messages of one conversation fails until the list that is returned is emptied."""
    fetch, failing = MessageFetcher.fetch, [graph_id]

    async def fetch_or_fail(self: MessageFetcher, after: str | None) -> MessageBatch:
        if self.conversation_id in failing:
            raise AnswerFailed("(#2) Service temporarily unavailable")
        return await fetch(self, after)

    monkeypatch.setattr(MessageFetcher, "fetch", fetch_or_fail)
    return failing


def test_a_conversation_that_fails_stops_no_other_and_stays_in_the_backlog(
    ready: Ready,
    sync: Sync,
    stored_messages: StoredMessages,
    served_messages: ServedMessages,
    backlog: BacklogOf,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    served, engine = ready(conversations=12, messages=(60, 90))
    bad = next(iter(served.threads()))
    failing = fail_one(monkeypatch, bad)
    run = sync(engine, history=History.ALL)
    assert run.status is RunStatus.PARTIAL
    assert backlog(engine) == [("history", bad)]
    expected = sets(served_messages(served))
    assert {i: ids for i, ids in stored_messages(engine).items() if ids != expected[i]}.keys() == {bad}
    failing.clear()
    assert sync(engine).status is RunStatus.COMPLETE
    assert stored_messages(engine) == expected
    assert backlog(engine) == []


def test_a_gap_that_fails_is_not_closed_by_history_that_continues_below_it(
    ready: Ready,
    sync: Sync,
    stored_messages: StoredMessages,
    served_messages: ServedMessages,
    backlog: BacklogOf,
    write: WriteMessages,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """History was half-way down when forty messages came; the gap fails, and history reaches the bottom."""
    served, engine = ready(conversations=1, messages=(600, 600))
    sync(engine, history=History.ALL, stop_after=4 + 3)  # four lists, and half of it
    write(served, 0, 40)
    fetch, first = MessageFetcher.fetch, [True]

    async def fail_from_the_top(self: MessageFetcher, after: str | None) -> MessageBatch:
        if after is None and first:
            raise AnswerFailed("(#2) Service temporarily unavailable")
        return await fetch(self, after)

    monkeypatch.setattr(MessageFetcher, "fetch", fail_from_the_top)
    assert sync(engine).status is RunStatus.PARTIAL
    assert [kind for kind, _ in backlog(engine)] == ["gap"]
    first.clear()
    assert sync(engine).status is RunStatus.COMPLETE
    assert stored_messages(engine) == sets(served_messages(served))


def test_too_many_failures_leave_the_run_partial_and_the_lists_synced(
    ready: Ready, sync: Sync, stored_messages: StoredMessages
) -> None:
    served, engine = ready(conversations=60, messages=(60, 70))
    sync(engine)
    view = View(served.page, is_instagram=False)
    every = tuple(range(60))
    served.sandbox.conversations.faults = Faults(poison_slots=every)
    for slot in every:
        served.page.write(slot, "new")
    run = sync(engine)
    assert run.status is RunStatus.PARTIAL
    assert {problem.code for problem in run.problems} == {"stalled", "backlog_open"}
    served.sandbox.conversations.heal(served.sandbox.world.pages)
    assert sync(engine).status is RunStatus.COMPLETE
    newest = {
        view.thread_id(thread): view.message_id(thread, thread.messages[-1].ordinal)
        for thread in served.threads().values()
    }
    assert all(newest[graph_id] in ids for graph_id, ids in stored_messages(engine).items())


def test_an_answer_that_is_too_large_is_asked_for_in_parts(
    ready: Ready,
    sync: Sync,
    stored_messages: StoredMessages,
    served_messages: ServedMessages,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    served, engine = ready(conversations=3, messages=(220, 250))
    fetch = GraphClient.fetch_messages
    limits: list[int] = []

    async def too_large(self: GraphClient, *arguments: Passed, limit: int, **options: Passed) -> MessageBatch:
        limits.append(limit)
        if limit > 30:
            raise AnswerTooLarge("(#1) Please reduce the amount of data you're asking for, then retry")
        return await fetch(self, *arguments, limit=limit, **options)

    monkeypatch.setattr(GraphClient, "fetch_messages", too_large)
    assert sync(engine, history=History.ALL).status is RunStatus.COMPLETE
    assert stored_messages(engine) == sets(served_messages(served))
    assert set(limits) == {100, 50, 25}


def test_with_one_failed_call_in_five_all_history_comes(
    ready: Ready, sync: Sync, stored_messages: StoredMessages, served_messages: ServedMessages
) -> None:
    served, engine = ready(conversations=60, messages=(5, 130))
    served.sandbox.http.faults = Faults(
        reset=0.04, html=0.03, empty=0.03, null=0.03, cut=0.03, code_2=0.03, transient=0.01
    )
    runs = [sync(engine, history=History.ALL)]
    while runs[-1].status is not RunStatus.COMPLETE and len(runs) < 5:
        runs.append(sync(engine))
    assert runs[-1].status is RunStatus.COMPLETE
    assert stored_messages(engine) == sets(served_messages(served))
