"""What every list needs: some Pages at a time, Pages to choose from, and where a list continues."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeVar

from sqlalchemy import Connection

from inboxsync.api.problems import RequestInvalid
from inboxsync.api.schemas import decode_cursor, decode_key, encode_cursor
from inboxsync.model import Page
from inboxsync.store.reading import MOST_COUNTED, Key, People, find_people
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
from inboxsync.web.wording import some

E = TypeVar("E", bound=StrEnum)
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


def order_in(orders: type[E], text: str) -> E:
    """The order that an address names; the first one where it names none. Raises RequestInvalid."""
    if not text:
        return next(iter(orders))
    if text not in set(orders):
        raise RequestInvalid("This list cannot be sorted by that.", hint="Choose one from the list.")
    return orders(text)


def counted(number: int, noun: str) -> str:
    """`1 contact`, `1,234 contacts`, `more than 10,000 contacts`."""
    return f"more than {some(MOST_COUNTED, noun)}" if number == MOST_COUNTED + 1 else some(number, noun)


def people_named(connection: Connection, named: str, page_id: str) -> People | None:
    """Who has this name, of a Page (our id) or of all; None without a name."""
    if not named:
        return None
    return find_people(
        connection, named, [page_id] if page_id else [page.id for page in list_pages(connection)]
    )


def cut_words(people: People | None) -> str:
    """What to say where more people have a name than a list looks through; empty where it has all."""
    is_cut = people is not None and people.is_cut
    return "Too many people have such a name to show all of them. Type more of it." if is_cut else ""


def key_in(kind: str, text: str, *, mark: str = "") -> Key | None:
    """The key in an address that `encode_key` wrote; None where the text is empty. Raises CursorInvalid."""
    return decode_key(kind, text, mark=mark) if text else None
