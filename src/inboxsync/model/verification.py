"""The proof that nothing is missing, or the list of what is."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What holding the store against the source has shown.

    `id` is ours (UUIDv7), `page_id` our id of the Page; `summary` is JSON, list by list.
    """

    id: str
    page_id: str
    checked_at: datetime
    is_complete: bool
    summary: str
