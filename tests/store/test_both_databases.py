"""Whatever is served in whatever order: SQLite and PostgreSQL hold the same, and count the same."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inboxsync.model import Conversation, Message, Page, Participant, Platform
from inboxsync.store import Store
from inboxsync.store.connection.types import format_utc
from inboxsync.store.state.pages import upsert_page
from inboxsync.store.writing.upsert import upsert_batch, upsert_message_batch
from tests.fixtures import PostgresServer, examples
from tests.store.fixtures import Value

NOW = datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC)
times = st.none() | st.sampled_from([NOW, NOW + timedelta(seconds=1), NOW + timedelta(seconds=2)])
texts = st.sampled_from([None, "", "a", "b", "\\N\t\n"])
json_texts = st.sampled_from([None, "[]", '{"a":1}', '{"b":[1,"x"]}'])
messages = st.builds(
    Message,
    message_id=st.sampled_from(["m_1", "M_1", "m_2", "m_3"]),
    sent_at=times,
    is_from_page=st.booleans(),
    sender_id=texts,
    sender_name=texts,
    text=texts,
    attachments=json_texts,
    sticker=texts,
    reactions=json_texts,
    reply_to_message_id=texts,
    extra=st.sampled_from([None, '{"a":1}', '{"b":2}']),
    is_readable=st.booleans(),
)
people = st.builds(Participant, id=st.sampled_from(["7", "8"]), name=texts)
conversations = st.builds(
    Conversation,
    conversation_id=st.sampled_from(["t_1", "T_1", "t_2"]),
    source_updated_at=times,
    contact=st.none() | people,
    participants=st.lists(people, max_size=2, unique_by=lambda each: each.id).map(tuple),
    snippet=texts,
    message_count=st.none() | st.integers(0, 3),
    unread_count=st.none() | st.integers(0, 3),
    messages=st.lists(messages, max_size=4).map(tuple),
    has_older_messages=st.booleans(),
    extra=st.sampled_from([None, '{"a":1}', '{"b":2}']),
)
steps = st.tuples(
    st.sampled_from(["initial_sync", "history_sync", "webhook"]), st.lists(conversations, max_size=4)
)
CONVERSATIONS = (
    "SELECT conversation_id, folder, sender_id, sender_name, participants, last_message, last_message_time, "
    "message_count, unread_count, conversation_status, has_older_messages, source_updated_at, extra, "
    "created_at, updated_at FROM messenger_conversations"
)
MESSAGES = (
    "SELECT c.conversation_id, m.message_id, sent_at, is_from_page, m.sender_id, m.sender_name, text, "
    "attachments, sticker, reactions, reply_to_message_id, source, m.extra, m.created_at, is_readable "
    "FROM messages m JOIN messenger_conversations c ON c.id = m.conversation_id"
)


@pytest.fixture
def both(tmp_path: Path, server: PostgresServer) -> Iterator[tuple[Store, Store]]:
    url = server.create()
    stores = Store.open(f"sqlite:///{tmp_path / 'one.db'}"), Store.open(url)
    yield stores
    for store in stores:
        store.close()
    server.drop(url)


def fresh_page(store: Store) -> Page:
    with store.write() as connection:
        connection.exec_driver_sql("DELETE FROM facebook_pages")
        page, _ = upsert_page(
            connection,
            facebook_page_id="104",
            platform=Platform.MESSENGER,
            account_id="104",
            name="A Page",
            access_token_encrypted="x",
            now=NOW,
        )
    return page


def take(store: Store, page: Page, source: str, served: list[Conversation], now: datetime) -> list[Any]:
    """What the store says of a batch; the messages alone where they came alone."""
    with store.write() as connection:
        if source == "initial_sync":
            return [upsert_batch(connection, page, served, folder="inbox", source=source, now=now)]
        return [
            upsert_message_batch(
                connection, page, each.conversation_id, each.messages, source=source, now=now
            )
            for each in served
        ]


def contents(store: Store) -> list[tuple[Any, ...]]:
    with store.read() as connection:
        rows = [*connection.exec_driver_sql(CONVERSATIONS), *connection.exec_driver_sql(MESSAGES)]
    return sorted((tuple(map(plain, row)) for row in rows), key=repr)


def plain(value: Value) -> Value:
    if isinstance(value, datetime):
        return format_utc(value)
    if isinstance(value, str) and value[:1] in "[{":
        return value.replace(" ", "")
    return int(value) if isinstance(value, bool) else value


@settings(max_examples=examples(60))
@given(served=st.lists(steps, min_size=1, max_size=5))
def test_both_databases_hold_and_count_the_same(
    both: tuple[Store, Store], served: list[tuple[str, list[Conversation]]]
) -> None:
    pages = [fresh_page(store) for store in both]
    for number, (source, batch) in enumerate(served):
        now = NOW + timedelta(minutes=number)
        sqlite, postgresql = (
            take(store, page, source, batch, now) for store, page in zip(both, pages, strict=True)
        )
        assert sqlite == postgresql
        assert contents(both[0]) == contents(both[1])
