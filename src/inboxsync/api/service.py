"""One configured service: what the routes share, and how runs get to the workers.

Nothing in `api` or above it ever syncs anything itself: a run is enqueued, and a worker executes it.
"""

import asyncio
from collections.abc import Callable
from typing import Annotated, Final, Protocol, TypeVar

import structlog
from anyio import CapacityLimiter, to_thread
from fastapi import Depends, Request
from sqlalchemy import Connection
from starlette.concurrency import run_in_threadpool

from inboxsync.api.auth import Auth, Guesses, KeyRing
from inboxsync.api.downloads import Downloads
from inboxsync.api.event_stream import EventStreams
from inboxsync.api.metrics import Metrics
from inboxsync.api.problems import PageMismatch, QueueUnavailable
from inboxsync.engine import Engine
from inboxsync.errors import PageBusy, RunUnknown
from inboxsync.model import Mode, Page, Run, RunKind, RunRequest
from inboxsync.store.state.pages import find_page
from inboxsync.store.state.runs import get_run

T = TypeVar("T")

# SQLite has one writer, and a request that waits for it holds a thread.
_WRITERS: Final = 8
_REPORTERS: Final = 2
_AGAIN_SECONDS = 1.0
_KINDS = {RunKind.SYNC: "A sync", RunKind.VERIFY: "A verification"}


class Queue(Protocol):
    """Where runs are enqueued: `inboxsync.workers.RunQueue`. Its calls block."""

    def enqueue(self, page: Page, request: RunRequest) -> Run:
        """Enqueue a run; if one of this Page has not ended, that one is returned instead."""

    def cancel(self, run_id: str) -> Run:
        """End a run at its next batch."""


class Service:
    """One service over one engine. Routes get it as `ServiceDependency`."""

    def __init__(self, engine: Engine, queue: Queue | None) -> None:
        settings = engine.settings
        fixed = settings.api_key.get_secret_value() if settings.api_key else None
        self.engine = engine
        self.queue = queue
        self.keys = KeyRing(engine.store, fixed=fixed, clock=engine.clock)
        self.auth = Auth(self.keys, Guesses(engine.clock), origins=settings.cors_origin_list)
        self.metrics = Metrics(engine.store, clock=engine.clock)
        self.event_streams = EventStreams(engine.store, engine.clock)
        self.metrics.clients.set_function(lambda: self.event_streams.clients)
        # Requests that write wait here, so that a locked database leaves threads to those that read.
        self.writers = CapacityLimiter(_WRITERS)
        # Reports may read everything.
        self.reporters = CapacityLimiter(_REPORTERS)
        self.downloads = Downloads(engine)
        # Set when the process ends: streams and waiting calls then answer with what they have.
        self.draining = asyncio.Event()

    def drain(self) -> None:
        """End streams and waiting calls now. Nothing is lost: the runs belong to the workers."""
        self.draining.set()
        self.event_streams.drain()

    async def read(self, read: Callable[[Connection], T]) -> T:
        """The result of `read`, in a thread."""

        def work() -> T:
            with self.engine.store.read() as connection:
                return read(connection)

        return await run_in_threadpool(work)

    async def submit(self, page_id: str, request: RunRequest, *, meta_id: str | None = None) -> Run:
        """Enqueue a run of the Page that `page_id` names. Where `meta_id` is given, both must match.

        Raises PageUnknown, PageAmbiguous, PageMismatch, QueueUnavailable, StoreError, and PageBusy where a
        run that does something else has not ended: a sync is no verification, and one that reads only what
        is new is no full one.
        """
        if self.queue is None:
            raise QueueUnavailable("This service starts no runs.")
        queue = self.queue

        def enqueue() -> Run:
            with self.engine.store.read() as connection:
                page = find_page(connection, page_id)
            if meta_id is not None and page.facebook_page_id != meta_id:
                raise PageMismatch("pageId and facebookPageId name different Pages.")
            return queue.enqueue(page, request)

        run = _logged(await to_thread.run_sync(enqueue, limiter=self.writers))
        if not _fulfils(run, request):
            raise PageBusy(
                f"{_KINDS[run.kind]} of this Page has not ended.",
                hint=f"Nothing was started. Ask again when /api/v1/runs/{run.id} has ended, or cancel it.",
            )
        return run

    async def submit_when_free(
        self, page_id: str, request: RunRequest, *, meta_id: str, ends_at: float
    ) -> Run:
        """As `submit`, but waits while the Page is busy. Raises PageBusy at `ends_at` (the loop's time)."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                return await self.submit(page_id, request, meta_id=meta_id)
            except PageBusy:
                if loop.time() + _AGAIN_SECONDS > ends_at or self.draining.is_set():
                    raise
                await asyncio.sleep(_AGAIN_SECONDS)

    async def cancel(self, run_id: str) -> Run:
        """End a run at its next batch. Raises RunUnknown, QueueUnavailable, StoreError."""
        await self.find_run(run_id)
        if self.queue is None:
            raise QueueUnavailable("This service starts no runs.")
        return await to_thread.run_sync(self.queue.cancel, run_id, limiter=self.writers)

    async def find_run(self, run_id: str) -> Run:
        """A run as it is now. Raises RunUnknown."""
        run = await self.read(lambda connection: get_run(connection, run_id))
        if run is None:
            raise RunUnknown("There is no such run in the database.")
        return _logged(run)

    async def find_followed_run(self, run_id: str) -> Run:
        """The same for a stream, without a query where another stream follows this run already."""
        run = self.event_streams.running(run_id)
        return await self.find_run(run_id) if run is None else _logged(run)


def page_id_of(connection: Connection, page: str | None) -> str | None:
    """Our id of the Page that a list is asked for. Raises PageUnknown, PageAmbiguous."""
    return None if page is None else find_page(connection, page).id


def _fulfils(run: Run, request: RunRequest) -> bool:
    """Whether this run does what is requested, so that its result is the caller's too."""
    if run.kind is not request.kind:
        return False
    requested = run.request.mode if run.request else run.mode
    return request.mode is not Mode.FULL or Mode.FULL in (run.mode, requested)


def _logged(run: Run) -> Run:
    """The same; the request's log line will name it."""
    structlog.contextvars.bind_contextvars(run_id=run.id)
    return run


async def _service(request: Request) -> Service:
    # FastAPI would call a plain function in a thread, for every request.
    service: Service = request.app.state.service
    return service


ServiceDependency = Annotated[Service, Depends(_service)]
