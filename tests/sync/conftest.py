import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from inboxsync.engine import Engine
from inboxsync.model import Page, Platform, Run
from inboxsync.store.pages import list_pages
from inboxsync.sync import BatchStored, Outcome, Stop, SyncOptions


class Watching:
    """Hears what a run tells; may ask it to stop after so many batches."""

    def __init__(self, stop_after: int | None = None, on_batch: Callable[[int], None] | None = None) -> None:
        self._tell = on_batch
        self.batches: list[BatchStored] = []
        self.stop: Stop | None = None
        self._stop_after = stop_after

    def on_start(self, run: Run) -> None:
        pass

    def on_batch(self, event: BatchStored) -> None:
        self.batches.append(event)
        if self._tell is not None:
            self._tell(len(self.batches))
        if self._stop_after == len(self.batches) and self.stop is not None:
            self.stop.ask("the test asked")

    def on_wait(self, waiting: Any) -> None:
        pass

    def on_end(self, run: Run, *, reason: str | None) -> None:
        pass


@pytest.fixture
def add() -> Callable[..., Page]:
    def add_page(engine: Engine, served: Any, *, token: str | None = None) -> Page:
        page, _ = asyncio.run(
            engine.add_page(
                served.page.page_id,
                platform=Platform.MESSENGER,
                token=token or served.page.token,
                name=None,
            )
        )
        return page

    return add_page


@pytest.fixture
def outcomes() -> list[Outcome]:
    """What the runs of this test left open, in their order."""
    return []


@pytest.fixture
def sync(outcomes: list[Outcome]) -> Callable[..., Run]:
    """Runs one sync of the only Page, as a command would."""

    def run(
        engine: Engine,
        *,
        stop_after: int | None = None,
        max_seconds: float | None = None,
        on_batch: Callable[[int], None] | None = None,
        **options: Any,
    ) -> Run:
        async def go() -> Outcome:
            with engine.store.read() as connection:
                (page,) = list_pages(connection)
            watching = Watching(stop_after, on_batch)
            async with engine.source() as source, engine.stop(max_duration_seconds=max_seconds) as stop:
                watching.stop = stop
                one = engine.page_sync(
                    source, page, options=SyncOptions(**options), stop=stop, listener=watching
                )
                return await one.run()

        outcomes.append(asyncio.run(go()))
        return outcomes[-1].run

    return run


@pytest.fixture
def stored() -> Callable[..., list[tuple[Any, ...]]]:
    def query(engine: Engine, sql: str) -> list[tuple[Any, ...]]:
        with engine.store.read() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(sql)]

    return query
