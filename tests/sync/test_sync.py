from datetime import UTC, datetime
from pathlib import Path

import pytest

from inboxsync.engine import Engine
from inboxsync.errors import (
    NeedsPerson,
    PageNotVisible,
    PageUnknown,
    SourceUnreachable,
    Stalled,
    TokenInvalid,
)
from inboxsync.model import Mode, Run, RunStatus
from inboxsync.sandbox import Faults
from inboxsync.sandbox.call import Call
from inboxsync.sandbox.conversations import Conversations
from inboxsync.sandbox.nodes import View
from inboxsync.sync.ingest import Ingest
from inboxsync.sync.plan import FOLDERS
from tests.fixtures import EngineFor, Row, SandboxServer, Serve
from tests.sync.fixtures import Add, Passed, Ready, Slow, Stored, Sync

IDS = "SELECT conversation_id FROM messenger_conversations"
MESSAGES = (
    "SELECT c.conversation_id, m.text, m.is_from_page, m.sent_at FROM messages m "
    "JOIN messenger_conversations c ON c.id = m.conversation_id ORDER BY m.sent_at"
)
DEAD_CURSOR = (
    "UPDATE list_positions SET segments = json_replace(segments, '$[0].cursor', 'QVFIbm9ib2R5cwZDZD') "
    "WHERE folder = 'inbox'"
)
LAST_SYNCED = "SELECT last_synced_at FROM facebook_pages"


def newest_messages(served: SandboxServer, count: int = 10) -> list[Row]:
    found = []
    for thread_id, thread in served.threads().items():
        for message in thread.messages[-count:]:
            at = datetime.fromtimestamp(message.at, UTC).isoformat(timespec="milliseconds")
            # The sandbox serves an empty text on odd messages and none at all on even ones.
            text = message.text or ("" if message.ordinal % 2 else None)
            found.append((thread_id, text, int(message.from_page), at.replace("+00:00", "Z")))
    return found


def assert_nothing_lost_or_invented(served: SandboxServer, rows: list[Row]) -> None:
    """Stored: the newest ten of each conversation, and nothing that was never served."""
    # What was written after the inbox's last answer could not be in it: then come the other folders.
    last = served.list_calls()
    late = {f"written during call {last - back}" for back in range(len(FOLDERS))}
    newest = {row for row in newest_messages(served) if row[1] not in late}
    assert newest <= set(rows) <= set(newest_messages(served, count=10_000))


def by_all(rows: list[Row]) -> list[Row]:
    return sorted(rows, key=repr)


@pytest.fixture
def ready(serve: Serve, engine_for: EngineFor, add: Add) -> Slow:
    """A sandbox and an engine that has its Page."""

    def start(**switches: object) -> tuple[SandboxServer, Engine]:
        served = serve(**({"conversations": 350} | switches))
        engine = engine_for(served)
        add(engine, served)
        return served, engine

    return start


def test_everything_served_is_stored_and_nothing_else(ready: Ready, sync: Sync, stored: Stored) -> None:
    served, engine = ready()
    run = sync(engine)
    assert run.status is RunStatus.COMPLETE
    assert run.counts.fetched == run.counts.inserted == 350
    assert {graph_id for (graph_id,) in stored(engine, IDS)} == set(served.threads())
    expected = newest_messages(served)
    assert by_all(stored(engine, MESSAGES)) == by_all(expected)
    assert run.counts.events == len(expected)


def test_names_are_as_served_and_never_made_up(ready: Ready, sync: Sync, stored: Stored) -> None:
    served, engine = ready(conversations=600)
    sync(engine)
    names: dict[str, str | None] = dict(
        stored(engine, "SELECT conversation_id, sender_name FROM messenger_conversations")
    )
    people = {thread_id: thread.contact for thread_id, thread in served.threads().items()}
    assert names == {thread_id: person.name for thread_id, person in people.items()} | {
        # The contact is no longer listed, and no message is left that names them.
        thread_id: None
        for thread_id, person in people.items()
        if person.is_gone and names[thread_id] is None
    }


def test_a_second_run_stores_nothing_new_and_makes_one_list_call(ready: Ready, sync: Sync) -> None:
    served, engine = ready()
    sync(engine)
    before = served.list_calls()
    again = sync(engine)
    assert (again.status, again.mode) == (RunStatus.COMPLETE, Mode.INCREMENTAL)
    assert (again.counts.inserted, again.counts.updated, again.counts.events) == (0, 0, 0)
    assert served.list_calls() - before == 1


