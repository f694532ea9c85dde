"""A Graph API over HTTP, as strict and as odd as Meta's, whose behaviour a test decides.

Shares no code with the client, so that both cannot hold the same mistake. `config` has
the switches, `control` what a test may do from outside while it runs.
"""

from inboxsync.sandbox.config import Faults, SandboxConfig
from inboxsync.sandbox.dataset import DatasetError
from inboxsync.sandbox.server import Sandbox, serve

__all__ = ["DatasetError", "Faults", "Sandbox", "SandboxConfig", "serve"]
