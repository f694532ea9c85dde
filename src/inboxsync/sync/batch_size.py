"""How many conversations to ask for at once."""

LARGEST_BATCH = 100
_GROW_AFTER = 10


class BatchSize:
    """Halves where an answer was too much to ask for, and grows back slowly."""

    def __init__(self, largest: int = LARGEST_BATCH) -> None:
        self._largest = largest
        self._good = 0
        self.current = largest

    def shrink(self) -> bool:
        """Ask for half as many; False where that is no longer possible."""
        self._good = 0
        if self.current == 1:
            return False
        self.current //= 2
        return True

    def succeeded(self) -> None:
        """An answer came; after several in a row, ask for a little more."""
        self._good += 1
        if self._good >= _GROW_AFTER and self.current < self._largest:
            self._good = 0
            self.current = min(self._largest, self.current + max(1, self.current // 2))
