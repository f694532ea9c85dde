"""The user's database: tables of our own design, every write an upsert."""

from inboxsync.store.connection.database import Store, open_queue_database
from inboxsync.store.state.credentials import TokenCipher

__all__ = ["Store", "TokenCipher", "open_queue_database"]
