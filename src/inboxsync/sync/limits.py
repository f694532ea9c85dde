"""What bounds a run: how many conversations it may fetch, and how long it may get nowhere."""

from collections.abc import Callable
from datetime import datetime

from inboxsync.errors import Stalled


class ConversationLimit:
    """So many conversations, shared by all the calls of a run that are under way at once."""

    def __init__(self, most: int | None) -> None:
        self.most = most
        self._taken = 0

    @property
    def left(self) -> int | None:
        """How many more may be asked for; None is without a limit."""
        return None if self.most is None else max(0, self.most - self._taken)

    def take(self, asked: int) -> None:
        """So many are asked for."""
        self._taken += asked

    def give_back(self, count: int) -> None:
        """So many of those asked for did not come (or more came, where negative)."""
        self._taken -= count


class StallGuard:
    """Counts calls that bring nothing further. `calls_made` tells how many there were so far."""

    def __init__(self, calls_made: Callable[[], int], *, most: int) -> None:
        self._calls_made = calls_made
        self._most = most
        self._made_when_moved = calls_made()
        self._place = "the start"

    def moved(self, place: datetime | str | None) -> None:
        """Something was gained, at this place."""
        self._made_when_moved = self._calls_made()
        if place is not None:
            self._place = place if isinstance(place, str) else f"{place:%Y-%m-%d %H:%M:%S} UTC"

    def check(self) -> None:
        """Raise Stalled after too many calls without a gain."""
        if self._calls_made() - self._made_when_moved >= self._most:
            raise Stalled(f"{self._most} calls in a row brought the sync no further than {self._place}.")
