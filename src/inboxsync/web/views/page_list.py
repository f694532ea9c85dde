"""`/`: all Pages, filtered and sorted, and the buttons that do one thing for many of them."""

from collections.abc import Sequence

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from inboxsync.errors import PageUnknown
from inboxsync.model import RunKind, RunRequest
from inboxsync.store.reading import PageEntry, PageState, list_page_entries
from inboxsync.sync import completeness_of
from inboxsync.web.page_index import PageIndex, page_filter, page_index
from inboxsync.web.page_rows import list_row
from inboxsync.web.rendering import query
from inboxsync.web.request_context import RequestContext
from inboxsync.web.wording import some
from inboxsync.workers import set_schedule


def show(context: RequestContext) -> Response:
    """Some of the Pages that the address asks for."""
    entries = _entries(context)
    index = page_index(entries, context)
    with context.service.engine.store.read() as connection:
        complete = completeness_of(connection, [entry.page for entry in index.entries])
    return context.show(
        "pages.html",
        here="pages",
        list=index,
        pages=[list_row(entry, complete[entry.page.id], now=context.now) for entry in index.entries],
        totals=_totals(entries),
        attention=_attention(index),
        refresh_seconds=10 if index.counts[PageState.RUNNING] else None,
    )


async def sync(context: RequestContext) -> Response:
    """Enqueue a sync of each selected Page."""
    return await _submit(context, RunRequest(), done="many-sync")


async def verify(context: RequestContext) -> Response:
    """Enqueue a verification of each selected Page."""
    return await _submit(context, RunRequest(kind=RunKind.VERIFY), done="many-verify")


def pause(context: RequestContext) -> Response:
    """Start no more runs of the selected Pages automatically."""
    return _set_paused(context, is_paused=True)


def resume(context: RequestContext) -> Response:
    """Start runs of the selected Pages automatically again."""
    return _set_paused(context, is_paused=False)


async def _submit(context: RequestContext, request: RunRequest, *, done: str) -> Response:
    selected = await run_in_threadpool(_selected, context)
    started = busy = 0
    for entry in selected:
        if entry.open_run is not None:
            busy += 1
            continue
        try:
            await context.service.submit(entry.page.id, request)
        except PageUnknown:
            continue  # it was removed meanwhile
        started += 1
    return _back(context, done if selected else "none", count=started, busy=busy)


def _set_paused(context: RequestContext, *, is_paused: bool) -> Response:
    selected = _selected(context)
    with context.service.engine.store.write() as connection:
        for entry in selected:
            set_schedule(connection, entry.page, every_seconds=None, is_paused=is_paused, now=context.now)
    done = "many-paused" if is_paused else "many-resumed"
    return _back(context, done if selected else "none", count=len(selected))


def _selected(context: RequestContext) -> list[PageEntry]:
    """The Pages that are ticked, or all that match the filter where that is ticked."""
    entries = _entries(context)
    if context.form.get("all") == "1":
        return page_filter(context.form).of(entries)
    ids = set(context.lists.get("id", ()))
    return [entry for entry in entries if entry.page.id in ids]


def _entries(context: RequestContext) -> list[PageEntry]:
    with context.service.engine.store.read() as connection:
        return list_page_entries(connection, now=context.now)


def _back(context: RequestContext, done: str, *, count: int, busy: int = 0) -> Response:
    """The list at the place where the form was sent from, and what was done."""
    place = page_filter(context.form).place | {"after": context.form.get("after", "")}
    told = {"n": str(count), "busy": str(busy) if busy else ""}
    return context.redirect(f"/?{query(place | told)}", done=done)


def _totals(entries: Sequence[PageEntry]) -> str:
    if not entries:
        return "No Page yet"
    return (
        f"{some(len(entries), 'Page')}, {some(sum(each.conversations for each in entries), 'conversation')}, "
        f"{some(sum(each.messages for each in entries), 'message')}"
    )


def _attention(index: PageIndex) -> list[tuple[str, str]]:
    """What somebody should look at, each with the address that lists it."""
    person, failed = index.counts[PageState.PERSON], index.counts[PageState.FAILED]
    said = [
        (PageState.PERSON, f"{some(person, 'Page')} {'needs' if person == 1 else 'need'} a person", person),
        (PageState.FAILED, f"the last run of {some(failed, 'Page')} failed", failed),
    ]
    return [(f"/?{query({'state': state.value})}", words) for state, words, count in said if count]
