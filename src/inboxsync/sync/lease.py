"""One sync of a Page at a time, whoever starts it: command, service or worker.

The lease is a row that its owner renews with every batch, and every few seconds besides.
An owner that dies stops renewing: its lease expires, and at once where the process that held
it ran on this machine and is gone. An owner that wakes up too late finds the lease lost when
it next writes, and writes nothing.
"""

import asyncio
import os
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from functools import partial
from pathlib import Path

import structlog
from sqlalchemy import Connection

from inboxsync.clock import Clock
from inboxsync.errors import LeaseLost, PageBusy, StoreError
from inboxsync.model import Lease, Page
from inboxsync.store import Store
from inboxsync.store.state.leases import acquire_lease, break_lease, release_lease, renew_lease
from inboxsync.store.state.pages import get_page
from inboxsync.sync.stop import Stop
from inboxsync.sync.waiting import with_retries

log = structlog.get_logger(__name__)

LEASE_SECONDS = 20.0
_HEARTBEAT_SECONDS = 5.0
_POLL_SECONDS = 1.0


def new_owner() -> str:
    """A name for a run of this process that no other has: `host:pid:random`."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"


@asynccontextmanager
async def held_lease(
    store: Store, clock: Clock, page: Page, *, owner: str, stop: Stop, wait: bool
) -> AsyncIterator[None]:
    """Hold the Page for as long as the context lasts.

    Where another holds it: waits for its end if `wait`, else raises PageBusy. Raises Stopped where
    the wait is cut short.
    """
    told: str | None = None
    acquire = partial(_acquire, store, clock, page, owner)
    while (holder := await with_retries(acquire, clock=clock, stop=stop)) is not None:
        if not wait:
            raise PageBusy(
                f"{_who(holder).capitalize()} has been working on Page {page.facebook_page_id} "
                f"since {holder.acquired_at.astimezone():%Y-%m-%d %H:%M:%S}."
            )
        if told != holder.owner:  # once for each holder, however long it takes
            since = holder.acquired_at.isoformat(timespec="seconds")
            log.info(
                "waiting for another process",
                page_id=page.facebook_page_id,
                held_by=_who(holder),
                since=since,
            )
            told = holder.owner
        await stop.unless_asked(clock.sleep(_POLL_SECONDS))
    beating = asyncio.create_task(_beat(store, clock, page, owner))
    try:
        yield
    finally:
        beating.cancel()
        with suppress(StoreError):  # a store that fails has been reported already; the lease expires
            await asyncio.to_thread(_release, store, page, owner)


def keep_lease(connection: Connection, page: Page, owner: str, *, now: datetime) -> None:
    """Renew the lease in the caller's transaction, before it writes.

    A frozen process that wakes up must not write over what another has done meanwhile. Raises
    LeaseLost, or PageUnknown where the Page was removed.
    """
    if not renew_lease(connection, page.id, owner, now=now, seconds=LEASE_SECONDS):
        get_page(connection, page.id)  # the lease went with it
        raise LeaseLost(f"Another process has taken over Page {page.facebook_page_id}.")


def _acquire(store: Store, clock: Clock, page: Page, owner: str) -> Lease | None:
    with store.write() as connection:
        get_page(connection, page.id)  # removed since it was looked up: say so
        holder = acquire_lease(connection, page.id, owner, now=clock.now(), seconds=LEASE_SECONDS)
        if holder is not None and is_gone(holder.owner):
            break_lease(connection, page.id, holder.owner)
            holder = acquire_lease(connection, page.id, owner, now=clock.now(), seconds=LEASE_SECONDS)
    return holder


async def _beat(store: Store, clock: Clock, page: Page, owner: str) -> None:
    while True:
        await asyncio.sleep(_HEARTBEAT_SECONDS)
        with suppress(StoreError):  # the next batch meets the same, and says so
            await asyncio.to_thread(_renew, store, clock, page, owner)


def _renew(store: Store, clock: Clock, page: Page, owner: str) -> None:
    with store.write() as connection:
        renew_lease(connection, page.id, owner, now=clock.now(), seconds=LEASE_SECONDS)


def _release(store: Store, page: Page, owner: str) -> None:
    with store.write() as connection:
        release_lease(connection, page.id, owner)


def is_gone(owner: str) -> bool:
    """Whether the owner was a process of this machine and is no more. Never true of one elsewhere."""
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
    """Whether a process has ended and nobody has asked for its exit code yet; where /proc tells."""
    with suppress(OSError, IndexError):
        status = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
        return status.rpartition(")")[2].split()[0] == "Z"
    return False


def _who(lease: Lease) -> str:
    host, _, pid = lease.owner.rpartition(":")[0].rpartition(":")
    return f"process {pid} on {host}"
