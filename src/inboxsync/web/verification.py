"""Completeness in words: the newest verification report, and what is stored since. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any, Final

import msgspec

from inboxsync.model import BacklogItem, Completeness, CompletenessState, Verification
from inboxsync.store.state.backlog import Older
from inboxsync.sync import describe_completeness, report_of
from inboxsync.web.explained import plain
from inboxsync.web.wording import ago, some

_SHOWN_REASONS = 3
# What the badge says, and its kind.
BADGES: Final = {
    CompletenessState.UNVERIFIED: ("not verified yet", ""),
    CompletenessState.COMPLETE: ("complete", "good"),
    CompletenessState.NEW: ("new since the last sync", "busy"),
    CompletenessState.INCOMPLETE: ("not complete", "warn"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationView:
    """What the page shows: one sentence, and a few lines below it."""

    badge: str
    kind: str
    text: str
    more: tuple[str, ...]
    checked_at: datetime | None


def verification_view(
    verification: Verification | None,
    completeness: Completeness,
    *,
    failed: Sequence[BacklogItem],
    older: Older,
    now: datetime,
    zone: tzinfo,
) -> VerificationView:
    """`failed` are a few items of the backlog that failed."""
    badge, kind = BADGES[completeness.state]
    more = [*describe_completeness(completeness), *_reasons(failed, now, zone)]
    if verification is None:
        text = "Not verified yet. A verification compares Meta's lists with what is stored."
    else:
        text = _compared(verification, completeness)
        more += _found(msgspec.json.decode(verification.summary))
    return VerificationView(
        badge=badge,
        kind=kind,
        text=text,
        more=(*more, *_older(older)),
        checked_at=completeness.checked_at,
    )


def _compared(verification: Verification, now: Completeness) -> str:
    report = report_of(verification)
    listed, different = report.listed, report.different
    text = f"{listed - different:,} of {some(listed, 'conversation')} that Meta lists were stored as listed."
    stored_since = max(0, different - now.new - now.missing - now.refused)
    if not stored_since:
        return text
    if stored_since == different:
        return f"{text} The {'other is' if different == 1 else f'{different:,} others are'} stored since."
    return f"{text} {stored_since:,} of the others {'is' if stored_since == 1 else 'are'} stored since."


def _reasons(failed: Sequence[BacklogItem], now: datetime, zone: tzinfo) -> list[str]:
    """Why Meta refuses conversations, in its words, and when they are tried again."""
    lines = []
    for item in failed[:_SHOWN_REASONS]:
        if item.problem is not None:
            when = ago(item.next_attempt_at, now, zone) if item.next_attempt_at else "at the next sync"
            lines.append(f"{item.conversation_id}: {plain(item.problem.message)} Next attempt {when}.")
    return lines


def _found(found: Mapping[str, Any]) -> list[str]:
    counts = (
        ("marked_gone", "conversation", "no longer at Meta: kept here, and marked as gone"),
        ("only_stored", "conversation", "stored that Meta still serves but no list shows"),
        ("unreadable_messages", "message", "known only by its time: the platform gives nothing else"),
    )
    sizes = {name: len(each) if isinstance(each, list) else each for name, each in found.items()}
    return [f"{some(sizes[name], noun)} {what}." for name, noun, what in counts if sizes.get(name)]


def _older(older: Older) -> list[str]:
    if not older.conversations:
        return []
    known = f"About {some(older.messages, 'older message')} of {some(older.conversations, 'conversation')}"
    return [f"{known} are not fetched. To fetch them, choose “all messages” in Settings."]
