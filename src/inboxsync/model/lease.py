"""Which process may write a Page right now."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to write one Page. Its owner has it until `expires_at`, and longer if it renews it.

    `owner` is the name of one run of a process: `host:pid:random`.
    """

    owner: str
    acquired_at: datetime
    heartbeat_at: datetime
    expires_at: datetime
