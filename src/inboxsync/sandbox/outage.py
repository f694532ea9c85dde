"""A source that is away for a while, by itself."""

import math

from starlette.responses import Response

from inboxsync.sandbox.config import Faults

_WORDS = {
    "429": "Too Many Requests",
    "502": "Bad Gateway",
    "503": "Service Unavailable",
    "504": "Gateway Timeout",
}


class Outage:
    """When the source is away. `now` is monotonic seconds, `number` counts the calls from 1."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._after = faults.outage_after
        self._ends_at: float | None = None

    def change(self, faults: Faults, *, begins: bool, number: int, now: float) -> None:
        """Other faults; with `begins` the outage begins anew, so many calls after call `number`."""
        self._faults = faults
        if begins:
            self._after = number + faults.outage_after
            self._ends_at = None if faults.outage_after else now + faults.outage_seconds

    def is_on(self, number: int, now: float) -> bool:
        """Whether this call meets it."""
        if not self._faults.outage_seconds or number <= self._after:
            return False
        if self._ends_at is None:
            self._ends_at = now + self._faults.outage_seconds
        if now < self._ends_at:
            return True
        if self._faults.outage_every:
            self._after = number + self._faults.outage_every
            self._ends_at = None
        return False

    def seconds_left(self, now: float) -> float:
        """Until the end of the one that has begun."""
        return 0.0 if self._ends_at is None else max(0.0, self._ends_at - now)

    def answer(self, now: float) -> Response:
        """What a proxy says in Meta's place; for the kinds that are an HTTP status."""
        status, headers = int(self._faults.outage_kind), {}
        words = _WORDS[self._faults.outage_kind]
        if self._faults.retry_after is not None:
            left = str(math.ceil(self.seconds_left(now)))
            headers["Retry-After"] = left if self._faults.retry_after == "left" else self._faults.retry_after
        body, kind = {
            # No code: only the status says what it is.
            "json": (f'{{"error":{{"message":"{words}"}}}}', "application/json; charset=UTF-8"),
            "html": (f"<html><body><h1>{status} {words}</h1></body></html>", "text/html"),
            "empty": ("", "text/plain"),
        }[self._faults.outage_body]
        return Response(body, status, headers | {"Content-Type": kind})
