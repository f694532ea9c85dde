"""What the project speaks of: frozen records, no I/O, no framework."""

from inboxsync.model.batch import Batch, Dropped
from inboxsync.model.page import Page, Platform, TokenState
from inboxsync.model.progress import Following, NotStarted, Progress, Walking
from inboxsync.model.records import Conversation, Message, Participant
from inboxsync.model.run import Counts, Mode, Problem, Run, RunStatus

__all__ = [
    "Batch",
    "Conversation",
    "Counts",
    "Dropped",
    "Following",
    "Message",
    "Mode",
    "NotStarted",
    "Page",
    "Participant",
    "Platform",
    "Problem",
    "Progress",
    "Run",
    "RunStatus",
    "TokenState",
    "Walking",
]
