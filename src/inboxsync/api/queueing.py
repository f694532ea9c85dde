"""Hands runs over to the workers. Nothing here, or above, ever syncs anything itself."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

import structlog
from anyio import to_thread
from sqlalchemy import Connection
from starlette.concurrency import run_in_threadpool

from inboxsync.api.errors import NothingToFollow, PageMismatch, QueueUnavailable
from inboxsync.api.service import Service
from inboxsync.errors import PageBusy, PageUnknown, RunUnknown
from inboxsync.model import Mode, Run, RunKind, RunRequest
from inboxsync.store.state.pages import get_page
from inboxsync.store.state.run_totals import newest_event_seq
from inboxsync.store.state.runs import get_run

T = TypeVar("T")

_AGAIN_SECONDS = 1.0
_KINDS = {RunKind.SYNC: "A sync", RunKind.VERIFY: "A verification"}


async def submit(service: Service, page_id: str, request: RunRequest, *, meta_id: str | None = None) -> Run:
    """Hand over a run of the Page with our id `page_id`, whose id at Meta must be `meta_id` where given.

    Raises PageUnknown, PageMismatch, QueueUnavailable, StoreError, and PageBusy where a run that does
    something else has not ended: a sync that is under way verifies nothing, nor the other way round, and
    one that reads what is new does not read everything.
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

    run = _noted(await to_thread.run_sync(hand_over, limiter=service.writers))
    if not _does(run, request):
        raise PageBusy(
            f"{_KINDS[run.kind]} of this Page has not ended.",
            hint=f"Nothing was begun. Ask again once /api/v1/runs/{run.id} has ended, or cancel it.",
        )
    return run


async def submit_when_free(
    service: Service, page_id: str, request: RunRequest, *, meta_id: str, ends_at: float
) -> Run:
    """As `submit`, once what keeps the Page busy has ended. Raises PageBusy at `ends_at` of the loop."""
    loop = asyncio.get_running_loop()
    while True:
        try:
            return await submit(service, page_id, request, meta_id=meta_id)
        except PageBusy:
            if loop.time() + _AGAIN_SECONDS > ends_at or service.draining.is_set():
                raise
            await asyncio.sleep(_AGAIN_SECONDS)


async def cancel(service: Service, run_id: str) -> Run:
    """Have a run end. Raises RunUnknown, QueueUnavailable, StoreError."""
    await find_run(service, run_id)
    if service.queue is None:
        raise QueueUnavailable("This service takes no runs.")
    return await to_thread.run_sync(service.queue.cancel, run_id, limiter=service.writers)


async def find_run(service: Service, run_id: str) -> Run:
    """A run as it stands. Raises RunUnknown."""
    run = await in_thread(service, lambda connection: get_run(connection, run_id))
    if run is None:
        raise RunUnknown("There is no such run in the database.")
    return _noted(run)


async def find_followed(service: Service, run_id: str) -> Run:
    """The same for a listener, to whom a run that others listen to already costs no look."""
    run = service.event_streams.running(run_id)
    return await find_run(service, run_id) if run is None else _noted(run)


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


def _does(run: Run, request: RunRequest) -> bool:
    """Whether this run does what is asked, so that its result is the caller's too."""
    if run.kind is not request.kind:
        return False
    asked = run.request.mode if run.request else run.mode
    return request.mode is not Mode.FULL or Mode.FULL in (run.mode, asked)


def _noted(run: Run) -> Run:
    """The same, and the request's log line tells which it was."""
    structlog.contextvars.bind_contextvars(run_id=run.id)
    return run
