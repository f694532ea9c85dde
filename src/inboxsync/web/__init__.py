"""The dashboard: pages of HTML over the same functions that the HTTP service uses.

It reads through `store`, starts work through the queue, and neither writes SQL nor syncs anything itself.
"""

from inboxsync.web.app import mount_dashboard

__all__ = ["mount_dashboard"]
