"""Hands runs over to the workers. Nothing here, or above, ever syncs anything itself."""

from collections.abc import Callable
from typing import TypeVar

import structlog
from sqlalchemy import Connection
from starlette.concurrency import run_in_threadpool

from inboxsync.api.errors import NothingToFollow, PageMismatch, QueueUnavailable
from inboxsync.api.service import Service
from inboxsync.errors import PageUnknown, RunUnknown
from inboxsync.model import Run, RunRequest
from inboxsync.store.pages import get_page
from inboxsync.store.run_totals import newest_event_seq
from inboxsync.store.runs import get_run

T = TypeVar("T")


async def submit(service: Service, page_id: str, request: RunRequest, *, meta_id: str | None = None) -> Run:
    """Hand over a run of the Page with our id `page_id`, whose id at Meta must be `meta_id` where given.

    Raises PageUnknown, PageMismatch, QueueUnavailable, StoreError.
    """
    if service.queue is None:
        raise QueueUnavailable("This service takes no runs.")
    queue = service.queue

    def hand_over() -> Run:
        with service.engine.store.read() as connection:
            page = get_page(connection, page_id)
        if page.id != page_id:
            raise PageUnknown(f"There is no Page {page_id} in the database.")
        if meta_id is not None and page.facebook_page_id != meta_id:
            raise PageMismatch("pageId and facebookPageId name different Pages.")
        return queue.submit(page, request)

    return _noted(await run_in_threadpool(hand_over))


async def cancel(service: Service, run_id: str) -> Run:
    """Have a run end. Raises RunUnknown, QueueUnavailable, StoreError."""
    await find_run(service, run_id)
    if service.queue is None:
        raise QueueUnavailable("This service takes no runs.")
    return await run_in_threadpool(service.queue.cancel, run_id)


async def find_run(service: Service, run_id: str) -> Run:
    """A run as it stands. Raises RunUnknown."""
    run = await in_thread(service, lambda connection: get_run(connection, run_id))
    if run is None:
        raise RunUnknown("There is no such run in the database.")
    return _noted(run)


async def in_thread(service: Service, read: Callable[[Connection], T]) -> T:
    """What `read` finds in the database."""

    def look() -> T:
        with service.engine.store.read() as connection:
            return read(connection)

    return await run_in_threadpool(look)


async def begin_after(service: Service, run: Run, last_event_id: str | None) -> int:
    """The number of the event behind which a listener goes on, as its `Last-Event-ID` tells it.

    Raises NothingToFollow where the run has ended and its last word was seen.
    """
    if last_event_id is None:
        return 0
    run_id, _, seq = last_event_id.rpartition(".")
    if run_id != run.id:
        return 0
    newest = await in_thread(service, lambda connection: newest_event_seq(connection, run.id))
    if not run.status.is_open and int(seq) >= newest:
        raise NothingToFollow
    return int(seq)


def _noted(run: Run) -> Run:
    """The same, and the request's log line tells which it was."""
    structlog.contextvars.bind_contextvars(run_id=run.id)
    return run
