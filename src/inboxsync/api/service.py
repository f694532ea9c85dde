"""What the routes share: one configured service."""

import asyncio
from typing import Annotated, TypeVar

from fastapi import Depends, Request

from inboxsync.api.door import Door
from inboxsync.api.keys import Guesses, KeyRing
from inboxsync.api.meters import Meters
from inboxsync.engine import Engine

T = TypeVar("T")


class Service:
    """One service over one engine. Its parts are reached as `request.app.state.service`."""

    def __init__(self, engine: Engine) -> None:
        settings = engine.settings
        fixed = settings.api_key.get_secret_value() if settings.api_key else None
        self.engine = engine
        self.keys = KeyRing(engine.store, fixed=fixed, clock=engine.clock)
        self.door = Door(self.keys, Guesses(engine.clock), origins=settings.cors_origin_list)
        self.meters = Meters(engine.store, clock=engine.clock)
        # Set when the process is told to end: whoever waits answers with what there is.
        self.draining = asyncio.Event()

    def drain(self) -> None:
        """Have streams and waiting calls end now, without a loss: their runs are not theirs."""
        self.draining.set()


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


ServiceDependency = Annotated[Service, Depends(_service)]
