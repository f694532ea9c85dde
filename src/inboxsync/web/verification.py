"""Completeness in words: what the last certificate proved, and what is owed since. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from inboxsync.model import Certificate, Item, Phase
from inboxsync.store.state.backlog import Older
from inboxsync.web.wording import ago, owed_in_words, some

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
    certificate: Certificate | None,
    *,
    owed: Mapping[Phase, int],
    failed: Sequence[Item],
    older: Older,
    now: datetime,
) -> Proof:
    """`owed` counts the ledger by phase, `failed` are a few of what was tried in vain."""
    debts = _debts(owed, failed, now)
    if certificate is None:
        more = [*debts, *_older(older)]
        return Proof(
            badge="not verified yet",
            kind="",
            words="Nothing has been held against Meta's lists yet. A verification says what is missing.",
            more=tuple(more),
            checked_at=None,
        )
    found: dict[str, Any] = msgspec.json.decode(certificate.summary)
    listed = sum(folder["listed"] for folder in found["folders"])
    missing = sum(len(folder["missing"]) + len(folder["behind"]) for folder in found["folders"])
    words = (
        f"{listed - missing:,} of {some(listed, 'conversation')} that Meta lists were stored as they were."
    )
    is_whole = certificate.is_complete and not sum(owed.values())
    return Proof(
        badge="complete" if is_whole else "not complete",
        kind="good" if is_whole else "warn",
        words=words if not debts else f"{words} {debts[0]}",
        more=(*debts[1:], *_found(found), *_older(older)),
        checked_at=certificate.checked_at,
    )


def _debts(owed: Mapping[Phase, int], failed: Sequence[Item], now: datetime) -> list[str]:
    count = sum(owed.values())
    if not count:
        return []
    lines = [f"{count:,} owed: {owed_in_words({phase.value: each for phase, each in owed.items()})}."]
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
