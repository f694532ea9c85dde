"""The user's database: tables of our own design, every write an upsert."""

from inboxsync.store.database import Store
from inboxsync.store.queue_database import open_queue_database
from inboxsync.store.sealing import TokenSealer

__all__ = ["Store", "TokenSealer", "open_queue_database"]
