"""How a batch's rows are written: what `writes` asks of a database, and how SQLite answers."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Protocol

from sqlalchemy import Connection

from inboxsync.model import Conversation, Message, Page
from inboxsync.store.writing.conversation_rows import (
    StoredConversation,
    insert_conversations,
    update_conversations,
)
from inboxsync.store.writing.message_rows import (
    Known,
    MessageList,
    known_messages,
    meets_stored,
    upsert_messages,
)
from inboxsync.store.writing.prepared import PreparedConversation, inserted_rows

# A conversation to be inserted, and the digest of what was served.
New = tuple[PreparedConversation, str | None]
# A stored one, what was served, and whether there are older messages than will be stored (None: as it was).
Changed = tuple[StoredConversation, tuple[Conversation, bool | None]]


class Rows(Protocol):
    """Writes one batch in the caller's transaction. `look_up` comes first."""

    def conversations(self, served: Iterable[PreparedConversation]) -> list[PreparedConversation]:
        """What was served, as the database can hold it."""

    def messages(self, served: Sequence[Message]) -> Sequence[Message]:
        """What was served, as the database can hold it."""

    def look_up(self, conversations: MessageList) -> None:
        """Read what is stored of these messages (by our conversation id)."""

    def meets_stored(self, row_id: str) -> bool:
        """Whether one of the messages looked up stands for all below it, as far as they are stored."""

    def put_conversations(
        self, page: Page, new: Sequence[New], changed: Sequence[Changed], *, folder: str, now: datetime
    ) -> int:
        """Insert the new and bring the others up to date; returns how many of the others differed."""

    def put_messages(
        self, new: Sequence[PreparedConversation], conversations: MessageList, *, source: str, now: datetime
    ) -> int:
        """Insert what is new and bring the others up to date; returns how many were new.

        `new` are conversations just inserted, `conversations` the others, by our id.
        """


class ComparedRows:
    """On SQLite, which has one writer: rows are read and compared here, and what differs is written."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._known: Known = {}

    def conversations(self, served: Iterable[PreparedConversation]) -> list[PreparedConversation]:
        """SQLite holds everything."""
        return list(served)

    def messages(self, served: Sequence[Message]) -> Sequence[Message]:
        """SQLite holds everything."""
        return served

    def look_up(self, conversations: MessageList) -> None:
        """Read what is stored of these messages."""
        self._known = known_messages(self._connection, conversations)

    def meets_stored(self, row_id: str) -> bool:
        """Whether one of them stands for all below it."""
        return meets_stored(self._known.get(row_id, {}))

    def put_conversations(
        self, page: Page, new: Sequence[New], changed: Sequence[Changed], *, folder: str, now: datetime
    ) -> int:
        """Two statements, each for many rows."""
        rows = inserted_rows(page, new, folder=folder, now=now)
        insert_conversations(self._connection, rows)
        return update_conversations(self._connection, changed, folder=folder, now=now)

    def put_messages(
        self, new: Sequence[PreparedConversation], conversations: MessageList, *, source: str, now: datetime
    ) -> int:
        """An INSERT for many rows at once, and an UPDATE for those that differ."""
        rows = [each.rows().messages for each in new]
        return upsert_messages(self._connection, rows, conversations, self._known, source=source, now=now)
