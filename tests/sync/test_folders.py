"""Every folder of the Page has a list state of its own, and none stops another."""

import asyncio
import json
from dataclasses import replace
from datetime import timedelta

import pytest

from inboxsync.engine import Engine
from inboxsync.graph.client import GraphClient
from inboxsync.model import Batch, Mode, RunStatus
from inboxsync.sandbox import Faults
from inboxsync.sandbox.call import Call
from inboxsync.sandbox.conversations import Conversations
from inboxsync.sandbox.folders import TOP
from inboxsync.sandbox.nodes import View
from inboxsync.sandbox.refusal import Refusal
from tests.fixtures import SandboxServer
from tests.sync.fixtures import Passed, Ready, Stored, Sync, graph_id_of

BY_FOLDER = "SELECT folder, COUNT(*) FROM messenger_conversations GROUP BY folder"
STATES = "SELECT folder, state FROM list_positions"
LAST_SYNCED = "SELECT last_synced_at FROM facebook_pages"
FOLDERS = {"other": 130, "page_done": 40, "spam": 15}
ALL = {"inbox": 350, **FOLDERS}


def ids_in(served: SandboxServer, folder: str) -> set[str]:
    slots = served.page.messenger.folders[folder].after(TOP)
    return {graph_id_of(served, slot) for slot in slots}


def stored_in(stored: Stored, engine: Engine, folder: str) -> set[str]:
    rows = stored(engine, f"SELECT conversation_id FROM messenger_conversations WHERE folder = '{folder}'")
    return {graph_id for (graph_id,) in rows}


def failing(monkeypatch: pytest.MonkeyPatch, folder: str, refusal: Refusal) -> list[str]:
    """Lists of this folder fail from now on; returns the folders that are asked for."""
    answer = Conversations.answer
    asked: list[str] = []

    def answering(self: Conversations, call: Call, view: View) -> str:
        asked.append(call.parameters.get("folder", "inbox"))
        if asked[-1] == folder:
            raise refusal
        return answer(self, call, view)

    monkeypatch.setattr(Conversations, "answer", answering)
    return asked


def test_every_folder_is_stored_under_its_name(ready: Ready, sync: Sync, stored: Stored) -> None:
    served, engine = ready(folders=FOLDERS)
    run = sync(engine)
    assert (run.status, run.counts.fetched) == (RunStatus.COMPLETE, sum(ALL.values()))
    assert dict(stored(engine, BY_FOLDER)) == ALL
    for folder in ALL:
        assert stored_in(stored, engine, folder) == ids_in(served, folder)
    assert dict(stored(engine, STATES)) == dict.fromkeys(ALL, "following")


@pytest.mark.parametrize("unknown", ["empty", "refuse", "ignore"])
def test_folders_that_the_source_does_not_have_are_skipped(
    ready: Ready, sync: Sync, stored: Stored, unknown: str
) -> None:
    served, engine = ready(unknown_folders=unknown)
    run = sync(engine)
    assert (run.status, run.counts.fetched) == (RunStatus.COMPLETE, 350)
    assert dict(stored(engine, BY_FOLDER)) == {"inbox": 350}
    assert stored(engine, LAST_SYNCED) != [(None,)]
    before = served.list_calls()
    assert sync(engine).status is RunStatus.COMPLETE
    assert served.list_calls() - before == 1


def test_an_incremental_run_right_after_a_full_one_makes_one_list_call(ready: Ready, sync: Sync) -> None:
    served, engine = ready(folders=FOLDERS)
    sync(engine)
    before = served.list_calls()
    assert sync(engine).mode is Mode.INCREMENTAL
    assert served.list_calls() - before == 1


def test_folders_are_read_again_when_due(ready: Ready, sync: Sync, stored: Stored) -> None:
    served, engine = ready(folders=FOLDERS)
    sync(engine)
    spam = served.page.messenger.folders["spam"].first_slot
    served.page.write(spam + 9, "in the spam")
    found = "SELECT COUNT(*) FROM messages WHERE text = 'in the spam'"
    sync(engine)
    assert stored(engine, found) == [(0,)]
    before = served.list_calls()
    assert sync(engine, folder_interval=timedelta(0)).status is RunStatus.COMPLETE
    assert stored(engine, found) == [(1,)]
    assert served.list_calls() - before == 4