def test_an_incremental_run_brings_what_is_new(ready: Ready, sync: Sync, stored: Stored) -> None:
    served, engine = ready()
    sync(engine)
    served.page.write(300, "an old customer is back")
    served.page.write(None, "a new customer")
    run = sync(engine)
    assert (run.counts.inserted, run.counts.updated, run.counts.events) == (1, 1, 2)
    new = "SELECT text FROM messages WHERE source = 'incremental_sync' ORDER BY sent_at, text"
    assert stored(engine, new) == [("a new customer",), ("an old customer is back",)]
    assert by_all(stored(engine, MESSAGES)) == by_all(newest_messages(served))


def test_messages_written_during_a_scan_are_not_missed(ready: Ready, sync: Sync, stored: Stored) -> None:
    served, engine = ready(conversations=1500, write_every=2)
    run = sync(engine)
    assert run.status is RunStatus.COMPLETE
    assert {graph_id for (graph_id,) in stored(engine, IDS)} == set(served.threads())
    assert_nothing_lost_or_invented(served, stored(engine, MESSAGES))


def test_a_run_at_its_limit_is_partial_and_the_next_continues(
    ready: Ready, sync: Sync, stored: Stored
) -> None:
    served, engine = ready()
    first = sync(engine, max_conversations=120)
    assert (first.status, first.counts.fetched) == (RunStatus.PARTIAL, 120)
    assert first.next == f"inboxsync sync {served.page.page_id}"
    assert stored(engine, LAST_SYNCED) == [(None,)]
    second = sync(engine)
    assert second.status is RunStatus.COMPLETE
    assert second.counts.inserted == 230
    assert second.calls <= 4 + len(FOLDERS) - 1
    assert {graph_id for (graph_id,) in stored(engine, IDS)} == set(served.threads())
    assert stored(engine, LAST_SYNCED) != [(None,)]


def test_a_limit_that_the_last_conversation_reaches_is_no_limit(ready: Ready, sync: Sync) -> None:
    _, engine = ready(conversations=300)
    assert sync(engine, max_conversations=300).status is RunStatus.COMPLETE


def test_a_run_asked_to_stop_keeps_what_it_has(ready: Ready, sync: Sync, stored: Stored) -> None:
    served, engine = ready()
    stopped = sync(engine, stop_after=2)
    assert stopped.status is RunStatus.PARTIAL
    # What has come by then is stored too.
    assert len(stored(engine, IDS)) == stopped.counts.fetched in (200, 300)
    assert sync(engine).status is RunStatus.COMPLETE
    assert {graph_id for (graph_id,) in stored(engine, IDS)} == set(served.threads())


def test_a_run_out_of_time_stops_though_the_source_does_not_answer(
    ready: Ready, sync: Sync, stored: Stored
) -> None:
    served, engine = ready()
    served.sandbox.http.faults = Faults(stall=1.0, stall_seconds=20)
    run = sync(engine, max_seconds=0.3)
    assert run.status is RunStatus.PARTIAL
    assert run.duration_seconds < 10
    assert stored(engine, IDS) == []


def test_a_dead_cursor_is_replaced_by_time(ready: Ready, sync: Sync, stored: Stored) -> None:
    served, engine = ready()
    sync(engine, stop_after=2)
    with engine.store.write() as connection:
        connection.exec_driver_sql(DEAD_CURSOR)
    served.page.write(10, "moved between two syncs")
    run = sync(engine)
    assert run.status is RunStatus.COMPLETE
    assert {graph_id for (graph_id,) in stored(engine, IDS)} == set(served.threads())
    assert_nothing_lost_or_invented(served, stored(engine, MESSAGES))


def test_last_synced_at_set_to_null_means_a_full_run(ready: Ready, sync: Sync, stored: Stored) -> None:
    _, engine = ready()
    sync(engine)
    with engine.store.write() as connection:
        connection.exec_driver_sql("UPDATE facebook_pages SET last_synced_at = NULL")
    run = sync(engine)
    assert (run.mode, run.counts.fetched, run.counts.unchanged) == (Mode.FULL, 350, 350)
    assert stored(engine, LAST_SYNCED) != [(None,)]


def test_mode_full_reads_everything_again_and_stores_nothing_twice(ready: Ready, sync: Sync) -> None:
    _, engine = ready()
    sync(engine)
    run = sync(engine, mode=Mode.FULL)
    assert (run.mode, run.counts.unchanged, run.counts.events) == (Mode.FULL, 350, 0)


def test_a_source_that_wants_less_is_asked_for_less(ready: Ready, sync: Sync, stored: Stored) -> None:
    served, engine = ready(faults=Faults(weight_limit=300))
    assert sync(engine).status is RunStatus.COMPLETE
    assert {graph_id for (graph_id,) in stored(engine, IDS)} == set(served.threads())


FIFTH = Faults(
    reset=0.03, html=0.03, empty=0.03, null=0.03, cut=0.03, code_1=0.02, code_2=0.02, transient=0.01
)


