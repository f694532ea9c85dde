"""`/search`: find messages by their words."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from starlette.responses import Response

from inboxsync.api.problems import CursorInvalid
from inboxsync.api.schemas import decode_cursor, encode_cursor
from inboxsync.errors import SearchInvalid
from inboxsync.store.search import FoundMessage, Order, SearchKey, parse_query, search_messages
from inboxsync.web.explained import explained
from inboxsync.web.lists import page_choice, page_labels
from inboxsync.web.request_context import RequestContext
from inboxsync.web.views.conversations import NO_NAME, link_to

_LIMIT: Final = 30
_KIND: Final = "search-view"
_ORDERS: Final = {Order.NEWEST: "Newest first", Order.RANK: "Best match first"}
# The largest integer of the databases.
_LARGEST: Final = 2**63 - 1
# How many numbers a key has in each order.
_PARTS: Final = {Order.NEWEST: 1, Order.RANK: 3}
# Of a long message: characters shown before the first match, and in total.
_BEFORE, _SHOWN = 60, 280


@dataclass(frozen=True, slots=True, kw_only=True)
class HitRow:
    """One message that was found. `parts` are pieces of its text, each with whether it matched."""

    href: str
    name: str | None
    label: str
    who: str
    sent_at: datetime | None
    parts: tuple[tuple[str, bool], ...]


def parts_of(text: str, ranges: Sequence[tuple[int, int]]) -> Iterator[tuple[str, bool]]:
    """The text in pieces, cut to what is worth showing around the first range."""
    first = ranges[0][0] if ranges else 0
    start = max(0, first - _BEFORE) if len(text) > _SHOWN else 0
    end = min(len(text), start + _SHOWN)
    if start:
        yield "… ", False
    at = start
    for begins, ends in ranges:
        if begins >= end:
            break
        if begins > at:
            yield text[at:begins], False
        yield text[max(at, begins) : min(ends, end)], True
        at = max(at, min(ends, end))
    if at < end:
        yield text[at:end], False
    if end < len(text):
        yield " …", False


def show(context: RequestContext) -> Response:
    """The form, and the messages that were found."""
    words = context.param("q")
    order = Order.RANK if context.param("order") == Order.RANK else Order.NEWEST
    hits: list[HitRow] = []
    following, problem, total = None, None, None
    with context.service.engine.store.read() as connection:
        choice = page_choice(connection, context.param("page"))
        if words:
            try:
                found = search_messages(
                    connection,
                    parse_query(words),
                    page_id=choice.chosen or None,
                    since=context.since_param(),
                    order=order,
                    after=_key(context.param("after"), order, context.mark),
                    limit=_LIMIT,
                    with_total=True,
                )
                total = found.total
                names = page_labels(connection, (each.page_id for each in found.messages))
                hits = [_hit(each, names[each.page_id]) for each in found.messages]
                following = found.next
            except SearchInvalid as refused:
                problem = refused
    return context.show(
        "search.html",
        here="search",
        status=422 if problem else 200,
        choice=choice,
        chosen={name: context.param(name) for name in ("q", "page", "since")} | {"order": order.value},
        orders=[(each.value, label) for each, label in _ORDERS.items()],
        problem=explained(problem, is_form=True) if problem else None,
        hits=hits,
        total=total.text.capitalize() if total else None,
        newest=context.url_with("/search", after=None) if context.param("after") else None,
        older=context.url_with("/search", after=_text(following, context.mark)) if following else None,
    )


def _hit(found: FoundMessage, page: str) -> HitRow:
    return HitRow(
        href=link_to(found.conversation_id, found.sent_at, found.message_id),
        name=found.contact_name,
        label=found.contact_name or NO_NAME,
        who=f"{page} wrote" if found.is_from_page else f"to {page}",
        sent_at=found.sent_at,
        parts=tuple(parts_of(found.text, found.highlights)),
    )


def _text(key: SearchKey, mark: str) -> str:
    return encode_cursor(_KIND, *map(str, key), mark=mark)


def _key(text: str, order: Order, mark: str) -> SearchKey | None:
    """Raises CursorInvalid."""
    if not text:
        return None
    parts = decode_cursor(_KIND, text, parts=_PARTS[order], mark=mark)
    if not all(part.isascii() and part.isdecimal() and len(part) <= len(str(_LARGEST)) for part in parts):
        raise CursorInvalid("This cursor is none of ours.")
    key = tuple(map(int, parts))
    if max(key) > _LARGEST:
        raise CursorInvalid("This cursor is none of ours.")
    return key
