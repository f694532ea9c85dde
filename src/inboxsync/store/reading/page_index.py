"""All Pages at once, with what they are sorted and filtered by: for lists of many Pages.

Everything is read in a handful of statements, whatever the number of Pages, and none of them counts rows of
the inbox: the derive pass keeps the totals. Names are folded, compared and sorted here, because the databases
do that differently, and even ten thousand names are soon read through.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Connection, func, select

from inboxsync.model import Page, Run, RunStatus, Schedule, TokenState
from inboxsync.store.search import folded_words
from inboxsync.store.state.backlog import MEANING
from inboxsync.store.state.pages import list_pages
from inboxsync.store.state.runs import list_last_statuses, list_open_runs
from inboxsync.store.state.schedules import list_schedules
from inboxsync.store.tables import backlog, page_totals

# A token that ends within this time is a person's next task.
EXPIRES_SOON: Final = timedelta(days=7)
_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)
_NO_TOTALS: Final = (0, 0, 0)


class PageState(StrEnum):
    """What a list of Pages can be filtered by; a Page may be in several of these states."""

    PERSON = "person"  # its token does not work, or ends within a week
    FAILED = "failed"  # its last run failed
    RUNNING = "running"  # a run is queued or in progress
    PAUSED = "paused"  # nothing is started automatically
    BACKLOG = "backlog"  # something is known to be missing, and will be fetched
    NEW = "new"  # never synced completely
    FINE = "fine"  # none of the above but RUNNING


class PageOrder(StrEnum):
    """What a list of Pages can be sorted by: each column of it."""

    NAME = "name"  # folded, so case and accents make no difference
    TOKEN = "token"  # noqa: S105 - a column; those that do not work first, then those that end first
    SYNCED = "synced"  # the longest ago first
    CONVERSATIONS = "conversations"  # the most first, as the next three
    CONTACTS = "contacts"
    MESSAGES = "messages"
    BACKLOG = "backlog"


# What `pages list --problem` shows, and what the dashboard counts first.
PROBLEMS: Final = frozenset({PageState.PERSON, PageState.FAILED})
_MOST_FIRST: Final = frozenset(
    {PageOrder.CONVERSATIONS, PageOrder.CONTACTS, PageOrder.MESSAGES, PageOrder.BACKLOG}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PageEntry:
    """One Page in a list.

    Conversations, contacts and messages are as of the last derive pass. `backlog` counts its items.
    """

    page: Page
    schedule: Schedule
    open_run: Run | None
    conversations: int
    contacts: int
    messages: int
    backlog: int
    states: frozenset[PageState]

    @property
    def label(self) -> str:
        """The Page's name, or Meta's id if it has none."""
        return self.page.name or self.page.facebook_page_id


def list_page_entries(connection: Connection, *, now: datetime) -> list[PageEntry]:
    """Every Page, in the order in which they were added."""
    pages = list_pages(connection)
    ids = [page.id for page in pages]
    schedules, open_runs = list_schedules(connection, ids), list_open_runs(connection, ids)
    last = list_last_statuses(connection, ids)
    columns = page_totals.c
    totals = {
        page_id: counts
        for page_id, *counts in connection.execute(
            select(columns.page_id, columns.conversations, columns.contacts, columns.messages)
        )
    }
    waiting = _backlogs(connection)
    return [
        _entry(
            page,
            totals.get(page.id, _NO_TOTALS),
            backlog_items=waiting.get(page.id, 0),
            schedule=schedules[page.id],
            open_run=open_runs.get(page.id),
            last=last.get(page.id),
            now=now,
        )
        for page in pages
    ]


def count_states(entries: Iterable[PageEntry]) -> Counter[PageState]:
    """How many of these Pages are in each state."""
    return Counter(state for entry in entries for state in entry.states)


def entries_in(
    entries: Iterable[PageEntry], *, states: frozenset[PageState] = frozenset(), named: str = ""
) -> list[PageEntry]:
    """Those in any of these states (none: in any), with this in their name, folded, or in Meta's id."""
    wanted = _folded(named)

    def is_named(entry: PageEntry) -> bool:
        name = entry.page.name or ""
        # What folds to nothing, such as a sign, is looked for as it is.
        return (wanted in _folded(name) if wanted else named in name) or named in entry.page.facebook_page_id

    return [
        entry for entry in entries if (not states or states & entry.states) and (not named or is_named(entry))
    ]


def sorted_entries(
    entries: Iterable[PageEntry], order: PageOrder, *, is_reversed: bool = False
) -> list[PageEntry]:
    """In this order; Pages that are equal in it by their names, whatever the direction."""
    by_name = sorted(entries, key=_by_name)
    if order is PageOrder.NAME:
        return by_name[::-1] if is_reversed else by_name
    return sorted(by_name, key=_KEYS[order], reverse=is_reversed is not (order in _MOST_FIRST))


def _entry(
    page: Page,
    totals: Sequence[int],
    *,
    backlog_items: int,
    schedule: Schedule,
    open_run: Run | None,
    last: RunStatus | None,
    now: datetime,
) -> PageEntry:
    is_refused = page.token_state is not TokenState.VALID
    ends_at = page.token_expires_at
    found = {
        PageState.PERSON: is_refused or (ends_at is not None and ends_at - now < EXPIRES_SOON),
        # A token that does not work fails every run: that is told once.
        PageState.FAILED: last is RunStatus.FAILED and not is_refused,
        PageState.PAUSED: schedule.is_paused,
        PageState.BACKLOG: backlog_items > 0,
        PageState.NEW: page.last_synced_at is None,
    }
    states = {state for state, is_so in found.items() if is_so} or {PageState.FINE}
    conversations, contacts, messages = totals
    return PageEntry(
        page=page,
        schedule=schedule,
        open_run=open_run,
        conversations=conversations,
        contacts=contacts,
        messages=messages,
        backlog=backlog_items,
        states=frozenset(states | {PageState.RUNNING} if open_run else states),
    )


def _backlogs(connection: Connection) -> dict[str, int]:
    # By the Page, with which the key begins; rows of Pages that have nothing there do not exist.
    # What is only new the next sync brings anyway: no one has to look at it.
    query = select(backlog.c.page_id, func.count()).where(MEANING != "new").group_by(backlog.c.page_id)
    return {row[0]: row[1] for row in connection.execute(query)}


def _by_name(entry: PageEntry) -> tuple[str, str, str]:
    return _folded(entry.label), entry.label, entry.page.id


def _by_token(entry: PageEntry) -> tuple[int, datetime]:
    page = entry.page
    if page.token_state is not TokenState.VALID:
        return 0, _LONG_AGO
    return (1, page.token_expires_at) if page.token_expires_at is not None else (2, _LONG_AGO)


_KEYS: Final[dict[PageOrder, Callable[[PageEntry], Any]]] = {
    PageOrder.TOKEN: _by_token,
    PageOrder.SYNCED: lambda entry: entry.page.last_synced_at or _LONG_AGO,
    PageOrder.CONVERSATIONS: lambda entry: entry.conversations,
    PageOrder.CONTACTS: lambda entry: entry.contacts,
    PageOrder.MESSAGES: lambda entry: entry.messages,
    PageOrder.BACKLOG: lambda entry: entry.backlog,
}


def _folded(name: str) -> str:
    return " ".join(folded_words(name))
