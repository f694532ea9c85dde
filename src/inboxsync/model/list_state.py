"""The state of one list: how far its sync has come. One of four, nothing else is possible.

A list is (Page, folder); the platform is the Page's. A *full scan* reads a list from its top to its
bottom. A *catch-up scan* reads only its head: from the top down to the lower bound, which is the snapshot
time of the scan before it, so it reads only what has moved since.
"""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class NotStarted:
    """Nothing of this list is stored."""


@dataclass(frozen=True, slots=True)
class Unserved:
    """The source has no such folder: it refuses it, or serves another list in its place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A part of a list that is still to be read: newest first, from `position` down to `lower_bound`.

    `position` None is the top of the list, `lower_bound` None its bottom. `cursor` is where the source
    said to continue: only a hint, since it may die (graph-facts 1.8). `next_size`: how many to ask for first,
    where answers with more have failed; None: as many as usual.
    """

    position: datetime | None = None
    lower_bound: datetime | None = None
    cursor: str | None = None
    next_size: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scanning:
    """A scan is under way, or about to begin where `snapshot_at` is None.

    What is still to be read are its `segments`, newest first: one, or several where the source honours
    time windows. Everything else between `snapshot_at` and `lower_bound` that has not moved since
    is stored. `watermark` is the list's watermark from before this scan; None in a full scan.
    """

    segments: tuple[Segment, ...]
    snapshot_at: datetime | None = None
    lower_bound: datetime | None = None
    watermark: datetime | None = None

    @property
    def position(self) -> datetime | None:
        """Everything down to here is stored; None before the first answer."""
        return self.segments[0].position


@dataclass(frozen=True, slots=True, kw_only=True)
class Following:
    """Everything that the source reported up to `watermark` is stored."""

    watermark: datetime


ListState = NotStarted | Scanning | Following | Unserved
