"""How far the sync of one list has come: one of three states, nothing else possible.

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Walking:
    """A walk is under way, or about to begin where `pin` is None.

    Everything between `pin` and `frontier` that has not moved since is stored.
    `cursor` is where the source said to go on: a hint, since it may die
    (graph-facts 1.8). `watermark` is what was true before this walk began.
    """

    pin: datetime | None = None
    floor: datetime | None = None
    frontier: datetime | None = None
    cursor: str | None = None
    watermark: datetime | None = None

    @property
    def at_top(self) -> bool:
        """Whether no answer of this walk has been consumed yet."""
        return self.frontier is None and self.cursor is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Following:
    """Everything that the source reported up to `watermark` is stored."""

    watermark: datetime


Progress = NotStarted | Walking | Following
