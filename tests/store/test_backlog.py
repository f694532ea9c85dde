from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inboxsync.model import BacklogItem, BacklogKind, Conversation, Message, Page, Problem
from inboxsync.store import Store
from inboxsync.store.state.backlog import (
    Older,
    count_backlog,
    count_older,
    delete_backlog_item,
    get_backlog_item,
    list_backlog,
    list_history,
    put_backlog_item,
)
from inboxsync.store.state.conversations import mark_gone
from inboxsync.store.writing.upsert import upsert_batch
from tests.fixtures import examples
from tests.store.fixtures import Fields

NOW = datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
PROBLEM = Problem(code="answer_failed", message="It failed.", hint="Wait.")


def item(conversation_id: str = "t_1", kind: BacklogKind = BacklogKind.GAP, **changes: Fields) -> BacklogItem:
    return BacklogItem(conversation_id=conversation_id, kind=kind, folder="inbox", **changes)


def put(store: Store, page: Page, *items: BacklogItem, now: datetime = NOW) -> None:
    with store.write() as connection:
        for each in items:
            put_backlog_item(connection, page, each, now=now)


def listed(store: Store, page: Page, kind: BacklogKind = BacklogKind.GAP, **options: Fields) -> list[str]:
    with store.read() as connection:
        found = list_backlog(connection, page, kind, **{"now": NOW, "limit": 100, **options})
    return [each.conversation_id for each in found]


def history(store: Store, page: Page, **options: Fields) -> list[BacklogItem]:
    with store.read() as connection:
        return list_history(connection, page, **{"now": NOW, "limit": 100, **options})


def with_older(number: int, *, count: int | None = 20, has_older: bool = True) -> Conversation:
    sent_at = NOW - number * HOUR
    return Conversation(
        conversation_id=f"t_{number}",
        source_updated_at=sent_at,
        message_count=count,
        messages=(Message(message_id=f"m_{number}", sent_at=sent_at),),
        has_older_messages=has_older,
    )


def store_conversations(store: Store, page: Page, *conversations: Conversation) -> None:
    with store.write() as connection:
        upsert_batch(connection, page, conversations, folder="inbox", source="initial_sync", now=NOW)


def gone(store: Store, page: Page, *ids: str) -> None:
    with store.write() as connection:
        mark_gone(connection, page, ids, now=NOW)


times = st.none() | st.sampled_from([NOW - HOUR, NOW, NOW + HOUR])
items_strategy = st.builds(
    BacklogItem,
    conversation_id=st.sampled_from(["t_1", "t_2", "T_1"]),
    kind=st.sampled_from(BacklogKind),
    folder=st.sampled_from(["inbox", "spam"]),
    cursor=st.none() | st.text(max_size=9),
    anchors=st.lists(st.text(max_size=9), max_size=3).map(tuple),
    until_at=times,
    problem=st.none() | st.builds(Problem, code=st.text(), message=st.text(), hint=st.text()),
    attempts=st.integers(0, 3),
    next_attempt_at=times,
)


def as_held(store: Store, item: BacklogItem) -> BacklogItem:
    """PostgreSQL holds no U+0000."""
    if store.engine.dialect.name == "sqlite":
        return item
    problem = item.problem and Problem(
        **{name: getattr(item.problem, name).replace("\0", "\ufffd") for name in ("code", "message", "hint")}
    )
    return replace(
        item,
        cursor=item.cursor and item.cursor.replace("\0", "\ufffd"),
        anchors=tuple(each.replace("\0", "\ufffd") for each in item.anchors),
        problem=problem,
    )


@settings(max_examples=examples(50))
@given(items=st.lists(items_strategy, max_size=6))
def test_the_ledger_keeps_the_last_word_on_each_item(
    store: Store, page: Page, items: list[BacklogItem]
) -> None:
    with store.write() as connection:
        connection.exec_driver_sql("DELETE FROM backlog")
    put(store, page, *items)
    last = {(each.kind, each.conversation_id): each for each in items}
    with store.read() as connection:
        last = {key: as_held(store, each) for key, each in last.items()}
        for (kind, conversation_id), each in last.items():
            assert get_backlog_item(connection, page, kind, conversation_id) == each
        counted = count_backlog(connection, page)
        for kind in BacklogKind:
            of_phase = [each for each in last.values() if each.kind is kind]
            assert counted[kind] == len(of_phase)
            found = list_backlog(connection, page, kind, now=NOW, limit=100)
            due = [each for each in of_phase if each.next_attempt_at is None or each.next_attempt_at <= NOW]
            assert sorted(map(repr, found)) == sorted(map(repr, due))
            assert [each.attempts for each in found] == sorted(each.attempts for each in due)


def test_the_least_tried_and_then_the_longest_backlog_comes_first(store: Store, page: Page) -> None:
    put(store, page, item("t_new"), now=NOW)
    put(store, page, item("t_tried", attempts=1, problem=PROBLEM), now=NOW - 2 * HOUR)
    put(store, page, item("t_old"), now=NOW - HOUR)
    put(store, page, item("t_old", cursor="further"), now=NOW + HOUR)
    assert listed(store, page) == ["t_old", "t_new", "t_tried"]
    assert listed(store, page, limit=1, excluding={"t_old", "t_elsewhere"}) == ["t_new"]


