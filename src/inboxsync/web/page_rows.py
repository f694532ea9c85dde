"""Pages as the templates show them, with their schedules."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from inboxsync.model import (
    Completeness,
    CompletenessState,
    Page,
    Platform,
    Run,
    Schedule,
    TokenReason,
    TokenState,
)
from inboxsync.store.reading import PageEntry, PageOverview, PageState
from inboxsync.web.verification import BADGES
from inboxsync.web.wording import days_left, duration
from inboxsync.workers import EVERY_SECONDS

# Where the reason's own name is no owner's word.
_REASONS: Final = {
    TokenReason.CHECKPOINT: "account check",
    TokenReason.UNCONFIRMED: "account not confirmed",
    TokenReason.LOGIN_APPROVAL: "login not approved",
    TokenReason.STANDARD_ACCESS: "app not reviewed",
    TokenReason.BLOCKED: "blocked by Meta",
    TokenReason.PAGE_NOT_VISIBLE: "Page not visible",
    TokenReason.OTHER: "does not work",
}
PLATFORMS = {Platform.MESSENGER: "Messenger", Platform.INSTAGRAM: "Instagram"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PageRow:
    """One Page with its figures, its schedule, and its run in progress."""

    id: str
    facebook_page_id: str
    name: str | None
    label: str
    platform: str
    platform_label: str
    token: str
    token_reason: str | None
    token_problem: str | None
    days_left: int | None
    last_synced_at: datetime | None
    conversations: int
    contacts: int
    messages: int
    backlog: int
    paused: bool
    is_due: bool
    next_due_at: datetime | None
    active_run: str | None
    active_words: str
    has_failed: bool
    complete_words: str = ""


def list_row(entry: PageEntry, complete: Completeness, *, now: datetime) -> PageRow:
    """One line of the list of Pages."""
    has_failed = PageState.FAILED in entry.states
    row = page_row(entry, schedule=entry.schedule, active=entry.open_run, now=now)
    return replace(row, has_failed=has_failed, complete_words=complete_words(complete))


def page_row(
    overview: PageOverview | PageEntry, *, schedule: Schedule, active: Run | None, now: datetime
) -> PageRow:
    """One Page with its figures."""
    page = overview.page
    return PageRow(
        id=page.id,
        facebook_page_id=page.facebook_page_id,
        name=page.name,
        label=page_label(page),
        platform=page.platform.value,
        platform_label=PLATFORMS[page.platform],
        token=page.token_state.value,
        token_reason=reason_words(page.token_reason),
        token_problem=page.token_problem,
        # A Page token that was made from a long-lived token does not expire.
        days_left=days_left(page.token_expires_at, now) if page.token_expires_at else None,
        last_synced_at=page.last_synced_at,
        conversations=overview.conversations,
        contacts=overview.contacts,
        messages=overview.messages,
        backlog=overview.backlog,
        paused=schedule.is_paused,
        is_due=page.token_state is TokenState.VALID and not schedule.is_paused,
        next_due_at=schedule.next_sync_at,
        active_run=active.id if active else None,
        active_words=active_words(active) if active else "",
        has_failed=False,
    )


def reason_words(reason: TokenReason | None) -> str | None:
    """Why a token does not work, in two or three words."""
    return _REASONS.get(reason, reason.value.replace("_", " ")) if reason else None


def complete_words(found: Completeness) -> str:
    """`complete`, `12 new`, `not complete`: short, for a column."""
    return f"{found.new:,} new" if found.state is CompletenessState.NEW else BADGES[found.state][0]


def page_label(page: Page) -> str:
    """The Page's name, or Meta's id if it has none."""
    return page.name or page.facebook_page_id


def labels(pages: Iterable[Page]) -> dict[str, str]:
    """The name of each Page, by our id."""
    return {page.id: page_label(page) for page in pages}


def active_words(run: Run) -> str:
    """`queued`, `syncing 4,200`, `verifying`."""
    if run.status.value == "queued":
        return "queued"
    if run.kind.value == "verify":
        return "verifying"
    return f"syncing {run.counts.fetched:,}" if run.counts.fetched else "syncing"


EVERY: Final = {
    "60": "every minute",
    "300": "every 5 minutes",
    "900": "every 15 minutes",
    "3600": "every hour",
    "21600": "every 6 hours",
    "86400": "every day",
}


def every_of(schedule: Schedule) -> tuple[str, str]:
    """How often a Page is synced: the form's value, and in words."""
    every = str(schedule.every_seconds or EVERY_SECONDS)
    return every, EVERY.get(every) or f"every {duration(int(every))}"
