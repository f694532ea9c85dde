"""The sync: walks a list that moves, loses nothing, and stops without forgetting.

Read it in this order: `plan` (what to do next: pure), `fetch` and `walk` (do it for one list, in `lanes`),
`page_lists` (all lists of a Page), `ledger` and `edge` (what is owed), `ingest` (one batch and its progress
in one transaction), `runs` (one execution, from plan to result), `verify` (the proof).
docs/architecture.md has the argument.
"""

from inboxsync.sync.add_page import check_token, keep_page
from inboxsync.sync.conclude import Debts, Outcome
from inboxsync.sync.derive import Derive, Derived
from inboxsync.sync.listener import BatchStored, Listener, Stage, in_words
from inboxsync.sync.runs import PageSync, SyncOptions
from inboxsync.sync.stop import Stop, Stopped
from inboxsync.sync.verify import Findings, PageVerify

__all__ = [
    "BatchStored",
    "Debts",
    "Derive",
    "Derived",
    "Findings",
    "Listener",
    "Outcome",
    "PageSync",
    "PageVerify",
    "Stage",
    "Stop",
    "Stopped",
    "SyncOptions",
    "check_token",
    "in_words",
    "keep_page",
]
