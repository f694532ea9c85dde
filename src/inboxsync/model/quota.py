"""What Meta still allows, as its usage headers report it."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """One quota: calls of one type for one object (graph-facts 2).

    `type` is Meta's word: messenger, instagram, pages; or `app` for the app's own quota, or `call_rate`
    for the 2 calls a second. `used_percent` is None before an answer reported it. `refusals` counts the
    waits in a row that were too short; each makes the next one longer.
    """

    object_id: str
    type: str
    used_percent: int | None = None
    blocked_until: datetime | None = None
    refusals: int = 0
