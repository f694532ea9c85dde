"""What the fixtures of this directory give."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from inboxsync.model import Conversation, Message, Page, Participant, Platform
from inboxsync.reports import Export, ExportRequest, Format, What
from inboxsync.reports.archive import Archived
from inboxsync.reports.export import OnProgress
from inboxsync.store import Store
from inboxsync.store.state.pages import upsert_page
from inboxsync.store.writing.upsert import upsert_batch
from tests.store.fixtures import Fields

NOON = datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC)


class Write(Protocol):
    """The fixture `write`: writes the Page's archive, a file or a folder by its name."""

    def __call__(self, path: Path, on_progress: OnProgress = ...) -> Archived: ...


class StartExport(Protocol):
    """The fixture `export`: an export that has begun."""

    def __call__(self, request: ExportRequest = ...) -> Export: ...


class Exported(Protocol):
    """The fixture `exported`: the bytes of an export; `changes` are further fields of the request."""

    def __call__(self, what: What, chosen: Format, **changes: Fields) -> bytes: ...


@dataclass
class Inbox:
    """Writes into a store what a source would have served."""

    store: Store

    def page(self, facebook_page_id: str = "104", name: str | None = "A Page") -> Page:
        with self.store.write() as connection:
            added, _ = upsert_page(
                connection,
                facebook_page_id=facebook_page_id,
                platform=Platform.MESSENGER,
                account_id=facebook_page_id,
                name=name,
                access_token_encrypted="x",
                now=NOON,
            )
        return added

    def put(self, page: Page, *conversations: Conversation, folder: str = "inbox") -> None:
        with self.store.write() as connection:
            upsert_batch(connection, page, conversations, folder=folder, source="initial_sync", now=NOON)

    @staticmethod
    def at(minutes: float) -> datetime:
        """So many minutes after noon."""
        return NOON + timedelta(minutes=minutes)

    def conversation(
        self, contact: str, *messages: Message, name: str | None = "Ann", **changes: Fields
    ) -> Conversation:
        """The conversation with this contact."""
        newest = max((each.sent_at for each in messages if each.sent_at), default=NOON)
        person = Participant(id=contact, name=name)
        values: dict[str, Any] = {
            "conversation_id": f"t_{contact}",
            "source_updated_at": newest,
            "contact": person,
            "participants": (person,),
            "message_count": len(messages),
            "unread_count": 0,
            "link": f"/104/inbox/{contact}/",
            "messages": tuple(sorted(messages, key=lambda each: each.sent_at or NOON, reverse=True)),
        }
        return Conversation(**(values | changes))

    def said(self, minutes: float, text: str | None = "hello", **changes: Fields) -> Message:
        """By the contact, so many minutes after noon."""
        values: dict[str, Any] = {
            "message_id": f"m_in_{minutes}",
            "sent_at": self.at(minutes),
            "text": text,
            "is_from_page": False,
        }
        return Message(**(values | changes))

    def answered(self, minutes: float, text: str | None = "hi", **changes: Fields) -> Message:
        """By the Page."""
        return self.said(
            minutes, text, **({"message_id": f"m_out_{minutes}", "is_from_page": True} | changes)
        )
