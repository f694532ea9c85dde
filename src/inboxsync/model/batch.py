"""The records of one answer."""

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
    """How far back these messages, newest first, reach; None if they have no times.

    The newest of the last few: a single old time must not be taken for how far they reach.
    """
    return _newest_of_the_last([message.sent_at for message in messages if message.sent_at is not None])


def _newest_of_the_last(times: Sequence[datetime]) -> datetime | None:
    return max(times[-_LAST_FEW:], default=None)


def _goes_down_evenly(times: Sequence[datetime]) -> bool:
    """Whether none is newer than the one before it, and no step of the last few is longer than all others.

    False for only a few times: they do not show it.
    """
    if len(times) < _ENOUGH:
        return False
    steps = [newer - older for newer, older in pairwise(times)]
    first, last = steps[:-_LAST_FEW], steps[-_LAST_FEW:]
    return max(last) <= max(first) and min(steps) >= _NO_TIME


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """Something in an answer that is no record, and why."""

    what: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unread:
    """An unreadable conversation: it is in the list, and every answer with its messages fails."""

    conversation_id: str
    problem: Problem


@dataclass(frozen=True, kw_only=True)
class Batch:
    """The conversations of one list answer, in its order.

    `answered_at` is by Meta's clock: the `Date` header less the time the answer took, so never later
    than when Meta looked; without that header, the newest conversation's time. `has_next` is the only
    sign of the end: the last answer has an `after` too, and an empty batch may have a next one
    (graph-facts 1.8).

    A batch may be a part of what a summary listed (`is_part`, but for the last one). It has the summary's
    time. The last part reaches as far as the summary (`depth`); `is_whole` if every conversation of the
    summary is in a part, or has moved and is in the backlog: then all parts are as good as one answer.
    `covers_head` if that answer began at the top of the list and reached the end of its segment.
    `next_size`: how many to ask for next, where more would fail; a part may bring only that.
    """

    conversations: tuple[SourceRecord, ...]
    answered_at: datetime
    after: str | None
    has_next: bool
    dropped: tuple[Dropped, ...] = ()
    unread: tuple[Unread, ...] = ()
    depth: datetime | None = None
    is_whole: bool = True
    is_part: bool = False
    covers_head: bool = False
    next_size: int | None = None

    @cached_property
    def reached_at(self) -> datetime | None:
        """How far down the list this batch reaches; None if it has no times.

        If the batch is in order and goes down evenly, that is its last time. Otherwise it is the newest
        of its last few: a single old time must not be taken for a position in the list, because its
        order is observed and not promised (graph-facts 1.3).
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
    """A range of `updated_time` that a list is asked for; None leaves that end open."""

    before: datetime | None = None
    after: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageBatch:
    """One answer of a conversation's messages, newest first; `has_next` is the only sign of the end."""

    messages: tuple[Message, ...]
    after: str | None
    has_next: bool
    dropped: tuple[Dropped, ...] = ()
