"""What the project speaks of: frozen records, no I/O, no framework."""

from inboxsync.model.api_key import ApiKey, Scope
from inboxsync.model.backlog import Item, Phase
from inboxsync.model.batch import Batch, Dropped, MessageBatch, Unread, Window, reached_at
from inboxsync.model.exchange import REPLY_WINDOW, Exchange, Response, exchange_of, iter_responses, merged
from inboxsync.model.lease import Lease
from inboxsync.model.list_state import Following, NotStarted, Progress, Span, Unserved, Walking
from inboxsync.model.page import History, Page, Platform, TokenReason, TokenState
from inboxsync.model.quota import RatePool
from inboxsync.model.records import Conversation, Message, Participant, Served
from inboxsync.model.run import Counts, Mode, Problem, Run, RunEvent, RunKind, RunRequest, RunStatus
from inboxsync.model.tasks import Lane, Schedule, Slice, WorkerInfo
from inboxsync.model.verification import Certificate

__all__ = [
    "REPLY_WINDOW",
    "ApiKey",
    "Batch",
    "Certificate",
    "Conversation",
    "Counts",
    "Dropped",
    "Exchange",
    "Following",
    "History",
    "Item",
    "Lane",
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
    "Response",
    "Run",
    "RunEvent",
    "RunKind",
    "RunRequest",
    "RunStatus",
    "Schedule",
    "Scope",
    "Served",
    "Slice",
    "Span",
    "TokenReason",
    "TokenState",
    "Unread",
    "Unserved",
    "Walking",
    "Window",
    "WorkerInfo",
    "exchange_of",
    "iter_responses",
    "merged",
    "reached_at",
]
