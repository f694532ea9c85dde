"""Decides what to do next, from how far a list has come and what the source just said.

Pure: no network, no database, no clock. The theory: the list is ordered by
`updated_time`, newest first, and moves while it is read; whatever moves, moves to the
top. So a walk to the bottom, followed by sweeps of the top down to where the walk
began, has seen everything, once a sweep fits into one answer: nothing can move inside
one answer.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from inboxsync.model import Batch, Following, Mode, NotStarted, Progress, Walking

# A pin is the time at which the source wrote its answer, a little after it looked. Sweeps reach this much
# below it, so that neither that, nor a second's rounding, nor two clocks of Meta's leave a gap. Longer would
# be dearer: a sweep fits one answer only while fewer conversations than it holds move in this time.
OVERLAP = timedelta(seconds=20)


def plan_start(progress: Progress, *, mode: Mode, resync_asked: bool) -> Walking:
    """What this run walks first.

    `resync_asked`: the user set `last_synced_at` to NULL. An unfinished full walk is
    continued in every mode: starting it over would never end.
    """
    afresh = mode is Mode.FULL or (mode is Mode.AUTO and resync_asked)
    match progress:
        case NotStarted():
            return Walking()
        case Walking() if progress.watermark is None or not afresh:
            return progress
        case Following(watermark=watermark) if not afresh:
            return Walking(floor=watermark, watermark=watermark)
        case _:
            return Walking()


def plan_next(walking: Walking, batch: Batch) -> Walking | Following:
    """Where the list stands once `batch`, the answer that `walking` asked for, is stored."""
    pin = walking.pin or batch.answered_at
    if not _has_arrived(walking, batch):
        return replace(walking, pin=pin, frontier=_frontier(walking, batch), cursor=batch.after)
    if walking.at_top:
        return Following(watermark=pin)
    return Walking(floor=pin, watermark=walking.watermark)


def is_full(walking: Walking) -> bool:
    """Whether this is part of a full sync: no watermark holds before it is done."""
    return walking.watermark is None


def is_sweep(walking: Walking) -> bool:
    """Whether only the head of the list is read."""
    return walking.floor is not None


def _has_arrived(walking: Walking, batch: Batch) -> bool:
    """Whether the walk is over: at the bottom, or safely below its floor."""
    if not batch.has_next:
        return True
    reached = batch.reached_at
    return walking.floor is not None and reached is not None and reached < walking.floor - OVERLAP


def _frontier(walking: Walking, batch: Batch) -> datetime | None:
    times = [at for at in (walking.frontier, batch.reached_at) if at is not None]
    return min(times, default=None)
