"""`/runs`: every run, one run, its live events, and the buttons that start and cancel runs.

`/runs/{id}/events` is for the browser's own EventSource. The words and figures are made here, so the
script only puts them in their places. The id of each message is the number of the run's event: a browser
that lost the connection continues after the last one it received.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from typing import Final

import msgspec
import structlog
from sqlalchemy import Connection
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from inboxsync.api import Service
from inboxsync.errors import InboxsyncError, RunUnknown
from inboxsync.model import Run, RunEvent, RunKind, RunRequest
from inboxsync.store.state.pages import get_page, stored_id
from inboxsync.store.state.runs import get_run, list_run_events, list_runs, newest_event_seq
from inboxsync.sync import LAST, NOT_COMPLETE, NOT_SYNCED_YET
from inboxsync.sync.events import SYNCING
from inboxsync.web.charts import SpeedLine, speed_line, thinned
from inboxsync.web.explained import explained
from inboxsync.web.lists import page_choice, page_labels
from inboxsync.web.page_rows import labels
from inboxsync.web.request_context import RequestContext
from inboxsync.web.run_rows import LiveRun, describe, differences_of, live_run, run_row, speeds_of

log = structlog.get_logger("inboxsync.web")

_LIMIT: Final = 50
_EVENTS: Final = 2000
_SHOWN_EVENTS: Final = 60
_MOST_POINTS: Final = 120
_FEWEST_POINTS: Final = 3
_HEARTBEAT_SECONDS: Final = 15.0
# The live chart has no more points than this, so a browser that has just connected needs nothing older.
_REPLAYED: Final = 600
# Enough to compute the speed of the last seconds.
_REMEMBERED: Final = 30
_DERIVE_SECONDS: Final = 10.0
_ENDING: Final = "The run has ended: preparing its messages for search and contacts"


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRow:
    """One line of a run's log."""

    at: datetime
    status: str
    text: str
    fetched: str


def list_some(context: RequestContext) -> Response:
    """The newest runs, of one Page or of all."""
    before = stored_id(context.param("before"))
    with context.service.engine.store.read() as connection:
        choice = page_choice(connection, context.param("page"))
        found = list_runs(connection, page_id=choice.chosen or None, before=before or None, limit=_LIMIT + 1)
        labels = page_labels(connection, (run.page_id for run in found))
    rows = [run_row(run, labels, now=context.now) for run in found[:_LIMIT]]
    return context.show(
        "runs.html",
        here="runs",
        choice=choice,
        runs=rows,
        newest=context.url_with("/runs", before=None) if before else None,
        older=context.url_with("/runs", before=rows[-1].id) if len(found) > _LIMIT else None,
    )


def show(context: RequestContext) -> Response:
    """One run: live while it is in progress, its figures and events after it has ended."""
    with context.service.engine.store.read() as connection:
        run = get_run(connection, context.path_param("id"))
        if run is None:
            raise RunUnknown(
                "There is no such run in the database.", hint="Old runs are deleted automatically."
            )
        events = list_run_events(connection, run.id, limit=_EVENTS)
        active = live_of(connection, run, context.zone) if run.status.is_open else None
        page = get_page(connection, run.page_id)
    return context.show(
        "run.html",
        here="runs",
        run=run_row(run, labels([page]), now=context.now),
        problems=[explained(each, page=page, may_admin=context.visitor.may_admin) for each in run.problems],
        may_continue=run.next is not None and not run.status.is_open,
        continues_with=_continues_with(run),
        active=active,
        differences=differences_of(events),
        chart=_chart(events),
        events=[_event_row(event, context.zone) for event in reversed(events[-_SHOWN_EVENTS:])],
        refresh_seconds=5 if active else None,
    )


def _continues_with(run: Run) -> str:
    """A verification that found something is followed by a sync; one that did not end, by another one."""
    has_report = any(problem.code in (NOT_COMPLETE, NOT_SYNCED_YET) for problem in run.problems)
    return "verify" if run.kind is RunKind.VERIFY and not has_report else "sync"


