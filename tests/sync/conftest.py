import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Unpack

import pytest

from inboxsync.engine import Engine
from inboxsync.model import Page, Platform, Run, Verification
from inboxsync.sandbox.folders import TOP
from inboxsync.sandbox.nodes import View
from inboxsync.store.state.pages import list_pages
from inboxsync.sync import BatchStored, Compared, Event, Findings, Outcome, Stop, SyncOptions, write_queue
from tests.fixtures import EngineFor, Row, SandboxServer, Serve
from tests.sync.fixtures import (
    Add,
    BacklogOf,
    Options,
    Ready,
    ServedMessages,
    Stored,
    StoredMessages,
    Sync,
    Verify,
    WriteMessages,
)


class BatchCounter:
    """Calls `on_batch` with the number of each batch; may ask the run to stop after so many."""

    def __init__(self, stop: Stop, *, stop_after: int | None, on_batch: Callable[[int], None] | None) -> None:
        self._stop = stop
        self._stop_after = stop_after
        self._on_batch = on_batch
        self._batches = 0

    def on_event(self, event: Event) -> None:
        if not isinstance(event, BatchStored):
            return
        self._batches += 1
        if self._on_batch is not None:
            self._on_batch(self._batches)
        if self._stop_after == self._batches:
            self._stop.ask("the test asked")


@pytest.fixture
def add() -> Add:
    def add_page(
        engine: Engine,
        served: SandboxServer,
        *,
        token: str | None = None,
        platform: Platform = Platform.MESSENGER,
    ) -> Page:
        page, _ = asyncio.run(
            engine.add_page(
                served.page.page_id,
                platform=platform,
                token=token or served.page.token,
                name=None,
            )
        )
        return page

    return add_page


@pytest.fixture
def outcomes() -> list[Outcome]:
    """The outcome of each run of this test, in their order."""
    return []


@pytest.fixture
def sync(outcomes: list[Outcome], monkeypatch: pytest.MonkeyPatch) -> Sync:
    """Runs one sync of the only Page, as a command would.

    Where it is stopped after so many batches, each has one answer, however fast they come.
    """

    def run(
        engine: Engine,
        *,
        stop_after: int | None = None,
        max_seconds: float | None = None,
        on_batch: Callable[[int], None] | None = None,
        **options: Unpack[Options],
    ) -> Run:
        async def go() -> Outcome:
            with engine.store.read() as connection:
                (page,) = list_pages(connection)
            seconds = engine.settings.source_away_seconds
            async with engine.source() as source, engine.stop(max_duration_seconds=max_seconds) as stop:
                counter = BatchCounter(stop, stop_after=stop_after, on_batch=on_batch)
                one = engine.page_sync(
                    source,
                    page,
                    options=SyncOptions(source_away_seconds=seconds, **options),
                    stop=stop,
                    listener=counter.on_event,
                )
                return await one.run()

        with monkeypatch.context() as patch:
            if stop_after is not None:
                patch.setattr(write_queue, "_MOST_TOGETHER", 1)
            outcomes.append(asyncio.run(go()))
        return outcomes[-1].run

    return run


@pytest.fixture
def stored() -> Stored:
    def query(engine: Engine, sql: str) -> list[Row]:
        with engine.store.read() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(sql)]

    return query


@pytest.fixture
def verify() -> Verify:
    """Verifies the only Page, as a command would."""

    def run(
        engine: Engine, *, is_deep: bool = False, stop_after: int | None = None
    ) -> tuple[Verification, Findings]:
        async def go() -> tuple[Verification, Findings]:
            with engine.store.read() as connection:
                (page,) = list_pages(connection)
            seen: list[Compared] = []
            async with engine.source() as source, engine.stop() as stop:

                def on_batch(compared: Compared) -> None:
                    seen.append(compared)
                    if len(seen) == stop_after:
                        stop.ask("the test asked")

                one = engine.page_verify(source, page, stop=stop, is_deep=is_deep, on_batch=on_batch)
                return await one.run(wait=False)

        return asyncio.run(go())

    return run


@pytest.fixture
def ready(request: pytest.FixtureRequest, serve: Serve, engine_for: EngineFor, add: Add) -> Ready:
    """A sandbox and an engine that has its Page, on Messenger unless it says otherwise.

    `engine` are the engine's settings; a module's `SANDBOX` are its tests' usual switches.
    """
    usual: dict[str, object] = getattr(request.module, "SANDBOX", {"conversations": 350})

    def start(
        *,
        platform: Platform = Platform.MESSENGER,
        engine: Mapping[str, object] | None = None,
        **switches: object,
    ) -> tuple[SandboxServer, Engine]:
        served = serve(**(usual | switches))
        built = engine_for(served, **(engine or {}))
        add(built, served, platform=platform)
        return served, built

    return start


@pytest.fixture
def stored_messages(stored: Stored) -> StoredMessages:
    def read(engine: Engine, where: str = "1 = 1") -> dict[str, set[str]]:
        ids = f"SELECT conversation_id FROM messenger_conversations c WHERE {where}"
        found: dict[str, set[str]] = {graph_id: set() for (graph_id,) in stored(engine, ids)}
        rows = stored(
            engine,
            "SELECT c.conversation_id, m.message_id FROM messages m "
            f"JOIN messenger_conversations c ON c.id = m.conversation_id WHERE {where}",
        )
        for graph_id, message_id in rows:
            found[graph_id].add(message_id)
        return found

    return read


@pytest.fixture
def served_messages() -> ServedMessages:
    def read(served: SandboxServer, *, is_instagram: bool = False) -> dict[str, list[str]]:
        view = View(served.page, is_instagram)
        found = {}
        for folder in view.mailbox.folders.values():
            for slot in folder.after(TOP):
                thread = view.mailbox.thread(slot)
                if thread is not None:
                    found[view.thread_id(thread)] = [
                        view.message_id(thread, message.ordinal) for message in reversed(thread.messages)
                    ]
        return found

    return read


@pytest.fixture
def write() -> WriteMessages:
    """Writes to the conversation in that slot, or to a new one, up to now."""

    def write_in(
        served: SandboxServer,
        slot: int | None,
        times: int = 1,
        *,
        is_instagram: bool = False,
        apart: int = 1,
    ) -> str:
        view = View(served.page, is_instagram)
        place = view.mailbox.begin() if slot is None else slot
        began = int(time.time()) - times * apart
        for number in range(times):
            view.mailbox.write(place, f"new {number}", at=began + number * apart)
        thread = view.mailbox.thread(place)
        assert thread is not None
        return view.thread_id(thread)

    return write_in


@pytest.fixture
def backlog(stored: Stored) -> BacklogOf:
    def read(engine: Engine) -> list[Row]:
        return stored(engine, "SELECT kind, conversation_id FROM backlog ORDER BY 1, 2")

    return read
