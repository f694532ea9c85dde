from datetime import UTC, datetime, timedelta

from inboxsync.model import Conversation, Message, Page
from inboxsync.store import Store
from inboxsync.store.reading.summaries import (
    StoredSummary,
    count_unreadable,
    iter_conversation_ids,
    message_ids,
    summaries_of,
)
from inboxsync.store.state.conversations import mark_gone
from inboxsync.store.writing.upsert import upsert_batch

NOW = datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC)


def upsert(store: Store, page: Page, *conversations: Conversation, folder: str = "inbox") -> None:
    with store.write() as connection:
        upsert_batch(connection, page, conversations, folder=folder, source="initial_sync", now=NOW)


def active(store: Store, page: Page) -> list[str]:
    with store.read() as connection:
        return list(iter_conversation_ids(connection, page))


def messages(*ages: int) -> tuple[Message, ...]:
    return tuple(Message(message_id=f"m_{age}", sent_at=NOW - timedelta(hours=age)) for age in ages)


def test_an_summary_tells_what_is_stored(store: Store, page: Page) -> None:
    upsert(
        store,
        page,
        Conversation(
            conversation_id="t_1",
            source_updated_at=NOW,
            message_count=9,
            messages=messages(1, 2),
            has_older_messages=True,
        ),
    )
    with store.read() as connection:
        assert summaries_of(connection, page, ["t_1", "t_2"]) == {
            "t_1": StoredSummary(
                conversation_id="t_1",
                source_updated_at=NOW,
                message_count=9,
                has_older_messages=True,
                stored_messages=2,
            )
        }


def test_every_conversation_of_a_page_is_told_once(store: Store, page: Page, other_page: Page) -> None:
    ids = [f"t_{number}" for number in range(2001)]
    upsert(store, page, *(Conversation(conversation_id=each) for each in ids))
    upsert(store, page, Conversation(conversation_id="t_spam"), folder="spam")
    upsert(store, other_page, Conversation(conversation_id="t_elsewhere"))
    assert sorted(active(store, page)) == [*sorted(ids), "t_spam"]


def test_unreadable_messages_are_counted(store: Store, page: Page, other_page: Page) -> None:
    bare = Message(message_id="m_bare", sent_at=NOW, is_readable=False)
    upsert(store, page, Conversation(conversation_id="t_1", messages=(*messages(1), bare)))
    with store.read() as connection:
        assert count_unreadable(connection, page) == 1
        assert count_unreadable(connection, other_page) == 0


def test_messages_are_listed_newest_first(store: Store, page: Page, other_page: Page) -> None:
    undated = Message(message_id="m_undated")
    for each in (page, other_page):
        upsert(store, each, Conversation(conversation_id="t_1", messages=(undated, *messages(3, 1, 2))))
    with store.read() as connection:
        assert message_ids(connection, page, "t_1") == ["m_1", "m_2", "m_3", "m_undated"]
        assert message_ids(connection, page, "t_2") == []


def test_what_is_gone_is_marked_once_and_keeps_its_messages(
    store: Store, page: Page, other_page: Page
) -> None:
    for each in (page, other_page):
        upsert(store, each, Conversation(conversation_id="t_1", messages=messages(1)))
    unknown = [f"x{number}" for number in range(40_000)]
    with store.write() as connection:
        assert mark_gone(connection, page, [*unknown, "t_1"], now=NOW) == 1
        assert mark_gone(connection, page, ["t_1"], now=NOW) == 0
        assert mark_gone(connection, page, [], now=NOW) == 0
    assert active(store, page) == []
    assert active(store, other_page) == ["t_1"]
    with store.read() as connection:
        assert summaries_of(connection, page, ["t_1"])["t_1"].stored_messages == 1


def test_a_gone_conversation_that_is_served_again_is_active(store: Store, page: Page) -> None:
    served = Conversation(conversation_id="t_1", source_updated_at=NOW)
    upsert(store, page, served)
    with store.write() as connection:
        mark_gone(connection, page, ["t_1"], now=NOW)
    upsert(store, page, served)
    assert active(store, page) == ["t_1"]
