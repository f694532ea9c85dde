"""Decides what to do next, from the state of a list and what the source just served.

Without network, database or clock; all of it pure but for `BatchSize`, which counts. The theory: a list is
ordered by `updated_time`, newest first, and moves while it is read; what moves, moves to the top. So a full
scan to the bottom, followed by catch-up scans of the top down to where the scan began, has seen everything,
once a catch-up scan fits into one answer: nothing can move inside one answer.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from inboxsync.model import (
    BacklogItem,
    BacklogKind,
    Batch,
    Following,
    ListState,
    MessageBatch,
    Mode,
    NotStarted,
    Scanning,
    Segment,
    SourceRecord,
    Unserved,
    Window,
    reached_at,
)

# The list that Meta serves where no folder is asked for, and those that can be asked for by name
# (graph-facts 1.3-4). Whether a Page has them is seen from its answers.
INBOX = "inbox"
FOLDERS = (INBOX, "other", "page_done", "spam")
# A snapshot time is when the source wrote its answer, a little after it looked. Catch-up scans reach this far
# below it, so that neither that, nor rounding to seconds, nor two clocks of Meta's leave a gap. More would
# cost more: a catch-up scan fits one answer only while fewer conversations than it holds move in this time.
OVERLAP = timedelta(seconds=20)
# No Page had an inbox before: for cutting a list whose bottom is not known.
_EARLIEST = datetime(2004, 2, 4, tzinfo=UTC)
_MOST_READERS = 6
# A segment that is about to end is not worth another call to cut it.
_BATCHES_WORTH_A_CUT = 2.5
# A part that holds a little less than a whole number of batches ends with one that is nearly full, and not
# with one that has only the few that were too many.
_SPARE_BATCHES = 0.1
_SPARE_OF_EACH = 0.02
# Where the bottom is not known, the first segment below begins so far down; each further one twice as far.
_BATCHES_AHEAD = 20
_SHORTEST_SECONDS = 10
_SECOND = timedelta(seconds=1)
LARGEST_BATCH = 100
_GROW_AFTER = 10
_SUSPECTED_IN_A_ROW = 2
_MOST_PATIENT = 160
_SAME_IN_A_ROW = 3


def begin_scan(*, lower_bound: datetime | None = None, watermark: datetime | None = None) -> Scanning:
    """A scan from the top, down to safely below `lower_bound`; without one, to the bottom."""
    segment = Segment(lower_bound=lower_bound - OVERLAP if lower_bound else None)
    return Scanning(segments=(segment,), lower_bound=lower_bound, watermark=watermark)


def plan_lists(
    states: Mapping[str, ListState], *, mode: Mode, resync_asked: bool, now: datetime, interval: timedelta
) -> dict[str, Scanning]:
    """The lists that this run reads, by folder, in order, and where each begins.

    `resync_asked`: the user set `last_synced_at` to NULL. An unfinished full scan of any list is
    continued in every mode, and the lists that are finished stay so: starting over would never end.
    Of the other folders an incremental run reads those that were not read for `interval`.
    """
    if starts_over(states, mode=mode, resync_asked=resync_asked):
        return {folder: begin_scan() for folder in FOLDERS}
    lists = {folder: _next_scan(states.get(folder, NotStarted())) for folder in FOLDERS}
    return {
        folder: scanning
        for folder, scanning in lists.items()
        if scanning is not None and (folder == INBOX or _is_due(scanning, now - interval))
    }


def starts_over(states: Mapping[str, ListState], *, mode: Mode, resync_asked: bool) -> bool:
    """Whether every list is scanned from its top to its bottom, whatever its state is."""
    unfinished = any(is_full(each) for each in states.values() if isinstance(each, Scanning))
    return not states or (not unfinished and (mode is Mode.FULL or (mode is Mode.AUTO and resync_asked)))


def _next_scan(state: ListState) -> Scanning | None:
    match state:
        case NotStarted():
            return begin_scan()
        case Following(watermark=watermark):
            return begin_scan(lower_bound=watermark, watermark=watermark)
        case Unserved():
            return None
        case Scanning():
            return state


def _is_due(scanning: Scanning, before: datetime) -> bool:
    return not is_new(scanning) or scanning.watermark is None or scanning.watermark < before


def plan_segment(segment: Segment, batch: Batch) -> Segment | None:
    """What is left of `segment` once `batch`, the answer to its call, is stored; None: nothing."""
    if is_done(segment, batch):
        return None
    times = [at for at in (segment.position, batch.reached_at) if at is not None]
    return replace(segment, position=min(times, default=None), cursor=batch.after, next_size=batch.next_size)


def is_done(segment: Segment, batch: Batch) -> bool:
    """Whether the segment is read: to the bottom, or below its lower bound."""
    if not batch.has_next:
        return True
    reached = batch.reached_at
    return segment.lower_bound is not None and reached is not None and reached < segment.lower_bound


def wanted_from(segment: Segment, summary: Batch) -> tuple[SourceRecord, ...]:
    """Those of a summary that the segment wants: all down to the last one above its lower bound."""
    lower_bound = segment.lower_bound
    above = [
        place
        for place, each in enumerate(summary.conversations, 1)
        if lower_bound is None or each.source_updated_at is None or each.source_updated_at >= lower_bound
    ]
    return summary.conversations[: max(above, default=0)]


def respects(window: Window | None, batch: Batch) -> bool:
    """Whether an answer keeps to the time window it was asked for.

    A source that does not know the bound ignores it, as it does every unknown parameter, and
    serves the top of the list (graph-facts 1.3-10).
    """
    newest = batch.newest_at
    return window is None or window.before is None or newest is None or newest <= window.before + _SECOND


def plan_next(scanning: Scanning, segments: Iterable[Segment], batch: Batch) -> Scanning | Following:
    """The state of the list once `batch` is stored and these `segments` remain."""
    snapshot_at = scanning.snapshot_at or batch.answered_at
    left = tuple(segments)
    if left:
        return replace(scanning, snapshot_at=snapshot_at, segments=left)
    if (is_new(scanning) or batch.covers_head) and batch.is_whole:
        return Following(watermark=snapshot_at)
    return begin_scan(lower_bound=snapshot_at, watermark=scanning.watermark)


def plan_readers(*, latency_seconds: float | None, calls_per_second: float | None) -> int:
    """How many calls must be under way at once to reach the allowed call rate."""
    if not latency_seconds or not calls_per_second:
        return 1
    under_way = latency_seconds * calls_per_second
    if under_way <= 0.9:  # noqa: PLR2004 - near enough to 1
        return 1
    # A tenth more, since no reader is always busy; each further one is another cut, which wastes half a call.
    return min(_MOST_READERS, math.ceil(under_way * 1.1))


def plan_cut(
    segment: Segment, *, per_second: float, batch_size: int, top: datetime | None = None
) -> tuple[Segment, Segment] | None:
    """`segment` in two, the newer first; None where it is not worth it.

    `per_second`: conversations a second of `updated_time`, as the reader's answers had them. A segment whose
    bottom is known is cut in half, so that the newer part ends with a full batch. Else no one knows
    where half is: the cut goes as far below as the scan has come from its `top`, and at least some
    batches. It lies between two whole seconds, and the parts overlap by one second, so that it does not
    matter on which side of a bound the source counts an equal time.
    """
    if segment.position is None:
        return None
    bottom = segment.lower_bound or _EARLIEST
    seconds = (segment.position - bottom).total_seconds()
    batches = seconds * per_second / batch_size
    if seconds < _SHORTEST_SECONDS or batches < _BATCHES_WORTH_A_CUT:
        return None
    # Asked for by time, each batch begins with the last one of the batch before.
    batch_seconds = max(1, batch_size - 1) / per_second
    # The first call is under way, and made without this cut: what it brings of the older part comes twice.
    whole = max(2, round(batches / 2))
    newer_seconds = (whole * (1 - _SPARE_OF_EACH) - _SPARE_BATCHES) * batch_seconds
    if segment.lower_bound is None:
        come = (top - segment.position).total_seconds() if top is not None else 0.0
        newer_seconds = min(newer_seconds, max(come, _BATCHES_AHEAD * batch_seconds))
    cut = (segment.position - timedelta(seconds=newer_seconds)).replace(microsecond=500_000)
    return replace(segment, lower_bound=cut, cursor=None), Segment(
        position=cut + _SECOND, lower_bound=segment.lower_bound
    )


def one_chain(scanning: Scanning, *, keeps_cursor: bool = False) -> Scanning:
    """The same scan in one segment, from the newest gap on.

    `keeps_cursor`: the cursor there is one of the whole list, not one of a time window.
    """
    newest = scanning.segments[0]
    cursor = newest.cursor if keeps_cursor else None
    chain = Segment(position=newest.position, lower_bound=scanning.segments[-1].lower_bound, cursor=cursor)
    return replace(scanning, segments=(chain,))


def is_at_top(segment: Segment) -> bool:
    """Whether the segment begins at the top of the list and none of it is read yet."""
    return segment.position is None and segment.cursor is None


def is_new(scanning: Scanning) -> bool:
    """Whether none of this scan is read yet."""
    return len(scanning.segments) == 1 and is_at_top(scanning.segments[0])


def is_full(scanning: Scanning) -> bool:
    """Whether this is part of a full sync: there is no watermark before it is done."""
    return scanning.watermark is None


def is_catch_up(scanning: Scanning) -> bool:
    """Whether only the head of the list is read."""
    return scanning.lower_bound is not None


def backlog_since(scanning: Scanning, answered_at: datetime) -> datetime:
    """From when on every message of a conversation is wanted, however many there are.

    Of what is older, a sync asks only for the newest few. In a first sync it is from its
    own beginning: someone may write more than those few during it.
    """
    return (scanning.watermark or scanning.lower_bound or scanning.snapshot_at or answered_at) - OVERLAP


def followed_since(state: ListState) -> datetime | None:
    """From when on every message of a list's conversations is wanted; None where it was never scanned."""
    match state:
        case Following(watermark=watermark):
            return watermark - OVERLAP
        case Scanning():
            at = state.watermark or state.lower_bound or state.snapshot_at
            return at - OVERLAP if at is not None else None
    return None


