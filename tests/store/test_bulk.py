"""Rows go into SQLite in few statements, and in few different ones."""

import pytest

from inboxsync.store.tables import messages, messenger_conversations
from inboxsync.store.writing.bulk import in_pieces

_MOST_PARAMETERS = 32_766


@pytest.mark.parametrize("count", [0, 1, 2, 3, 1000, 1023, 1024, 1025, 5000])
def test_pieces_are_all_rows_in_order_and_of_few_lengths(count: int) -> None:
    rows = [(number,) for number in range(count)]
    pieces = list(in_pieces(rows))
    assert [row for piece in pieces for row in piece] == rows
    assert {len(piece) for piece in pieces} <= {1 << power for power in range(11)}
    assert len(pieces) <= 10 + count // 1024


def test_the_largest_piece_is_within_what_sqlite_takes() -> None:
    longest = max(len(piece) for piece in in_pieces([()] * 100_000))
    assert longest * max(len(messenger_conversations.c), len(messages.c)) <= _MOST_PARAMETERS
