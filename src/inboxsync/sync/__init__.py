"""The sync: walks a list that moves, loses nothing, and stops without forgetting.

Read it in this order: `plan` (what to do next: pure), `fetch` and `walk` (do it for one list, in `lanes`),
`page_lists` (all lists of a Page), `ledger` and `edge` (what is owed), `ingest` (one batch and its progress
in one transaction), `runs` (one execution, from plan to result), `verify` (the proof).
docs/architecture.md has the argument.
"""

from inboxsync.sync.add_page import check_token, keep_page
from inboxsync.sync.begin import SyncOptions, TaskOptions
from inboxsync.sync.conclude import Outcome, Suspension, Unfinished, passes
from inboxsync.sync.derive import Derive, Derived
from inboxsync.sync.events import (
    LAST,
    BatchFailed,
    BatchStored,
    CallRetried,
    Event,
    EventLog,
    Listener,
    RunEnded,
    RunStarted,
    RunSuspended,
    Stage,
    TimeIsUp,
    WaitEnded,
    WaitStarted,
    describe_waiting,
    end_event,
    ignore,
    log_event,
    start_events,
)
from inboxsync.sync.lease import is_gone, new_owner
from inboxsync.sync.monitor import check_requests
from inboxsync.sync.run import PageSync
from inboxsync.sync.stop import Stop, Stopped
from inboxsync.sync.verify import Findings, PageVerify

__all__ = [
    "LAST",
    "BatchFailed",
    "BatchStored",
    "CallRetried",
    "Derive",
    "Derived",
    "Event",
    "EventLog",
    "Findings",
    "Listener",
    "Outcome",
    "PageSync",
    "PageVerify",
    "RunEnded",
    "RunStarted",
    "RunSuspended",
    "Stage",
    "Stop",
    "Stopped",
    "Suspension",
    "SyncOptions",
    "TaskOptions",
    "TimeIsUp",
    "Unfinished",
    "WaitEnded",
    "WaitStarted",
    "check_requests",
    "check_token",
    "describe_waiting",
    "end_event",
    "ignore",
    "is_gone",
    "keep_page",
    "log_event",
    "new_owner",
    "passes",
    "start_events",
]
