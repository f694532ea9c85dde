"""What the buttons do: hand a run to the workers, end one, pause a Page."""

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from inboxsync.api import queueing
from inboxsync.model import Page, RunKind, RunRequest
from inboxsync.store.state.pages import get_page
from inboxsync.store.state.runs import list_runs
from inboxsync.web.request_context import RequestContext
from inboxsync.workers import set_schedule


async def sync(context: RequestContext) -> Response:
    """Hand a sync to the workers; while one is under way, that is the one."""
    return await _submit(context, RunRequest(), done="sync")


async def verify(context: RequestContext) -> Response:
    """Hand a verification to the workers."""
    return await _submit(context, RunRequest(kind=RunKind.VERIFY), done="verify")


async def cancel(context: RequestContext) -> Response:
    """Have a run end at its next batch."""
    run = await queueing.cancel(context.service, context.part("id"))
    return context.go(f"/runs/{run.id}", done="cancelled")


def pause(context: RequestContext) -> Response:
    """Start nothing by itself any more."""
    return _pause(context, is_paused=True)


def resume(context: RequestContext) -> Response:
    """Start runs by itself again."""
    return _pause(context, is_paused=False)


async def _submit(context: RequestContext, request: RunRequest, *, done: str) -> Response:
    page = await run_in_threadpool(_page, context)
    is_busy = await run_in_threadpool(_is_busy, context, page)
    await queueing.submit(context.service, page.id, request)
    return context.go(f"/pages/{page.id}", done="busy" if is_busy else done)


def _pause(context: RequestContext, *, is_paused: bool) -> Response:
    page = _page(context)
    with context.service.engine.store.write() as connection:
        set_schedule(connection, page, every_seconds=None, is_paused=is_paused, now=context.now)
    return context.go(f"/pages/{page.id}", done="paused" if is_paused else "resumed")


def _page(context: RequestContext) -> Page:
    with context.service.engine.store.read() as connection:
        return get_page(connection, context.part("id"))


def _is_busy(context: RequestContext, page: Page) -> bool:
    with context.service.engine.store.read() as connection:
        return any(run.status.is_open for run in list_runs(connection, page_id=page.id, limit=1))
