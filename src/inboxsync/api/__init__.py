"""The HTTP service: the door, the resources, the three given endpoints.

`create_app` builds it over an engine. Whoever has sessions of its own (the dashboard) sets
`app.state.service.door.resolve_session`, guards its routes with `opens` or `require`, and checks a
presented key with `door.check_key`.
"""

from inboxsync.api.app import create_app
from inboxsync.api.auth import Auth, CallerDependency, SessionResolver, opens, require
from inboxsync.api.keys import Caller
from inboxsync.api.service import Service, ServiceDependency

__all__ = [
    "Auth",
    "Caller",
    "CallerDependency",
    "Service",
    "ServiceDependency",
    "SessionResolver",
    "create_app",
    "opens",
    "require",
]
