"""The dashboard: HTML pages over the same functions that the HTTP service uses.

It reads through `store` and starts work through the queue. It contains no SQL and no sync of its own.
"""

from inboxsync.web.app import mount_dashboard

__all__ = ["mount_dashboard"]
