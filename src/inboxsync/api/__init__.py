"""The HTTP service: one module for each resource, the compatible endpoints, and what surrounds them.

Read it in this order: `app` (what it consists of), `middleware` and `auth` (what every request passes),
`service` (what the routes share), then a resource, such as `runs`.
"""

from inboxsync.api.app import create_app
from inboxsync.api.auth import LOCAL_CALLER, Caller
from inboxsync.api.service import Service

__all__ = ["LOCAL_CALLER", "Caller", "Service", "create_app"]
