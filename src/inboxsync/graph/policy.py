"""How often a call is tried again, and how far apart."""

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often, and how far apart: exponential backoff with full jitter.

    The pause before attempt n+1 is uniform between 0 and `base_seconds` x 2^(n-1), at most
    `longest_seconds`.
    """

    attempts: int = 3
    base_seconds: float = 1.0
    longest_seconds: float = 30.0

    def pause_seconds(self, failed_attempts: int) -> float:
        """How long to wait after so many failed attempts (1 or more)."""
        ceiling = min(self.longest_seconds, self.base_seconds * 2 ** (failed_attempts - 1))
        return random.uniform(0, ceiling)  # noqa: S311 - spreads load, guards nothing
