"""Every field of a record is in the table of fields, and every rule does what it says on both databases."""

from datetime import UTC, datetime
from typing import Protocol

import msgspec
import pytest

from inboxsync.model import Conversation, Message, Page, Participant
from inboxsync.model.records import CONVERSATION_FIELDS, MESSAGE_FIELDS, Field, Kind, Merge
from inboxsync.store import Store
from inboxsync.store.connection.nul import _TEXTS
from inboxsync.store.tables import messages, messenger_conversations
from inboxsync.store.writing.prepared import (
    ALL_COLUMNS,
    CONVERSATION_COLUMNS,
    conversation_row,
    message_rows,
    whole_rows,
)
from inboxsync.store.writing.upsert import upsert_batch
from tests.store.fixtures import Rows, Value

NOW = datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC)
OWN_OF_MESSAGES = {"conversation_id", "message_id", "source", "created_at"}
OWN_OF_CONVERSATIONS = {
    *("id", "page_id", "conversation_id", "platform", "created_at", "updated_at"),
    *("fingerprint", "fingerprint_messages"),
}
NAMES = [field.name for field in MESSAGE_FIELDS]


def sample(field: Field, number: int) -> Value:
    """One of several different values of a field."""
    return {
        Kind.TEXT: f"text {number}",
        Kind.ID: f"id {number}",
        Kind.JSON: f'{{"n":{number}}}',
        Kind.TIME: NOW.replace(second=number),
        Kind.FLAG: number % 2 == 1,
        Kind.NUMBER: number,
    }[field.kind]


def test_no_field_of_a_message_is_missing_from_the_table() -> None:
    assert {"message_id", *NAMES} == set(Message.__struct_fields__)
    assert {*OWN_OF_MESSAGES, *NAMES} == {column.name for column in messages.c}
    assert set(ALL_COLUMNS) == {"conversation_id", "message_id", *NAMES}
    texts = {field.name for field in MESSAGE_FIELDS if field.kind in (Kind.TEXT, Kind.ID, Kind.JSON)}
    assert set(_TEXTS) == {"message_id", *texts}


def test_no_column_of_a_conversation_is_missing_from_the_table() -> None:
    names = {field.name for field in CONVERSATION_FIELDS}
    assert {*OWN_OF_CONVERSATIONS, *names} == {column.name for column in messenger_conversations.c}
    assert {"folder", *CONVERSATION_COLUMNS} == names


def test_the_rows_have_their_values_in_the_order_of_the_fields() -> None:
    values = {field.name: sample(field, 1) for field in MESSAGE_FIELDS}
    message = Message(message_id="m_1", **values)
    (row,) = whole_rows(message_rows("c_1", [message]))
    held = {
        name: "2026-06-01T12:00:01.000Z" if isinstance(value, datetime) else value
        for name, value in values.items()
    }
    assert dict(zip(ALL_COLUMNS, row, strict=True)) == {
        "conversation_id": "c_1",
        "message_id": "m_1",
        **held,
    }
    ann = Participant(id="7", name="Ann")
    conversation = Conversation(
        conversation_id="t_1",
        source_updated_at=NOW,
        contact=ann,
        participants=(ann,),
        snippet="hello",
        message_count=3,
        unread_count=2,
        link="/inbox",
        messages=(message,),
        extra="{}",
    )
    assert dict(zip(CONVERSATION_COLUMNS, conversation_row(conversation, has_older=True), strict=True)) == {
        "sender_id": "7",
        "sender_name": "Ann",
        "participants": '[{"id":"7","name":"Ann"}]',
        "last_message": "hello",
        "last_message_time": "2026-06-01T12:00:01.000Z",
        "message_count": 3,
        "unread_count": 2,
        "conversation_status": "active",
        "link": "/inbox",
        "has_older_messages": 1,
        "source_updated_at": "2026-06-01T12:00:00.000Z",
        "extra": "{}",
    }


class After(Protocol):
    """The values of one field after messages with these were served, one after the other."""

    def __call__(self, field: Field, *served: Value, is_readable: tuple[bool, ...] = ()) -> list[Value]: ...


@pytest.fixture
def after(store: Store, page: Page, rows: Rows) -> After:
    """The values of one field after messages with these were served, one after the other."""

    def serve(field: Field, *served: Value, is_readable: tuple[bool, ...] = ()) -> list[Value]:
        found = []
        for place, value in enumerate(served):
            values = {field.name: value}
            if is_readable:
                values["is_readable"] = is_readable[place]
            message = Message(message_id="m_1", **values)
            with store.write() as connection:
                conversation = Conversation(conversation_id="t_1", messages=(message,))
                upsert_batch(connection, page, [conversation], folder="inbox", source="x", now=NOW)
            ((stored,),) = rows(f"SELECT {field.name} FROM messages")
            found.append(plain(stored))
        return found

    return serve


def plain(value: Value) -> Value:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, str) and value.startswith("{"):
        return msgspec.json.decode(value)
    if isinstance(value, str) and value.startswith("2026-"):
        return datetime.fromisoformat(value).isoformat()
    return value


def of_kind(*kinds: Merge) -> pytest.MarkDecorator:
    fields = [field for field in MESSAGE_FIELDS if field.merge in kinds]
    return pytest.mark.parametrize("field", fields, ids=lambda field: field.name)


@of_kind(Merge.FILL)
def test_what_is_filled_in_stays(field: Field, after: After) -> None:
    first, second = sample(field, 1), sample(field, 2)
    assert after(field, None, first, second, None) == [None, plain(first), plain(first), plain(first)]


@of_kind(Merge.REPLACE)
def test_what_is_replaced_is_never_replaced_by_nothing(field: Field, after: After) -> None:
    first, second = sample(field, 1), sample(field, 2)
    assert after(field, None, first, second, None) == [None, plain(first), plain(second), plain(second)]


@of_kind(Merge.KEEP)
def test_what_is_kept_stays_as_it_was_first_stored(field: Field, after: After) -> None:
    first, second = sample(field, 1), sample(field, 2)
    assert after(field, first, second) == [plain(first), plain(first)]


@of_kind(Merge.FILL, Merge.REPLACE, Merge.KEEP)
def test_a_message_that_is_revealed_takes_the_newer_value(field: Field, after: After) -> None:
    first, second, third = sample(field, 1), sample(field, 2), sample(field, 1)
    found = after(field, first, second, third, is_readable=(False, True, False))
    assert found == [plain(first), plain(second), plain(second)]


@pytest.mark.parametrize(
    "field", [field for field in MESSAGE_FIELDS if field.kind in (Kind.TEXT, Kind.ID)], ids=lambda f: f.name
)
def test_an_empty_text_does_nothing_to_a_stored_one(field: Field, after: After) -> None:
    assert after(field, "text", "") == ["text", "text"]
