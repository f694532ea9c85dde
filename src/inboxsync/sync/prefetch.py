"""Scouting: light calls run ahead of a chain to learn its cursors, so that heavy ones go side by side.

For a source that honours no time windows and whose answers take longer than the pace allows. A
light answer of 200 conversations costs one call and tells where the next 200 begin; two heavy
answers bring what lies before. Three calls for 200 conversations instead of two, and as many
under way as the pace has room for.

A cursor might be bound to the limit or the fields it was made with (graph-facts 8): each block is
held against the ids that the light answer showed, and where they differ the walk goes on in one
chain.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from inboxsync.model import Batch, Segment

# What a light call asks for; a source that serves less is taken at its word (graph-facts 1.3-8).
PREFETCHED = 200


class PrefetchLost(Exception):
    """A cursor that a light answer gave does not lead where it did for the light answer."""


@dataclass(slots=True)
class Chunk:
    """A stretch of the list between two cursors, as a light answer showed it.

    `left` of its conversations are still to come; `end` is the time of its last.
    """

    left: int
    end: datetime | None
    ids: frozenset[str]
    is_untouched: bool = True

    @classmethod
    def of(cls, summary: Batch) -> "Chunk":
        """The stretch that a light answer covers."""
        ids = frozenset(each.conversation_id for each in summary.conversations)
        return cls(left=len(summary.conversations), end=summary.reached_at, ids=ids)

    def rest(self, segment: Segment, batch: Batch) -> Segment | None:
        """What is left of the block's span once `batch` is stored; None: nothing.

        Whoever has moved up since is not in it, and so the end is a place in time too. Raises
        ScoutLost where the first batch shows nobody whom the light answer did.
        """
        served = {each.conversation_id for each in batch.conversations}
        served.update(each.conversation_id for each in batch.unread)
        if self.is_untouched and served and self.ids.isdisjoint(served):
            raise PrefetchLost
        self.is_untouched = self.is_untouched and not served
        self.left -= len(served)
        times = [at for at in (segment.position, batch.reached_at) if at is not None]
        position = min(times, default=None)
        is_past_end = self.end is None or position is None or position <= self.end
        if not batch.has_next or (self.left <= 0 and is_past_end):
            return None
        return replace(segment, position=position, cursor=batch.after)
