"""How many conversations to ask for at once: learned for each Page, and remembered."""

LARGEST_BATCH = 100
_GROW_AFTER = 10
_MOST_PATIENT = 160
_SAME_IN_A_ROW = 3


class BatchSize:
    """Halves where an answer was too much to ask for, and grows back slowly.

    Each growth that is refused makes the next wait twice as long, so that a limit that stays is
    not run into for ever.
    """

    def __init__(self, current: int | None = None, *, largest: int = LARGEST_BATCH) -> None:
        self._largest = largest
        self._good = 0
        self._grow_after = _GROW_AFTER
        self._has_grown = False
        self._served_alike: tuple[int, int] = (0, 0)
        self.current = min(current or largest, largest)

    def shrink(self, asked: int) -> None:
        """An answer to `asked` conversations was too much: ask for half as many."""
        if self._has_grown:
            self._grow_after = min(self._grow_after * 2, _MOST_PATIENT)
        self._good, self._has_grown = 0, False
        self.current = max(1, min(self.current, asked // 2))

    def succeeded(self, *, asked: int, served: int, has_next: bool) -> None:
        """An answer came; after several in a row, ask for a little more, but not for more than is served."""
        self._note_cap(asked, served, has_next=has_next)
        self._good += 1
        if self._good >= self._grow_after and self.current < self._largest:
            self._good, self._has_grown = 0, True
            self.current = min(self._largest, self.current + max(1, self.current // 2))

    def _note_cap(self, asked: int, served: int, *, has_next: bool) -> None:
        """The same smaller number again and again is the source's own limit; one short batch is not."""
        if not has_next or served >= asked or served == 0:
            self._served_alike = (0, 0)
            return
        number, times = self._served_alike
        self._served_alike = (served, times + 1 if number == served else 1)
        if self._served_alike[1] >= _SAME_IN_A_ROW:
            self._largest = served
            self.current = min(self.current, served)
