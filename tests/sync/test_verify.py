"""A verification finds what is missing, names it, and the next sync fetches it."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import TypeAlias

import pytest

from inboxsync.engine import Engine
from inboxsync.errors import AnswerFailed
from inboxsync.model import Batch, Dropped, History, MessageBatch, Mode, RunStatus
from inboxsync.sandbox import Faults
from inboxsync.sandbox.conversations import Conversations
from inboxsync.sync import Stopped
from inboxsync.sync.compare import Comparison
from inboxsync.sync.fetch import MessageFetcher
from inboxsync.sync.plan import FOLDERS
from tests.sync.fixtures import (
    BacklogOf,
    Passed,
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

STATUS = "SELECT conversation_id FROM messenger_conversations WHERE conversation_status = 'gone'"
VERIFICATIONS = "SELECT is_complete, summary FROM verifications ORDER BY checked_at, id"


RunSql: TypeAlias = Callable[[Engine, str], None]


@pytest.fixture
def run_sql() -> RunSql:
    def run(engine: Engine, sql: str) -> None:
        with engine.store.write() as connection:
            connection.exec_driver_sql(sql)

    return run


def assert_fixed(sync: Sync, verify: Verify, engine: Engine, *, is_deep: bool = False) -> None:
    """The next sync brings what is missing, and the next verification finds nothing."""
    assert sync(engine).status is RunStatus.COMPLETE
    verification, findings = verify(engine, is_deep=is_deep)
    assert verification.is_complete, findings


@pytest.mark.parametrize("is_deep", [False, True])
def test_after_a_sync_nothing_is_missing(ready: Ready, sync: Sync, verify: Verify, is_deep: bool) -> None:
    _, engine = ready(conversations=250, messages=(1, 30), folders={"spam": 30})
    sync(engine)
    verification, findings = verify(engine, is_deep=is_deep)
    assert verification.is_complete
    assert (findings.listed, findings.stored, findings.missing) == (280, 280, 0)
    assert findings.only_stored == findings.marked_gone == ()


def test_a_light_verification_makes_one_call_a_hundred_conversations(
    ready: Ready, sync: Sync, verify: Verify
) -> None:
    served, engine = ready(conversations=950, unknown_folders="empty")
    sync(engine)
    before = served.list_calls()
    verify(engine)
    # The inbox, one catch-up scan of its head, and the three folders that it does not have.
    assert served.list_calls() - before == 10 + 1 + 3
    assert served.sandbox.http.counts["edge:messages"] == 0


def test_a_verification_report_is_stored_and_can_be_read(
    ready: Ready, sync: Sync, verify: Verify, stored: Stored
) -> None:
    served, engine = ready()
    sync(engine)
    verify(engine)
    served.page.write(4, "new")
    verify(engine)
    (first, report), (second, later_report) = stored(engine, VERIFICATIONS)
    assert (first, second) == (1, 0)
    assert json.loads(report)["folders"][0]["listed"] == 30
    assert json.loads(later_report)["folders"][0]["behind"] == [graph_id_of(served, 4)]


def test_a_row_deleted_by_hand_is_found_and_fetched(
    ready: Ready, sync: Sync, verify: Verify, run_sql: RunSql, stored_messages: StoredMessages
) -> None:
    served, engine = ready(conversations=150)
    sync(engine)
    graph_id = graph_id_of(served, 120)
    run_sql(engine, f"DELETE FROM messenger_conversations WHERE conversation_id = '{graph_id}'")
    verification, findings = verify(engine)
    assert (verification.is_complete, findings.folders[0].missing) == (False, {graph_id})
    assert_fixed(sync, verify, engine)
    assert stored_messages(engine)[graph_id]


@pytest.mark.parametrize("place", ["newest", "between"])
@pytest.mark.parametrize("history", [History.NEWEST, History.ALL])
def test_a_message_deleted_by_hand_is_found_by_a_deep_verification(
    ready: Ready,
    sync: Sync,
    verify: Verify,
    run_sql: RunSql,
    stored_messages: StoredMessages,
    place: str,
    history: History,
) -> None:
    served, engine = ready(conversations=20, messages=(15, 30))
    sync(engine, history=history)
    graph_id = graph_id_of(served, 12)
    before = stored_messages(engine)[graph_id]
    order = "DESC" if place == "newest" else "DESC LIMIT 1 OFFSET 4"
    run_sql(
        engine,
        "DELETE FROM messages WHERE message_id = (SELECT message_id FROM messages m "
        "JOIN messenger_conversations c ON c.id = m.conversation_id "
        f"WHERE c.conversation_id = '{graph_id}' ORDER BY sent_at {order})",
    )
    assert verify(engine)[0].is_complete  # Meta's own count is an estimate: it does not decide
    verification, findings = verify(engine, is_deep=True)
    assert (verification.is_complete, findings.missing_messages) == (False, {graph_id: 1})
    assert_fixed(sync, verify, engine, is_deep=True)
    assert before <= stored_messages(engine)[graph_id]


def test_a_missing_message_of_a_long_conversation_brings_no_more_than_was_asked_for(
    ready: Ready, sync: Sync, verify: Verify, run_sql: RunSql, stored_messages: StoredMessages
) -> None:
    served, engine = ready(conversations=5, messages=(1000, 1000))
    sync(engine)
    graph_id = graph_id_of(served, 2)
    run_sql(
        engine,
        "DELETE FROM messages WHERE message_id = (SELECT message_id FROM messages m "
        "JOIN messenger_conversations c ON c.id = m.conversation_id "
        f"WHERE c.conversation_id = '{graph_id}' ORDER BY sent_at DESC LIMIT 1 OFFSET 3)",
    )
    assert not verify(engine, is_deep=True)[0].is_complete
    assert_fixed(sync, verify, engine, is_deep=True)
    assert len(stored_messages(engine)[graph_id]) <= 200


def test_what_came_after_the_sync_is_found_and_fetched(
    ready: Ready,
    sync: Sync,
    verify: Verify,
    write: WriteMessages,
    stored_messages: StoredMessages,
    served_messages: ServedMessages,
) -> None:
    served, engine = ready()
    sync(engine)
    newcomer, grown = write(served, None, 40, apart=0), write(served, 20)
    verification, findings = verify(engine)
    assert not verification.is_complete
    assert (findings.folders[0].missing, findings.folders[0].behind) == ({newcomer}, {grown})
    assert_fixed(sync, verify, engine)
    assert stored_messages(engine)[newcomer] == set(served_messages(served)[newcomer])


def test_a_new_conversation_that_only_its_own_node_brings_is_stored_whole(
    ready: Ready, sync: Sync, verify: Verify, stored_messages: StoredMessages, served_messages: ServedMessages
) -> None:
    """A folder that the next sync does not read yet: only the backlog brings it."""
    served, engine = ready(folders={"spam": 3})
    sync(engine)
    mailbox = served.page.messenger
    slot = mailbox.begin("spam")
    for _ in range(40):
        mailbox.write(slot, "new")
    graph_id = graph_id_of(served, slot)
    verification, findings = verify(engine)
    assert (verification.is_complete, findings.missing) == (False, 1)
    assert_fixed(sync, verify, engine)
    assert stored_messages(engine)[graph_id] == set(served_messages(served)[graph_id])


def test_an_open_backlog_is_not_complete(
    ready: Ready, sync: Sync, verify: Verify, write: WriteMessages, monkeypatch: pytest.MonkeyPatch
) -> None:
    served, engine = ready()
    sync(engine)

    async def fail(*_: object) -> MessageBatch:
        raise AnswerFailed("(#2) Service temporarily unavailable")

    with monkeypatch.context() as patch:
        patch.setattr(MessageFetcher, "fetch", fail)
        write(served, 3, 40)
        sync(engine)
    verification, findings = verify(engine)
    assert (verification.is_complete, findings.backlog["gap"]) == (False, 1)
    assert_fixed(sync, verify, engine)


@pytest.mark.parametrize("is_deep", [False, True])
def test_an_unreadable_conversation_is_not_complete(
    ready: Ready, sync: Sync, verify: Verify, is_deep: bool
) -> None:
    served, engine = ready(faults=Faults(poison_slots=(7,)))
    assert sync(engine).status is RunStatus.PARTIAL
    verification, findings = verify(engine, is_deep=is_deep)
    assert (verification.is_complete, findings.backlog["conversation"]) == (False, 1)
    served.sandbox.conversations.heal(served.sandbox.world.pages)
    assert_fixed(sync, verify, engine, is_deep=is_deep)


def test_a_stored_conversation_that_cannot_be_compared_is_not_complete(
    ready: Ready, sync: Sync, verify: Verify, backlog: BacklogOf
) -> None:
    served, engine = ready()
    sync(engine)
    served.sandbox.conversations.faults = Faults(poison_slots=(7,))
    assert verify(engine)[0].is_complete
    verification, findings = verify(engine, is_deep=True)
    assert (verification.is_complete, findings.folders[0].unread) == (False, {graph_id_of(served, 7)})
    assert backlog(engine) == [("conversation", graph_id_of(served, 7))]
    served.sandbox.conversations.heal(served.sandbox.world.pages)
    assert_fixed(sync, verify, engine, is_deep=True)


def test_an_unreadable_conversation_that_the_source_deletes_leaves_the_backlog(
    ready: Ready, sync: Sync, verify: Verify, backlog: BacklogOf
) -> None:
    served, engine = ready(faults=Faults(poison_slots=(7,)))
    sync(engine)
    served.page.messenger.delete(7)
    assert sync(engine).status is RunStatus.PARTIAL
    verification, findings = verify(engine)
    assert (verification.is_complete, findings.marked_gone, backlog(engine)) == (True, (), [])
    assert sync(engine).status is RunStatus.COMPLETE


def test_what_the_source_no_longer_serves_is_marked_gone_and_kept(
    ready: Ready, sync: Sync, verify: Verify, stored: Stored, stored_messages: StoredMessages
) -> None:
    served, engine = ready(conversations=130)
    sync(engine)
    gone = sorted(graph_id_of(served, slot) for slot in (0, 50, 129))
    before = stored_messages(engine)
    for slot in (0, 50, 129):
        served.page.messenger.delete(slot)
    verification, findings = verify(engine)
    assert (verification.is_complete, sorted(findings.marked_gone)) == (True, gone)
    assert sorted(each for (each,) in stored(engine, STATUS)) == gone
    assert stored_messages(engine) == before
    # Once is enough.
    assert verify(engine)[1].marked_gone == ()


def test_an_interrupted_verification_marks_nothing_and_writes_no_report(
    ready: Ready, sync: Sync, verify: Verify, stored: Stored
) -> None:
    served, engine = ready(conversations=250)
    sync(engine)
    served.page.messenger.delete(240)
    with pytest.raises(Stopped):
        verify(engine, stop_after=2)
    assert stored(engine, STATUS) == stored(engine, VERIFICATIONS) == []


def test_a_failed_verification_marks_nothing(
    ready: Ready, sync: Sync, verify: Verify, stored: Stored
) -> None:
    served, engine = ready(conversations=250)
    sync(engine)
    served.page.messenger.delete(240)
    served.sandbox.http.faults = Faults(refuse_code=2)
    with pytest.raises(AnswerFailed):
        verify(engine)
    assert stored(engine, STATUS) == stored(engine, VERIFICATIONS) == []


def test_a_source_that_lists_nothing_is_not_complete_and_marks_nothing(
    ready: Ready, sync: Sync, verify: Verify, stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an app sees that has lost its Advanced Access."""
    served, engine = ready()
    sync(engine)
    monkeypatch.setattr(Conversations, "answer", lambda *_: '{"data":[]}')
    for slot in range(30):
        served.page.messenger.delete(slot)
    verification, findings = verify(engine)
    assert (verification.is_complete, findings.listed, len(findings.only_stored)) == (False, 0, 30)
    assert stored(engine, STATUS) == []


