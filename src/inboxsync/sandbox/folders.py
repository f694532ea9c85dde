"""The order of a folder's conversations, newest first, while it changes.

The base order is a function of the slot, so it takes no memory. What has moved
since the start, came from another folder or left is kept separately, and merged in when the list is read.
"""

import bisect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

# (minus the time, slot): ascending order of these is the order of the list.
Key = tuple[float, int]
TOP: Key = (float("-inf"), -1)


@dataclass(slots=True)
class Folder:
    """`first_slot` .. `first_slot + count` are its base slots, newest first by `base_time`."""

    name: str
    first_slot: int
    count: int
    base_time: Callable[[int], int]
    _moved: list[Key] = field(default_factory=list)
    _moved_at: dict[int, float] = field(default_factory=dict)
    # Base slots that are in another folder now, or deleted.
    _left: set[int] = field(default_factory=set)

    def __len__(self) -> int:
        added = sum(not self.is_base(slot) for slot in self._moved_at)
        return self.count - len(self._left) + added

    def __contains__(self, slot: int) -> bool:
        return slot in self._moved_at or (self.is_base(slot) and slot not in self._left)

    def is_base(self, slot: int) -> bool:
        """Whether it was here at the start."""
        return self.first_slot <= slot < self.first_slot + self.count

    def key(self, slot: int) -> Key:
        """Where a conversation is now."""
        moved = self._moved_at.get(slot)
        return (moved if moved is not None else -self.base_time(slot), slot)

    def move(self, slot: int, at: int) -> None:
        """A conversation was written in, begun or moved here: its time `at` gives its place."""
        self._take_out(slot)
        self._left.discard(slot)
        self._moved_at[slot] = -at
        bisect.insort(self._moved, (-at, slot))

    def remove(self, slot: int) -> None:
        """A conversation is no longer here."""
        self._take_out(slot)
        if self.is_base(slot):
            self._left.add(slot)

    def after(self, key: Key) -> Iterator[int]:
        """Slots after this place, in order."""
        moved = iter(self._moved[bisect.bisect_right(self._moved, key) :])
        next_moved = next(moved, None)
        for slot in self._base_after(key):
            own = (-self.base_time(slot), slot)
            while next_moved is not None and next_moved < own:
                yield next_moved[1]
                next_moved = next(moved, None)
            yield slot
        while next_moved is not None:
            yield next_moved[1]
            next_moved = next(moved, None)

    def _take_out(self, slot: int) -> None:
        at = self._moved_at.pop(slot, None)
        if at is not None:
            del self._moved[bisect.bisect_left(self._moved, (at, slot))]

    def _base_after(self, key: Key) -> Iterator[int]:
        slots = range(self.first_slot, self.first_slot + self.count)
        start = bisect.bisect_right(slots, key, key=lambda slot: (-self.base_time(slot), slot))
        return (slot for slot in slots[start:] if slot not in self._moved_at and slot not in self._left)
