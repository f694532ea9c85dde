"""`inboxsync worker`, and the worker of `inboxsync serve`: a process that begins and ends with the service.

In the service's own process it would share the interpreter with requests, and each request would wait for it
many times (decision 19).
"""

import asyncio
import os
import sys
import time
from asyncio.subprocess import PIPE
from contextlib import suppress
from typing import Annotated, Final

import structlog
import typer

from inboxsync.cli.process import asked_to_end, open_engine, set_for_syncing
from inboxsync.workers import Worker

log = structlog.get_logger("inboxsync.serve")

# People wait for the answers of `inboxsync serve`, and no one waits for a batch.
_NICENESS = 10
_STDIN = 0
# `-P`: a folder that has the name of a module must not be imported from where the service was started.
_COMMAND: Final = (sys.executable, "-P", "-m", "inboxsync", "worker", "--attended")
_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 30.0
# A worker that has lived so long has ended for a new reason.
_LASTING_SECONDS = 60.0
# A worker ends in time on its own; this is for one that does not respond.
_GRACE_SECONDS = 1.0


def worker(
    *,
    concurrency: Annotated[
        int, typer.Option(min=1, max=1000, help="How many Pages to work on at the same time.")
    ] = 8,
    schedules: Annotated[
        bool, typer.Option(help="Start runs of Pages that are due, as `inboxsync pages set` says.")
    ] = True,
    drain_seconds: Annotated[
        float,
        typer.Option(min=0, max=3600, help="How long to wait for running batches when it is stopped."),
    ] = 30.0,
    attended: Annotated[
        bool,
        typer.Option("--attended", hidden=True, help="Live as long as the process at the standard input."),
    ] = False,
) -> None:
    """Execute runs that were enqueued: by `inboxsync sync --enqueue`, the HTTP service, or a schedule.

    Start as many as you like, on any machine that reaches the database. If one dies, the others continue its
    runs within seconds. SIGTERM or Ctrl-C suspends its runs at their next batch; other workers continue them.
    """
    # The process that it serves has warned.
    with open_engine(warns=not attended) as engine:
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


async def keep_worker(draining: asyncio.Event, *, drain_seconds: float) -> None:
    """Keep a worker running until `draining` is set, then have it suspend its runs and end.

    A worker that ends before is started again. A worker that does not end in time is killed; nothing is lost.
    """
    pause = _PAUSE_SECONDS
    while not draining.is_set():
        began = time.monotonic()
        why = await _run_worker(draining, drain_seconds=drain_seconds)
        if draining.is_set():
            return
        if time.monotonic() - began > _LASTING_SECONDS:
            pause = _PAUSE_SECONDS
        log.error("the worker has ended", why=why, again_in_seconds=pause)
        with suppress(TimeoutError):
            await asyncio.wait_for(draining.wait(), pause)
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)


async def _run_worker(draining: asyncio.Event, *, drain_seconds: float) -> str:
    """Run one until it ends, on its own or because of `draining`; returns why it ended."""
    command = (*_COMMAND, "--drain-seconds", f"{drain_seconds:g}")
    try:
        process = await asyncio.create_subprocess_exec(*command, stdin=PIPE)
    except OSError as error:
        return f"it could not be started: {error.strerror}"
    ended = asyncio.create_task(process.wait())
    asked = asyncio.create_task(draining.wait())
    await asyncio.wait({ended, asked}, return_when=asyncio.FIRST_COMPLETED)
    asked.cancel()
    if not ended.done() and process.stdin is not None:
        process.stdin.write(b"\n")
        await asyncio.wait({ended}, timeout=drain_seconds + _GRACE_SECONDS)
    if not ended.done():
        process.kill()
    code = await ended
    return f"signal {-code}" if code < 0 else f"exit code {code}"
