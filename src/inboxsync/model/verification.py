"""A verification report, and whether a Page is complete now."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


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


class CompletenessState(StrEnum):
    """Whether everything of a Page that can be read is stored."""

    UNVERIFIED = "unverified"  # never compared with the source
    COMPLETE = "complete"  # what the verification found is stored; what has come since the next sync brings
    NEW = "new"  # only what had come since the last sync was not stored: the next sync brings it
    INCOMPLETE = "incomplete"  # something is missing, or cannot be read


@dataclass(frozen=True, slots=True, kw_only=True)
class Completeness:
    """Whether a Page is complete now: its newest verification, and what is stored since.

    In conversations: `new` have come since, `missing` were listed and not stored, `refused` cannot be read,
    `gaps` lack messages between stored ones, `history` are not read to their beginning. `unknown` counts
    what is listed without an id or in no known form. `is_blind`: nothing at all was listed.
    """

    state: CompletenessState
    checked_at: datetime | None = None
    new: int = 0
    missing: int = 0
    refused: int = 0
    gaps: int = 0
    history: int = 0
    unknown: int = 0
    is_blind: bool = False
