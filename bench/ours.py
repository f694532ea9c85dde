"""inboxsync as the benches run it: in this process, through its engine."""

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inboxsync.cli.process import set_for_syncing
from inboxsync.engine import Engine
from inboxsync.model import Mode, Platform
from inboxsync.settings import Settings
from inboxsync.store.state.pages import count_page
from inboxsync.sync import Listener, Outcome, ignore


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """One sync: seconds by the clock and of our processor, calls, new messages, and what is then stored."""

    seconds: float
    own_seconds: float
    calls: int
    new_messages: int
    conversations: int
    messages: int


def sync(
    ready: dict[str, Any],
    folder: Path,
    *,
    url: str = "",
    schema: str | None = None,
    calls_per_second: float = 0.0,
    listener: Listener | None = None,
    mode: Mode = Mode.FULL,
) -> Timed:
    """A full sync, unless told otherwise; of a Page that is stored already, all of it again."""
    values: dict[str, Any] = {
        "data_dir": folder,
        "graph_url": ready["url"],
        "calls_per_second": calls_per_second,
        "database_url": url,
    }
    if schema is not None:
        values["database_schema"] = schema
    engine = Engine(Settings(**values))
    set_for_syncing()  # as the command does
    try:
        return asyncio.run(_sync(engine, ready, listener or ignore, mode))
    finally:
        engine.close()


async def _sync(engine: Engine, ready: dict[str, Any], listener: Listener, mode: Mode) -> Timed:
    page, _ = await engine.add_page(
        ready["page_id"], platform=Platform.MESSENGER, token=ready["token"], name=None
    )
    began, own_before = time.perf_counter(), time.process_time()
    async with engine.source() as source, engine.stop() as stop:
        options = engine.sync_options(mode=mode)
        one = engine.page_sync(source, page, options=options, stop=stop, listener=listener)
        outcome: Outcome = await one.run()
    seconds, own_seconds = time.perf_counter() - began, time.process_time() - own_before
    assert outcome.run.status == "complete", outcome
    with engine.store.read() as connection:
        counts = count_page(connection, page)
    return Timed(
        seconds=seconds,
        own_seconds=own_seconds,
        calls=outcome.run.calls,
        new_messages=outcome.run.counts.events,
        conversations=counts.conversations,
        messages=counts.messages,
    )
