"""What the project speaks of: frozen records, no I/O, no framework."""

from inboxsync.model.api_key import ApiKey, Scope
from inboxsync.model.backlog import NOT_STORED, BacklogCounts, BacklogItem, BacklogKind
from inboxsync.model.batch import Batch, Dropped, MessageBatch, Unread, Window, reached_at
from inboxsync.model.exchange import REPLY_WINDOW, Exchange, Response, exchange_of, iter_responses
from inboxsync.model.lease import Lease
from inboxsync.model.list_state import Following, ListState, NotStarted, Scanning, Segment, Unserved
from inboxsync.model.page import History, Page, Platform, TokenReason, TokenState
from inboxsync.model.quota import Quota
from inboxsync.model.records import Conversation, Message, Participant, SourceRecord
from inboxsync.model.run import Counts, Mode, Problem, Run, RunEvent, RunKind, RunRequest, RunStatus
from inboxsync.model.tasks import RunTask, Schedule, TaskQueue, WorkerInfo
from inboxsync.model.verification import Completeness, CompletenessState, Verification

__all__ = [
    "NOT_STORED",
    "REPLY_WINDOW",
    "ApiKey",
    "BacklogCounts",
    "BacklogItem",
    "BacklogKind",
    "Batch",
    "Completeness",
    "CompletenessState",
    "Conversation",
    "Counts",
    "Dropped",
    "Exchange",
    "Following",
    "History",
    "Lease",
    "ListState",
    "Message",
    "MessageBatch",
    "Mode",
    "NotStarted",
    "Page",
    "Participant",
    "Platform",
    "Problem",
    "Quota",
    "Response",
    "Run",
    "RunEvent",
    "RunKind",
    "RunRequest",
    "RunStatus",
    "RunTask",
    "Scanning",
    "Schedule",
    "Scope",
    "Segment",
    "SourceRecord",
    "TaskQueue",
    "TokenReason",
    "TokenState",
    "Unread",
    "Unserved",
    "Verification",
    "Window",
    "WorkerInfo",
    "exchange_of",
    "iter_responses",
    "reached_at",
]
