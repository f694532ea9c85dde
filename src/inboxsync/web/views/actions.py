"""What the buttons do: hand a run to the workers, end one, pause a Page."""

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from inboxsync.api import queueing
from inboxsync.model import Page, RunKind, RunRequest
from inboxsync.store.state.pages import get_page
from inboxsync.store.state.runs import list_runs
from inboxsync.web.request_context import Visit
from inboxsync.workers import set_schedule


async def sync(visit: Visit) -> Response:
    """Hand a sync to the workers; while one is under way, that is the one."""
    return await _submit(visit, RunRequest(), done="sync")


async def verify(visit: Visit) -> Response:
    """Hand a verification to the workers."""
    return await _submit(visit, RunRequest(kind=RunKind.VERIFY), done="verify")


async def cancel(visit: Visit) -> Response:
    """Have a run end at its next batch."""
    run = await queueing.cancel(visit.service, visit.part("id"))
    return visit.go(f"/runs/{run.id}", done="cancelled")


def pause(visit: Visit) -> Response:
    """Start nothing by itself any more."""
    return _pause(visit, is_paused=True)


def resume(visit: Visit) -> Response:
    """Start runs by itself again."""
    return _pause(visit, is_paused=False)


async def _submit(visit: Visit, request: RunRequest, *, done: str) -> Response:
    page = await run_in_threadpool(_page, visit)
    is_busy = await run_in_threadpool(_is_busy, visit, page)
    await queueing.submit(visit.service, page.id, request)
    return visit.go(f"/pages/{page.id}", done="busy" if is_busy else done)


def _pause(visit: Visit, *, is_paused: bool) -> Response:
    page = _page(visit)
    with visit.service.engine.store.write() as connection:
        set_schedule(connection, page, every_seconds=None, is_paused=is_paused, now=visit.now)
    return visit.go(f"/pages/{page.id}", done="paused" if is_paused else "resumed")


def _page(visit: Visit) -> Page:
    with visit.service.engine.store.read() as connection:
        return get_page(connection, visit.part("id"))


def _is_busy(visit: Visit, page: Page) -> bool:
    with visit.service.engine.store.read() as connection:
        return any(run.status.is_open for run in list_runs(connection, page_id=page.id, limit=1))