@pytest.mark.parametrize("unknown_folders", ["empty", "refuse", "ignore"])
def test_a_conversation_moved_to_another_folder_is_not_gone(
    ready: Ready, sync: Sync, verify: Verify, stored: Stored, unknown_folders: str
) -> None:
    served, engine = ready(folders={"page_done": 5, "spam": 0}, unknown_folders=unknown_folders)
    sync(engine)
    served.page.messenger.move(4, "page_done")
    served.page.messenger.move(5, "spam")
    verification, findings = verify(engine)
    assert verification.is_complete
    assert findings.marked_gone == ()
    assert stored(engine, STATUS) == []
    if unknown_folders == "ignore":
        # The source has no folders: what it serves of the inbox is all that it serves.
        assert sorted(findings.only_stored) == sorted(graph_id_of(served, slot) for slot in (4, 5))


def test_a_conversation_that_is_listed_again_is_active_again(
    ready: Ready, sync: Sync, verify: Verify, stored: Stored
) -> None:
    served, engine = ready()
    sync(engine)
    mailbox, thread = served.page.messenger, thread_in(served, 6)
    mailbox.delete(6)
    verify(engine)
    assert len(stored(engine, STATUS)) == 1
    mailbox._deleted.clear()
    mailbox._changed[6] = thread
    mailbox.inbox.move(6, thread.updated_at)
    verification, findings = verify(engine)
    assert (verification.is_complete, findings.returned) == (True, (graph_id_of(served, 6),))
    assert stored(engine, STATUS) == []


