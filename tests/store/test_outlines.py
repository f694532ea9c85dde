from datetime import UTC, datetime, timedelta

from inboxsync.model import Conversation, Message, Page
from inboxsync.store import Store
from inboxsync.store.conversation_rows import mark_gone
from inboxsync.store.outlines import StoredOutline, iter_conversations, message_ids
from inboxsync.store.writes import upsert_batch

NOW = datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC)


def upsert(store: Store, page: Page, *conversations: Conversation, folder: str = "inbox") -> None:
    with store.write() as connection:
        upsert_batch(connection, page, conversations, folder=folder, source="initial_sync", now=NOW)


def outlines(store: Store, page: Page, *, folder: str = "inbox") -> list[StoredOutline]:
    with store.read() as connection:
        return list(iter_conversations(connection, page, folder=folder))


def messages(*ages: int) -> tuple[Message, ...]:
    return tuple(Message(message_id=f"m_{age}", sent_at=NOW - timedelta(hours=age)) for age in ages)


def test_an_outline_tells_what_is_stored(store: Store, page: Page) -> None:
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
    assert outlines(store, page) == [
        StoredOutline(
            conversation_id="t_1",
            source_updated_at=NOW,
            message_count=9,
            has_older_messages=True,
            status="active",
            stored_messages=2,
        )
    ]


def test_every_conversation_of_the_folder_is_told_once(store: Store, page: Page, other_page: Page) -> None:
    ids = [f"t_{number}" for number in range(2001)]
    upsert(store, page, *(Conversation(conversation_id=each) for each in ids))
    upsert(store, page, Conversation(conversation_id="t_spam"), folder="spam")
    upsert(store, other_page, Conversation(conversation_id="t_elsewhere"))
    assert [each.conversation_id for each in outlines(store, page)] == sorted(ids)
    assert len(outlines(store, page, folder="spam")) == 1
    assert outlines(store, page, folder="other") == []


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
    (gone,) = outlines(store, page)
    assert (gone.status, gone.stored_messages) == ("gone", 1)
    assert [each.status for each in outlines(store, other_page)] == ["active"]


def test_a_gone_conversation_that_is_served_again_is_active(store: Store, page: Page) -> None:
    served = Conversation(conversation_id="t_1", source_updated_at=NOW)
    upsert(store, page, served)
    with store.write() as connection:
        mark_gone(connection, page, ["t_1"], now=NOW)
    upsert(store, page, served)
    assert [each.status for each in outlines(store, page)] == ["active"]
