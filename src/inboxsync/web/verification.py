"""Completeness in words: the newest verification report and the backlog. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from inboxsync.model import BacklogItem, BacklogKind, Verification
from inboxsync.store.state.backlog import Older
from inboxsync.web.wording import ago, backlog_in_words, some

_SHOWN_REASONS = 3


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
    *,
    backlog: Mapping[BacklogKind, int],
    failed: Sequence[BacklogItem],
    older: Older,
    now: datetime,
) -> VerificationView:
    """`backlog` counts the items by kind; `failed` are a few items that failed."""
    unfinished = _unfinished(backlog, failed, now)
    if verification is None:
        more = [*unfinished, *_older(older)]
        return VerificationView(
            badge="not verified yet",
            kind="",
            text="Not verified yet. A verification compares Meta's lists with what is stored.",
            more=tuple(more),
            checked_at=None,
        )
    found: dict[str, Any] = msgspec.json.decode(verification.summary)
    listed = sum(folder["listed"] for folder in found["folders"])
    missing = sum(len(folder["missing"]) + len(folder["behind"]) for folder in found["folders"])
    text = (
        f"{listed - missing:,} of {some(listed, 'conversation')} that Meta lists were stored and up to date."
    )
    is_whole = verification.is_complete and not sum(backlog.values())
    return VerificationView(
        badge="complete" if is_whole else "not complete",
        kind="good" if is_whole else "warn",
        text=text if not unfinished else f"{text} {unfinished[0]}",
        more=(*unfinished[1:], *_found(found), *_older(older)),
        checked_at=verification.checked_at,
    )


def _unfinished(
    backlog: Mapping[BacklogKind, int], failed: Sequence[BacklogItem], now: datetime
) -> list[str]:
    count = sum(backlog.values())
    if not count:
        return []
    lines = [
        f"{count:,} in the backlog: {backlog_in_words({kind.value: each for kind, each in backlog.items()})}."
    ]
    for item in failed[:_SHOWN_REASONS]:
        if item.problem is not None:
            when = ago(item.next_attempt_at, now) if item.next_attempt_at else "at the next sync"
            lines.append(f"{item.conversation_id}: {item.problem.message} Next attempt {when}.")
    return lines


def _found(found: Mapping[str, Any]) -> list[str]:
    counts = (
        (len(found["missing_messages"]), "conversation", "had fewer messages than Meta has"),
        (len(found["marked_gone"]), "conversation", "no longer at Meta: kept here, and marked as gone"),
        (len(found["only_stored"]), "conversation", "stored that Meta still serves but no list shows"),
        (found["unreadable_messages"], "message", "known only by its time: the platform gives nothing else"),
    )
    return [f"{some(count, noun)} {what}." for count, noun, what in counts if count]


def _older(older: Older) -> list[str]:
    if not older.conversations:
        return []
    known = f"About {some(older.messages, 'older message')} of {some(older.conversations, 'conversation')}"
    return [f"{known} are not fetched. To fetch them, choose “all messages” in Settings."]
