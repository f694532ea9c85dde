"""A verification report: nothing is missing, or what is."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """The report of one comparison of the store with the source.

    `id` is ours (UUIDv7), `page_id` our id of the Page; `summary` is JSON, with a part for each list.
    """

    id: str
    page_id: str
    checked_at: datetime
    is_complete: bool
    summary: str
