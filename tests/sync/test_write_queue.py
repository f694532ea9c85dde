"""Batches that come while the database writes are stored together, in order, at most so many of them."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from inboxsync.model import Batch, Conversation, Scanning, Segment
from inboxsync.sync import write_queue
from inboxsync.sync.write_queue import Fetched, WriteQueue

NOON = datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC)


def fetched(number: int) -> Fetched:
    at = NOON - timedelta(hours=number)
    batch = Batch(
        conversations=(Conversation(conversation_id=f"t_{number}", source_updated_at=at),),
        answered_at=NOON + timedelta(seconds=number),
        after=f"cursor {number}",
        has_next=True,
    )
    return Fetched(scanning=scanning(number - 1), batch=batch, state=scanning(number))


def scanning(number: int) -> Scanning:
    return Scanning(
        segments=(Segment(cursor=f"cursor {number}"),), snapshot_at=NOON, lower_bound=None, watermark=None
    )


class Database:
    """Stores when it is let."""

    def __init__(self) -> None:
        self.given: list[Fetched] = []
        self._let: asyncio.Queue[Exception | None] = asyncio.Queue()

    async def store(self, fetched: Fetched) -> None:
        self.given.append(fetched)
        if (failure := await self._let.get()) is not None:
            raise failure

    def let(self, times: int = 1, failure: Exception | None = None) -> None:
        for _ in range(times):
            self._let.put_nowait(failure)

    def ids(self) -> list[list[str]]:
        return [[each.conversation_id for each in one.batch.conversations] for one in self.given]


def run(story: Callable[[WriteQueue, Database], object]) -> Database:
    async def act() -> Database:
        database = Database()
        await story(WriteQueue(database.store), database)  # type: ignore[misc]
        return database

    return asyncio.run(act())


def test_what_waits_is_stored_together_with_the_state_of_the_last() -> None:
    async def story(write_queue: WriteQueue, database: Database) -> None:
        for number in (1, 2, 3):
            await write_queue.add(fetched(number))
        database.let(2)
        await write_queue.finish()

    database = run(story)
    assert database.ids() == [["t_1"], ["t_2", "t_3"]]
    together = database.given[1]
    assert (together.scanning, together.state) == (scanning(1), scanning(3))
    assert together.batch.answered_at == NOON + timedelta(seconds=2)
    assert (together.batch.after, together.batch.has_next) == ("cursor 3", True)
    assert together.batch.reached_at == NOON - timedelta(hours=3)


def test_where_the_database_is_faster_each_is_stored_alone() -> None:
    async def story(write_queue: WriteQueue, database: Database) -> None:
        for number in (1, 2, 3):
            await write_queue.add(fetched(number))
            database.let()
            await asyncio.sleep(0.01)
            write_queue.write_next()
        await write_queue.finish()

    assert run(story).ids() == [["t_1"], ["t_2"], ["t_3"]]


@pytest.mark.parametrize("most", [1, 3])
def test_no_more_than_so_many_wait(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    monkeypatch.setattr(write_queue, "_MOST_TOGETHER", most)

    async def story(write_queue: WriteQueue, database: Database) -> None:
        for number in range(1, most + 1):
            await write_queue.add(fetched(number))
        last = asyncio.ensure_future(write_queue.add(fetched(most + 1)))
        await asyncio.sleep(0.01)
        assert not last.done()
        database.let(2)
        await last
        await write_queue.finish()

    assert [len(each) for each in run(story).ids()] == [1, most]


def test_what_comes_after_a_failure_is_not_stored() -> None:
    """Its state would claim what the failed one had."""

    async def story(write_queue: WriteQueue, database: Database) -> None:
        await write_queue.add(fetched(1))
        await write_queue.add(fetched(2))
        database.let(1, OSError("gone"))
        with pytest.raises(OSError, match="gone"):
            await write_queue.finish()
        await write_queue.finish()

    assert run(story).ids() == [["t_1"]]


def test_parts_with_the_last_one_are_no_longer_a_part() -> None:
    async def story(write_queue: WriteQueue, database: Database) -> None:
        for number, is_part in enumerate((True, True, False), start=1):
            one = fetched(number)
            await write_queue.add(replace(one, batch=replace(one.batch, is_part=is_part)))
        database.let(2)
        await write_queue.finish()

    assert [each.batch.is_part for each in run(story).given] == [True, False]