def test_one_failed_call_in_five_loses_nothing(ready: Ready, sync: Sync, stored: Stored) -> None:
    served, engine = ready(conversations=2000)
    served.sandbox.http.faults = FIFTH
    runs = [sync(engine)]
    while runs[-1].status is not RunStatus.COMPLETE and len(runs) < 4:
        runs.append(sync(engine))
    assert runs[-1].status is RunStatus.COMPLETE
    assert {graph_id for (graph_id,) in stored(engine, IDS)} == set(served.threads())
    assert sum(run.calls for run in runs) < 3 * 21


@pytest.mark.parametrize(
    "faults", [Faults(short_batch=0.5), Faults(empty_batch=0.4), Faults(short_batch=0.4, empty_batch=0.4)]
)
def test_short_and_empty_batches_are_no_end(ready: Ready, sync: Sync, stored: Stored, faults: Faults) -> None:
    served, engine = ready(faults=faults)
    assert sync(engine).status is RunStatus.COMPLETE
    assert {graph_id for (graph_id,) in stored(engine, IDS)} == set(served.threads())


def test_a_repeated_cursor_does_not_go_round_for_ever(ready: Ready, sync: Sync, stored: Stored) -> None:
    served, engine = ready(faults=Faults(repeat_cursor=0.3))
    run = sync(engine)
    assert run.status in (RunStatus.COMPLETE, RunStatus.PARTIAL)
    if run.status is RunStatus.COMPLETE:
        assert {graph_id for (graph_id,) in stored(engine, IDS)} == set(served.threads())


def test_cursors_that_are_indexes_lead_to_the_end_too(ready: Ready, sync: Sync, stored: Stored) -> None:
    served, engine = ready(cursors="index", write_every=2)
    assert sync(engine).status is RunStatus.COMPLETE
    assert {graph_id for (graph_id,) in stored(engine, IDS)} == set(served.threads())


def test_a_token_that_dies_marks_the_page_and_a_new_one_continues(
    ready: Ready, sync: Sync, stored: Stored, add: Add
) -> None:
    served, engine = ready()
    served.sandbox.http.faults = Faults(token_dies_after=4, token_subcode=460)
    run = sync(engine)
    assert run.status is RunStatus.FAILED
    assert [problem.code for problem in run.problems] == [TokenInvalid.code]
    assert "password" in run.problems[0].hint
    assert run.next == f"inboxsync pages add {served.page.page_id}"
    ((state, problem),) = stored(engine, "SELECT token_state, token_problem FROM facebook_pages")
    assert state == "invalid"
    assert "password" in problem
    served.sandbox.http.faults = Faults()
    add(engine, served, token=served.sandbox.tokens.mint(served.page))
    again = sync(engine)
    assert again.status is RunStatus.COMPLETE
    assert again.counts.inserted == 350 - run.counts.inserted
    assert stored(engine, "SELECT token_state, token_problem FROM facebook_pages") == [("valid", None)]


def test_a_source_that_never_answers_fails_with_nothing_stored(
    ready: Ready, sync: Sync, stored: Stored, engine_for: EngineFor
) -> None:
    served, engine = ready()
    away = engine_for(served, graph_url="http://127.0.0.1:9")
    run = sync(away)
    assert run.status is RunStatus.FAILED
    assert [problem.code for problem in run.problems] == [SourceUnreachable.code]
    assert stored(engine, IDS) == []


def test_calls_refused_for_their_rate_are_waited_for(
    sync: Sync, serve: Serve, engine_for: EngineFor, add: Add
) -> None:
    served = serve(conversations=350, limits=True)
    engine = engine_for(served, calls_per_second=2.0)
    add(engine, served)
    hasty = engine_for(served)
    run = sync(hasty)
    assert run.status is RunStatus.COMPLETE
    assert run.refused_calls > 0


def test_at_the_default_call_rate_no_call_is_refused(
    serve: Serve, engine_for: EngineFor, add: Add, sync: Sync
) -> None:
    served = serve(conversations=600, limits=True)
    engine = engine_for(served, calls_per_second=2.0)
    add(engine, served)
    run = sync(engine)
    assert (run.status, run.refused_calls) == (RunStatus.COMPLETE, 0)


def test_a_wrong_token_is_not_kept(serve: Serve, engine_for: EngineFor, add: Add, stored: Stored) -> None:
    served = serve(conversations=5)
    engine = engine_for(served)
    with pytest.raises(TokenInvalid):
        add(engine, served, token="EAAwrong")
    assert stored(engine, "SELECT * FROM facebook_pages") == []