def test_a_conversation_with_a_new_message_is_active_again(
    ready: Ready, sync: Sync, verify: Verify, stored: Stored
) -> None:
    served, engine = ready()
    sync(engine)
    mailbox, thread = served.page.messenger, thread_in(served, 6)
    mailbox.delete(6)
    verify(engine)
    mailbox._deleted.clear()
    mailbox._changed[6] = thread
    mailbox.write(6, "hello again")
    assert sync(engine).status is RunStatus.COMPLETE
    assert stored(engine, STATUS) == []


def test_while_people_write_nothing_is_gone_and_nothing_is_missed(
    ready: Ready,
    sync: Sync,
    verify: Verify,
    stored: Stored,
    stored_messages: StoredMessages,
    served_messages: ServedMessages,
) -> None:
    served, engine = ready(conversations=450, write_every=2, write_new_every=3, write_burst=15)
    assert sync(engine, folder_interval=timedelta(0)).status is RunStatus.COMPLETE
    before = set(stored_messages(engine))
    _, findings = verify(engine)
    assert findings.marked_gone == findings.only_stored == ()
    assert stored(engine, STATUS) == []
    found = set().union(*(folder.missing | folder.behind for folder in findings.folders))
    # Who has begun since is found missing, but for those of the very last calls.
    assert len(set(served_messages(served)) - before - found) <= len(FOLDERS)
    assert found
    assert findings.listed >= len(before)


