"""The backlog: what is known to be missing and will be fetched later, one item for each thing."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from inboxsync.model.run import Problem

# The code of what a verification found missing although a sync should have brought it. Not a failed attempt.
NOT_STORED: Final = "not_stored"


class BacklogKind(StrEnum):
    """What of a conversation is missing."""

    CONVERSATION = "conversation"  # it is listed, but could not be read with its newest messages
    GAP = "gap"  # messages between the newest stored ones and those stored before
    HISTORY = "history"  # everything older than what is stored


@dataclass(frozen=True, slots=True, kw_only=True)
class BacklogItem:
    """Something of one conversation that is missing, and how far it was read.

    `conversation_id` is Graph's. `cursor` is where its messages were read to: a hint, it may die.
    A gap is closed where one of `anchors` is met, the ids of messages stored before it arose; without
    any it is closed at the bottom, or below `until_at`. `attempts` counts those that failed in a
    row; `problem` is why the last one failed. A conversation without a problem has come since the last sync.
    """

    conversation_id: str
    kind: BacklogKind
    folder: str
    cursor: str | None = None
    anchors: tuple[str, ...] = ()
    until_at: datetime | None = None
    problem: Problem | None = None
    attempts: int = 0
    next_attempt_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BacklogCounts:
    """The backlog of one Page by what its items mean, in conversations; see `Completeness`."""

    new: int = 0
    missing: int = 0
    refused: int = 0
    gaps: int = 0
    history: int = 0