def test_a_moved_conversation_takes_its_row_along(ready: Ready, sync: Sync, stored: Stored) -> None:
    served, engine = ready(folders=FOLDERS)
    sync(engine)
    mailbox = served.page.messenger
    spam = mailbox.folders["spam"].first_slot
    mailbox.move(3, "page_done")
    mailbox.move(spam + 2, "inbox")
    served.page.write(3, "moved")
    served.page.write(spam + 2, "moved")
    assert sync(engine, folder_interval=timedelta(0)).status is RunStatus.COMPLETE
    for folder in ALL:
        assert stored_in(stored, engine, folder) == ids_in(served, folder)
    assert stored(engine, "SELECT COUNT(*) FROM messenger_conversations") == [(sum(ALL.values()),)]


def test_a_full_run_finds_what_was_moved_without_a_new_message(
    ready: Ready, sync: Sync, stored: Stored
) -> None:
    served, engine = ready(folders=FOLDERS)
    sync(engine)
    mailbox = served.page.messenger
    mailbox.move(200, "other")
    mailbox.move(mailbox.folders["other"].first_slot + 100, "inbox")
    assert sync(engine, mode=Mode.FULL).status is RunStatus.COMPLETE
    for folder in ALL:
        assert stored_in(stored, engine, folder) == ids_in(served, folder)


@pytest.mark.parametrize("batches", range(1, 9))
def test_interrupted_anywhere_between_folders_each_continues_at_its_position(
    ready: Ready, sync: Sync, stored: Stored, batches: int
) -> None:
    _, engine = ready(folders=FOLDERS)
    first = sync(engine, stop_after=batches)
    second = sync(engine)
    assert second.status is RunStatus.COMPLETE
    assert stored(engine, LAST_SYNCED) != [(None,)]
    assert first.counts.inserted + second.counts.inserted == sum(ALL.values())
    assert dict(stored(engine, BY_FOLDER)) == ALL
    assert second.counts.unchanged <= 200  # the heads of finished lists, once more


