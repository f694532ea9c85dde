"""The worker of `inboxsync serve`: a process that begins and ends with the service.

In the service's own process it would share the interpreter with those who read, and each read would wait for
it many times over (decision 19).
"""

import asyncio
import sys
import time
from asyncio.subprocess import PIPE
from contextlib import suppress
from typing import Final

import structlog

log = structlog.get_logger("inboxsync.serve")

# `-P`: a folder with the name of a module, where the service happens to be started, is none.
_COMMAND: Final = (sys.executable, "-P", "-m", "inboxsync", "worker", "--attended")
_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 30.0
# A worker that has lived so long has ended for a new reason.
_LASTING_SECONDS = 60.0
# It keeps to its time by itself, and says good-bye; this is for one that stands still.
_GRACE_SECONDS = 1.0


async def keep_worker(draining: asyncio.Event, *, drain_seconds: float) -> None:
    """Have a worker run until `draining` is set, and then lay down what is under way.

    One that ends by itself is started anew. One that does not end in time is killed, which loses nothing.
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
    """Run one to its end, which `draining` brings about; why it ended."""
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
