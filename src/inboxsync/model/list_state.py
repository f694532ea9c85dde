"""How far the sync of one list has come: one of four states, nothing else possible.

A list is (Page, folder); the platform is the Page's. A *walk* reads a list from the
top down to its floor. The first walk has no floor: it reads to the bottom. A *sweep*
is a walk whose floor is the pin of the walk before it, so it reads only what has moved
since.
"""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class NotStarted:
    """Nothing of this list has been stored."""


@dataclass(frozen=True, slots=True)
class Unserved:
    """The source does not tell this folder apart: it refuses it, or serves another list in its place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A part of a list that is still to be read: newest first, from `position` down to `floor`.

    `position` None is the top of the list, `floor` None its bottom. `cursor` is where the source
    said to go on: a hint, since it may die (graph-facts 1.8).
    """

    position: datetime | None = None
    lower_bound: datetime | None = None
    cursor: str | None = None

    @property
    def at_top(self) -> bool:
        """Whether no answer of it has been consumed yet, and it begins where the list does."""
        return self.position is None and self.cursor is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scanning:
    """A walk is under way, or about to begin where `pin` is None.

    What remains to be read are its `spans`, newest first: one, or several where the source can be
    asked for a stretch of time. Everything else between `pin` and `floor` that has not moved since
    is stored. `watermark` is what was true before this walk began.
    """

    segments: tuple[Segment, ...]
    snapshot_at: datetime | None = None
    lower_bound: datetime | None = None
    watermark: datetime | None = None

    @property
    def at_top(self) -> bool:
        """Whether no answer of this walk has been consumed yet."""
        return len(self.segments) == 1 and self.segments[0].at_top

    @property
    def position(self) -> datetime | None:
        """Down to here nothing is missing; None before the first answer."""
        return self.segments[0].position


@dataclass(frozen=True, slots=True, kw_only=True)
class Following:
    """Everything that the source reported up to `watermark` is stored."""

    watermark: datetime


Progress = NotStarted | Scanning | Following | Unserved
