"""Waits for a database that is away for a moment: a restart, a lost connection, a lock, a deadlock."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

import structlog

from inboxsync.clock import Clock
from inboxsync.errors import StoreUnreachable
from inboxsync.sync.stop import Stop

log = structlog.get_logger(__name__)

T = TypeVar("T")

# Half a minute in all: a server restarts in seconds, a managed one fails over within that.
PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0)


async def with_retries(work: Callable[[], T], *, clock: Clock, stop: Stop) -> T:
    """What `work` returns; it is run in a thread, and again after each pause while the database is away.

    `work` is one transaction, or reads: repeated as a whole it must do the same. Raises Stopped where the
    run is asked to end in a pause, and StoreUnreachable where the last attempt met it.
    """
    for pause in PAUSES:
        try:
            return await asyncio.to_thread(work)
        except StoreUnreachable as error:
            log.warning("the database is away, trying again", why=error.message, pause_seconds=pause)
        await stop.unless_asked(clock.sleep(pause))
    return await asyncio.to_thread(work)
