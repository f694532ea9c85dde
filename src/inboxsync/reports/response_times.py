"""How soon contacts are answered, and who waits now.

A response counts for the day and hour of the contact's question. `model.exchange` defines what a response is.
"""

import math
from array import array
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from statistics import median
from typing import NamedTuple

from sqlalchemy import Connection

from inboxsync.model import REPLY_WINDOW, iter_responses
from inboxsync.model.automatic import AutomaticTexts, without_automatic
from inboxsync.model.exchange import Sent, exchange_of
from inboxsync.store.reading import ConversationRecord, Scope, iter_said

_HOURS = 24
_NINE_TENTHS = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """How long responses took: the median, and the time within which 9 of 10 came."""

    responses: int
    median_seconds: float | None
    p90_seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DaySpeed:
    """The responses to the questions of one day, in the report's time zone."""

    day: date
    speed: Speed


@dataclass(frozen=True, slots=True, kw_only=True)
class Unanswered:
    """Conversations in which the contact wrote last, without those that no longer exist at the source.

    `in_window` of them may still be answered freely; `oldest_since` is when the first began to wait.
    """

    conversations: int
    in_window: int
    oldest_since: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AutomaticText:
    """What the Page sent by itself, an ellipsis for the contact's name; in how many conversations."""

    page_id: str
    text: str
    conversations: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseTimes:
    """The report. `by_hour` has 24 entries, from midnight on; `by_day` has the days with questions.

    `automatic` texts (see `model.automatic`) are no answers, except if the report was asked to count them.
    In `incomplete` conversations older messages are not stored. A question before the Page's first stored
    message is not counted there, because it is not known when it began.
    """

    zone: str
    since: datetime | None
    overall: Speed
    by_day: tuple[DaySpeed, ...]
    by_hour: tuple[Speed, ...]
    unanswered: Unanswered
    incomplete: int
    automatic: tuple[AutomaticText, ...]
    automatic_counted: bool


def response_times(
    connection: Connection, scope: Scope, zone: tzinfo, *, now: datetime, count_automatic: bool = False
) -> ResponseTimes:
    """The report on these Pages: every response to a question since `scope.since`, and who waits at `now`.

    `count_automatic`: what a Page sent by itself counts as an answer too.
    """
    answers = _Answers(_Tracker(scope.since, zone), _Waiting(now))
    texts = {page.id: AutomaticTexts() for page in scope.pages}
    for conversation, said in iter_said(connection, scope):
        messages = list(said)
        texts[conversation.page_id].look(messages, conversation.sender_name)
        answers.add(conversation, [(at, is_from_page) for at, is_from_page, _ in messages])
    automatic = _automatic_texts(connection, scope, texts)
    if automatic and not count_automatic:
        answers = _Answers(_Tracker(scope.since, zone), _Waiting(now))
        for conversation, said in iter_said(connection, scope):
            own = automatic.get(conversation.page_id, {})
            answers.add(conversation, without_automatic(said, conversation.sender_name, own))
    tracker, waiting = answers.tracker, answers.waiting
    return ResponseTimes(
        zone=str(zone),
        since=scope.since,
        overall=speed_of(tracker.seconds),
        by_day=tuple(DaySpeed(day=day, speed=speed_of(took)) for day, took in sorted(tracker.by_day.items())),
        by_hour=tuple(speed_of(tracker.by_hour[hour]) for hour in range(_HOURS)),
        unanswered=Unanswered(
            conversations=waiting.conversations,
            in_window=waiting.in_window,
            oldest_since=waiting.oldest_since,
        ),
        incomplete=tracker.incomplete,
        automatic=tuple(
            AutomaticText(page_id=page_id, text=text, conversations=count)
            for page_id, texts in automatic.items()
            for text, count in texts.items()
        ),
        automatic_counted=count_automatic,
    )


def _automatic_texts(
    connection: Connection, scope: Scope, texts: Mapping[str, AutomaticTexts]
) -> dict[str, dict[str, int]]:
    """The automatic texts of each Page (our id) that has any, and in how many conversations each came."""
    found: dict[str, dict[str, int]] = {}
    for page in scope.pages:
        of_page = texts[page.id]
        # Few Pages have any text in many conversations: only theirs are read again.
        if not of_page.leave_rare():
            continue
        for conversation, said in iter_said(connection, Scope(pages=(page,))):
            of_page.count(said, conversation.sender_name)
        if automatic := of_page.found():
            found[page.id] = automatic
    return found


def speed_of(seconds: Sequence[float]) -> Speed:
    """The median, and the smallest value that 9 of 10 do not exceed."""
    if not seconds:
        return Speed(responses=0, median_seconds=None, p90_seconds=None)
    ordered = sorted(seconds)
    return Speed(
        responses=len(ordered),
        median_seconds=median(ordered),
        p90_seconds=ordered[math.ceil(_NINE_TENTHS * len(ordered)) - 1],
    )


class _Answers(NamedTuple):
    tracker: "_Tracker"
    waiting: "_Waiting"

    def add(self, conversation: ConversationRecord, messages: Sequence[Sent]) -> None:
        self.tracker.add(messages, has_older=conversation.has_older_messages)
        if not conversation.is_gone:
            self.waiting.add(messages)


class _Tracker:
    def __init__(self, since: datetime | None, zone: tzinfo) -> None:
        self.seconds = array("d")
        self.by_day: defaultdict[date, array[float]] = defaultdict(lambda: array("d"))
        self.by_hour: defaultdict[int, array[float]] = defaultdict(lambda: array("d"))
        self.incomplete = 0
        self._since = since
        self._zone = zone

    def add(self, messages: Sequence[Sent], *, has_older: bool) -> None:
        self.incomplete += has_older
        for response in iter_responses(messages, has_older=has_older):
            if self._since is not None and response.asked_at < self._since:
                continue
            asked_at = response.asked_at.astimezone(self._zone)
            for took in (self.seconds, self.by_day[asked_at.date()], self.by_hour[asked_at.hour]):
                took.append(response.seconds)


class _Waiting:
    def __init__(self, now: datetime) -> None:
        self.conversations = 0
        self.in_window = 0
        self.oldest_since: datetime | None = None
        self._now = now

    def add(self, messages: Sequence[Sent]) -> None:
        exchange = exchange_of(messages, has_older=False)
        since, last_in_at = exchange.unanswered_since, exchange.last_in_at
        if since is None or last_in_at is None:
            return
        self.conversations += 1
        self.in_window += self._now < last_in_at + REPLY_WINDOW
        self.oldest_since = since if self.oldest_since is None else min(self.oldest_since, since)
