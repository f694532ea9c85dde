"""The list of all Pages as the template shows it: what is filtered by, the order, and where it continues."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from inboxsync.api.problems import RequestInvalid
from inboxsync.api.schemas import decode_cursor, encode_cursor
from inboxsync.store.reading import (
    PageEntry,
    PageOrder,
    PageState,
    count_states,
    entries_in,
    sorted_entries,
)
from inboxsync.web.lists import LIMIT
from inboxsync.web.request_context import RequestContext
from inboxsync.web.wording import some

_KIND: Final = "page-index"
# With fewer Pages the form to filter them would be longer than the list.
_FEW: Final = 8
STATES: Final[Mapping[PageState, str]] = {
    PageState.PERSON: "needs a person",
    PageState.FAILED: "last run failed",
    PageState.RUNNING: "running now",
    PageState.PAUSED: "paused",
    PageState.BACKLOG: "with a backlog",
    PageState.NEW: "never synced completely",
    PageState.FINE: "nothing to do",
}
# The columns of the table, and how the menu says what each sorts by: as it comes, and the other way round.
_COLUMNS: Final[Mapping[PageOrder, tuple[str, str, str]]] = {
    PageOrder.NAME: ("Page", "Name", "Name, from Z to A"),
    PageOrder.TOKEN: ("Token", "Token, those that need a person first", "Token, those that work first"),
    PageOrder.SYNCED: (
        "Complete sync",
        "Complete sync, the longest ago first",
        "Complete sync, newest first",
    ),
    PageOrder.CONVERSATIONS: ("Conversations", "Conversations, most first", "Conversations, fewest first"),
    PageOrder.CONTACTS: ("Contacts", "Contacts, most first", "Contacts, fewest first"),
    PageOrder.MESSAGES: ("Messages", "Messages, most first", "Messages, fewest first"),
    PageOrder.BACKLOG: ("Backlog", "Backlog, most first", "Backlog, fewest first"),
}
_NUMBERS: Final = frozenset(
    {PageOrder.CONVERSATIONS, PageOrder.CONTACTS, PageOrder.MESSAGES, PageOrder.BACKLOG}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PageFilter:
    """What the address, or a form, asks for. `sort` is the name of an order, with `-` the other way round."""

    named: str
    state: PageState | None
    order: PageOrder
    is_reversed: bool

    @property
    def sort(self) -> str:
        """As it stands in the address."""
        return f"-{self.order.value}" if self.is_reversed else self.order.value

    @property
    def place(self) -> dict[str, str]:
        """As parameters of the address, without those that say nothing."""
        sort = "" if self.sort == PageOrder.NAME else self.sort
        return {"named": self.named, "state": self.state.value if self.state else "", "sort": sort}

    def of(self, entries: Sequence[PageEntry]) -> list[PageEntry]:
        """The Pages it is about, in its order."""
        states = frozenset({self.state} if self.state else ())
        found = entries_in(entries, states=states, named=self.named)
        return sorted_entries(found, self.order, is_reversed=self.is_reversed)


@dataclass(frozen=True, slots=True, kw_only=True)
class SortColumn:
    """The heading of a column: a link that sorts by it, and its state for screen readers."""

    name: str
    label: str
    href: str
    is_number: bool
    aria_sort: Literal["ascending", "descending", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PageIndex:
    """Some of the Pages that were asked for, and the way to the others.

    `total` counts all Pages, `matching` those that were asked for. `span` says which of them are shown.
    """

    entries: list[PageEntry]
    total: int
    matching: int
    span: str
    chosen: PageFilter
    after: str
    states: list[tuple[str, str]]
    orders: list[tuple[str, str]]
    columns: list[SortColumn]
    first: str | None
    more: str | None
    counts: Counter[PageState]

    @property
    def has_filters(self) -> bool:
        """Whether the form to filter is shown."""
        return self.total > _FEW or self.is_filtered or self.chosen.sort != PageOrder.NAME

    @property
    def is_filtered(self) -> bool:
        """Whether Pages may be left out."""
        return bool(self.chosen.named or self.chosen.state)


def page_filter(values: Mapping[str, str]) -> PageFilter:
    """What an address or a form asks for. Raises RequestInvalid."""
    state, sort = values.get("state", "").strip(), values.get("sort", "").strip() or PageOrder.NAME.value
    if state not in {"", *PageState}:
        raise RequestInvalid("Pages cannot be filtered by this state.", hint="Choose one from the list.")
    if sort.removeprefix("-") not in set(PageOrder):
        raise RequestInvalid("Pages cannot be sorted by this.", hint="Choose one from the list.")
    return PageFilter(
        named=values.get("named", "").replace("\0", "").strip(),
        state=PageState(state) if state else None,
        order=PageOrder(sort.removeprefix("-")),
        is_reversed=sort.startswith("-"),
    )


def page_index(entries: Sequence[PageEntry], context: RequestContext) -> PageIndex:
    """The part of the list that the address asks for. Raises RequestInvalid and CursorInvalid."""
    chosen = page_filter(context.request.query_params)
    matching = chosen.of(entries)
    begins = _begin(matching, context.param("after"))
    shown = matching[begins : begins + LIMIT]
    ends = begins + len(shown)
    counts = count_states(entries)
    return PageIndex(
        entries=shown,
        total=len(entries),
        matching=len(matching),
        span=f"{begins + 1:,} to {ends:,} of {some(len(matching), 'Page')}" if shown else "",
        chosen=chosen,
        after=context.param("after"),
        states=[(state.value, f"{label} ({counts[state]:,})") for state, label in STATES.items()],
        orders=[
            (f"{sign}{order.value}", label)
            for order, (_, *labels) in _COLUMNS.items()
            for sign, label in zip(("", "-"), labels, strict=True)
        ],
        columns=[_column(order, chosen, context) for order in _COLUMNS],
        first=context.url_with("/", after=None) if begins else None,
        more=context.url_with("/", after=_cursor(shown[-1], ends)) if ends < len(matching) else None,
        counts=counts,
    )


def _column(order: PageOrder, chosen: PageFilter, context: RequestContext) -> SortColumn:
    is_chosen = order is chosen.order
    sort = f"-{order.value}" if is_chosen and not chosen.is_reversed else order.value
    is_falling = is_chosen and (order in _NUMBERS) is not chosen.is_reversed
    return SortColumn(
        name=order.value,
        label=_COLUMNS[order][0],
        href=context.url_with("/", sort=None if sort == PageOrder.NAME else sort, after=None),
        is_number=order in _NUMBERS,
        aria_sort=("descending" if is_falling else "ascending") if is_chosen else "none",
    )


def _cursor(last: PageEntry, shown: int) -> str:
    return encode_cursor(_KIND, last.page.id, str(shown))


def _begin(entries: Sequence[PageEntry], after: str) -> int:
    """Behind the Page that was shown last; where it has gone, at its place. Raises CursorInvalid."""
    if not after:
        return 0
    last, place = decode_cursor(_KIND, after, parts=2)
    found = next((at for at, entry in enumerate(entries, 1) if entry.page.id == last), None)
    if found is not None:
        return found
    return min(int(place), len(entries)) if place.isascii() and place.isdecimal() and len(place) < 10 else 0  # noqa: PLR2004 - more than all
