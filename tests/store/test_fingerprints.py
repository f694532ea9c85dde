from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from inboxsync.model import BacklogItem, BacklogKind, Conversation, Counts, Message, Page, Participant
from inboxsync.store import Store
from inboxsync.store.state.backlog import put_backlog_item
from inboxsync.store.state.conversations import mark_gone
from inboxsync.store.writing.prepared import prepare
from inboxsync.store.writing.upsert import upsert_batch, upsert_message_batch
from tests.store.fixtures import Fields, Rows

NOW = datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC)
ANN = Participant(id="7", name="Ann")


class Seen(msgspec.Struct):
    """A conversation that knows its digest, and whether somebody has looked at all of it."""

    conversation: Conversation
    told: str | None
    is_decoded: bool = False

    @property
    def conversation_id(self) -> str:
        return self.conversation.conversation_id

    @property
    def source_updated_at(self) -> datetime | None:
        return self.conversation.source_updated_at

    def fingerprint(self, newest: int | None = None) -> str | None:
        return self.told if newest is None else f"{self.told}-{newest}"

    def whole(self) -> Conversation:
        self.is_decoded = True
        return self.conversation

    def may_hold_nul(self) -> bool:
        return True


def served(
    fingerprint: str | None = "d1", *, text: str = "hello", at: datetime = NOW, number: int = 1
) -> Seen:
    messages = tuple(
        Message(message_id=f"m_{place}", sent_at=at, sender_id="7", text=text) for place in (2, 1)
    )
    conversation = Conversation(
        conversation_id=f"t_{number}",
        source_updated_at=at,
        contact=ANN,
        participants=(ANN,),
        snippet="hello",
        messages=messages,
    )
    return Seen(conversation, fingerprint)


def put(store: Store, page: Page, *conversations: Seen, folder: str = "inbox", **given: Fields) -> Counts:
    with store.write() as connection:
        return upsert_batch(
            connection, page, conversations, folder=folder, source="initial_sync", now=NOW, **given
        ).counts


def run(store: Store, sql: str) -> None:
    with store.write() as connection:
        connection.exec_driver_sql(sql)


def is_looked_at(store: Store, page: Page, fingerprint: str | None = "d1", **given: Fields) -> bool:
    again = served(fingerprint)
    put(store, page, again, **given)
    return again.is_decoded


def test_what_is_served_as_it_was_is_passed_over(store: Store, page: Page, rows: Rows) -> None:
    put(store, page, served(), served("d2", number=2))
    before = rows("SELECT * FROM messenger_conversations ORDER BY id")
    changed = served("d3", text="hello!", number=2)
    again = served()
    assert put(store, page, again, changed) == Counts(fetched=2, unchanged=2)
    assert not again.is_decoded
    assert changed.is_decoded
    assert rows("SELECT DISTINCT text FROM messages ORDER BY text") == [("hello",), ("hello!",)]
    assert rows("SELECT fingerprint, fingerprint_messages FROM messenger_conversations ORDER BY 1") == [
        ("d1", 2),
        ("d3", 2),
    ]
    after = rows("SELECT * FROM messenger_conversations ORDER BY id")
    assert [row[:-2] for row in after] == [row[:-2] for row in before], "nothing else of a row is written"


@pytest.mark.parametrize(
    "done",
    [
        "DELETE FROM messages WHERE message_id = 'm_1'",
        "UPDATE messenger_conversations SET fingerprint = NULL",
        "UPDATE messenger_conversations SET conversation_status = 'gone'",
        "UPDATE messenger_conversations SET folder = 'other'",
    ],
)
def test_whatever_was_done_by_hand_is_looked_at_once_and_mended(
    store: Store, page: Page, rows: Rows, done: str
) -> None:
    put(store, page, served())
    before = rows("SELECT * FROM messages ORDER BY message_id")
    run(store, done)
    assert is_looked_at(store, page)
    assert not is_looked_at(store, page)
    assert rows("SELECT * FROM messages ORDER BY message_id") == before
    assert rows("SELECT folder, conversation_status, fingerprint_messages FROM messenger_conversations") == [
        ("inbox", "active", 2)
    ]


def test_in_another_folder_it_is_looked_at(store: Store, page: Page, rows: Rows) -> None:
    put(store, page, served())
    assert is_looked_at(store, page, folder="page_done")
    assert rows("SELECT folder FROM messenger_conversations") == [("page_done",)]


def test_one_that_was_gone_is_looked_at(store: Store, page: Page) -> None:
    put(store, page, served())
    with store.write() as connection:
        mark_gone(connection, page, ["t_1"], now=NOW)
    assert is_looked_at(store, page)


def test_what_is_backlog_is_looked_at(store: Store, page: Page) -> None:
    put(store, page, served(), served("d2", number=2))
    item = BacklogItem(conversation_id="t_1", kind=BacklogKind.GAP, folder="inbox")
    with store.write() as connection:
        put_backlog_item(connection, page, item, now=NOW)
    again, other = served(), served("d2", number=2)
    put(store, page, again, other)
    assert again.is_decoded
    assert not other.is_decoded


def test_after_one_of_another_shape_it_is_looked_at(store: Store, page: Page, rows: Rows) -> None:
    put(store, page, served())
    put(store, page, served(None, text="changed"))
    assert is_looked_at(store, page)
    assert rows("SELECT DISTINCT text FROM messages") == [("hello",)]


def test_after_an_older_answer_it_is_looked_at(store: Store, page: Page, rows: Rows) -> None:
    put(store, page, served())
    put(store, page, served("d0", text="older", at=NOW - timedelta(hours=1)))
    assert is_looked_at(store, page)
    assert rows("SELECT DISTINCT text FROM messages") == [("hello",)]


def test_after_messages_that_came_by_themselves_it_is_looked_at(store: Store, page: Page, rows: Rows) -> None:
    put(store, page, served())
    edited = Message(message_id="m_1", sent_at=NOW, sender_id="7", text="edited")
    with store.write() as connection:
        upsert_message_batch(connection, page, "t_1", [edited], source="history_sync", now=NOW)
    assert is_looked_at(store, page)
    assert rows("SELECT DISTINCT text FROM messages") == [("hello",)]


def test_another_pages_fingerprint_is_its_own(store: Store, page: Page, other_page: Page) -> None:
    put(store, page, served())
    assert is_looked_at(store, other_page)


def test_after_new_messages_that_came_by_themselves_it_is_not_looked_at(
    store: Store, page: Page, rows: Rows
) -> None:
    put(store, page, served())
    older = [Message(message_id=f"m_{place}", sent_at=NOW, text="older") for place in (1, 0)]
    older[0] = served().conversation.messages[1]  # the two answers overlap
    for _ in range(2):
        with store.write() as connection:
            upsert_message_batch(connection, page, "t_1", older, source="history_sync", now=NOW)
        assert rows("SELECT fingerprint_messages FROM messenger_conversations") == [(3,)]
        assert not is_looked_at(store, page)
    run(store, "DELETE FROM messages WHERE message_id = 'm_0'")
    assert is_looked_at(store, page)


def test_an_answer_with_fewer_messages_is_recognised(store: Store, page: Page) -> None:
    put_prepared = prepare(served(), newest=10)
    with store.write() as connection:
        upsert_batch(connection, page, [put_prepared], folder="inbox", source="initial_sync", now=NOW)
    assert not is_looked_at(store, page, "d1-10")
    assert not is_looked_at(store, page, "d1")
    assert is_looked_at(store, page, "d1-1")
    assert is_looked_at(store, page, "1")
