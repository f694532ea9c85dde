"""Instagram: the 20 newest messages of each conversation have details; the others are known by id."""

from dataclasses import replace

import pytest

from inboxsync.engine import Engine
from inboxsync.model import History, Mode, Platform, RunStatus
from inboxsync.sandbox.call import Call
from inboxsync.sandbox.conversations import Conversations
from inboxsync.sandbox.nodes import View
from inboxsync.sandbox.refusal import Refusal
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
)

SANDBOX = {"conversations": 30, "messages": (1, 8)}

MODES = ["bare", "refuse", "omit"]
UNREADABLE = (
    "SELECT c.conversation_id, count(*) FROM messages m JOIN messenger_conversations c "
    "ON c.id = m.conversation_id WHERE NOT m.is_readable GROUP BY 1"
)
EVENTS = "SELECT count(*) FROM contact_interaction_events"
GONE = "SELECT count(*) FROM messenger_conversations WHERE conversation_status <> 'active'"


def start(ready: Ready, mode: str = "bare", **switches: object) -> tuple[SandboxServer, Engine]:
    usual: dict[str, object] = {"conversations": 12, "messages": (15, 130), "unreadable_messages": mode}
    return ready(platform=Platform.INSTAGRAM, engine=None, **(usual | switches))


@pytest.mark.parametrize("mode", MODES)
def test_the_newest_of_each_conversation_are_stored_with_their_details(
    ready: Ready,
    sync: Sync,
    stored_messages: StoredMessages,
    served_messages: ServedMessages,
    verify: Verify,
    stored: Stored,
    mode: str,
) -> None:
    served, engine = start(ready, mode)
    run = sync(engine)
    assert run.status is RunStatus.COMPLETE
    expected = {
        graph_id: set(ids[:10]) for graph_id, ids in served_messages(served, is_instagram=True).items()
    }
    assert stored_messages(engine) == expected
    assert stored(engine, UNREADABLE) == []
    for is_deep in (False, True):
        verification, findings = verify(engine, is_deep=is_deep)
        assert verification.is_complete, findings


@pytest.mark.parametrize("mode", MODES)
def test_with_all_history_every_id_is_known_and_the_twenty_newest_have_details(
    ready: Ready,
    sync: Sync,
    stored_messages: StoredMessages,
    served_messages: ServedMessages,
    verify: Verify,
    stored: Stored,
    mode: str,
) -> None:
    served, engine = start(ready, mode)
    assert sync(engine, history=History.ALL).status is RunStatus.COMPLETE
    source = served_messages(served, is_instagram=True)
    assert stored_messages(engine) == {graph_id: set(ids) for graph_id, ids in source.items()}
    beyond = {graph_id: len(ids) - 20 for graph_id, ids in source.items() if len(ids) > 20}
    assert dict(stored(engine, UNREADABLE)) == beyond
    assert stored(engine, EVENTS) == [(sum(min(20, len(ids)) for ids in source.values()),)]
    assert stored(engine, GONE) == [(0,)]
    verification, findings = verify(engine, is_deep=True)
    assert (verification.is_complete, findings.unreadable_messages) == (True, sum(beyond.values()))
    calls = sync(engine).calls
    assert calls == 1


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("history", [History.NEWEST, History.ALL])
def test_forty_messages_between_two_syncs_are_known_and_the_newest_have_details(
    ready: Ready,
    sync: Sync,
    stored_messages: StoredMessages,
    served_messages: ServedMessages,
    write: WriteMessages,
    stored: Stored,
    mode: str,
    history: History,
) -> None:
    served, engine = start(ready, mode)
    sync(engine, history=history)
    before = stored_messages(engine)
    graph_id = write(served, 7, 40, is_instagram=True)
    assert sync(engine).status is RunStatus.COMPLETE
    source = served_messages(served, is_instagram=True)[graph_id]
    assert stored_messages(engine)[graph_id] >= before[graph_id] | set(source[:40])
    # Details that are stored stay: the platform only refuses them to later calls.
    unreadable: dict[str, int] = dict(stored(engine, UNREADABLE))
    assert unreadable[graph_id] >= 20
    counted = stored(
        engine, "SELECT count(*) FROM contact_interaction_events WHERE metadata->>'source' <> 'history_sync'"
    )
    assert counted[0][0] >= sum(min(10, len(ids)) for ids in before.values()) + 20


