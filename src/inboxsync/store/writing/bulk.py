"""How many rows one INSERT into SQLite has."""

from collections.abc import Iterator, Sequence
from typing import Any

# The interpreter's lock is given away once a statement, not once a row, and to have it back takes up to 5 ms
# while another thread computes. 1,024 x 21 values stay below the 32,766 that SQLite takes.
_MOST = 1024


def in_pieces(rows: Sequence[tuple[Any, ...]]) -> Iterator[Sequence[tuple[Any, ...]]]:
    """All of these rows, in pieces whose lengths are powers of two: few different statements, built once."""
    at = 0
    while at < len(rows):
        size = min(_MOST, 1 << ((len(rows) - at).bit_length() - 1))
        yield rows[at : at + size]
        at += size
