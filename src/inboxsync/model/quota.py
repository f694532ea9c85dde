"""What Meta still allows, as its usage headers tell it."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """One allowance: calls of one type against one object (graph-facts 2).

    `type` is Meta's word: messenger, instagram, pages, or `app` for the app's own. `used_percent`
    is None before an answer told it. `refusals` counts the waits in a row that did not help; the
    next is longer.
    """

    object_id: str
    type: str
    used_percent: int | None = None
    blocked_until: datetime | None = None
    refusals: int = 0
