"""What every list needs: some Pages at a time, Pages to choose from, and where a list continues."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from inboxsync.api.schemas import decode_cursor, decode_key, encode_cursor
from inboxsync.model import Page
from inboxsync.store.reading import Key
from inboxsync.store.state.pages import (
    count_pages,
    find_page,
    list_pages,
    list_pages_after,
    list_pages_named,
    list_pages_of,
)
from inboxsync.web.page_rows import labels
from inboxsync.web.request_context import RequestContext

_KIND: Final = "pages-view"
LIMIT: Final = 50
# Nobody reads a longer menu, and it would be most of the page's bytes.
_MOST_CHOICES: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class PageList:
    """Some of `total` Pages, in the order in which they were added, and the addresses of the others.

    `named` is the text that was searched for; `after` is the cursor. Both are as in the address.
    """

    pages: list[Page]
    total: int
    named: str
    after: str
    first: str | None
    more: str | None

    @property
    def is_whole(self) -> bool:
        """Whether these are all Pages."""
        return len(self.pages) == self.total


@dataclass(frozen=True, slots=True, kw_only=True)
class PageChoice:
    """The Pages that a form offers: all, or only the chosen one where there are too many."""

    pages: list[Page]
    chosen: str
    total: int

    @property
    def is_cut(self) -> bool:
        """Whether there are more Pages than the form offers."""
        return self.total > _MOST_CHOICES


def page_list(connection: Connection, context: RequestContext, path: str) -> PageList:
    """The Pages that the address asks for, of the list at `path`. Raises CursorInvalid."""
    named, after = context.param("named"), context.param("after")
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
        first=context.url_with(path, after=None) if after else None,
        more=context.url_with(path, after=more) if more else None,
    )


def cursor_of(page_id: str) -> str:
    """The cursor after this Page, for an address."""
    return encode_cursor(_KIND, page_id)


def page_choice(connection: Connection, named: str) -> PageChoice:
    """What a form offers, and our id of the Page that the address names, if it does.

    Raises PageUnknown and PageAmbiguous: the list would show nothing as if there were nothing.
    """
    chosen = find_page(connection, named).id if named else ""
    total = count_pages(connection)
    if total <= _MOST_CHOICES:
        return PageChoice(pages=list_pages(connection), chosen=chosen, total=total)
    return PageChoice(pages=list_pages_of(connection, [chosen]), chosen=chosen, total=total)


def page_labels(connection: Connection, page_ids: Iterable[str]) -> dict[str, str]:
    """The names of these Pages, by our id."""
    return labels(list_pages_of(connection, set(page_ids)))


def key_in(kind: str, text: str, *, mark: str = "") -> Key | None:
    """The key in an address that `encode_key` wrote; None where the text is empty. Raises CursorInvalid."""
    return decode_key(kind, text, mark=mark) if text else None
