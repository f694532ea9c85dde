"""Ids of `message_index`: they begin with the time, so that their order is the messages' order."""

from datetime import UTC, datetime, timedelta
from typing import Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND: Final = timedelta(seconds=1)
_QUARTER: Final = 900
LAST_SECOND: Final = 2**32 - 1
# The upper bits are the second; the lower bits distinguish messages of the same second.
SHIFT: Final = 31
LOWER: Final = 2**SHIFT - 1


def first_id(at: datetime | None) -> int:
    """The smallest id that a message of this second may have."""
    second = (at - _EPOCH) // _SECOND if at is not None else 0
    return min(max(second, 0), LAST_SECOND) << SHIFT


def quarter_of(index_id: int) -> int:
    """The quarter of an hour since 1970 in which a message of this id was sent; 0 where that is not known."""
    return (index_id >> SHIFT) // _QUARTER


def begin_of(quarter: int) -> datetime:
    """When this quarter of an hour began."""
    return _EPOCH + quarter * _QUARTER * _SECOND
