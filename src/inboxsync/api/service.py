"""What the routes share: one configured service."""

import asyncio
from typing import Annotated, Final, Protocol

from anyio import CapacityLimiter
from fastapi import Depends, Request

from inboxsync.api.auth import Auth
from inboxsync.api.event_stream import EventStreams
from inboxsync.api.keys import Guesses, KeyRing
from inboxsync.api.metrics import Metrics
from inboxsync.engine import Engine
from inboxsync.model import Page, Run, RunRequest

# SQLite has one writer, and who waits for it holds a thread.
_WRITERS: Final = 8


class Queue(Protocol):
    """What takes runs: `inboxsync.workers.RunQueue`. Its calls block."""

    def submit(self, page: Page, request: RunRequest) -> Run:
        """Hand a run over; while one of this Page has not ended, that one is returned instead."""

    def cancel(self, run_id: str) -> Run:
        """Have a run end at its next batch."""

    def close(self) -> None:
        """Give back what it holds."""


class Service:
    """One service over one engine. Its parts are reached as `request.app.state.service`."""

    def __init__(self, engine: Engine, queue: Queue | None) -> None:
        settings = engine.settings
        fixed = settings.api_key.get_secret_value() if settings.api_key else None
        self.engine = engine
        self.queue = queue
        self.keys = KeyRing(engine.store, fixed=fixed, clock=engine.clock)
        self.auth = Auth(self.keys, Guesses(engine.clock), origins=settings.cors_origin_list)
        self.metrics = Metrics(engine.store, clock=engine.clock)
        self.event_streams = EventStreams(engine.store, engine.clock)
        self.metrics.listeners.set_function(lambda: self.event_streams.listeners)
        # Who writes waits here, so that a database that is locked leaves threads to those who read.
        self.writers = CapacityLimiter(_WRITERS)
        # Set when the process is told to end: whoever waits answers with what there is.
        self.draining = asyncio.Event()

    def drain(self) -> None:
        """Have streams and waiting calls end now, without a loss: their runs are not theirs."""
        self.draining.set()
        self.event_streams.drain()


async def _service(request: Request) -> Service:
    # A plain function would be called in a thread, for every request.
    service: Service = request.app.state.service
    return service


ServiceDependency = Annotated[Service, Depends(_service)]