@pytest.mark.parametrize("is_deep", [False, True])
def test_a_verification_is_complete_in_spite_of_faults(
    ready: Ready, sync: Sync, verify: Verify, is_deep: bool
) -> None:
    served, engine = ready(conversations=300, messages=(1, 130))
    sync(engine, history=History.ALL)
    served.sandbox.http.faults = Faults(
        reset=0.04, html=0.03, empty=0.03, null=0.03, cut=0.03, code_2=0.02, transient=0.01
    )
    served.sandbox.conversations.faults = Faults(short_batch=0.2, empty_batch=0.2)
    verification, findings = verify(engine, is_deep=is_deep)
    for _ in range(3):
        if not verification.is_complete:
            verification, findings = verify(engine, is_deep=is_deep)
    assert verification.is_complete, findings
    assert findings.listed == 300


def test_a_deep_verification_reads_whole_what_is_stored_whole(
    ready: Ready,
    sync: Sync,
    verify: Verify,
    run_sql: RunSql,
    stored_messages: StoredMessages,
    served_messages: ServedMessages,
) -> None:
    served, engine = ready(conversations=6, messages=(250, 420))
    sync(engine, history=History.ALL)
    verification, findings = verify(engine, is_deep=True)
    assert verification.is_complete, findings
    graph_id = graph_id_of(served, 3)
    run_sql(
        engine,
        "DELETE FROM messages WHERE message_id IN (SELECT message_id FROM messages m "
        "JOIN messenger_conversations c ON c.id = m.conversation_id "
        f"WHERE c.conversation_id = '{graph_id}' ORDER BY sent_at LIMIT 30)",
    )
    verification, findings = verify(engine, is_deep=True)
    assert (verification.is_complete, findings.missing_messages) == (False, {graph_id: 30})
    assert_fixed(sync, verify, engine, is_deep=True)
    assert stored_messages(engine)[graph_id] == set(served_messages(served)[graph_id])


def test_a_message_unsent_at_the_source_is_kept_and_counts_as_nothing_missing(
    ready: Ready, sync: Sync, verify: Verify, stored_messages: StoredMessages
) -> None:
    served, engine = ready(conversations=10, messages=(12, 30))
    sync(engine)
    before = stored_messages(engine)
    served.page.messenger.unsend(4, thread_in(served, 4).messages[-3].ordinal)
    verification, findings = verify(engine, is_deep=True)
    assert verification.is_complete, findings
    assert stored_messages(engine) == before


