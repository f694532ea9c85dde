from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from inboxsync.store import Store

NOON = datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC)


class FakeClock:
    """Time that moves only when somebody sleeps."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self._elapsed = 0.0

    def now(self) -> datetime:
        return NOON + timedelta(seconds=self._elapsed)

    def monotonic(self) -> float:
        return self._elapsed

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.pass_seconds(seconds)

    def pass_seconds(self, seconds: float) -> None:
        self._elapsed += seconds


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(f"sqlite:///{tmp_path / 'inboxsync.db'}")
    yield opened
    opened.close()
