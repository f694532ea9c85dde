"""With all history wanted, every message of every conversation is stored and stays so."""

from typing import Any

import pytest

from inboxsync.errors import AnswerFailed, AnswerTooLarge
from inboxsync.graph import GraphClient
from inboxsync.model import History, RunStatus
from inboxsync.sandbox import Faults
from inboxsync.sandbox.nodes import View
from inboxsync.sync import Outcome
from inboxsync.sync.fetch import MessageFetcher

SANDBOX = {"conversations": 30, "messages": (1, 8)}

SOURCE_COUNTS = "SELECT source, count(*) FROM messages GROUP BY source ORDER BY source"


def sets(held_by_source: dict[str, list[str]]) -> dict[str, set[str]]:
    return {graph_id: set(ids) for graph_id, ids in held_by_source.items()}


def test_every_message_of_every_conversation_is_stored(
    ready: Any, sync: Any, held: Any, held_by_source: Any, stored: Any
) -> None:
    served, engine = ready(conversations=40, messages=(1, 130), folders={"spam": 5})
    run = sync(engine, history=History.ALL)
    assert run.status is RunStatus.COMPLETE
    assert held(engine) == sets(held_by_source(served))
    assert {source for source, _ in stored(engine, SOURCE_COUNTS)} == {"initial_sync", "history_sync"}
    assert stored(engine, "SELECT count(*) FROM messenger_conversations WHERE has_older_messages") == [(0,)]


def test_short_conversations_cost_no_call_of_their_own(ready: Any, sync: Any) -> None:
    served, engine = ready(conversations=300, messages=(1, 10), unknown_folders="empty")
    run = sync(engine, history=History.ALL)
    assert run.status is RunStatus.COMPLETE
    assert served.sandbox.http.counts["edge:messages"] == 0
    assert run.calls == 3 + 1 + 3  # the walk, its sweep, and the folders that are not there


def test_deep_conversations_are_read_a_hundred_messages_a_call(
    ready: Any, sync: Any, held: Any, held_by_source: Any
) -> None:
    served, engine = ready(conversations=3, messages=(600, 600))
    run = sync(engine, history=History.ALL)
    assert run.status is RunStatus.COMPLETE
    assert held(engine) == sets(held_by_source(served))
    assert served.sandbox.http.counts["edge:messages"] == 3 * 6


def test_the_newest_conversations_come_first(ready: Any, sync: Any, stored: Any) -> None:
    served, engine = ready(conversations=12, messages=(120, 140))
    sync(engine, history=History.ALL, stop_after=1 + 1 + 5)  # the list, its sweep, and five more
    whole = "SELECT conversation_id FROM messenger_conversations WHERE NOT has_older_messages"
    done = {graph_id for (graph_id,) in stored(engine, whole)}
    order = [View(served.page, is_instagram=False).thread_id(each) for each in served.threads().values()]
    assert 0 < len(done) <= 5
    assert done == set(order[: len(done)])


def test_a_stopped_history_goes_on_where_it_was(
    ready: Any, sync: Any, held: Any, held_by_source: Any
) -> None:
    served, engine = ready(conversations=4, messages=(600, 600))
    assert sync(engine, history=History.ALL, stop_after=7).status is RunStatus.PARTIAL
    again = sync(engine)  # remembered: nobody has to say it twice
    assert again.status is RunStatus.COMPLETE
    assert held(engine) == sets(held_by_source(served))
    assert served.sandbox.http.counts["edge:messages"] <= 4 * 6 + 2


def test_later_syncs_keep_it_whole(ready: Any, sync: Any, held: Any, held_by_source: Any, write: Any) -> None:
    served, engine = ready(conversations=20, messages=(1, 60))
    sync(engine, history=History.ALL)
    write(served, 3, 40)
    write(served, 15)
    write(served, None, 150)
    assert sync(engine).status is RunStatus.COMPLETE
    assert held(engine) == sets(held_by_source(served))


def test_without_it_the_outcome_says_how_much_is_older(
    ready: Any, sync: Any, outcomes: list[Outcome], held_by_source: Any
) -> None:
    served, engine = ready(conversations=20, messages=(5, 60))
    run = sync(engine)
    assert run.status is RunStatus.COMPLETE
    older = outcomes[-1].unfinished.older
    deep = {graph_id: ids for graph_id, ids in held_by_source(served).items() if len(ids) > 10}
    assert older is not None
    assert older.conversations == len(deep)
    # Meta's own estimate, which is wrong of one conversation in eleven.
    assert abs(older.messages - sum(len(ids) - 10 for ids in deep.values())) <= len(deep)
    sync(engine, history=History.ALL)
    older = outcomes[-1].unfinished.older
    assert older is not None
    assert (older.conversations, older.messages) == (0, 0)


