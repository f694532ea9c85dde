"""Decides what to do next, from how far a list has come and what the source just said.

Pure: no network, no database, no clock. The theory: the list is ordered by
`updated_time`, newest first, and moves while it is read; whatever moves, moves to the
top. So a walk to the bottom, followed by sweeps of the top down to where the walk
began, has seen everything, once a sweep fits into one answer: nothing can move inside
one answer.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from inboxsync.model import (
    Batch,
    Following,
    Item,
    MessageBatch,
    Mode,
    NotStarted,
    Phase,
    Progress,
    Served,
    Span,
    Unserved,
    Walking,
    Window,
    reached_at,
)

# The list that Meta serves where no folder is asked for, and those it has been asked for by name
# (graph-facts 1.3-4); whether a Page has them, its answers tell.
INBOX = "inbox"
FOLDERS = (INBOX, "other", "page_done", "spam")
# A pin is the time at which the source wrote its answer, a little after it looked. Sweeps reach this much
# below it, so that neither that, nor a second's rounding, nor two clocks of Meta's leave a gap. Longer would
# be dearer: a sweep fits one answer only while fewer conversations than it holds move in this time.
OVERLAP = timedelta(seconds=20)
# Nobody had an inbox before: where a list without a known bottom is cut in two.
_EARLIEST = datetime(2004, 2, 4, tzinfo=UTC)
_MOST_LANES = 6
# A span that is about to end is not worth another call to cut it.
_BATCHES_WORTH_A_CUT = 2.5
# A part that holds so much less than a number of batches ends with one that is nearly full, and not with one
# that brings the few that were too many.
_SPARE_BATCHES = 0.1
_SPARE_OF_EACH = 0.02
# Where the bottom is not known, the first lane below goes so far down; each further one twice as far.
_BATCHES_AHEAD = 20
_SHORTEST_SECONDS = 10
_SECOND = timedelta(seconds=1)


def begin_walk(*, floor: datetime | None = None, watermark: datetime | None = None) -> Walking:
    """A walk from the top, down to safely below `floor`."""
    span = Span(floor=floor - OVERLAP if floor else None)
    return Walking(spans=(span,), floor=floor, watermark=watermark)


def plan_lists(
    progress: Mapping[str, Progress], *, mode: Mode, resync_asked: bool, now: datetime, interval: timedelta
) -> dict[str, Walking]:
    """The lists that this run reads, by folder, in order, and where each begins.

    `resync_asked`: the user set `last_synced_at` to NULL. An unfinished full walk of any list is
    continued in every mode, and the lists it has finished stay so: starting over would never end.
    Of the folders beside the inbox an incremental run reads those not looked at for `interval`.
    """
    if starts_over(progress, mode=mode, resync_asked=resync_asked):
        return {folder: begin_walk() for folder in FOLDERS}
    lists = {folder: _go_on(progress.get(folder, NotStarted())) for folder in FOLDERS}
    return {
        folder: walking
        for folder, walking in lists.items()
        if walking is not None and (folder == INBOX or _is_due(walking, now - interval))
    }


def starts_over(progress: Mapping[str, Progress], *, mode: Mode, resync_asked: bool) -> bool:
    """Whether every list is walked from its top to its bottom, whatever was known of it."""
    unfinished = any(is_full(each) for each in progress.values() if isinstance(each, Walking))
    return not progress or (not unfinished and (mode is Mode.FULL or (mode is Mode.AUTO and resync_asked)))


def _go_on(progress: Progress) -> Walking | None:
    match progress:
        case NotStarted():
            return begin_walk()
        case Following(watermark=watermark):
            return begin_walk(floor=watermark, watermark=watermark)
        case Unserved():
            return None
        case Walking():
            return progress


def _is_due(walking: Walking, before: datetime) -> bool:
    return not walking.at_top or walking.watermark is None or walking.watermark < before


def plan_span(span: Span, batch: Batch) -> Span | None:
    """What is left of `span` once `batch`, the answer that it asked for, is stored; None: nothing."""
    if has_arrived(span, batch):
        return None
    times = [at for at in (span.frontier, batch.reached_at) if at is not None]
    return replace(span, frontier=min(times, default=None), cursor=batch.after)


def has_arrived(span: Span, batch: Batch) -> bool:
    """Whether the span is over: at the bottom, or below its floor."""
    if not batch.has_next:
        return True
    reached = batch.reached_at
    return span.floor is not None and reached is not None and reached < span.floor


def wanted_of(span: Span, outline: Batch) -> tuple[Served, ...]:
    """Those of a light answer that the span wants in full: all down to the last one above its floor."""
    floor = span.floor
    above = [
        place
        for place, each in enumerate(outline.conversations, 1)
        if floor is None or each.source_updated_at is None or each.source_updated_at >= floor
    ]
    return outline.conversations[: max(above, default=0)]


def respects(window: Window | None, batch: Batch) -> bool:
    """Whether an answer keeps to the stretch of time it was asked for.

    A source that does not know the bound ignores it, as it does every unknown parameter, and
    serves the top of the list (graph-facts 1.3-10).
    """
    newest = batch.newest_at
    return window is None or window.before is None or newest is None or newest <= window.before + _SECOND


def plan_next(walking: Walking, spans: Iterable[Span], batch: Batch) -> Walking | Following:
    """Where the list stands once `batch` is stored and these `spans` of it remain."""
    pin = walking.pin or batch.answered_at
    left = tuple(spans)
    if left:
        return replace(walking, pin=pin, spans=left)
    if walking.at_top and batch.is_whole:
        return Following(watermark=pin)
    return begin_walk(floor=pin, watermark=walking.watermark)


def plan_lanes(*, latency_seconds: float | None, calls_per_second: float | None) -> int:
    """How many calls have to be under way at once to make all that are allowed."""
    if not latency_seconds or not calls_per_second:
        return 1
    under_way = latency_seconds * calls_per_second
    if under_way <= 0.9:  # noqa: PLR2004 - near enough to 1
        return 1
    # A tenth to spare, for no lane is always busy; each more is a cut more, and a cut wastes half a call.
    return min(_MOST_LANES, math.ceil(under_way * 1.1))


def plan_cut(
    span: Span, *, per_second: float, batch_size: int, top: datetime | None = None
) -> tuple[Span, Span] | None:
    """`span` in two, the newer first; None where it is not worth it.

    `per_second`: conversations a second of `updated_time`, as the lane's answers had them. A span whose
    bottom is known is cut in half, so that the newer part ends with a full batch. Else nobody knows
    where half is: the cut goes as far below as the walk has come from its `top`, and at least some
    batches. It lies between two whole seconds, and the parts overlap by one, so that it does not matter
    on which side of a bound the source counts an equal time.
    """
    if span.frontier is None:
        return None
    bottom = span.floor or _EARLIEST
    seconds = (span.frontier - bottom).total_seconds()
    batches = seconds * per_second / batch_size
    if seconds < _SHORTEST_SECONDS or batches < _BATCHES_WORTH_A_CUT:
        return None
    # Asked for by time, each batch begins with the last one of the batch before.
    batch_seconds = max(1, batch_size - 1) / per_second
    # The first is under way, and asked for without this cut: what it brings of the older part comes twice.
    whole = max(2, round(batches / 2))
    newer_seconds = (whole * (1 - _SPARE_OF_EACH) - _SPARE_BATCHES) * batch_seconds
    if span.floor is None:
        come = (top - span.frontier).total_seconds() if top is not None else 0.0
        newer_seconds = min(newer_seconds, max(come, _BATCHES_AHEAD * batch_seconds))
    cut = (span.frontier - timedelta(seconds=newer_seconds)).replace(microsecond=500_000)
    return replace(span, floor=cut, cursor=None), Span(frontier=cut + _SECOND, floor=span.floor)


def one_chain(walking: Walking, *, keeps_cursor: bool = False) -> Walking:
    """The same walk in one span: on from the newest gap.

    `keeps_cursor`: the cursor there is the list's own, not one of a stretch of time.
    """
    newest = walking.spans[0]
    cursor = newest.cursor if keeps_cursor else None
    chain = Span(frontier=newest.frontier, floor=walking.spans[-1].floor, cursor=cursor)
    return replace(walking, spans=(chain,))


def is_full(walking: Walking) -> bool:
    """Whether this is part of a full sync: no watermark holds before it is done."""
    return walking.watermark is None


def is_sweep(walking: Walking) -> bool:
    """Whether only the head of the list is read."""
    return walking.floor is not None


def owed_since(walking: Walking, answered_at: datetime) -> datetime:
    """From when on every message of a conversation is owed, however many there are.

    Of what is older, the newest few are what a sync asks for. In a first sync that is from its
    own beginning: somebody may write more than those few while it lasts.
    """
    return (walking.watermark or walking.floor or walking.pin or answered_at) - OVERLAP


def followed_since(progress: Progress) -> datetime | None:
    """From when on every message of a list's conversations is wanted; None where it was not walked yet."""
    match progress:
        case Following(watermark=watermark):
            return watermark - OVERLAP
        case Walking():
            at = progress.watermark or progress.floor or progress.pin
            return at - OVERLAP if at is not None else None
    return None


def plan_item(item: Item, batch: MessageBatch) -> Item | None:
    """What is still owed once these messages are stored; None: nothing.

    A gap ends where a message is met that was stored before it arose; history ends at the bottom.
    """
    if not batch.has_next:
        return None
    if item.phase is Phase.GAP:
        if any(message.message_id in item.anchors for message in batch.messages):
            return None
        reached = reached_at(batch.messages)
        if item.until_at is not None and reached is not None and reached < item.until_at:
            return None
    return replace(item, cursor=batch.after, attempts=0, problem=None, next_attempt_at=None)
