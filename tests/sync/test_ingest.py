from datetime import UTC, datetime, timedelta

from inboxsync.clock import SystemClock
from inboxsync.model import Batch, Conversation, Platform
from inboxsync.store import Store
from inboxsync.store.state.pages import upsert_page
from inboxsync.store.writing.upsert import upsert_batch
from inboxsync.sync.ingest import Ingest

NOW = datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC)


def batch(*conversations: Conversation) -> Batch:
    return Batch(conversations=conversations, answered_at=NOW, after=None, has_next=False)


def test_what_is_listed_in_another_folder_is_known_by_its_time(store: Store) -> None:
    here = [
        Conversation(conversation_id=f"t_{number}", source_updated_at=NOW - timedelta(hours=number))
        for number in range(3)
    ]
    moved = Conversation(conversation_id="t_1", source_updated_at=NOW)
    with store.write() as connection:
        page, _ = upsert_page(
            connection,
            facebook_page_id="104",
            platform=Platform.MESSENGER,
            account_id="104",
            name="A Page",
            access_token_encrypted="x",
            now=NOW,
        )
        upsert_batch(connection, page, here[:2], folder="inbox", source="initial_sync", now=NOW)
    ingest = Ingest(store=store, clock=SystemClock(), page=page, owner="nobody")
    assert ingest.is_mostly_elsewhere(batch(*here), folder="spam")
    assert not ingest.is_mostly_elsewhere(batch(*here), folder="inbox")
    assert not ingest.is_mostly_elsewhere(batch(moved), folder="spam")
    assert not ingest.is_mostly_elsewhere(batch(here[0], here[2]), folder="spam")
