"""Rows that were made before the transaction began are what would have been written without."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

import pytest

from inboxsync.model import Conversation, Message, Page, Participant, SourceRecord
from inboxsync.store import Store
from inboxsync.store.writing.prepared import PreparedConversation, prepare
from inboxsync.store.writing.upsert import upsert_batch
from tests.fixtures import Row
from tests.store.fixtures import Rows

NOW = datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC)
ANN = Participant(id="7", name="Ann")
MESSAGES = (
    Message(message_id="m_3", sent_at=NOW, sender_id="7", text="now\0then"),
    Message(
        message_id="m_2", sent_at=NOW - timedelta(hours=1), is_from_page=True, attachments='[{"id":"1"}]'
    ),
    Message(
        message_id="m_2", sent_at=NOW - timedelta(hours=1), is_from_page=True, attachments='[{"id":"2"}]'
    ),
    Message(message_id="m_1", is_readable=False),
)


def conversation(number: int, *, messages: tuple[Message, ...] = MESSAGES) -> Conversation:
    return Conversation(
        conversation_id=f"t_{number}",
        source_updated_at=NOW,
        contact=ANN,
        participants=(ANN,),
        messages=messages,
    )


def put(store: Store, page: Page, *served: SourceRecord) -> None:
    with store.write() as connection:
        upsert_batch(connection, page, served, folder="inbox", source="initial_sync", now=NOW)


# A conversation's row and its messages, by Graph's id.
WrittenOf: TypeAlias = Callable[[str], tuple[list[Row], list[Row]]]


@pytest.fixture
def written(rows: Rows) -> WrittenOf:
    def read(graph_id: str) -> tuple[list[Row], list[Row]]:
        """The conversation's row and its messages, without ids of ours and Graph's of the conversation."""
        of = f"FROM messenger_conversations AS c WHERE c.conversation_id = '{graph_id}'"
        row = rows(f"SELECT sender_id, participants, last_message, fingerprint_messages, extra {of}")
        messages = rows(
            "SELECT message_id, sent_at, is_from_page, sender_id, text, attachments, is_readable, extra "
            f"FROM messages WHERE conversation_id = (SELECT c.id {of}) ORDER BY message_id"
        )
        return row, messages

    return read


def test_a_prepared_is_stored_as_what_it_was_made_of(store: Store, page: Page, written: WrittenOf) -> None:
    prepared = prepare(conversation(2))
    prepared.rows()
    put(store, page, conversation(1), prepared)
    assert written("t_2") == written("t_1")
    assert len(written("t_2")[1]) == 3


def test_a_prepared_of_what_is_stored_brings_it_up_to_date(
    store: Store, page: Page, rows: Rows, written: WrittenOf
) -> None:
    put(store, page, conversation(1, messages=MESSAGES[3:]))
    known = rows("SELECT id FROM messenger_conversations")
    prepared = prepare(conversation(1))
    prepared.rows()
    put(store, page, prepared, conversation(2))
    assert rows("SELECT id FROM messenger_conversations WHERE conversation_id = 't_1'") == known
    assert written("t_1")[1] == written("t_2")[1]


def test_a_new_conversation_has_the_id_of_its_prepared(store: Store, page: Page, rows: Rows) -> None:
    prepared = PreparedConversation(conversation(1, messages=()))
    assert prepare(prepared) is prepared
    put(store, page, prepared)
    assert rows("SELECT id FROM messenger_conversations") == [(prepared.row_id,)]
