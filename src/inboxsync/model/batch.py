"""One answer's worth of records."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from itertools import pairwise

from inboxsync.model.records import Message, SourceRecord
from inboxsync.model.run import Problem

_LAST_FEW = 3
_ENOUGH = 20
_NO_TIME = timedelta(0)


def reached_at(messages: Sequence[Message]) -> datetime | None:
    """How far down these messages, newest first, go; None where they have no times.

    The newest of the last few: one stray old time must not be taken for the depth.
    """
    return _newest_of_the_last([message.sent_at for message in messages if message.sent_at is not None])


def _newest_of_the_last(times: Sequence[datetime]) -> datetime | None:
    return max(times[-_LAST_FEW:], default=None)


def _goes_down_evenly(times: Sequence[datetime]) -> bool:
    """Whether none is newer than the one before it, and no step of the last few longer than all others.

    Of a few times that cannot be told.
    """
    if len(times) < _ENOUGH:
        return False
    steps = [newer - older for newer, older in pairwise(times)]
    first, last = steps[:-_LAST_FEW], steps[-_LAST_FEW:]
    return max(last) <= max(first) and min(steps) >= _NO_TIME


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """Something in an answer that could not be taken for a record, and why."""

    what: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unread:
    """A conversation that is listed, and fails every answer that would hold its messages."""

    conversation_id: str
    problem: Problem


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What one list answer brought, in the order served.

    `answered_at` is by the source's own clock (the `Date` header less what the answer took, so
    never after the source looked); where it sent none, the newest conversation's own time.
    `has_next` is the only sign of an end: `after` is present on the last answer too, and an empty
    batch may have a next one (graph-facts 1.8).

    A batch may be put together from smaller answers, after a light one whose time it then has
    and whose depth is `depth`. It is `is_whole` where it brings all that the light one showed:
    then it is as good as that one answer.
    """

    conversations: tuple[SourceRecord, ...]
    answered_at: datetime
    after: str | None
    has_next: bool
    dropped: tuple[Dropped, ...] = ()
    unread: tuple[Unread, ...] = ()
    depth: datetime | None = None
    is_whole: bool = True

    @cached_property
    def reached_at(self) -> datetime | None:
        """How far down the list this batch reaches; None where it has no times.

        That is the last time of all where the batch is in order and goes down evenly. Else the newest of
        its last few: one stray old time in a batch must not be taken for the depth of the list, its order
        is observed and not promised (graph-facts 1.3).
        """
        if self.depth is not None:
            return self.depth
        times = self._times
        return times[-1] if _goes_down_evenly(times) else _newest_of_the_last(times)

    @property
    def newest_at(self) -> datetime | None:
        """The newest time in it."""
        return max(self._times, default=None)

    @property
    def _times(self) -> list[datetime]:
        times = (each.source_updated_at for each in self.conversations)
        return [at for at in times if at is not None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A stretch of `updated_time` that a list is asked for; None leaves that end open."""

    before: datetime | None = None
    after: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageBatch:
    """One answer of a conversation's messages edge, newest first; `has_next` is the only sign of an end."""

    messages: tuple[Message, ...]
    after: str | None
    has_next: bool
    dropped: tuple[Dropped, ...] = ()
