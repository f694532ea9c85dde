"""`inboxsync worker`."""

import asyncio
from typing import Annotated

import typer

from inboxsync.cli.ending import asked_to_end
from inboxsync.cli.interpreter import set_for_syncing
from inboxsync.cli.opening import open_engine
from inboxsync.engine import Engine
from inboxsync.workers import Worker


def worker(
    *,
    concurrency: Annotated[
        int, typer.Option(min=1, max=1000, help="How many Pages to work on side by side.")
    ] = 8,
    schedules: Annotated[
        bool, typer.Option(help="Start runs by itself when a Page is due, as `inboxsync pages set` says.")
    ] = True,
    drain_seconds: Annotated[
        float,
        typer.Option(min=0, max=3600, help="How long to wait for batches under way when it is stopped."),
    ] = 30.0,
) -> None:
    """Execute runs that were handed over: by `inboxsync sync --enqueue`, the HTTP service, or a schedule.

    Start as many as you like, on as many machines as share the database. One that dies is followed by the
    others within seconds. SIGTERM or Ctrl-C lays its runs down at their next batch; others go on with them.
    """
    with open_engine() as engine:
        asyncio.run(_work(engine, concurrency=concurrency, schedules=schedules, drain_seconds=drain_seconds))


async def _work(engine: Engine, *, concurrency: int, schedules: bool, drain_seconds: float) -> None:
    one = Worker(engine, concurrency=concurrency, schedules=schedules)
    asked = asked_to_end()
    await one.start()
    set_for_syncing(stays=True)
    await asked
    await one.drain(drain_seconds)