def plan_backlog_item(item: BacklogItem, batch: MessageBatch) -> BacklogItem | None:
    """What is left of a backlog item once these messages are stored; None: nothing.

    A gap ends at a message that was stored before the gap arose; history ends at the bottom.
    """
    if not batch.has_next:
        return None
    if item.kind is BacklogKind.GAP:
        if any(message.message_id in item.anchors for message in batch.messages):
            return None
        reached = reached_at(batch.messages)
        if item.until_at is not None and reached is not None and reached < item.until_at:
            return None
    return replace(item, cursor=batch.after, attempts=0, problem=None, next_attempt_at=None)


class BatchSize:
    """How many conversations to ask for at once: learned for each Page, and remembered.

    It halves where the source says that an answer was too much, and grows back slowly. Each growth that is
    refused makes the next wait twice as long, so that a permanent limit is not tried again and again. Where
    the source only fails, that is a suspicion: it halves after two in a row, and doubles again soon.

    What an earlier run has learned may be out of date: until something is refused, each answer that has all
    that was asked for doubles it, if more is wanted.
    """

    def __init__(self, current: int | None = None, *, largest: int = LARGEST_BATCH) -> None:
        self._largest = largest
        self._succeeded = 0
        self._suspected = 0
        self._grow_after = _GROW_AFTER
        self._has_grown = False
        self._same_answers: tuple[int, int] = (0, 0)
        self._most_served = 0
        self.current = min(current or largest, largest)
        self._may_double = self.current < largest

    def shrink(self, asked: int) -> None:
        """The source says that `asked` conversations were too many: ask for half as many."""
        if self._has_grown:
            self._grow_after = min(self._grow_after * 2, _MOST_PATIENT)
        self._succeeded, self._suspected, self._has_grown, self._may_double = 0, 0, False, False
        self.current = max(1, min(self.current, asked // 2))

    def suspect(self, asked: int) -> None:
        """Every answer to `asked` conversations failed, and smaller ones came: were they too many?"""
        self._suspected += 1
        if self._suspected == _SUSPECTED_IN_A_ROW:
            is_regrown = self._may_double
            self.shrink(asked)
            # Chance may look like this. Once it comes again right after a growth, it was no chance.
            self._may_double = not is_regrown
            self._succeeded = -_SUSPECTED_IN_A_ROW

    def succeeded(self, *, asked: int, served: int, has_next: bool, is_last: bool = False) -> None:
        """An answer came; ask for more where it is time, but not for more than is served.

        `is_last`: nothing more is wanted, so there is no reason to grow.
        """
        self._note_cap(asked, served, has_next=has_next)
        if asked >= self.current:
            self._suspected = 0
        self._succeeded += 1
        if is_last or self.current >= self._largest:
            return
        if self._may_double and self._succeeded >= 0 and served >= asked >= self.current:
            self._has_grown = True
            self.current = min(self._largest, self.current * 2)
        elif self._succeeded >= self._grow_after:
            self._succeeded, self._has_grown = 0, True
            self.current = min(self._largest, self.current + max(1, self.current // 2))

    def _note_cap(self, asked: int, served: int, *, has_next: bool) -> None:
        """The same smaller number again and again is the source's own limit; one short batch is not.

        Nor is a number that was exceeded before: short answers may be as short by chance.
        """
        self._most_served = max(self._most_served, served)
        if not has_next or served >= asked or served < self._most_served or served == 0:
            self._same_answers = (0, 0)
            return
        number, times = self._same_answers
        self._same_answers = (served, times + 1 if number == served else 1)
        if self._same_answers[1] >= _SAME_IN_A_ROW:
            self._largest = served
            self.current = min(self.current, served)
