"""Who has answered whom: the one definition of *unanswered* and of *response*.

Computed from the messages of one conversation that can be read and have a time. Graph's times are exact to
the second, and an automatic reply comes in the same second as the question: so a contact's message counts
as answered by a message of the Page sent at that time or later. The order of messages everywhere here is
therefore by time, and within one second the contact's before the Page's.

A *response* begins with the contact's first message after the Page's last one, and ends with the
Page's next. A contact's messages that follow unanswered on the Page's last one are *unanswered since* the
first of them.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

# How long a Page may answer freely after the contact's last message.
REPLY_WINDOW: Final = timedelta(hours=24)


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """The contact asked, the Page answered."""

    asked_at: datetime
    answered_at: datetime

    @property
    def seconds(self) -> float:
        """How long the contact waited."""
        return (self.answered_at - self.asked_at).total_seconds()


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """What the messages of one conversation show who waits for whom.

    `first_response` is None where nobody has answered, and where nobody knows, because older
    messages are not stored: see `exchange_of`.
    """

    messages_in: int = 0
    messages_out: int = 0
    first_message_at: datetime | None = None
    last_in_at: datetime | None = None
    last_out_at: datetime | None = None
    unanswered_since: datetime | None = None
    first_response: Response | None = None

    @property
    def last_message_at(self) -> datetime | None:
        """When anybody wrote last."""
        return _greatest((self.last_in_at, self.last_out_at))

    @property
    def last_is_from_page(self) -> bool | None:
        """Whether the Page wrote last; of two in the same second it is the Page. None: nobody wrote."""
        last = self.last_message_at
        return None if last is None else self.last_out_at == last

    @property
    def reply_window_closes_at(self) -> datetime | None:
        """Until when the Page may answer freely."""
        return self.last_in_at + REPLY_WINDOW if self.last_in_at is not None else None


# A message: when it was sent, if that is known, and whether the Page sent it.
Sent = tuple[datetime | None, bool]


def exchange_of(sent: Iterable[Sent], *, has_older: bool) -> Exchange:
    """The exchange of one conversation, its messages in the order described above.

    `has_older`: the source has older messages than these, so nobody knows which response was the first.
    """
    counts = {True: 0, False: 0}
    last: dict[bool, datetime | None] = {True: None, False: None}
    first_at = asked_at = None
    first_response = None
    for at, is_from_page in sent:
        counts[is_from_page] += 1
        if at is None:
            continue
        first_at = first_at or at
        last[is_from_page] = at
        if not is_from_page:
            asked_at = asked_at or at
        elif asked_at is not None:
            first_response = first_response or Response(asked_at=asked_at, answered_at=at)
            asked_at = None
    return Exchange(
        messages_in=counts[False],
        messages_out=counts[True],
        first_message_at=first_at,
        last_in_at=last[False],
        last_out_at=last[True],
        unanswered_since=asked_at,
        first_response=None if has_older else first_response,
    )


def iter_responses(sent: Iterable[Sent], *, has_older: bool) -> Iterator[Response]:
    """Every response of one conversation, its messages in the order described above.

    With `has_older` a question before the Page's first message is left out: it may have begun earlier.
    """
    asked_at: datetime | None = None
    is_known = not has_older
    for at, is_from_page in sent:
        if at is None:
            continue
        if not is_from_page:
            asked_at = asked_at or at
            continue
        if asked_at is not None and is_known:
            yield Response(asked_at=asked_at, answered_at=at)
        asked_at, is_known = None, True


def _greatest(times: Iterable[datetime | None]) -> datetime | None:
    return max((at for at in times if at is not None), default=None)
