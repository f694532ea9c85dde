"""A conversation with the rows it becomes if it is not stored yet, made before the transaction begins.

To make them takes as long as to write them. A walk has them made in a thread of their own, beside the
writing of what came before: then the database never waits for them.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

from inboxsync.model import Conversation, Page, SourceRecord
from inboxsync.store.connection.types import format_utc
from inboxsync.store.writing.conversation_rows import column_values, new_id
from inboxsync.store.writing.message_rows import MessageRows, new_message_rows


class NewRows(NamedTuple):
    """The rows, but for what the batch tells: Page, folder, source and time."""

    told: tuple[Any, ...]
    messages: MessageRows


class PreparedConversation:
    """A `Served` conversation, and what is to be written of it where it is new.

    `row_id` is the id of ours that it then gets.
    """

    __slots__ = ("_rows", "_served", "row_id")

    def __init__(self, served: SourceRecord) -> None:
        self.row_id = new_id()
        self._served = served
        self._rows: NewRows | None = None

    @property
    def conversation_id(self) -> str:
        """Graph's id."""
        return self._served.conversation_id

    @property
    def source_updated_at(self) -> datetime | None:
        """Graph's `updated_time`."""
        return self._served.source_updated_at

    def fingerprint(self) -> str | None:
        """Of all that would be stored of it."""
        return self._served.fingerprint()

    def whole(self) -> Conversation:
        """All of it, decoded."""
        return self._served.whole()

    def may_hold_nul(self) -> bool:
        """Whether U+0000 may be in one of its texts."""
        return self._served.may_hold_nul()

    def rows(self) -> NewRows:
        """What is to be written where it is new."""
        if self._rows is None:
            whole = self.whole()
            told = column_values(whole, has_older=whole.has_older_messages)
            self._rows = NewRows(told, new_message_rows(self.row_id, whole.messages))
        return self._rows


def inserted_rows(
    page: Page, new: Iterable[tuple[PreparedConversation, str | None]], *, folder: str, now: datetime
) -> list[tuple[Any, ...]]:
    """Values of `INSERTED`, of new conversations with the digest of what was served."""
    stamp = format_utc(now)
    rows = []
    for prepared, fingerprint in new:
        told, messages = prepared.rows()
        own = (prepared.row_id, page.id, prepared.conversation_id, page.platform.value, stamp, stamp)
        rows.append((*own, fingerprint, len(messages.plain) + len(messages.others), folder, *told))
    return rows


def prepare(served: SourceRecord) -> PreparedConversation:
    """The same with its rows to come; a draft is one already."""
    return served if isinstance(served, PreparedConversation) else PreparedConversation(served)