def test_a_time_limit_in_the_second_folder_loses_nothing(
    ready: Ready, sync: Sync, stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, engine = ready(folders=FOLDERS)
    fetch = GraphClient.fetch_conversations

    async def unanswered_there(
        self: GraphClient, *given: Passed, after: str | None, **asked: Passed
    ) -> Batch:
        if asked["folder"] == "other" and after is not None:
            await asyncio.sleep(3600)
        return await fetch(self, *given, after=after, **asked)

    monkeypatch.setattr(GraphClient, "fetch_conversations", unanswered_there)
    run = sync(engine, max_seconds=8)
    assert run.status is RunStatus.PARTIAL
    assert stored(engine, LAST_SYNCED) == [(None,)]
    states: dict[str, str] = dict(stored(engine, STATES))
    assert states["inbox"] == "following"
    assert states["other"] == "scanning"
    monkeypatch.undo()
    again = sync(engine)
    assert (again.status, again.counts.inserted) == (
        RunStatus.COMPLETE,
        sum(ALL.values()) - run.counts.inserted,
    )
    assert stored(engine, LAST_SYNCED) != [(None,)]


def test_setting_last_synced_at_to_null_scans_every_folder_again(
    ready: Ready, sync: Sync, stored: Stored
) -> None:
    _, engine = ready(folders=FOLDERS)
    sync(engine)
    with engine.store.write() as connection:
        connection.exec_driver_sql("UPDATE facebook_pages SET last_synced_at = NULL")
    half = sync(engine, stop_after=2)
    assert (half.mode, half.status) == (Mode.FULL, RunStatus.PARTIAL)
    assert stored(engine, LAST_SYNCED) == [(None,)]
    rest = sync(engine)
    assert (rest.mode, rest.status) == (Mode.FULL, RunStatus.COMPLETE)
    assert half.counts.fetched + rest.counts.fetched == sum(ALL.values())
    assert stored(engine, LAST_SYNCED) != [(None,)]


@pytest.mark.parametrize(
    "refusal",
    [
        Refusal(1, "An unknown error occurred", subcode=99, status=500),
        Refusal(2, "Service temporarily unavailable", status=500, is_transient=True),
    ],
    ids=["unknown", "unavailable"],
)
def test_a_folder_that_fails_stops_no_other_and_is_read_later(
    ready: Ready, sync: Sync, stored: Stored, monkeypatch: pytest.MonkeyPatch, refusal: Refusal
) -> None:
    served, engine = ready(folders=FOLDERS)
    failing(monkeypatch, "other", refusal)
    run = sync(engine)
    assert run.status is RunStatus.PARTIAL
    assert dict(stored(engine, BY_FOLDER)) == {name: count for name, count in ALL.items() if name != "other"}
    assert stored(engine, LAST_SYNCED) == [(None,)]
    monkeypatch.undo()
    again = sync(engine)
    assert again.status is RunStatus.COMPLETE
    assert dict(stored(engine, BY_FOLDER)) == ALL
    assert stored_in(stored, engine, "other") == ids_in(served, "other")


def test_a_folder_that_is_refused_is_skipped(
    ready: Ready, sync: Sync, stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, engine = ready(folders=FOLDERS)
    failing(monkeypatch, "page_done", Refusal(10, "(#10) No permission for this folder", status=403))
    run = sync(engine)
    assert run.status is RunStatus.COMPLETE
    assert ("page_done", "unserved") in stored(engine, STATES)


def test_a_permission_lost_between_two_folders_does_not_make_them_vanish(
    ready: Ready, sync: Sync, stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    served, engine = ready(folders=FOLDERS)
    sync_calls = served.sandbox.http
    conversations = served.sandbox.conversations
    answer = conversations.answer

    def losing(call: Call, view: View) -> str:
        if call.parameters.get("folder") == "other":
            sync_calls.faults = replace(sync_calls.faults, refuse_code=10)
        if sync_calls.faults.refuse_code:
            raise Refusal(10, "(#10) Application does not have permission for this action", status=403)
        return answer(call, view)

    monkeypatch.setattr(conversations, "answer", losing)
    run = sync(engine)
    assert run.status is RunStatus.FAILED
    monkeypatch.undo()
    sync_calls.faults = Faults()
    assert sync(engine).status is RunStatus.COMPLETE
    assert dict(stored(engine, BY_FOLDER)) == ALL


def test_many_folders_are_read_whole_in_spite_of_faults(ready: Ready, sync: Sync, stored: Stored) -> None:
    served, engine = ready(folders=FOLDERS, write_every=3)
    served.sandbox.http.faults = Faults(html=0.05, empty=0.05, reset=0.05, code_2=0.05)
    runs = [sync(engine)]
    while runs[-1].status is not RunStatus.COMPLETE and len(runs) < 4:
        runs.append(sync(engine))
    assert runs[-1].status is RunStatus.COMPLETE
    for folder in ALL:
        assert stored_in(stored, engine, folder) == ids_in(served, folder)


def test_a_limit_that_is_used_up_by_the_inbox_leaves_the_folders_for_the_next_run(
    ready: Ready, sync: Sync, stored: Stored
) -> None:
    _, engine = ready(folders=FOLDERS)
    first = sync(engine, max_conversations=350)
    assert (first.status, first.counts.fetched) == (RunStatus.PARTIAL, 350)
    segments: dict[str, str] = dict(stored(engine, "SELECT folder, segments FROM list_positions"))
    assert json.loads(segments["other"])[0]["cursor"] is None
    second = sync(engine)
    assert (second.status, second.counts.inserted) == (RunStatus.COMPLETE, sum(FOLDERS.values()))
