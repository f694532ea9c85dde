"""`inboxsync worker`."""

import asyncio
import os
from typing import Annotated

import typer

from inboxsync.cli.process import asked_to_end, open_engine, set_for_syncing
from inboxsync.workers import Worker

# Those whom `inboxsync serve` answers come first: they wait for it, and a batch does not.
_NICENESS = 10
_STDIN = 0


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
    attended: Annotated[
        bool,
        typer.Option("--attended", hidden=True, help="Live as long as whoever holds the standard input."),
    ] = False,
) -> None:
    """Execute runs that were handed over: by `inboxsync sync --enqueue`, the HTTP service, or a schedule.

    Start as many as you like, on as many machines as share the database. One that dies is followed by the
    others within seconds. SIGTERM or Ctrl-C lays its runs down at their next batch; others go on with them.
    """
    with open_engine() as engine:
        if attended and hasattr(os, "nice"):
            os.nice(_NICENESS)
        one = Worker(engine, concurrency=concurrency, schedules=schedules)
        asyncio.run(_work(one, lifeline=_STDIN if attended else None, drain_seconds=drain_seconds))


async def _work(one: Worker, *, lifeline: int | None, drain_seconds: float) -> None:
    asked = asked_to_end(lifeline=lifeline)
    await one.start()
    set_for_syncing(stays=True)
    await asked
    await one.drain(drain_seconds)