def test_a_page_that_the_token_cannot_see_is_not_kept(
    serve: Serve, engine_for: EngineFor, add: Add, stored: Stored
) -> None:
    served = serve(conversations=5, pages=2)
    engine = engine_for(served)
    with pytest.raises(PageNotVisible):
        add(engine, served, token=served.sandbox.world.pages[1].token)
    with pytest.raises(NeedsPerson):
        add(engine, served, token=served.sandbox.tokens.user)
    assert stored(engine, "SELECT * FROM facebook_pages") == []


def test_fields_that_the_source_no_longer_knows_are_left_out(
    ready: Ready, sync: Sync, stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    served, engine = ready()
    monkeypatch.setattr(
        "inboxsync.sandbox.render.THREAD_FIELDS",
        {
            name: field
            for name, field in __import__("inboxsync.sandbox.nodes", fromlist=["x"]).THREAD_FIELDS.items()
            if name not in ("snippet", "message_count")
        },
    )
    assert sync(engine).status is RunStatus.COMPLETE
    assert {graph_id for (graph_id,) in stored(engine, IDS)} == set(served.threads())


def test_the_token_is_nowhere_in_the_database(ready: Ready, sync: Sync, tmp_path: Path) -> None:
    served, engine = ready()
    sync(engine)
    served.sandbox.tokens.kill_all(463)
    sync(engine)
    engine.close()
    for path in (tmp_path / "data").iterdir():
        assert served.page.token.encode() not in path.read_bytes()


def test_a_stale_cursor_that_finds_nothing_is_no_end(
    ready: Ready, sync: Sync, stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    served, engine = ready()
    sync(engine, stop_after=1)
    answer = Conversations.answer
    calls = []

    def nothing_for_a_stale_cursor(self: Conversations, call: Call, view: View) -> str:
        calls.append(call)
        return '{"data":[]}' if len(calls) == 1 else answer(self, call, view)

    monkeypatch.setattr(Conversations, "answer", nothing_for_a_stale_cursor)
    assert sync(engine).status is RunStatus.COMPLETE
    assert {graph_id for (graph_id,) in stored(engine, IDS)} == set(served.threads())


def test_refused_cursors_and_a_wish_for_less_together_do_not_stop_it(
    ready: Ready, sync: Sync, stored: Stored
) -> None:
    served, engine = ready()
    sync(engine, max_conversations=100)
    with engine.store.write() as connection:
        connection.exec_driver_sql(DEAD_CURSOR)
    served.sandbox.conversations.faults = Faults(weight_limit=25)
    assert sync(engine).status is RunStatus.COMPLETE
    assert {graph_id for (graph_id,) in stored(engine, IDS)} == set(served.threads())


def test_a_list_that_goes_on_for_ever_without_anything_new_ends_with_the_place(
    ready: Ready, sync: Sync, stored: Stored
) -> None:
    _, engine = ready(faults=Faults(empty_batch=1.0))
    run = sync(engine)
    assert run.status is RunStatus.PARTIAL
    assert [problem.code for problem in run.problems] == [Stalled.code]
    assert "UTC" in run.problems[0].message
    assert run.calls < 60
    assert len(stored(engine, IDS)) == 100


def test_a_first_run_fetches_no_more_than_it_may(ready: Ready, sync: Sync) -> None:
    _, engine = ready()
    assert sync(engine, max_conversations=5).counts.fetched == 5


def test_an_empty_inbox_is_complete_with_a_warning(ready: Ready, sync: Sync) -> None:
    _, engine = ready(standard_access=True)
    run = sync(engine)
    assert run.status is RunStatus.COMPLETE
    assert [problem.code for problem in run.problems] == ["nothing_listed"]


def test_a_page_that_is_removed_during_a_sync_is_reported(
    ready: Ready, sync: Sync, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, engine = ready()
    apply = Ingest.store_list_batch

    def remove_then_apply(self: Ingest, *arguments: Passed, **options: Passed) -> Run:
        with engine.store.write() as connection:
            connection.exec_driver_sql("DELETE FROM facebook_pages")
        return apply(self, *arguments, **options)

    monkeypatch.setattr(Ingest, "store_list_batch", remove_then_apply)
    run = sync(engine)
    assert run.status is RunStatus.FAILED
    assert [problem.code for problem in run.problems] == [PageUnknown.code]


def test_a_bug_of_ours_ends_the_run_and_is_reported(
    ready: Ready, sync: Sync, stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, engine = ready()
    monkeypatch.setattr("inboxsync.sync.ingest.upsert_batch", lambda *_, **__: 1 / 0)
    run = sync(engine)
    assert (run.status, run.problems[0].code) == (RunStatus.FAILED, "unexpected")
    assert stored(engine, "SELECT status FROM sync_runs") == [("failed",)]