def test_what_was_not_asked_for_is_counted_exactly(ready: Ready, sync: Sync, verify: Verify) -> None:
    served, engine = ready(conversations=10, messages=(11, 40))
    sync(engine)
    _, findings = verify(engine)
    counted = sum(len(thread_in(served, slot).messages) - 10 for slot in range(10))
    assert findings.older is not None
    assert findings.older.conversations == 10
    assert abs(findings.older.messages - counted) <= 10  # one in eleven conversations is miscounted by Meta


@pytest.mark.parametrize("time_windows", [False, True])
def test_time_windows_change_nothing(ready: Ready, sync: Sync, verify: Verify, time_windows: bool) -> None:
    served, engine = ready(conversations=400, time_windows=time_windows)
    sync(engine)
    served.page.messenger.delete(333)
    verification, findings = verify(engine)
    assert (verification.is_complete, findings.listed, len(findings.marked_gone)) == (True, 399, 1)


def test_only_a_number_is_kept_of_those_that_agree(ready: Ready, sync: Sync, verify: Verify) -> None:
    _, engine = ready(conversations=300)
    sync(engine)
    kept: list[Comparison] = []
    add = Comparison.add

    def look(self: Comparison, *arguments: Passed) -> None:
        kept.append(self)
        add(self, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Comparison, "add", look)
        verify(engine)
    comparison = kept[-1]
    assert all(isinstance(each, int) for each in comparison._listed)
    assert len(comparison._listed) == 300
    assert not comparison.missing_messages
    assert not comparison._to_read
    assert not comparison.returned


def test_one_conversation_whose_messages_cannot_be_read_stops_no_verification(
    ready: Ready, sync: Sync, verify: Verify, monkeypatch: pytest.MonkeyPatch
) -> None:
    served, engine = ready(conversations=6, messages=(150, 160))
    sync(engine, history=History.ALL)
    bad = graph_id_of(served, 2)
    fetch = MessageFetcher.fetch

    async def fail_one(self: MessageFetcher, after: str | None) -> MessageBatch:
        if self.conversation_id == bad:
            await asyncio.sleep(0)
            raise AnswerFailed("(#1) An unknown error occurred")
        return await fetch(self, after)

    with monkeypatch.context() as patch:
        patch.setattr(MessageFetcher, "fetch", fail_one)
        verification, findings = verify(engine, is_deep=True)
    assert (verification.is_complete, findings.folders[0].unread) == (False, {bad})
    assert_fixed(sync, verify, engine, is_deep=True)


def test_where_too_much_was_lost_nothing_counts_as_synced_and_the_next_sync_is_a_full_one(
    ready: Ready,
    sync: Sync,
    verify: Verify,
    run_sql: RunSql,
    stored: Stored,
    write: WriteMessages,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("inboxsync.sync.verify._MOST_BACKLOG", 5)
    served, engine = ready(conversations=150)
    sync(engine)
    for slot in range(20):
        write(served, slot)
    _, findings = verify(engine)
    assert (findings.missing, findings.needs_full_sync) == (20, False)  # new, and the next sync sees it
    sync(engine)
    run_sql(engine, "DELETE FROM messenger_conversations WHERE source_updated_at < '2026-05-01'")
    verification, findings = verify(engine)
    assert (verification.is_complete, findings.needs_full_sync) == (False, True)
    assert stored(engine, "SELECT last_synced_at FROM facebook_pages") == [(None,)]
    run = sync(engine)
    assert (run.status, run.mode) == (RunStatus.COMPLETE, Mode.FULL)
    assert verify(engine)[0].is_complete


def test_a_verification_is_not_complete_where_something_was_dropped(
    ready: Ready, sync: Sync, verify: Verify, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, engine = ready(conversations=30, messages=(1, 8))
    sync(engine)
    add = Comparison.add

    def add_with_dropped(self: Comparison, folder: str, batch: Batch) -> None:
        add(self, folder, replace(batch, dropped=(Dropped(what="conversation", why="it has no id"),)))

    monkeypatch.setattr(Comparison, "add", add_with_dropped)
    verification, findings = verify(engine)
    assert not verification.is_complete
    assert sum(folder.dropped for folder in findings.folders) > 0
