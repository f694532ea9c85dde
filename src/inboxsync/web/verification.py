"""Completeness in words: what the last certificate proved, and what is owed since. Pure."""

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
class Proof:
    """What to show: one sentence, and a few lines below it."""

    badge: str
    kind: str
    words: str
    more: tuple[str, ...]
    checked_at: datetime | None


def proof_of(
    verification: Verification | None,
    *,
    backlog: Mapping[BacklogKind, int],
    failed: Sequence[BacklogItem],
    older: Older,
    now: datetime,
) -> Proof:
    """`owed` counts the ledger by phase, `failed` are a few of what was tried in vain."""
    unfinished = _unfinished(backlog, failed, now)
    if verification is None:
        more = [*unfinished, *_older(older)]
        return Proof(
            badge="not verified yet",
            kind="",
            words="Nothing has been held against Meta's lists yet. A verification says what is missing.",
            more=tuple(more),
            checked_at=None,
        )
    found: dict[str, Any] = msgspec.json.decode(verification.summary)
    listed = sum(folder["listed"] for folder in found["folders"])
    missing = sum(len(folder["missing"]) + len(folder["behind"]) for folder in found["folders"])
    words = (
        f"{listed - missing:,} of {some(listed, 'conversation')} that Meta lists were stored as they were."
    )
    is_whole = verification.is_complete and not sum(backlog.values())
    return Proof(
        badge="complete" if is_whole else "not complete",
        kind="good" if is_whole else "warn",
        words=words if not unfinished else f"{words} {unfinished[0]}",
        more=(*unfinished[1:], *_found(found), *_older(older)),
        checked_at=verification.checked_at,
    )


def _unfinished(
    backlog: Mapping[BacklogKind, int], failed: Sequence[BacklogItem], now: datetime
) -> list[str]:
    count = sum(backlog.values())
    if not count:
        return []
    lines = [f"{count:,} owed: {backlog_in_words({phase.value: each for phase, each in backlog.items()})}."]
    for item in failed[:_SHOWN_REASONS]:
        if item.problem is not None:
            when = ago(item.next_attempt_at, now) if item.next_attempt_at else "at the next sync"
            lines.append(f"{item.conversation_id}: {item.problem.message} Next attempt {when}.")
    return lines


def _found(found: Mapping[str, Any]) -> list[str]:
    counts = (
        (len(found["missing_messages"]), "conversation", "lacked messages that Meta has"),
        (len(found["marked_gone"]), "conversation", "no longer at Meta: kept, and marked gone"),
        (len(found["only_stored"]), "conversation", "stored that no list shows, though Meta still serves it"),
        (found["unreadable_messages"], "message", "known by time alone: the platform tells no more"),
    )
    return [f"{some(count, noun)} {what}." for count, noun, what in counts if count]


def _older(older: Older) -> list[str]:
    if not older.conversations:
        return []
    known = f"About {some(older.messages, 'older message')} of {some(older.conversations, 'conversation')}"
    return [f"{known} were not asked for. Settings has the switch: all messages."]
