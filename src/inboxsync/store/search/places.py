"""Ids of `message_index`: the time comes first, so that their order is that of the messages."""

from datetime import UTC, datetime, timedelta
from typing import Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND: Final = timedelta(seconds=1)
LAST_SECOND: Final = 2**32 - 1
# The upper bits are the second, the lower ones tell apart what was sent in it.
SHIFT: Final = 31
LOWER: Final = 2**SHIFT - 1


def first_id(at: datetime | None) -> int:
    """The least id that a message of this second may have."""
    second = (at - _EPOCH) // _SECOND if at is not None else 0
    return min(max(second, 0), LAST_SECOND) << SHIFT


def time_of(index_id: int) -> datetime:
    """The second in which a message of this id was sent; 1970 where that is not known."""
    return _EPOCH + (index_id >> SHIFT) * _SECOND
