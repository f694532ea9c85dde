"""Starts what is due: each Page is synced at its interval, and verified once a night."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import Connection

from inboxsync.engine import Engine
from inboxsync.model import Page, RunKind, RunRequest, Schedule
from inboxsync.store.state.schedules import get_schedule, list_due_for_sync, list_due_for_verify, put_schedule
from inboxsync.workers.queue import enqueue_run

EVERY_SECONDS: Final = 300
# What an interval may be.
SHORTEST_SECONDS: Final = 30
LONGEST_SECONDS: Final = 30 * 86_400
# Pages that became due together do not stay together.
_JITTER = 0.1
# Few people write at these hours, UTC.
_NIGHT_BEGINS, _NIGHT_HOURS = 1, 4
_PAGES_AT_ONCE = 100


def start_due(engine: Engine) -> int:
    """Enqueue runs of Pages that are due, so many at once; returns how many Pages were due."""
    now = engine.clock.now()
    with engine.store.write() as connection:
        syncs = list_due_for_sync(connection, now=now, limit=_PAGES_AT_ONCE)
        for page in syncs:
            enqueue_run(connection, page, RunRequest(), now=now)
            _plan_next(connection, get_schedule(connection, page.id), now)
        verifies = list_due_for_verify(connection, now=now, limit=_PAGES_AT_ONCE)
        for page in verifies:
            enqueue_run(connection, page, RunRequest(kind=RunKind.VERIFY), now=now)
            put_schedule(
                connection, replace(get_schedule(connection, page.id), next_verify_at=next_night(now))
            )
    return len(syncs) + len(verifies)


def next_night(now: datetime) -> datetime:
    """A moment of the next night, a different one for each Page."""
    begins = now.astimezone(UTC).replace(hour=_NIGHT_BEGINS, minute=0, second=0, microsecond=0)
    if begins <= now:
        begins += timedelta(days=1)
    return begins + timedelta(hours=_NIGHT_HOURS * random.random())  # noqa: S311 - spreads load


def set_schedule(
    connection: Connection,
    page: Page,
    *,
    every_seconds: int | None,
    is_paused: bool | None,
    now: datetime,
) -> Schedule:
    """Change what is given. A shorter interval counts from now, and so does the end of a pause."""
    schedule = get_schedule(connection, page.id)
    if every_seconds is not None:
        due_at = now + timedelta(seconds=every_seconds)
        next_at = min(schedule.next_sync_at, due_at) if schedule.next_sync_at else None
        schedule = replace(schedule, every_seconds=every_seconds, next_sync_at=next_at)
    if is_paused is not None:
        schedule = replace(schedule, is_paused=is_paused)
    put_schedule(connection, schedule)
    return schedule


def reset_schedule(connection: Connection, page: Page, *, now: datetime) -> Schedule:
    """The default again: not paused, and the default interval, which counts from now if it is shorter."""
    set_schedule(connection, page, every_seconds=EVERY_SECONDS, is_paused=False, now=now)
    schedule = replace(get_schedule(connection, page.id), every_seconds=None)
    put_schedule(connection, schedule)
    return schedule


def _plan_next(connection: Connection, schedule: Schedule, now: datetime) -> None:
    jitter = random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - spreads load
    seconds = (schedule.every_seconds or EVERY_SECONDS) * jitter
    put_schedule(
        connection,
        replace(
            schedule,
            next_sync_at=now + timedelta(seconds=seconds),
            next_verify_at=schedule.next_verify_at or next_night(now),
        ),
    )
