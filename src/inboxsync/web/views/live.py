"""`/runs/{id}/events`: a run as it goes on, for the browser's own EventSource.

The words and figures are made here, so that the script only puts them in their places. Every message has
the event's number for an id: a browser that lost the connection goes on behind the last one it saw.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Final

import msgspec
import structlog
from starlette.responses import Response, StreamingResponse

from inboxsync.api import Service
from inboxsync.api.queueing import find_run, in_thread
from inboxsync.errors import InboxsyncError
from inboxsync.model import Run, RunEvent
from inboxsync.store.state.run_totals import newest_event_seq
from inboxsync.sync import LAST
from inboxsync.web.request_context import RequestContext
from inboxsync.web.run_rows import live_run
from inboxsync.web.views.page import expected_of

log = structlog.get_logger("inboxsync.web")

_HEARTBEAT_SECONDS: Final = 15.0
# A run's chart has no more points than this, so nothing older is sent to a browser that has just come.
_REPLAYED: Final = 600
# Enough to tell the speed of the last seconds.
_REMEMBERED: Final = 30
_DERIVE_SECONDS: Final = 10.0


async def stream(context: RequestContext) -> Response:
    """What the run has told, then what it tells, until it has ended."""
    run = await find_run(context.service, context.part("id"))
    total = await in_thread(context.service, lambda connection: expected_of(connection, run))
    newest = await in_thread(context.service, lambda connection: newest_event_seq(connection, run.id))
    seen = context.request.headers.get("last-event-id", "")
    after = int(seen) if seen.isascii() and seen.isdecimal() and len(seen) < 10 else 0  # noqa: PLR2004 - an Integer
    return StreamingResponse(
        _messages(context.service, run, after=max(after, newest - _REPLAYED), total=total),
        media_type="text/event-stream",
        headers={"X-Accel-Buffering": "no"},
    )


async def _messages(service: Service, run: Run, *, after: int, total: int | None) -> AsyncIterator[bytes]:
    recent: deque[RunEvent] = deque(maxlen=_REMEMBERED)
    told = service.event_streams.follow(run, after=after)
    coming = asyncio.ensure_future(anext(told, None))
    try:
        while True:
            await asyncio.wait({coming}, timeout=_HEARTBEAT_SECONDS)
            if not coming.done():
                yield b": still here\n\n"
                continue
            if (event := coming.result()) is None:
                return
            if event.status in LAST:
                # The browser then loads the page anew, whose figures are derived.
                await asyncio.to_thread(_derive, service)
            recent.append(event)
            live = live_run(run, recent, total=total)
            yield b"id: %d\ndata: %s\n\n" % (event.seq, msgspec.json.encode(live.as_event()))
            coming = asyncio.ensure_future(anext(told, None))
    finally:
        coming.cancel()


def _derive(service: Service) -> None:
    try:
        service.engine.derive(max_seconds=_DERIVE_SECONDS)
    except InboxsyncError as failure:
        log.info("not derived", code=failure.code)
