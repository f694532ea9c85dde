"""Which workers live, as one of them sees it."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from inboxsync.model import WorkerInfo
from inboxsync.sync import is_gone

# A worker that has not said for so long that it lives is dead, or frozen: its leases are fenced.
DEAD_SECONDS: Final = 8.0
# What passes between two looks counts for no more: the observer was frozen itself, or had no database.
_LONGEST_LOOK_SECONDS = 3.0


@dataclass(slots=True)
class WorkerRegistry:
    """Which workers live, seen from one of them.

    By its own clock: what counts is when a heartbeat was seen to change, not what another clock says. And
    only while its own heartbeat changes: where a database is away or locked nobody can say that it lives.
    """

    worker_id: str
    monotonic: Callable[[], float] = time.monotonic
    _seen: dict[str, tuple[object, float]] = field(default_factory=dict)
    _own_beat: object = None
    _looked_at: float | None = None
    _watched_seconds: float = 0.0

    def look(self, workers: list[WorkerInfo]) -> tuple[list[WorkerInfo], list[WorkerInfo]]:
        """The living and the dead among these."""
        self._watch(workers)
        now = self._watched_seconds
        known = {each.id for each in workers}
        self._seen = {worker_id: seen for worker_id, seen in self._seen.items() if worker_id in known}
        living: list[WorkerInfo] = []
        dead: list[WorkerInfo] = []
        for each in workers:
            beat, since = self._seen.get(each.id, (None, now))
            if beat != each.heartbeat_at:
                beat, since = each.heartbeat_at, now
            self._seen[each.id] = beat, since
            is_dead = each.id != self.worker_id and (is_gone(each.id) or now - since > DEAD_SECONDS)
            (dead if is_dead else living).append(each)
        return living, dead

    def _watch(self, workers: list[WorkerInfo]) -> None:
        """Count the time in which others could have said that they live."""
        now = self.monotonic()
        passed = now - self._looked_at if self._looked_at is not None else 0.0
        own_beat = next((each.heartbeat_at for each in workers if each.id == self.worker_id), None)
        if own_beat == self._own_beat:
            return  # since then: its next heartbeat tells that the database was there
        self._watched_seconds += min(passed, _LONGEST_LOOK_SECONDS)
        self._own_beat, self._looked_at = own_beat, now
