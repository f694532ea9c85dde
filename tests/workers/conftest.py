"""Workers in this process: DBOS is one in a process, so each test has one at a time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from inboxsync.engine import Engine
from inboxsync.model import Page, Platform, Run
from inboxsync.store.state.run_events import list_run_events
from inboxsync.store.state.runs import get_run
from inboxsync.workers import Worker


@pytest.fixture
def engine_url(url: str) -> str:
    """Both databases, one after the other."""
    return url


@pytest.fixture
def add() -> Callable[..., list[Page]]:
    """Adds every Page of a sandbox."""

    def add_pages(engine: Engine, served: Any) -> list[Page]:
        async def add_all() -> list[Page]:
            return [
                (
                    await engine.add_page(
                        page.page_id, platform=Platform.MESSENGER, token=page.token, name=None
                    )
                )[0]
                for page in served.sandbox.world.pages
            ]

        return asyncio.run(add_all())

    return add_pages


@pytest.fixture
def ready(serve: Any, engine_for: Any, add: Any) -> Callable[..., tuple[Any, Engine, list[Page]]]:
    """A sandbox, an engine, and its Pages added."""

    def start(*, engine: dict[str, Any] | None = None, **switches: Any) -> tuple[Any, Engine, list[Page]]:
        served = serve(**switches)
        built = engine_for(served, **(engine or {}))
        return served, built, add(built, served)

    return start


@pytest.fixture
def run_of() -> Callable[[Engine, str], Run]:
    return find_run


def find_run(engine: Engine, run_id: str) -> Run:
    with engine.store.read() as connection:
        run = get_run(connection, run_id)
    assert run is not None
    return run


@pytest.fixture
def told() -> Callable[[Engine, str], list[str]]:
    """The words that a run told, in their order."""

    def read(engine: Engine, run_id: str) -> list[str]:
        with engine.store.read() as connection:
            return [event.status for event in list_run_events(connection, run_id)]

    return read


@pytest.fixture
def work() -> Callable[..., None]:
    """Has a worker work until these runs have ended, or until `until` returns."""

    def until_ended(
        engine: Engine,
        *run_ids: str,
        until: Callable[[], Awaitable[None]] | None = None,
        schedules: bool = False,
        concurrency: int = 4,
    ) -> None:
        async def ended() -> None:
            while any(find_run(engine, run_id).status.is_open for run_id in run_ids):
                await asyncio.sleep(0.1)

        async def go() -> None:
            worker = Worker(engine, concurrency=concurrency, schedules=schedules)
            await worker.start()
            try:
                await asyncio.wait_for((until or ended)(), 240)
            finally:
                await worker.drain(30)

        asyncio.run(go())

    return until_ended