def test_what_was_readable_once_keeps_its_details(
    ready: Ready, sync: Sync, write: WriteMessages, stored: Stored
) -> None:
    served, engine = start(ready, conversations=3, messages=(10, 10))
    sync(engine)
    texts = "SELECT message_id, text, sender_id FROM messages WHERE source = 'initial_sync' ORDER BY 1"
    before = stored(engine, texts)
    write(served, 1, 60, is_instagram=True)
    sync(engine)
    sync(engine, mode=Mode.FULL, history=History.ALL)
    assert stored(engine, texts) == before


def test_one_unreadable_message_in_the_list_stops_no_conversation(
    ready: Ready, sync: Sync, monkeypatch: pytest.MonkeyPatch, backlog: BacklogOf
) -> None:
    """9000001 for a whole list answer, which does not mean a deletion."""
    served, engine = start(ready, conversations=8, messages=(5, 8))
    answer = Conversations.answer
    bad = graph_id_of(served, 3, is_instagram=True)

    def refuse(self: Conversations, call: Call, view: View) -> str:
        text = answer(self, call, view)
        if bad in text and "messages" in call.parameters.get("fields", ""):
            raise Refusal(9000001, "This Message has been deleted by the user or the business.")
        return text

    monkeypatch.setattr(Conversations, "answer", refuse)
    run = sync(engine)
    # Its own node answers, so that nothing is missing in the end.
    assert (run.status, run.counts.inserted, backlog(engine)) == (RunStatus.COMPLETE, 8, [])


def test_standard_access_needs_a_person(ready: Ready, sync: Sync, stored: Stored) -> None:
    served, engine = start(ready)
    conversations = served.sandbox.conversations
    conversations._config = replace(conversations._config, standard_access=True)
    run = sync(engine)
    assert run.status is RunStatus.FAILED
    assert [problem.code for problem in run.problems] == ["permission_missing"]
    assert "Advanced Access" in run.problems[0].hint
    assert run.next == f"inboxsync pages add {served.page.page_id} --platform instagram"
    marks = "SELECT token_state, token_reason, last_synced_at FROM facebook_pages"
    assert stored(engine, marks) == [("not_permitted", "standard_access", None)]


def test_an_empty_answer_warns_and_counts_for_nothing(
    ready: Ready, sync: Sync, stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, engine = start(ready)
    with monkeypatch.context() as patch:
        patch.setattr(Conversations, "answer", lambda *_: '{"data":[]}')
        for _ in range(2):
            run = sync(engine)
            assert [problem.code for problem in run.problems] == ["nothing_listed"]
            assert "instagram_manage_messages" in run.problems[0].hint
            assert stored(engine, "SELECT last_synced_at FROM facebook_pages") == [(None,)]
    run = sync(engine)
    assert (run.status, run.mode, run.counts.inserted) == (RunStatus.COMPLETE, Mode.FULL, 12)
    assert stored(engine, "SELECT last_synced_at FROM facebook_pages") != [(None,)]


def test_deep_conversations_cost_one_refusal_each_where_details_are_refused(ready: Ready, sync: Sync) -> None:
    served, engine = start(ready, "refuse", conversations=3, messages=(220, 220))
    assert sync(engine, history=History.ALL).status is RunStatus.COMPLETE
    # A hundred are refused, twenty come with details, and two hundred with their ids.
    assert served.sandbox.http.counts["edge:messages"] + served.sandbox.http.counts["error:9000001"] <= 3 * 5