def test_it_can_be_switched_on_for_a_page_that_is_synced(
    ready: Any, sync: Any, held: Any, held_by_source: Any, stored: Any
) -> None:
    served, engine = ready(conversations=30, messages=(5, 90))
    sync(engine)
    before = dict(stored(engine, SOURCE_COUNTS))
    run = sync(engine, history=History.ALL)
    assert run.status is RunStatus.COMPLETE
    assert held(engine) == sets(held_by_source(served))
    after = dict(stored(engine, SOURCE_COUNTS))
    assert after["initial_sync"] == before["initial_sync"]
    assert after["history_sync"] > 0
    assert sync(engine).calls == 1


def fail_one(monkeypatch: pytest.MonkeyPatch, graph_id: str) -> list[str]:
    """The messages edge of one conversation fails until the list that is returned is emptied."""
    fetch, failing = MessageFetcher.fetch, [graph_id]

    async def fetch_or_fail(self: MessageFetcher, after: str | None) -> Any:
        if self.conversation_id in failing:
            raise AnswerFailed("(#2) Service temporarily unavailable")
        return await fetch(self, after)

    monkeypatch.setattr(MessageFetcher, "fetch", fetch_or_fail)
    return failing


def test_a_conversation_that_fails_stops_no_other_and_is_backlog(
    ready: Any, sync: Any, held: Any, held_by_source: Any, backlog: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    served, engine = ready(conversations=12, messages=(60, 90))
    bad = next(iter(served.threads()))
    failing = fail_one(monkeypatch, bad)
    run = sync(engine, history=History.ALL)
    assert run.status is RunStatus.PARTIAL
    assert backlog(engine) == [("history", bad)]
    expected = sets(held_by_source(served))
    assert {i: ids for i, ids in held(engine).items() if ids != expected[i]}.keys() == {bad}
    failing.clear()
    assert sync(engine).status is RunStatus.COMPLETE
    assert held(engine) == expected
    assert backlog(engine) == []


def test_a_gap_that_fails_is_not_closed_by_history_that_goes_on_below_it(
    ready: Any, sync: Any, held: Any, held_by_source: Any, backlog: Any, write: Any, monkeypatch: Any
) -> None:
    """History was half-way down when forty messages came; the gap fails, and history meets the bottom."""
    served, engine = ready(conversations=1, messages=(600, 600))
    sync(engine, history=History.ALL, stop_after=4 + 3)  # four lists, and half of it
    write(served, 0, 40)
    fetch, first = MessageFetcher.fetch, [True]

    async def fail_from_the_top(self: MessageFetcher, after: str | None) -> Any:
        if after is None and first:
            raise AnswerFailed("(#2) Service temporarily unavailable")
        return await fetch(self, after)

    monkeypatch.setattr(MessageFetcher, "fetch", fail_from_the_top)
    assert sync(engine).status is RunStatus.PARTIAL
    assert [phase for phase, _ in backlog(engine)] == ["gap"]
    first.clear()
    assert sync(engine).status is RunStatus.COMPLETE
    assert held(engine) == sets(held_by_source(served))


def test_more_failures_than_a_run_may_make_in_vain_leave_it_partial_and_the_lists_synced(
    ready: Any, sync: Any, held: Any
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
    assert all(newest[graph_id] in ids for graph_id, ids in held(engine).items())


def test_an_answer_that_is_too_large_is_asked_for_in_parts(
    ready: Any, sync: Any, held: Any, held_by_source: Any, monkeypatch: pytest.MonkeyPatch
) -> None:

    served, engine = ready(conversations=3, messages=(220, 250))
    fetch, limits = GraphClient.fetch_messages, []

    async def too_large(self: GraphClient, *arguments: Any, limit: int, **options: Any) -> Any:
        limits.append(limit)
        if limit > 30:
            raise AnswerTooLarge("(#1) Please reduce the amount of data you're asking for, then retry")
        return await fetch(self, *arguments, limit=limit, **options)

    monkeypatch.setattr(GraphClient, "fetch_messages", too_large)
    assert sync(engine, history=History.ALL).status is RunStatus.COMPLETE
    assert held(engine) == sets(held_by_source(served))
    assert set(limits) == {100, 50, 25}


def test_with_one_failed_call_in_five_all_history_comes(
    ready: Any, sync: Any, held: Any, held_by_source: Any
) -> None:
    served, engine = ready(conversations=60, messages=(5, 130))
    served.sandbox.http.faults = Faults(
        reset=0.04, html=0.03, empty=0.03, null=0.03, cut=0.03, code_2=0.03, transient=0.01
    )
    runs = [sync(engine, history=History.ALL)]
    while runs[-1].status is not RunStatus.COMPLETE and len(runs) < 5:
        runs.append(sync(engine))
    assert runs[-1].status is RunStatus.COMPLETE
    assert held(engine) == sets(held_by_source(served))
