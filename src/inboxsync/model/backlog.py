"""What a sync owes: the ledger, one entry for each thing of one conversation that is not stored yet."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from inboxsync.model.run import Problem


class BacklogKind(StrEnum):
    """What of the conversation is owed."""

    CONVERSATION = "conversation"  # it is listed, and could not be read with its newest messages
    GAP = "gap"  # messages between the newest stored ones and those stored before
    HISTORY = "history"  # everything older than what is stored


@dataclass(frozen=True, slots=True, kw_only=True)
class BacklogItem:
    """Something of one conversation that is owed, and how far it has come.

    `conversation_id` is Graph's. `cursor` is where its messages were read to: a hint, it may die.
    A gap is closed by meeting one of `anchors`, the ids of messages stored before it arose; without
    any it is closed at the bottom, or below `until_at`. `attempts` counts those that failed in a
    row; `problem` is what the last one met.
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
