"""Which workers are found dead, and which must not be."""

from datetime import UTC, datetime, timedelta

from inboxsync.model import WorkerInfo
from inboxsync.workers.maintenance import DEAD_SECONDS, WorkerRegistry

NOON = datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC)
OBSERVER, OTHER = "here:1:a", "elsewhere:2:b"


class Watching:
    """A worker that looks at itself and at another; a heartbeat is a number."""

    def __init__(self) -> None:
        self.now = 0.0
        self.beats = {OBSERVER: 0, OTHER: 0}
        self.registry = WorkerRegistry(OBSERVER, monotonic=lambda: self.now)

    def dead(self, *beating: str, seconds: float = 1.0) -> list[str]:
        """Which are found dead after so long, in which these wrote their heartbeats."""
        self.now += seconds
        for each in beating:
            self.beats[each] += 1
        _, dead = self.registry.look(
            [
                WorkerInfo(
                    id=each,
                    version="1",
                    concurrency=1,
                    started_at=NOON,
                    heartbeat_at=NOON + timedelta(seconds=beat),
                )
                for each, beat in self.beats.items()
            ]
        )
        return [each.id for each in dead]


def test_a_worker_without_heartbeats_is_dead_if_the_observer_writes_its_own() -> None:
    two = Watching()
    looks = int(DEAD_SECONDS) + 1
    assert [two.dead(OBSERVER) for _ in range(looks)] == [[]] * looks
    assert two.dead(OBSERVER) == [OTHER]


def test_none_is_dead_while_none_can_write_a_heartbeat() -> None:
    two = Watching()
    two.dead(OBSERVER, OTHER)
    assert [two.dead() for _ in range(60)] == [[]] * 60  # a locked file
    assert two.dead(OBSERVER) == []  # and the other's heartbeat comes a moment later
    assert two.dead(OBSERVER, OTHER) == []


def test_time_in_which_the_observer_did_not_look_counts_against_none() -> None:
    two = Watching()
    two.dead(OBSERVER, OTHER)
    assert two.dead(OBSERVER, seconds=60) == []  # frozen, or its database was away


def test_a_worker_whose_heartbeat_comes_late_lives() -> None:
    two = Watching()
    for _ in range(int(DEAD_SECONDS)):
        two.dead(OBSERVER)
    assert two.dead(OBSERVER, OTHER) == []
    assert two.dead(OBSERVER) == []


def test_an_observer_that_was_taken_for_dead_itself_finds_none_dead() -> None:
    two = Watching()
    two.dead(OBSERVER, OTHER)
    del two.beats[OBSERVER]
    assert [two.dead() for _ in range(60)] == [[]] * 60
