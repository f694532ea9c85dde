"""Who may call the HTTP service, and how much of it."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Scope(StrEnum):
    """What a key opens; each holds the one before it."""

    READ = "read"  # look at what is stored
    SYNC = "sync"  # and start, follow and cancel runs
    ADMIN = "admin"  # and add and remove Pages

    def covers(self, needed: "Scope") -> bool:
        """Whether this is enough where `needed` is asked for."""
        order = list(Scope)
        return order.index(self) >= order.index(needed)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key as it is stored: never the key itself.

    `prefix` is its beginning, which names it without opening anything; `digest` the SHA-256 of the
    whole, in hex. The keys are random, so a slow hash would add nothing.
    """

    id: str
    name: str
    scope: Scope
    prefix: str
    digest: str = field(repr=False)
    created_at: datetime
    revoked_at: datetime | None = None
