"""One Page as `inboxsync pages show` prints it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any, Final

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text
from sqlalchemy import Connection

from inboxsync.cli.output import duration, local, one_line, page_name
from inboxsync.model import (
    BacklogItem,
    BacklogKind,
    Completeness,
    CompletenessState,
    Following,
    History,
    Lease,
    ListState,
    Page,
    Scanning,
    Schedule,
    TokenState,
    Unserved,
    Verification,
)
from inboxsync.store.reading import PageEntry
from inboxsync.store.state.backlog import Older, count_backlog, count_older, list_failed_backlog
from inboxsync.store.state.leases import get_lease
from inboxsync.store.state.list_positions import list_states
from inboxsync.store.state.pages import PageCounts, count_page, newest_verification
from inboxsync.store.state.schedules import get_schedule
from inboxsync.sync import completeness_of
from inboxsync.workers import EVERY_SECONDS

_MESSAGES = 10
_REASONS = 3
COMPLETENESS_WORDS: Final = {
    CompletenessState.UNVERIFIED: "not verified yet",
    CompletenessState.COMPLETE: "complete",
    CompletenessState.NEW: "new since the last sync",
    CompletenessState.INCOMPLETE: "not complete",
}
_WINDOWS = {None: "not tried yet", True: "honoured", False: "not honoured"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PageDetail:
    """Everything that is known about one Page."""

    page: Page
    counts: PageCounts
    states: Mapping[str, ListState]
    backlog: Mapping[BacklogKind, int]
    older: Older
    lease: Lease | None
    verification: Verification | None
    completeness: Completeness
    refused: tuple[BacklogItem, ...]
    schedule: Schedule

    def as_json(self) -> dict[str, Any]:
        """For scripts."""
        lease, verification = self.lease, self.verification
        return page_as_json(self.page, self.counts) | {
            "history": self.page.history.value,
            "batch_size": self.page.batch_size,
            "time_windows": self.page.time_windows,
            "folders": [
                {"folder": folder, "state": _state(state), "watermark_at": _watermark(state)}
                for folder, state in self.states.items()
            ],
            "backlog": {kind.value: count for kind, count in self.backlog.items()},
            "older_not_fetched": {
                "conversations": self.older.conversations,
                "messages": self.older.messages,
            },
            "schedule": {
                "every_seconds": self.schedule.every_seconds or EVERY_SECONDS,
                "is_paused": self.schedule.is_paused,
                "next_sync_at": self.schedule.next_sync_at,
                "next_verify_at": self.schedule.next_verify_at,
            },
            "syncing": {"owner": lease.owner, "since": lease.acquired_at} if lease else None,
            "verification": {
                "checked_at": verification.checked_at,
                "is_complete": self.completeness.state is CompletenessState.COMPLETE,
                "was_complete": verification.is_complete,
            }
            if verification
            else None,
            "completeness": completeness_as_json(self.completeness),
        }

    def print(self, console: Console, zone: tzinfo) -> None:
        """For people, with times in `zone`."""
        page = self.page
        console.print(f"{page_name(page)} ({page.facebook_page_id}, {page.platform})", style="bold")
        rows = {
            "id": page.id,
            "token": page.token_state.value,
            "last synced": local(page.last_synced_at, zone),
            "stored": f"{self.counts.conversations:,} conversations, {self.counts.contacts:,} contacts, "
            f"{self.counts.messages:,} messages",
            "history": "every message" if page.history is History.ALL else self._not_fetched(),
            "folders": ", ".join(f"{folder} ({_state(each)})" for folder, each in self.states.items())
            or "not read yet",
            "backlog": self._backlog(),
            "batch size": f"{page.batch_size or 100} conversations a call",
            "time windows": _WINDOWS[page.time_windows],
            "verified": self._verified(zone),
            "workers": self._scheduled(zone),
        }
        if page.token_state is not TokenState.VALID:
            rows["token"] += f" ({page.token_reason}): {page.token_problem}"
        elif page.token_expires_at is not None:
            rows["token"] += f" until {local(page.token_expires_at, zone)}"
        if self.lease is not None:
            rows["in use by"] = f"{self.lease.owner} since {local(self.lease.acquired_at, zone)}"
        grid = Table.grid(padding=(0, 1))
        for name, value in rows.items():
            grid.add_row("", name, Text(one_line(value)))
        console.print(grid)

    def _not_fetched(self) -> str:
        if not self.older.conversations:
            return "the newest messages of each conversation; no older ones are known"
        return (
            f"the newest messages of each conversation; about {self.older.messages:,} older ones of "
            f"{self.older.conversations:,} conversations are not fetched"
        )

    def _scheduled(self, zone: tzinfo) -> str:
        if self.schedule.is_paused:
            return f"do nothing: inboxsync pages set {self.page.facebook_page_id} --resume"
        if self.page.token_state is not TokenState.VALID:
            return "do nothing until it has a new token"
        every = f"catch up every {duration(self.schedule.every_seconds)}"
        if self.schedule.next_sync_at is None:
            return f"{every}, none has yet"
        return f"{every}, next at {local(self.schedule.next_sync_at, zone)}"

    def _backlog(self) -> str:
        lines = [f"{count:,} {words}" for count, words in self._open() if count]
        return "\n".join(["; ".join(lines), *self._reasons()]) if lines else "nothing"

    def _open(self) -> Iterable[tuple[int, str]]:
        found = self.completeness
        return (
            (found.new, f"new since {'the last sync' if self._is_behind() else 'the check'}"),
            (found.missing, "that Meta lists and that are not stored"),
            (found.refused, "that could not be read"),
            (found.gaps, "with a gap between stored messages"),
            (found.history, "without older messages"),
        )

    def _reasons(self) -> list[str]:
        return [f"{each.conversation_id}: {each.problem.message}" for each in self.refused if each.problem]

    def _is_behind(self) -> bool:
        return self.completeness.state in (CompletenessState.NEW, CompletenessState.UNVERIFIED)

    def _verified(self, zone: tzinfo) -> str:
        if self.verification is None:
            return f"never: inboxsync verify {self.page.facebook_page_id}"
        words = COMPLETENESS_WORDS[self.completeness.state]
        return f"{words} (checked {local(self.verification.checked_at, zone)})"


def page_detail(connection: Connection, page: Page) -> PageDetail:
    """Read all of it."""
    lease = get_lease(connection, page.id)
    return PageDetail(
        page=page,
        counts=count_page(connection, page),
        states=list_states(connection, page),
        backlog=count_backlog(connection, page),
        older=count_older(connection, page, messages=_MESSAGES),
        lease=lease if lease and lease.expires_at > datetime.now(UTC) else None,
        verification=newest_verification(connection, page),
        completeness=completeness_of(connection, [page])[page.id],
        refused=tuple(list_failed_backlog(connection, page, limit=_REASONS)),
        schedule=get_schedule(connection, page.id),
    )


def completeness_as_json(found: Completeness) -> dict[str, Any]:
    """Whether a Page is complete now, and what is open, in conversations."""
    return dict(msgspec.to_builtins(found, builtin_types=[datetime]))


def entry_as_json(entry: PageEntry, complete: Completeness) -> dict[str, Any]:
    """A Page as `pages list --json` prints it."""
    counts = PageCounts(conversations=entry.conversations, contacts=entry.contacts, messages=entry.messages)
    return page_as_json(entry.page, counts) | {
        "backlog": entry.backlog,
        "is_paused": entry.schedule.is_paused,
        "states": sorted(entry.states),
        "completeness": completeness_as_json(complete),
    }


def page_as_json(page: Page, counts: PageCounts) -> dict[str, Any]:
    """What both `pages list --json` and `pages show --json` have of a Page."""
    return {
        "id": page.id,
        "facebook_page_id": page.facebook_page_id,
        "name": page.name,
        "platform": page.platform.value,
        "token_state": page.token_state.value,
        "token_reason": page.token_reason.value if page.token_reason else None,
        "token_problem": page.token_problem,
        "token_expires_at": page.token_expires_at,
        "last_synced_at": page.last_synced_at,
        "counts": {
            "conversations": counts.conversations,
            "contacts": counts.contacts,
            "messages": counts.messages,
        },
    }


def _state(state: ListState) -> str:
    match state:
        case Following():
            return "following"
        case Unserved():
            return "not served"
        case Scanning() if state.lower_bound is not None:
            return "catching up"
        case Scanning() if state.position is not None:
            return f"scanned to {state.position:%Y-%m-%d}"
    return "waiting to be scanned"


def _watermark(state: ListState) -> object:
    return state.watermark if isinstance(state, Following | Scanning) else None
