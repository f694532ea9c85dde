"""Lists by key: every record once, in order, whatever comes meanwhile; the same on both databases."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import msgspec
import pytest
from sqlalchemy import Connection, text

from inboxsync.model import BacklogItem, BacklogKind, Conversation, Message, Page, Participant
from inboxsync.store import Store
from inboxsync.store.reading import (
    ContactFilter,
    ConversationFilter,
    Gap,
    Key,
    Listed,
    get_conversation,
    list_contacts,
    list_conversations,
    list_gaps,
    list_messages,
    list_overviews,
)
from inboxsync.store.state.backlog import put_backlog_item
from inboxsync.store.writing.upsert import upsert_batch
from tests.store.fixtures import Fields, recorded

NOW = datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC)
R = TypeVar("R")


def conversation(number: int, **values: Fields) -> Conversation:
    """Several have the same time, some have none; `values` are further fields."""
    at = None if number % 10 == 9 else NOW - timedelta(minutes=number // 3)
    contact = Participant(id=str(1000 + number % 20), name=f"Ann {number}")
    usual = Conversation(
        conversation_id=f"t_{number}", source_updated_at=at, contact=contact, participants=(contact,)
    )
    return msgspec.structs.replace(usual, **values)


def put(store: Store, page: Page, conversations: list[Conversation], *, folder: str = "inbox") -> None:
    with store.write() as connection:
        upsert_batch(connection, page, conversations, folder=folder, source="initial_sync", now=NOW)


def all_of(store: Store, read: Callable[[Connection, Key | None], Listed[R]]) -> list[R]:
    """A list to its end, each part in a transaction of its own."""

    def parts() -> Iterator[R]:
        after: Key | None = None
        while True:
            with store.read() as connection:
                listed = read(connection, after)
            yield from listed.records
            after = listed.next
            if after is None:
                return

    return list(parts())


def graph_ids(store: Store, wanted: ConversationFilter, *, limit: int = 7) -> list[str]:
    found = all_of(
        store, lambda connection, after: list_conversations(connection, wanted, after=after, limit=limit)
    )
    times = [each.last_message_time for each in found]
    known = [at for at in times if at is not None]
    assert known == sorted(known, reverse=True)
    assert times[len(known) :] == [None] * (len(times) - len(known))
    return [each.conversation_id for each in found]


@pytest.fixture
def filled(store: Store, page: Page, other_page: Page) -> Store:
    put(store, page, [conversation(number, unread_count=number % 4) for number in range(60)])
    put(store, page, [conversation(number) for number in range(60, 70)], folder="spam")
    put(store, other_page, [conversation(number) for number in range(20)])
    return store


def test_a_list_has_every_conversation_once_newest_first_those_without_a_time_last(
    filled: Store, page: Page
) -> None:
    found = graph_ids(filled, ConversationFilter(page_id=page.id))
    assert sorted(found) == sorted(f"t_{number}" for number in range(70))
    assert len(graph_ids(filled, ConversationFilter())) == 90


def test_what_comes_meanwhile_hides_and_repeats_nothing(filled: Store, page: Page) -> None:
    wanted = ConversationFilter(page_id=page.id)
    with filled.read() as connection:
        first = list_conversations(connection, wanted, limit=20)
    late = NOW + timedelta(hours=1)
    put(filled, page, [conversation(number, source_updated_at=late) for number in (200, 201)])
    with filled.read() as connection:
        rest = list_conversations(connection, wanted, after=first.next, limit=100)
    ids = [each.conversation_id for each in (*first.records, *rest.records)]
    assert sorted(ids) == sorted(f"t_{number}" for number in range(70))


def test_conversations_are_found_by_what_they_are(filled: Store, page: Page) -> None:
    def found(**wanted: Fields) -> set[int]:  # fields of a filter
        ids = graph_ids(filled, ConversationFilter(page_id=page.id, **wanted))
        assert len(ids) == len(set(ids))
        return {int(each.removeprefix("t_")) for each in ids}

    assert found(folder="spam") == set(range(60, 70))
    assert found(folder="inbox") == set(range(60))
    assert found(is_unread=True) == {number for number in range(60) if number % 4}
    assert found(is_unread=False) == {number for number in range(70) if number >= 60 or number % 4 == 0}
    assert found(folder="inbox", is_unread=True, sender_id="1003") == {3, 23, 43}
    assert found(sender_id="1003") == {3, 23, 43, 63}
    assert found(updated_since=NOW - timedelta(minutes=2)) == set(range(9))


def test_one_conversation_is_read_by_our_id(filled: Store, page: Page) -> None:
    with filled.read() as connection:
        (first,) = list_conversations(connection, ConversationFilter(page_id=page.id), limit=1).records
        assert get_conversation(connection, first.id) == first
        assert get_conversation(connection, "nothing") is None


def test_a_thread_is_read_in_both_directions(store: Store, page: Page) -> None:
    messages = tuple(
        Message(
            message_id=f"m_{number:02}",
            sent_at=None if number >= 38 else NOW - timedelta(seconds=number // 2),
            is_from_page=bool(number % 2),
            text=str(number),
        )
        for number in range(40)
    )
    put(store, page, [conversation(1, messages=messages)])
    with store.read() as connection:
        (found,) = list_conversations(connection, ConversationFilter()).records
    older = all_of(store, lambda connection, key: list_messages(connection, found.id, before=key, limit=7))
    in_order = [each.message_id for each in older]
    assert sorted(in_order) == [f"m_{number:02}" for number in range(40)]
    times = [each.sent_at for each in older]
    assert times[:38] == sorted((at for at in times if at), reverse=True)
    with store.read() as connection:
        key: Key | None = older[-1].key
        newer: list[str] = [older[-1].message_id]
        while key is not None:
            listed = list_messages(connection, found.id, after=key, limit=7)
            newer = [each.message_id for each in listed.records] + newer
            key = listed.next
    assert newer == in_order


def test_a_gap_is_told_with_the_message_above_which_it_lies(store: Store, page: Page) -> None:
    put(store, page, [conversation(1, messages=(Message(message_id="m_1", sent_at=NOW),))])
    item = BacklogItem(conversation_id="t_1", kind=BacklogKind.GAP, folder="inbox", anchors=("m_1", "m_0"))
    with store.write() as connection:
        put_backlog_item(connection, page, item, now=NOW)
    with store.read() as connection:
        (found,) = list_conversations(connection, ConversationFilter()).records
        (gap,) = list_gaps(connection, found.id)
        assert (gap.above_message_id, gap.since, gap.problem) == ("m_1", NOW, None)
    with store.write() as connection:
        connection.execute(text("DELETE FROM messages"))
    with store.read() as connection:
        # It has no place any more, and is told all the same.
        assert list_gaps(connection, found.id) == [Gap(above_message_id=None, since=NOW, problem=None)]


def test_an_overview_counts_each_page(filled: Store, page: Page) -> None:
    with filled.read() as connection:
        ours, theirs = list_overviews(connection)
    assert (ours.page.id, ours.conversations, ours.unread, ours.backlog) == (page.id, 70, 45, 0)
    assert (theirs.conversations, theirs.unread) == (20, 0)


def plans(connection: Connection, read: Callable[[Connection], object]) -> str:
    """How the database goes about the statements of a read."""
    with recorded(connection) as asked:
        read(connection)
    explain = "EXPLAIN" if connection.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN"
    rows = [
        row
        for statement, values in asked
        for row in connection.exec_driver_sql(f"{explain} {statement}", values)
    ]
    return "\n".join(str(row[-1]) for row in rows)


@pytest.fixture
def many(store: Store, page: Page) -> Page:
    """A Page with 5,000 conversations, few of which are anything special; and what follows from them."""
    if store.engine.dialect.name == "postgresql":
        numbers, at = (
            "(SELECT i FROM generate_series(1, 5000) AS s(i))",
            "CAST('2026-01-01' AS timestamptz) + i * interval '1 minute'",
        )
    else:
        numbers = (
            "(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) SELECT i FROM n)"
        )
        at = "strftime('%Y-%m-%dT%H:%M:%S.000Z', 1767225600 + 60 * i, 'unixepoch')"
    with store.write() as connection:
        connection.exec_driver_sql(
            "INSERT INTO messenger_conversations (id, page_id, conversation_id, platform, folder, sender_id, "
            "last_message_time, unread_count, conversation_status, has_older_messages, created_at, "
            "updated_at) "
            f"SELECT 'c' || i, '{page.id}', 't' || i, 'messenger', 'inbox', 's' || i, {at}, "
            f"CASE WHEN i / 50 * 50 = i THEN 1 END, 'active', false, {at}, {at} FROM {numbers} AS n"
        )
        connection.exec_driver_sql(
            "INSERT INTO contacts (page_id, sender_id, name_source, listed_at, unanswered_since_at, "
            "conversations, messages_from_contact, messages_from_page, has_phone, has_email, "
            "has_older_messages) "
            f"SELECT '{page.id}', 's' || i, "
            f"'none', {at}, CASE WHEN i / 500 * 500 = i THEN {at} END, 1, 1, 0, (i - 1) / 500 * 500 = i - 1, "
            "(i - 2) / 500 * 500 = i - 2, false "
            f"FROM {numbers} AS n"
        )
        connection.execute(text("ANALYZE"))
    return page


def test_those_that_are_read_are_not_sorted_to_find_the_newest(store: Store, many: Page) -> None:
    with store.read() as connection:
        wanted = ConversationFilter(page_id=many.id, is_unread=False)
        plan = plans(connection, lambda reading: list_conversations(reading, wanted, limit=20))
        assert len(list_conversations(connection, wanted, limit=10_000).records) == 4900
    assert "ix_messenger_conversations_page_id_last_message_time" in plan
    assert "Seq Scan on messenger_conversations" not in plan


@pytest.mark.parametrize(
    ("what", "wanted"),
    [
        ("unanswered", ContactFilter(is_unanswered=True)),
        ("with_phone", ContactFilter(has_phone=True)),
        ("with_email", ContactFilter(has_email=True)),
    ],
    ids=["unanswered", "with_phone", "with_email"],
)
def test_few_contacts_of_many_are_found_by_an_index_of_their_own(
    store: Store, many: Page, what: str, wanted: ContactFilter
) -> None:
    index, wanted = f"ix_contacts_{what}", replace(wanted, page_id=many.id)
    with store.read() as connection:
        assert index in plans(connection, lambda reading: list_contacts(reading, wanted, limit=50))
        assert len(list_contacts(connection, wanted).records) == 10
