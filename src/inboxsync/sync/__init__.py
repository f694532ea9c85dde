"""The sync: walks a list that moves, loses nothing, and stops without forgetting.

Read it in this order: `plan` (what to do next: pure), `walk` (does it), `ingest` (one
batch and its progress in one transaction), `runs` (one execution, from plan to result).
docs/architecture.md has the argument.
"""

from inboxsync.sync.add_page import check_token, keep_page
from inboxsync.sync.listener import BatchStored, Listener
from inboxsync.sync.runs import PageSync, SyncOptions
from inboxsync.sync.stop import Stop

__all__ = ["BatchStored", "Listener", "PageSync", "Stop", "SyncOptions", "check_token", "keep_page"]
