"""One sync of a Page at a time, no matter what starts it: a command, the service or a worker.

The lease is a row that its owner renews with every batch, and every few seconds in between.
An owner that dies stops renewing: its lease expires, or is broken at once where the process that had
it ran on this machine and is gone. An owner that wakes up too late finds its lease lost when
it next writes, and writes nothing (`store.state.leases.keep_lease`).
"""

import asyncio
import os
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import structlog

from inboxsync.clock import Clock
from inboxsync.errors import PageBusy, StoreError
from inboxsync.model import Lease, Page
from inboxsync.store import Store
from inboxsync.store.state.leases import acquire_lease, break_lease, release_lease, renew_lease
from inboxsync.store.state.pages import get_page
from inboxsync.sync.stop import Stop, with_retries

log = structlog.get_logger(__name__)

_HEARTBEAT_SECONDS = 5.0
_POLL_SECONDS = 1.0


def new_owner() -> str:
    """A name for a run of this process that no other run has: `host:pid:random`."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"


@asynccontextmanager
async def held_lease(
    store: Store, clock: Clock, page: Page, *, owner: str, stop: Stop, wait: bool
) -> AsyncIterator[None]:
    """Hold the lease of the Page while the context lasts.

    Where another owner has it: waits for its end if `wait`, else raises PageBusy. Raises Stopped where
    the run is asked to end while it waits.
    """
    reported: str | None = None
    acquire = partial(_acquire, store, clock, page, owner)
    while (holder := await with_retries(acquire, clock=clock, stop=stop)) is not None:
        if not wait:
            raise PageBusy(
                f"{_process_of(holder).capitalize()} has been working on Page {page.facebook_page_id} "
                f"since {holder.acquired_at.astimezone(clock.zone):%Y-%m-%d %H:%M:%S}."
            )
        if reported != holder.owner:  # once for each owner, however long it takes
            since = holder.acquired_at.isoformat(timespec="seconds")
            log.info(
                "waiting for another process",
                page_id=page.facebook_page_id,
                held_by=_process_of(holder),
                since=since,
            )
            reported = holder.owner
        await stop.unless_asked(clock.sleep(_POLL_SECONDS))
    renewing = asyncio.create_task(_renew_regularly(store, clock, page, owner))
    try:
        yield
    finally:
        renewing.cancel()
        with suppress(StoreError):  # a database that fails is reported already; the lease expires
            await asyncio.to_thread(_release, store, page, owner)


def _acquire(store: Store, clock: Clock, page: Page, owner: str) -> Lease | None:
    with store.write() as connection:
        get_page(connection, page.id)  # raises where it was removed since it was looked up
        holder = acquire_lease(connection, page.id, owner, now=clock.now())
        if holder is not None and is_gone(holder.owner):
            break_lease(connection, page.id, holder.owner)
            holder = acquire_lease(connection, page.id, owner, now=clock.now())
    return holder


async def _renew_regularly(store: Store, clock: Clock, page: Page, owner: str) -> None:
    while True:
        await asyncio.sleep(_HEARTBEAT_SECONDS)
        with suppress(StoreError):  # the next batch meets the same, and reports it
            await asyncio.to_thread(_renew, store, clock, page, owner)


def _renew(store: Store, clock: Clock, page: Page, owner: str) -> None:
    with store.write() as connection:
        renew_lease(connection, page.id, owner, now=clock.now())


def _release(store: Store, page: Page, owner: str) -> None:
    with store.write() as connection:
        release_lease(connection, page.id, owner)


def is_gone(owner: str) -> bool:
    """Whether the owner was a process of this machine and has ended. Never true of another machine's."""
    host, _, rest = owner.rpartition(":")[0].rpartition(":")
    if host != socket.gethostname() or not rest.isdecimal():
        return False
    try:
        os.kill(int(rest), 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):
        return False
    return _is_zombie(int(rest))


def _is_zombie(pid: int) -> bool:
    """Whether a process has ended and its parent has not asked for its exit code; where there is /proc."""
    with suppress(OSError, IndexError):
        status = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
        return status.rpartition(")")[2].split()[0] == "Z"
    return False


def _process_of(lease: Lease) -> str:
    host, _, pid = lease.owner.rpartition(":")[0].rpartition(":")
    return f"process {pid} on {host}"
