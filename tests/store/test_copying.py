"""A copied database is the same database, in either direction and however often it was interrupted."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from inboxsync.errors import StoreOutdated, StoreUnavailable
from inboxsync.model import (
    BacklogItem,
    BacklogKind,
    Conversation,
    Following,
    Message,
    Mode,
    Page,
    Participant,
    Problem,
    Quota,
    Run,
    RunStatus,
    RunTask,
    Scanning,
    Schedule,
    Scope,
    Segment,
    TaskQueue,
    Verification,
    WorkerInfo,
)
from inboxsync.store import Store, copying
from inboxsync.store.connection.types import new_id
from inboxsync.store.copying import CopyProgress, copy_store
from inboxsync.store.state.backlog import get_backlog_item, put_backlog_item
from inboxsync.store.state.credentials import create_api_key
from inboxsync.store.state.leases import acquire_lease
from inboxsync.store.state.list_positions import list_states, put_list_state
from inboxsync.store.state.pages import list_quotas, put_quota, put_verification
from inboxsync.store.state.runs import append_run_events, start_run
from inboxsync.store.state.schedules import put_schedule
from inboxsync.store.state.tasks import add_task, put_worker
from inboxsync.store.writing.upsert import upsert_batch
from tests.store.fixtures import Rows

NOW = datetime(2026, 6, 1, 12, 0, 0, 123_000, tzinfo=UTC)


@pytest.fixture(params=["sqlite", "postgresql"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "sqlite":
        opened = Store.open(f"sqlite:///{tmp_path / 'target.db'}")
        yield opened
        opened.close()
        return
    server = request.getfixturevalue("server")
    url = server.create()
    opened = Store.open(url)
    yield opened
    opened.close()
    server.drop(url)


@pytest.fixture
def filled(store: Store, page: Page, other_page: Page) -> Store:
    """Something in every table, and what is hard to keep."""
    scan = Scanning(
        segments=(Segment(position=NOW, cursor="c"), Segment()),
        snapshot_at=NOW,
        watermark=NOW - timedelta(days=1),
    )
    run = Run(
        id=new_id(),
        page_id=page.id,
        facebook_page_id="104",
        platform="messenger",
        mode=Mode.FULL,
        status=RunStatus.PARTIAL,
        started_at=NOW,
        problems=(Problem(code="x", message='It "failed".', hint="\ttab\\nback\\\\slash\n"),),
    )
    with store.write() as connection:
        for each in (page, other_page):
            upsert_batch(connection, each, conversations(), folder="inbox", source="initial_sync", now=NOW)
            put_list_state(connection, each, "inbox", scan, now=NOW)
            put_list_state(connection, each, "Spam", Following(watermark=NOW), now=NOW)
            put_backlog_item(
                connection,
                each,
                BacklogItem(conversation_id="T_1", kind=BacklogKind.GAP, folder="inbox"),
                now=NOW,
            )
            put_backlog_item(connection, each, backlog(), now=NOW)
        start_run(connection, run)
        create_api_key(connection, name="Ä script", scope=Scope.SYNC, now=NOW)
        append_run_events(
            connection, run.id, [(NOW, "starting", {"b": 1.0, "a": "\u1ec7"}), (NOW, "error", {})]
        )
        add_task(
            connection, RunTask(run_id=run.id, page_id=page.id, queue=TaskQueue.SCAN, number=2, due_at=NOW)
        )
        put_schedule(
            connection, Schedule(page_id=page.id, every_seconds=60, is_paused=True, next_sync_at=NOW)
        )
        put_worker(
            connection,
            WorkerInfo(id="h:1:a", version="1", concurrency=8, started_at=NOW, heartbeat_at=NOW),
        )
        acquire_lease(connection, page.id, "somebody", now=NOW, seconds=1)
        put_quota(connection, Quota(object_id="104", type="messenger", used_percent=3), now=NOW)
        put_verification(
            connection,
            Verification(
                id=new_id(), page_id=page.id, checked_at=NOW, is_complete=False, summary='{"b":1.0,"a":1e2}'
            ),
        )
        connection.exec_driver_sql(  # more exact than we are, and by hand
            "UPDATE facebook_pages SET last_synced_at = '2026-05-05T05:05:05.123456Z', user_id = ''"
        )
    return store


def backlog() -> BacklogItem:
    return BacklogItem(
        conversation_id="t_1",
        kind=BacklogKind.GAP,
        folder="inbox",
        anchors=("m_1", "ü"),
        until_at=NOW,
        problem=Problem(code="c", message="m", hint=""),
        attempts=3,
    )


def conversations() -> list[Conversation]:
    ann = Participant(id="7", name="Ann \U0001f600 \u1ec7")
    odd = ["", " ", "\\N", "\\.", "a\tb\nc\rd\\e", "'\"`", "\u2028\x01\x7f", "NULL", "true", "x" * 9000]
    return [
        Conversation(
            conversation_id=f"{letter}_{number}",
            source_updated_at=NOW - timedelta(minutes=number),
            contact=ann if number % 2 else None,
            participants=(ann,) if number % 2 else (),
            snippet=odd[number % len(odd)],
            unread_count=number,
            messages=tuple(
                Message(
                    message_id=f"m_{letter}{number}_{at}",
                    sent_at=NOW - timedelta(minutes=at) if at % 3 else None,
                    is_from_page=bool(at % 2),
                    text=odd[(number + at) % len(odd)],
                    attachments='[{"b":"\\u00e9","a":[1,2.50,null,true]}]' if at % 4 == 0 else None,
                    extra='{"k":{"z":1,"a":12345678901234}}' if at % 5 == 0 else None,
                    is_readable=at != 1,
                )
                for at in range(6)
            ),
            has_older_messages=number % 3 == 0,
        )
        for letter in "tTäZ"
        for number in range(10)
    ]


def silent(_progress: CopyProgress) -> None:
    """Nobody looks."""


def test_a_copy_is_the_same(filled: Store, target: Store, page: Page) -> None:
    copied = copy_store(filled, target, on_progress=silent)
    assert [each.table for each in copied if not each.is_equal] == []
    assert {each.table for each in copied if each.source_rows == 0} == set()
    assert sum(each.replaced for each in copied) == 0
    with filled.read() as ours, target.read() as theirs:
        for read in (list_quotas, lambda connection: list_states(connection, page)):
            assert read(ours) == read(theirs)
        assert get_backlog_item(theirs, page, BacklogKind.GAP, "t_1") == backlog()
        exact = theirs.exec_driver_sql("SELECT DISTINCT last_synced_at, user_id FROM facebook_pages").one()
        assert "05.123456" in str(exact[0])
        assert exact[1] == ""


def test_a_copy_there_and_back_is_the_same(filled: Store, target: Store, tmp_path: Path) -> None:
    there = copy_store(filled, target, on_progress=silent)
    back = Store.open(f"sqlite:///{tmp_path / 'back.db'}")
    again = copy_store(target, back, on_progress=silent)
    assert [each.source_checksum for each in there] == [each.target_checksum for each in again]
    back.close()


class Interrupted(Exception):
    pass


def test_an_interrupted_copy_goes_on_where_it_stood(
    filled: Store, target: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "_ROWS_A_BATCH", 50)
    seen: list[CopyProgress] = []

    def stop(progress: CopyProgress) -> None:
        seen.append(progress)
        if progress.table == "messages" and progress.done >= 200:
            raise Interrupted

    with pytest.raises(Interrupted):
        copy_store(filled, target, on_progress=stop)
    first = [each for each in seen if each.table == "messages"]
    seen.clear()
    copied = copy_store(filled, target, on_progress=seen.append)
    assert all(each.is_equal for each in copied)
    second = [each for each in seen if each.doing == "copying" and each.table == "messages"]
    assert (first[-1].done, second[0].done) == (200, 250)
    assert not [each for each in seen if each.doing == "copying" and each.table == "facebook_pages"]


def test_a_finished_copy_is_compared_again_and_left_alone(filled: Store, target: Store) -> None:
    copy_store(filled, target, on_progress=silent)
    seen: list[str] = []
    copied = copy_store(filled, target, on_progress=lambda progress: seen.append(progress.doing))
    assert all(each.is_equal for each in copied)
    assert set(seen) == {"comparing"}


def test_a_target_with_other_data_is_refused(filled: Store, target: Store, rows: Rows) -> None:
    copy_store(filled, target, on_progress=silent)
    with target.write() as connection:
        connection.exec_driver_sql("UPDATE facebook_pages SET name = 'Another Page'")
    with pytest.raises(StoreUnavailable, match="holds other data"):
        copy_store(filled, target, on_progress=silent)
    with filled.write() as connection:
        connection.exec_driver_sql("DELETE FROM facebook_pages")
    with pytest.raises(StoreUnavailable, match="holds other data"):
        copy_store(filled, target, on_progress=silent)
    assert rows("SELECT count(*) FROM messages") == [(0,)]


def test_a_row_that_differs_is_found(filled: Store, target: Store) -> None:
    copy_store(filled, target, on_progress=silent)
    with target.write() as connection:
        connection.exec_driver_sql("UPDATE messages SET text = 'x' WHERE message_id = 'm_t3_2'")
    copied = copy_store(filled, target, on_progress=silent)
    assert [each.table for each in copied if not each.is_equal] == ["messages"]


def test_a_nul_is_counted_and_noted_where_it_cannot_be_kept(
    store: Store, page: Page, target: Store, database: str
) -> None:
    with store.write() as connection:
        upsert_batch(
            connection,
            page,
            [
                Conversation(
                    conversation_id="t_1",
                    messages=(
                        Message(message_id="m_1", text="a\0b", extra='{"k":"\\u0000"}'),
                        Message(message_id="m_2", text="plain"),
                    ),
                )
            ],
            folder="inbox",
            source="initial_sync",
            now=NOW,
        )
    copied = {each.table: each for each in copy_store(store, target, on_progress=silent)}
    assert all(each.is_equal for each in copied.values())
    is_lost_here = database == "sqlite" and target.engine.dialect.name == "postgresql"
    assert copied["messages"].replaced == int(is_lost_here)
    with target.read() as connection:
        text, extra = connection.exec_driver_sql(
            "SELECT text, extra FROM messages WHERE message_id = 'm_1'"
        ).one()
    if database == "sqlite" and not is_lost_here:
        assert (text, extra) == ("a\0b", '{"k":"\\u0000"}')
    else:
        assert text == "a\ufffdb"
        assert json.loads(extra) == {"k": "\ufffd", "nul_replaced": True}


def test_a_sync_of_the_source_meanwhile_does_not_show(filled: Store, target: Store, page: Page) -> None:
    def write(progress: CopyProgress) -> None:
        if progress.table == "facebook_pages" and progress.doing == "copying":
            with filled.write() as connection:
                late = Conversation(conversation_id="late", messages=(Message(message_id="m_late"),))
                upsert_batch(connection, page, [late], folder="inbox", source="incremental_sync", now=NOW)

    copied = copy_store(filled, target, on_progress=write)
    assert all(each.is_equal for each in copied)
    with target.read() as connection:
        assert (
            connection.exec_driver_sql("SELECT count(*) FROM messages WHERE message_id = 'm_late'").scalar()
            == 0
        )


def test_a_source_is_neither_made_nor_changed(tmp_path: Path, empty_url: str, database: str) -> None:
    with pytest.raises(StoreUnavailable, match="does not exist"):
        Store.open_existing(f"sqlite:///{tmp_path / 'nowhere.db'}")
    assert not (tmp_path / "nowhere.db").exists()
    if database == "postgresql":
        with pytest.raises(StoreOutdated, match="nothing of inboxsync"):
            Store.open_existing(empty_url)
