"""What the project speaks of: frozen records, no I/O, no framework."""

from inboxsync.model.batch import Batch, Dropped, MessageBatch, Unread, Window, reached_at
from inboxsync.model.certificate import Certificate
from inboxsync.model.items import Item, Phase
from inboxsync.model.lease import Lease
from inboxsync.model.page import History, Page, Platform, TokenReason, TokenState
from inboxsync.model.progress import Following, NotStarted, Progress, Span, Unserved, Walking
from inboxsync.model.rate import RatePool
from inboxsync.model.records import Conversation, Message, Participant, Served
from inboxsync.model.run import Counts, Mode, Problem, Run, RunStatus

__all__ = [
    "Batch",
    "Certificate",
    "Conversation",
    "Counts",
    "Dropped",
    "Following",
    "History",
    "Item",
    "Lease",
    "Message",
    "MessageBatch",
    "Mode",
    "NotStarted",
    "Page",
    "Participant",
    "Phase",
    "Platform",
    "Problem",
    "Progress",
    "RatePool",
    "Run",
    "RunStatus",
    "Served",
    "Span",
    "TokenReason",
    "TokenState",
    "Unread",
    "Unserved",
    "Walking",
    "Window",
    "reached_at",
]
