"""One answer's worth of records."""

from dataclasses import dataclass
from datetime import datetime

from inboxsync.model.records import Conversation


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """Something in an answer that could not be taken for a record, and why."""

    what: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What one list answer brought.

    `answered_at` is the source's own clock (the `Date` header), or ours where it sent
    none. `has_next` is the only sign of an end: `after` is present on the last answer
    too, and an empty batch may have a next one (graph-facts 1.8).
    """

    conversations: tuple[Conversation, ...]
    answered_at: datetime
    after: str | None
    has_next: bool
    dropped: tuple[Dropped, ...] = ()

    @property
    def oldest_at(self) -> datetime | None:
        """The oldest `source_updated_at` in the batch; None where it has none."""
        return min((c.source_updated_at for c in self.conversations if c.source_updated_at), default=None)
