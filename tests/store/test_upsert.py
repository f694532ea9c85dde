from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from inboxsync.model import Conversation, Counts, Message, Page, Participant
from inboxsync.store import Store
from inboxsync.store.connection.types import format_utc
from inboxsync.store.writing.upsert import upsert_batch
from tests.fixtures import examples
from tests.store.fixtures import Fields

NOW = datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC)
ANN = Participant(id="7", name="Ann")


def conversation(**changes: Fields) -> Conversation:
    given_values: dict[str, Any] = {
        "conversation_id": "t_1",
        "source_updated_at": NOW,
        "contact": ANN,
        "participants": (ANN,),
        "messages": (Message(message_id="m_1", sent_at=NOW, sender_id="7", text="hello"),),
    }
    return Conversation(**(given_values | changes))


def upsert(store: Store, page: Page, *conversations: Conversation, source: str = "initial_sync") -> Counts:
    with store.write() as connection:
        return upsert_batch(connection, page, conversations, folder="inbox", source=source, now=NOW).counts


def rows(store: Store, sql: str) -> list[tuple[Any, ...]]:
    with store.read() as connection:
        found = [tuple(row) for row in connection.exec_driver_sql(sql)]
    return [tuple(format_utc(each) if isinstance(each, datetime) else each for each in row) for row in found]


def test_a_repeat_stores_nothing_new(store: Store, page: Page) -> None:
    first = upsert(store, page, conversation())
    assert first == Counts(fetched=1, inserted=1, events=1)
    before = rows(store, "SELECT * FROM messenger_conversations") + rows(store, "SELECT * FROM messages")
    assert upsert(store, page, conversation()) == Counts(fetched=1, unchanged=1)
    assert before == rows(store, "SELECT * FROM messenger_conversations") + rows(
        store, "SELECT * FROM messages"
    )


def test_an_older_answer_never_overwrites_a_newer_one(store: Store, page: Page) -> None:
    upsert(store, page, conversation(snippet="new", unread_count=0))
    older = conversation(snippet="old", unread_count=5, source_updated_at=NOW - timedelta(hours=1))
    assert upsert(store, page, older).updated == 0
    assert rows(store, "SELECT last_message, unread_count FROM messenger_conversations") == [("new", 0)]


def test_an_absent_value_never_overwrites_a_present_one(store: Store, page: Page) -> None:
    upsert(store, page, conversation(snippet="hello", message_count=4))
    bare = Conversation(
        conversation_id="t_1",
        source_updated_at=NOW + timedelta(hours=1),
        messages=(Message(message_id="m_1", text=""),),
    )
    upsert(store, page, bare)
    kept = "SELECT sender_id, sender_name, last_message, message_count FROM messenger_conversations"
    assert rows(store, kept) == [("7", "Ann", "hello", 4)]
    assert rows(store, "SELECT text, sender_id FROM messages") == [("hello", "7")]


def test_an_edited_text_is_stored_and_counts_as_no_event(store: Store, page: Page) -> None:
    upsert(store, page, conversation())
    edited = Message(message_id="m_1", sent_at=NOW, sender_id="7", text="hello!")
    assert upsert(store, page, conversation(messages=(edited,))).events == 0
    assert rows(store, "SELECT text FROM messages") == [("hello!",)]


def test_media_is_filled_in_and_never_replaced(store: Store, page: Page) -> None:
    for served in (None, '[{"url":"a?sig=1"}]', '[{"url":"a?sig=2"}]'):
        upsert(store, page, conversation(messages=(Message(message_id="m_1", attachments=served),)))
    assert rows(store, "SELECT attachments->0->>'url' FROM messages") == [("a?sig=1",)]


def test_source_tells_how_a_message_first_arrived(store: Store, page: Page) -> None:
    upsert(store, page, conversation())
    later = Message(message_id="m_2", sent_at=NOW, text="more")
    upsert(store, page, conversation(messages=(later, *conversation().messages)), source="incremental_sync")
    assert rows(store, "SELECT message_id, source FROM messages ORDER BY 1") == [
        ("m_1", "initial_sync"),
        ("m_2", "incremental_sync"),
    ]


def test_of_one_conversation_served_twice_the_first_counts(store: Store, page: Page) -> None:
    counts = upsert(store, page, conversation(snippet="newer"), conversation(snippet="older"))
    assert counts == Counts(fetched=1, inserted=1, events=1)
    assert rows(store, "SELECT last_message FROM messenger_conversations") == [("newer",)]


def test_ids_differ_by_case(store: Store, page: Page) -> None:
    upsert(store, page, conversation(conversation_id="t_a"), conversation(conversation_id="t_A"))
    assert rows(store, "SELECT count(*) FROM messenger_conversations") == [(2,)]


def test_a_newest_message_without_words_leaves_none_standing(store: Store, page: Page) -> None:
    upsert(store, page, conversation())
    sticker = Message(message_id="m_2", sent_at=NOW, sticker="https://x")
    upsert(store, page, conversation(messages=(sticker, *conversation().messages)))
    assert rows(store, "SELECT last_message FROM messenger_conversations") == [("",)]


def test_an_unsayable_name_is_no_name(store: Store, page: Page) -> None:
    upsert(store, page, conversation(contact=None, participants=()))
    assert rows(store, "SELECT sender_id, sender_name FROM messenger_conversations") == [(None, None)]


