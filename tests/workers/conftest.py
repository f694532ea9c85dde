"""Workers in this process: DBOS is one in a process, so each test has one at a time; and beside it."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from inboxsync.engine import Engine
from inboxsync.model import Page, Platform, Run, RunRequest
from inboxsync.settings import Settings
from inboxsync.workers import RunQueue, Worker
from tests.fixtures import EngineFor, SandboxServer, Serve
from tests.processes import ForkServer
from tests.workers.fixtures import Add, Fleet, MakeFleet, Ready, Source, Work, environment_of, find_run


@pytest.fixture
def engine_url(url: str) -> str:
    """Both databases, one after the other."""
    return url


@pytest.fixture
def add() -> Add:
    def add_pages(engine: Engine, served: SandboxServer) -> list[Page]:
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
def ready(serve: Serve, engine_for: EngineFor, add: Add) -> Ready:
    def start(**switches: object) -> Source:
        served = serve(**switches)
        built = engine_for(served)
        return served, built, add(built, served)

    return start


@pytest.fixture
def work() -> Work:
    def until_ended(
        engine: Engine,
        *runs: Run,
        until: Callable[[], Awaitable[None]] | None = None,
        schedules: bool = False,
        concurrency: int = 4,
    ) -> None:
        async def ended() -> None:
            while any(find_run(engine, run.id).status.is_open for run in runs):
                await asyncio.sleep(0.05)

        async def go() -> None:
            worker = Worker(engine, concurrency=concurrency, schedules=schedules)
            await worker.start()
            try:
                await asyncio.wait_for((until or ended)(), 240)
            finally:
                await worker.drain(30)

        asyncio.run(go())

    return until_ended


@pytest.fixture
def fleet(forks: ForkServer, serve: Serve, engine_url: str, tmp_path: Path, add: Add) -> Iterator[MakeFleet]:
    """Its source answers after 0.4 s, so that a run takes some seconds."""
    with ExitStack() as opened:

        def build(
            *, pages: int = 2, conversations: int = 700, url: str | None = None
        ) -> tuple[Fleet, list[Run]]:
            served = serve(conversations=conversations, pages=pages, latency_seconds=0.4)
            values = {
                "data_dir": str(tmp_path / "data"),
                "database_url": url or engine_url,
                "graph_url": served.url,
                "calls_per_second": "0",
                "retry_base_seconds": "0.01",
                "source_away_seconds": "3",
                "log_format": "json",
            }
            engine = Engine(Settings.model_validate(values))
            opened.callback(engine.close)
            added = add(engine, served)
            made = Fleet(forks, engine, environment_of(values), conversations=conversations)
            opened.callback(made.kill_all)
            return made, [RunQueue(engine).enqueue(page, RunRequest()) for page in added]

        yield build
