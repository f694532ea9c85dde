"""Who syncs a Page right now."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to sync one Page, held by one owner until `expires_at` unless it is renewed.

    `owner` names the process: `host:pid:random`.
    """

    owner: str
    acquired_at: datetime
    heartbeat_at: datetime
    expires_at: datetime