def test_what_is_not_due_is_listed_only_on_request(store: Store, page: Page) -> None:
    put(store, page, item("t_later", next_attempt_at=NOW + timedelta(milliseconds=1)))
    put(store, page, item("t_now", next_attempt_at=NOW))
    assert listed(store, page) == ["t_now"]
    assert listed(store, page, due_only=False) == ["t_later", "t_now"]


def test_a_deleted_item_is_backlog_no_longer(store: Store, page: Page, other_page: Page) -> None:
    for each in (page, other_page):
        put(store, each, item(), item(kind=BacklogKind.HISTORY))
    with store.write() as connection:
        delete_backlog_item(connection, page, BacklogKind.GAP, "t_1")
        assert get_backlog_item(connection, page, BacklogKind.GAP, "t_1") is None
        assert count_backlog(connection, page)[BacklogKind.HISTORY] == 1
        assert count_backlog(connection, other_page)[BacklogKind.GAP] == 1


def test_a_gone_conversation_is_backlog_nothing(store: Store, page: Page) -> None:
    store_conversations(store, page, with_older(1), with_older(2))
    put(store, page, item("t_1"), item("t_2"), item("t_9"))
    gone(store, page, "t_1")
    assert listed(store, page) == ["t_2", "t_9"]
    assert [each.conversation_id for each in history(store, page)] == ["t_2"]
    with store.read() as connection:
        assert count_backlog(connection, page) == {
            BacklogKind.CONVERSATION: 0,
            BacklogKind.GAP: 2,
            BacklogKind.HISTORY: 0,
        }
        assert count_older(connection, page, messages=10) == Older(conversations=1, messages=10)


def test_history_is_backlog_newest_conversation_first(store: Store, page: Page, other_page: Page) -> None:
    complete = with_older(0, has_older=False)
    store_conversations(store, page, with_older(3), with_older(1), with_older(2), complete)
    store_conversations(store, other_page, with_older(4))
    assert history(store, page) == [item(f"t_{number}", BacklogKind.HISTORY) for number in (1, 2, 3)]
    assert history(store, page, limit=1, excluding=["t_1"]) == [item("t_2", BacklogKind.HISTORY)]


def test_history_goes_on_where_the_ledger_says(store: Store, page: Page) -> None:
    store_conversations(store, page, with_older(1), with_older(2), with_older(3))
    started = item("t_1", BacklogKind.HISTORY, cursor="further", attempts=2, problem=PROBLEM)
    put(store, page, started, item("t_2", BacklogKind.GAP, cursor="of the gap"))
    put(store, page, item("t_3", BacklogKind.HISTORY, next_attempt_at=NOW + HOUR))
    assert history(store, page) == [started, item("t_2", BacklogKind.HISTORY)]
    assert len(history(store, page, now=NOW + HOUR)) == 3


def test_a_ledger_of_many_can_be_left_out(store: Store, page: Page) -> None:
    store_conversations(store, page, with_older(1))
    assert history(store, page, excluding={f"x{number}" for number in range(70_000)})


def test_older_messages_are_estimated_and_never_negative(store: Store, page: Page) -> None:
    with store.read() as connection:
        assert count_older(connection, page, messages=10) == Older(conversations=0, messages=0)
    store_conversations(store, page, with_older(1, count=50), with_older(2, count=None))
    with store.read() as connection:
        assert count_older(connection, page, messages=10) == Older(conversations=2, messages=30)
        assert count_older(connection, page, messages=100) == Older(conversations=2, messages=0)


sqlite_only = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


def plan(store: Store, sql: str) -> list[str]:
    with store.read() as connection:
        rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", (0,) * sql.count("?")).all()
    return [str(row.detail) for row in rows]


@sqlite_only
def test_older_messages_are_counted_from_the_index_alone(
    store: Store, page: Page, statements: Callable[[], Any]
) -> None:
    with statements() as sent, store.read() as connection:
        count_older(connection, page, messages=10)
    (step,) = plan(store, sent[-1])
    assert "USING COVERING INDEX ix_messenger_conversations_has_older_messages" in step


@sqlite_only
def test_history_is_listed_along_the_index_without_sorting(
    store: Store, page: Page, statements: Callable[[], Any]
) -> None:
    with statements() as sent, store.read() as connection:
        list_history(connection, page, now=NOW, limit=5)
    steps = plan(store, sent[-1])
    assert "USING INDEX ix_messenger_conversations_has_older_messages" in steps[0]
    assert not [step for step in steps if "TEMP B-TREE" in step]


def test_the_order_of_the_ledger_does_not_depend_on_how_often_it_was_written(
    store: Store, page: Page
) -> None:
    put(store, page, item("t_1"), now=NOW - HOUR)
    put(store, page, item("t_2"), now=NOW)
    with store.read() as connection:
        found = get_backlog_item(connection, page, BacklogKind.GAP, "t_1")
    assert found is not None
    put(store, page, replace(found, cursor="further"), now=NOW + HOUR)
    assert listed(store, page) == ["t_1", "t_2"]
