"""The sync: reads lists that move, loses nothing, and continues where it stopped.

Read it in this order: `run` (one run from top to bottom), `page_lists` (all lists of a Page), `list_scan`
(one list), `segments` (which calls are under way), `fetch` and `bisect` (one batch, however often it takes),
`plan` (what to do next: pure), `write_queue` and `ingest` (the batch and the list's state in one
transaction), `backlog`, `conclude`. Then `verify` and `compare` (is anything missing?), `derive`, `events`,
`lease`, `stop`. docs/architecture.md has the argument.
"""

from inboxsync.sync.add_page import check_token, keep_page
from inboxsync.sync.completeness import (
    NOT_COMPLETE,
    NOT_SYNCED_YET,
    completeness_of,
    describe_completeness,
    report_of,
)
from inboxsync.sync.conclude import Outcome, Suspension, Unfinished, is_temporary
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
    SourceAway,
    Stage,
    TimeIsUp,
    WaitEnded,
    WaitStarted,
    describe_away,
    describe_retry,
    describe_stage,
    describe_waiting,
    end_event,
    ignore,
    log_event,
    start_events,
)
from inboxsync.sync.lease import is_gone, new_owner
from inboxsync.sync.progress import UNKNOWN, Progress, Speed, expected_listed
from inboxsync.sync.run import PageSync, SyncOptions, TaskOptions
from inboxsync.sync.stop import Stop, Stopped, check_requests
from inboxsync.sync.verify import Compared, Findings, PageVerify

__all__ = [
    "LAST",
    "NOT_COMPLETE",
    "NOT_SYNCED_YET",
    "UNKNOWN",
    "BatchFailed",
    "BatchStored",
    "CallRetried",
    "Compared",
    "Derive",
    "Derived",
    "Event",
    "EventLog",
    "Findings",
    "Listener",
    "Outcome",
    "PageSync",
    "PageVerify",
    "Progress",
    "RunEnded",
    "RunStarted",
    "RunSuspended",
    "SourceAway",
    "Speed",
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
    "completeness_of",
    "describe_away",
    "describe_completeness",
    "describe_retry",
    "describe_stage",
    "describe_waiting",
    "end_event",
    "expected_listed",
    "ignore",
    "is_gone",
    "is_temporary",
    "keep_page",
    "log_event",
    "new_owner",
    "report_of",
    "start_events",
]
