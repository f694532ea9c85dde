"""Pages where there are many: some at a time in a list, and none to choose from that nobody reads."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from inboxsync.api.cursors import decode_cursor, encode_cursor
from inboxsync.model import Page
from inboxsync.store.state.pages import (
    count_pages,
    list_pages,
    list_pages_after,
    list_pages_named,
    list_pages_of,
)
from inboxsync.web.page_rows import labels
from inboxsync.web.request_context import RequestContext

_KIND: Final = "pages-view"
LIMIT: Final = 50
# A longer menu is no help, and is most of what a browser would have to read.
_MOST_CHOICES: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class PageList:
    """Some Pages in the order in which they were added, of `total`, and the addresses of the others.

    `named` is what was looked for, and `after` where the list goes on behind; both as in the address.
    """

    pages: list[Page]
    total: int
    named: str
    after: str
    first: str | None
    more: str | None

    @property
    def is_whole(self) -> bool:
        """Whether these are all Pages there are."""
        return len(self.pages) == self.total


@dataclass(frozen=True, slots=True, kw_only=True)
class PageChoice:
    """The Pages that a form offers: all, or where they are too many the one that is chosen."""

    pages: list[Page]
    chosen: str
    total: int

    @property
    def is_cut(self) -> bool:
        """Whether there are others."""
        return self.total > _MOST_CHOICES


def page_list(connection: Connection, context: RequestContext, path: str) -> PageList:
    """The Pages that the address asks for, of the list at `path`. Raises CursorInvalid."""
    named, after = context.asked("named"), context.asked("after")
    behind = decode_cursor(_KIND, after, parts=1)[0] if after else ""
    if named:
        found = list_pages_named(connection, named, after=behind, limit=LIMIT + 1)
    else:
        found = list_pages_after(connection, behind, limit=LIMIT + 1)
    more = cursor_of(found[LIMIT - 1].id) if len(found) > LIMIT else None
    return PageList(
        pages=found[:LIMIT],
        total=count_pages(connection),
        named=named,
        after=after,
        first=context.here_with(path, after=None) if after else None,
        more=context.here_with(path, after=more) if more else None,
    )


def cursor_of(page_id: str) -> str:
    """The part of an address behind which the list goes on behind this Page."""
    return encode_cursor(_KIND, page_id)


def page_choice(connection: Connection, chosen: str) -> PageChoice:
    """What a form offers where this Page (our id) is chosen, or none."""
    total = count_pages(connection)
    if total <= _MOST_CHOICES:
        return PageChoice(pages=list_pages(connection), chosen=chosen, total=total)
    return PageChoice(pages=list_pages_of(connection, [chosen]), chosen=chosen, total=total)


def called(connection: Connection, page_ids: Iterable[str]) -> dict[str, str]:
    """What to call these Pages, by our id."""
    return labels(list_pages_of(connection, set(page_ids)))
