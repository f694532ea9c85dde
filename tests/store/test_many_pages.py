"""Lists and figures where there are many Pages: right, and without a statement for each."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from inboxsync.model import Conversation, Page, Participant, Platform
from inboxsync.store import Store
from inboxsync.store.pages import upsert_page
from inboxsync.store.reads import ConversationFilter, Key, list_conversations
from inboxsync.store.writes import upsert_batch

NOW = datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC)
MANY = 40


def add_page(store: Store, number: int, name: str | None = None) -> Page:
    with store.write() as connection:
        page, _ = upsert_page(
            connection,
            facebook_page_id=f"9{number:02}",
            platform=Platform.MESSENGER,
            account_id="1",
            name=name,
            access_token_sealed="x",
            now=NOW,
        )
    return page


def put(store: Store, page: Page, number: int, at: datetime | None) -> None:
    contact = Participant(id=f"{number}", name="Ann")
    made = Conversation(
        conversation_id=f"t_{page.facebook_page_id}_{number}",
        source_updated_at=at,
        contact=contact,
        participants=(contact,),
    )
    with store.write() as connection:
        upsert_batch(connection, page, [made], folder="inbox", source="initial_sync", now=NOW)


@pytest.fixture
def pages(store: Store) -> list[Page]:
    """Each with two conversations and one without a time; two Pages share each minute."""
    made = [add_page(store, number) for number in range(MANY)]
    for number, page in enumerate(made):
        put(store, page, 1, NOW - timedelta(minutes=number // 2))
        put(store, page, 2, NOW - timedelta(minutes=100 + number % 7))
        if number % 3 == 0:
            put(store, page, 3, None)
    return made


@pytest.mark.parametrize("limit", [1, 3, 200])
def test_the_list_of_all_pages_is_that_of_each_put_together(
    store: Store, pages: list[Page], limit: int
) -> None:
    found: list[Key] = []
    after: Key | None = None
    with store.read() as connection:
        each = [
            record.key
            for page in pages
            for record in list_conversations(connection, ConversationFilter(page_id=page.id)).records
        ]
        while True:
            listed = list_conversations(connection, ConversationFilter(), after=after, limit=limit)
            found += [record.key for record in listed.records]
            if (after := listed.next) is None:
                break
    none = datetime.min.replace(tzinfo=UTC)
    assert found == sorted(each, key=lambda key: (key[0] or none, key[1]), reverse=True)


def test_of_many_pages_those_alone_are_read_that_are_shown(
    store: Store, pages: list[Page], statements: Callable[[], Any]
) -> None:
    with store.read() as connection, statements() as sent:
        assert len(list_conversations(connection, ConversationFilter(), limit=5).records) == 5
    assert len(sent) < len(pages) / 2
