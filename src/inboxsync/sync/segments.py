"""A lane: one span of a list while it is read, in one chain of calls."""

from dataclasses import dataclass, replace
from datetime import timedelta

from inboxsync.model import Batch, Segment, Window
from inboxsync.sync.prefetch import Chunk

_SECOND = timedelta(seconds=1)
# Where a batch is smaller than this, too much of it would come again if the next were asked for by time.
_WORTH_A_TIME = 20


@dataclass(slots=True, eq=False)
class SegmentReader:
    """One span being read.

    `window` is what its cursor was made with; None where it goes by cursor alone, or enters anew.
    `by_time` says that it may ask for a window; `is_cut` that it lost its lower part while an answer
    is on its way; `is_peek` that it asks for one conversation more than the run may fetch. A lane that
    `is_scout` makes light calls alone; what it finds is read by lanes with a `block`.
    """

    segment: Segment
    by_time: bool = False
    window: Window | None = None
    is_resumed: bool = False
    is_probe: bool = False
    is_cut: bool = False
    is_peek: bool = False
    is_prefetch: bool = False
    chunk: Chunk | None = None
    asked: int = 0
    per_second: float | None = None
    last_seen: frozenset[tuple[str, object]] = frozenset()

    def go_on(self, rest: Segment, *, served: int) -> None:
        """What is left of the span after an answer.

        By time, unless the time stands still: a cursor made for a stretch of time may count from its
        top, and whoever is written to leaves the stretch.
        """
        has_moved = rest.position != self.segment.position
        if self.is_cut or (self.by_time and has_moved and served >= _WORTH_A_TIME):
            rest = replace(rest, cursor=None)
        self.segment, self.is_cut, self.is_resumed = rest, False, False

    def note(self, batch: Batch) -> Batch:
        """Remember what came; returns it without what the lane's last answer had already."""
        times = [each.source_updated_at for each in batch.conversations if each.source_updated_at is not None]
        if times:
            seconds = (max(times) - min(times)).total_seconds()
            now = max(1, len(times) - 1) / max(seconds, 1.0)
            # One answer may be dense by chance: those before count as well.
            self.per_second = now if self.per_second is None else (self.per_second + now) / 2
        before = self.last_seen
        self.last_seen = frozenset(
            (each.conversation_id, each.source_updated_at) for each in batch.conversations
        )
        if before.isdisjoint(self.last_seen):
            return batch
        fresh = tuple(
            each
            for each in batch.conversations
            if (each.conversation_id, each.source_updated_at) not in before
        )
        return replace(batch, conversations=fresh)


def window_of(segment: Segment) -> Window:
    """What to ask for to go on in this span: its position's own second once more."""
    return Window(before=segment.position + _SECOND if segment.position else None, after=segment.lower_bound)


def age_of(segment: Segment) -> float:
    """Orders spans newest first."""
    return -segment.position.timestamp() if segment.position is not None else float("-inf")


def seconds_of(segment: Segment) -> float:
    """How long a stretch of `updated_time` it is; 0 where an end is not known."""
    if segment.position is None or segment.lower_bound is None:
        return 0.0
    return (segment.position - segment.lower_bound).total_seconds()
