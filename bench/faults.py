"""How many calls a sync needs where much goes wrong at once.

    make bench-faults                       # one seed, a few minutes
    .venv/bin/python bench/faults.py --seeds 3

Each row is a world: unreadable conversations (20: every fifth of the newest 100), passing faults (the
sandbox's mix `passing`), a limit on what one answer may hold, and people who write meanwhile. `of none` is
the calls of its first run over those of the same world without passing faults. `missing` is how many of the
conversations that were there at the start and can be read are not stored after the first run.
"""

import argparse
import asyncio
import itertools
import json
import logging
import sqlite3
import tempfile
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from served import sandbox

from inboxsync.cli.process import set_for_syncing
from inboxsync.engine import Engine
from inboxsync.errors import InboxsyncError
from inboxsync.model import Mode, Page, Platform
from inboxsync.settings import Settings
from inboxsync.store.state.pages import list_pages
from inboxsync.sync import ignore

CLOSE_TOGETHER = range(0, 100, 5)
UNREADABLE = {
    0: "poison=0",
    2: "poison=2",
    len(CLOSE_TOGETHER): f"poison_slots={','.join(map(str, CLOSE_TOGETHER))}",
}
PASSING = (0.0, 0.05, 0.2, 0.3)
WEIGHTS = (None, 600)
WRITES = (False, True)
MOST_RUNS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What goes wrong. `seed` also makes the contents."""

    unreadable: int
    weight: int | None
    writes: bool
    seed: int
    passing: float = 0.0

    def switches(self) -> Iterator[str]:
        """For the sandbox."""
        yield from ("--no-limits", "--messages", "1:3", "--seed", str(self.seed))
        yield from ("--fault", UNREADABLE[self.unreadable], "--fault", f"passing={self.passing}")
        if self.weight is not None:
            yield from ("--fault", f"weight_limit={self.weight}")
        if self.writes:
            yield from ("--set", "write_every=5", "--set", "write_people=3", "--set", "write_new_every=10")


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Of the first run; and how many runs it took until all that can be read was stored, None: never."""

    calls: int
    status: str
    missing: int
    batch_size: int | None
    runs: int | None


def measure(world: World, conversations: int) -> Result:
    """Sync until nothing is missing, but not too often."""
    with (
        tempfile.TemporaryDirectory() as made,
        sandbox(conversations, *world.switches()) as ready,
    ):
        readable = _readable(ready, world)
        values: dict[str, Any] = {"data_dir": Path(made), "graph_url": ready["url"]}
        engine = Engine(Settings(**values, calls_per_second=0.0, retry_base_seconds=0.02))
        try:
            return asyncio.run(_measure(engine, ready, readable, Path(made) / "inboxsync.db"))
        finally:
            engine.close()


async def _measure(engine: Engine, ready: dict[str, Any], readable: set[str], database: Path) -> Result:
    page = await _added(engine, ready)
    calls, status, missing, size = 0, "", len(readable), None
    for run in range(1, MOST_RUNS + 1):
        async with engine.source() as source, engine.stop() as stop:
            options = engine.sync_options(mode=Mode.INCREMENTAL)
            outcome = await engine.page_sync(source, page, options=options, stop=stop, listener=ignore).run()
        left = len(readable - _stored(database))
        with engine.store.read() as connection:
            (page,) = list_pages(connection)
        if run == 1:
            calls, status = outcome.run.calls, outcome.run.status.value
            missing, size = left, page.batch_size
        if not left:
            return Result(calls=calls, status=status, missing=missing, batch_size=size, runs=run)
    return Result(calls=calls, status=status, missing=missing, batch_size=size, runs=None)


async def _added(engine: Engine, ready: dict[str, Any]) -> Page:
    """The Page, however often its first calls fail."""
    while True:
        try:
            page, _ = await engine.add_page(
                ready["page_id"], platform=Platform.MESSENGER, token=ready["token"], name=None
            )
        except InboxsyncError as error:
            print(f"  (adding the Page again: {error})", flush=True)
            continue
        return page


def _readable(ready: dict[str, Any], world: World) -> set[str]:
    """Graph's ids of those that can be read now: the control address counts no calls."""
    with urllib.request.urlopen(f"{ready['url']}/sandbox/inbox") as answer:  # noqa: S310 - our own
        listed = [each["conversation_id"] for each in json.load(answer)]
    if world.unreadable == len(CLOSE_TOGETHER):
        bad = set(CLOSE_TOGETHER)
    else:
        bad = {(place + 1) * len(listed) // (world.unreadable + 1) for place in range(world.unreadable)}
    return {each for slot, each in enumerate(listed) if slot not in bad}


def _stored(database: Path) -> set[str]:
    with sqlite3.connect(database) as connection:
        found = connection.execute("SELECT conversation_id FROM messenger_conversations").fetchall()
    connection.close()
    return {each for (each,) in found}


def row(world: World, results: list[Result], calm: list[Result]) -> str:
    """A line of the table; values of several seeds are side by side."""
    weight = "-" if world.weight is None else str(world.weight)
    ratios = [own.calls / other.calls for own, other in zip(results, calm, strict=True)]
    told = (
        str(world.unreadable),
        f"{world.passing:g}",
        weight,
        "yes" if world.writes else "no",
        _side_by_side(each.calls for each in results),
        _side_by_side(f"{each:.2f}" for each in ratios),
        _side_by_side(each.status for each in results),
        _side_by_side(each.missing for each in results),
        _side_by_side(each.batch_size or "-" for each in results),
        _side_by_side(each.runs or f"> {MOST_RUNS}" for each in results),
    )
    return f"| {' | '.join(told)} |"


def _side_by_side(values: Iterator[object]) -> str:
    told = [str(each) for each in values]
    return told[0] if len(set(told)) == 1 else ", ".join(told)


def main() -> None:
    """The whole matrix, row by row as it is measured."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--conversations", type=int, default=1_200)
    parser.add_argument("--seeds", type=int, default=1)
    asked = parser.parse_args()
    set_for_syncing()
    # A line for each call that failed is more than the table.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    print(f"### {asked.conversations:,} conversations, faults mixed\n")
    print(
        "| unreadable | passing | weight | writes | calls | of none | status | missing | batch size | runs |"
    )
    print("| ---: | ---: | ---: | --- | ---: | ---: | --- | ---: | ---: | ---: |", flush=True)
    worst = 0.0
    for unreadable, weight, writes in itertools.product(UNREADABLE, WEIGHTS, WRITES):
        calm: list[Result] = []
        for passing in PASSING:
            worlds = [
                World(unreadable=unreadable, weight=weight, writes=writes, seed=seed, passing=passing)
                for seed in range(1, asked.seeds + 1)
            ]
            results = [measure(world, asked.conversations) for world in worlds]
            calm = calm or results
            print(row(worlds[0], results, calm), flush=True)
            pairs = zip(results, calm, strict=True)
            worst = max([worst, *(own.calls / other.calls for own, other in pairs)])
    print(f"\nAt most {worst:.2f} times the calls of the same world without passing faults.")


if __name__ == "__main__":
    main()