UNREADABLE = Message(message_id="m_1", sent_at=NOW, is_readable=False)
DETAILED = Message(
    message_id="m_1",
    sent_at=NOW,
    is_from_page=True,
    sender_id="104",
    text="hi",
    attachments='[{"id":"1"}]',
    reply_to_message_id="m_0",
)
MESSAGES = "SELECT * FROM messages"


def test_an_unreadable_message_is_kept_and_is_no_event(store: Store, page: Page) -> None:
    counts = upsert(store, page, conversation(messages=(UNREADABLE, Message(message_id="m_2", sent_at=NOW))))
    assert counts.events == 2
    assert rows(store, "SELECT message_id, is_readable FROM messages ORDER BY 1") == [("m_1", 0), ("m_2", 1)]
    assert rows(store, "SELECT id FROM contact_interaction_events") == [("m_2",)]


def test_a_message_that_becomes_readable_is_filled_in(store: Store, page: Page) -> None:
    upsert(store, page, conversation(messages=(UNREADABLE,)))
    assert upsert(store, page, conversation(messages=(DETAILED,))).events == 0
    filled = rows(store, MESSAGES)
    assert rows(store, "SELECT is_readable, is_from_page, text, reply_to_message_id FROM messages") == [
        (1, 1, "hi", "m_0")
    ]
    assert rows(store, "SELECT event_type FROM contact_interaction_events") == [("message_sent",)]
    with store.write() as connection:
        connection.exec_driver_sql("DELETE FROM messenger_conversations")
    upsert(store, page, conversation(messages=(DETAILED,)))
    ours = len(("conversation_id",))
    assert [row[ours:] for row in rows(store, MESSAGES)] == [row[ours:] for row in filled]


def test_a_readable_message_keeps_everything_when_details_are_withheld(store: Store, page: Page) -> None:
    upsert(store, page, conversation(messages=(DETAILED,)))
    before = rows(store, MESSAGES)
    withheld = Message(message_id="m_1", sent_at=NOW, text="", extra='{"why":"old"}', is_readable=False)
    upsert(store, page, conversation(messages=(withheld,)))
    assert rows(store, MESSAGES) == before


def test_the_time_of_an_unreadable_message_is_filled_in(store: Store, page: Page) -> None:
    upsert(store, page, conversation(messages=(Message(message_id="m_1", is_readable=False),)))
    upsert(store, page, conversation(messages=(UNREADABLE,)))
    assert rows(store, "SELECT sent_at, is_readable FROM messages") == [("2026-06-01T12:00:00.000Z", 0)]


texts = st.text(max_size=20)
conversations_strategy = st.lists(
    st.builds(
        Conversation,
        conversation_id=st.sampled_from(["t_1", "t_2", "t_3"]),
        source_updated_at=st.sampled_from([NOW, NOW + timedelta(seconds=1), NOW + timedelta(seconds=2)]),
        snippet=st.none() | texts,
        messages=st.lists(
            st.builds(
                Message,
                message_id=st.sampled_from(["m_1", "m_2", "m_3"]),
                text=st.none() | texts,
                sent_at=st.just(NOW),
                is_readable=st.booleans(),
            ),
            max_size=3,
        ).map(tuple),
        has_older_messages=st.booleans(),
    ),
    max_size=6,
)


@settings(max_examples=examples(40))
@given(batches=st.lists(conversations_strategy, max_size=3))
def test_repeating_the_last_answer_changes_nothing(
    store: Store, page: Page, batches: list[list[Conversation]]
) -> None:
    for batch in batches:
        upsert(store, page, *batch)
        everything = rows(store, "SELECT * FROM messenger_conversations") + rows(
            store, "SELECT * FROM messages"
        )
        again = upsert(store, page, *batch)
        assert (again.inserted, again.updated, again.events) == (0, 0, 0)
        assert everything == rows(store, "SELECT * FROM messenger_conversations") + rows(
            store, "SELECT * FROM messages"
        )


def test_the_users_own_sql_runs_unchanged(store: Store, page: Page) -> None:
    upsert(store, page, conversation(), conversation(conversation_id="t_2", messages=()))
    assert rows(
        store,
        "SELECT page_id, COUNT(*) AS total_conversations, COUNT(DISTINCT sender_id) AS unique_contacts "
        "FROM messenger_conversations GROUP BY page_id;",
    ) == [(page.id, 2, 1)]
    assert rows(
        store,
        "SELECT COUNT(*) AS total_events, COUNT(DISTINCT conversation_id) AS conversations_with_events\n"
        "  FROM contact_interaction_events WHERE metadata->>'source' = 'initial_sync';",
    ) == [(1, 1)]
    with store.write() as connection:
        updated = connection.exec_driver_sql(
            f"UPDATE facebook_pages SET last_synced_at = NULL WHERE id = '{page.id}';"
        )
        assert updated.rowcount == 1


def test_events_are_the_messages_seen_from_the_contact(store: Store, page: Page) -> None:
    ours = Message(message_id="m_2", sent_at=NOW, sender_id="104", is_from_page=True, text="hi")
    upsert(store, page, conversation(messages=(ours, *conversation().messages)))
    assert rows(
        store,
        "SELECT id, sender_id, event_type, is_outbound, channel, event_timestamp, metadata->>'message_id' "
        "FROM contact_interaction_events ORDER BY id",
    ) == [
        ("m_1", "7", "message_replied", 0, "messenger", "2026-06-01T12:00:00.000Z", "m_1"),
        ("m_2", "7", "message_sent", 1, "messenger", "2026-06-01T12:00:00.000Z", "m_2"),
    ]