def live_of(connection: Connection, run: Run, zone: tzinfo) -> LiveRun:
    """A run in progress, as of now, with times in `zone`."""
    events = list_run_events(connection, run.id, limit=_EVENTS)
    return live_run(run, events, zone)


def _chart(events: list[RunEvent]) -> SpeedLine | None:
    speeds = speeds_of(events)
    return speed_line(thinned(speeds, most=_MOST_POINTS)) if len(speeds) >= _FEWEST_POINTS else None


def _event_row(event: RunEvent, zone: tzinfo) -> EventRow:
    fetched = event.data.get("fetched")
    return EventRow(
        at=event.at,
        status=event.status.replace("_", " "),
        text=describe(event, zone),
        fetched=f"{fetched:,}" if isinstance(fetched, int) else "",
    )


async def sync(context: RequestContext) -> Response:
    """Enqueue a sync of a Page; if a run is in progress already, show that one."""
    return await _submit(context, RunRequest(), done="sync")


async def verify(context: RequestContext) -> Response:
    """Enqueue a verification of a Page."""
    return await _submit(context, RunRequest(kind=RunKind.VERIFY), done="verify")


async def cancel(context: RequestContext) -> Response:
    """End a run at its next batch."""
    run = await context.service.cancel(context.path_param("id"))
    return context.redirect(f"/runs/{run.id}", done="cancelled")


async def _submit(context: RequestContext, request: RunRequest, *, done: str) -> Response:
    page_id = context.path_param("id")
    is_busy = await run_in_threadpool(_is_busy, context, page_id)
    await context.service.submit(page_id, request)
    return context.redirect(f"/pages/{page_id}", done="busy" if is_busy else done)


def _is_busy(context: RequestContext, page_id: str) -> bool:
    """Whether a run of this Page is in progress. Raises PageUnknown."""
    with context.service.engine.store.read() as connection:
        page = get_page(connection, page_id)
        return any(run.status.is_open for run in list_runs(connection, page_id=page.id, limit=1))


async def stream(context: RequestContext) -> Response:
    """The run's past events, then new ones until it has ended."""
    run = await context.service.find_run(context.path_param("id"))
    newest = await context.service.read(lambda connection: newest_event_seq(connection, run.id))
    seen = context.request.headers.get("last-event-id", "")
    after = int(seen) if seen.isascii() and seen.isdecimal() and len(seen) < 10 else 0  # noqa: PLR2004 - an Integer
    return StreamingResponse(
        _messages(context.service, run, after=max(after, newest - _REPLAYED)),
        media_type="text/event-stream",
        headers={"X-Accel-Buffering": "no"},
    )


async def _messages(service: Service, run: Run, *, after: int) -> AsyncIterator[bytes]:
    zone, recent = service.engine.settings.zone, deque[RunEvent](maxlen=_REMEMBERED)
    events = service.event_streams.follow(run, after=after)
    coming = asyncio.ensure_future(anext(events, None))
    try:
        while True:
            await asyncio.wait({coming}, timeout=_HEARTBEAT_SECONDS)
            if not coming.done():
                yield b": still here\n\n"
                continue
            if (event := coming.result()) is None:
                return
            if event.status in LAST:
                ending = replace(event, status=SYNCING, data=event.data | {"message": _ENDING})
                yield _message(live_run(run, [*recent, ending], zone))
                # The browser reloads the page now, and its figures are derived ones.
                await asyncio.to_thread(_derive, service)
            recent.append(event)
            yield b"id: %d\n" % event.seq + _message(live_run(run, recent, zone))
            coming = asyncio.ensure_future(anext(events, None))
    finally:
        coming.cancel()


def _message(live: LiveRun) -> bytes:
    return b"data: %s\n\n" % msgspec.json.encode(live.as_event())


def _derive(service: Service) -> None:
    try:
        service.engine.derive(max_seconds=_DERIVE_SECONDS)
    except InboxsyncError as failure:
        log.info("not derived", code=failure.code)
