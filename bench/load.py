"""The HTTP service under load: 200 people read while two Pages sync and 50 listeners hang on.

    make bench-load

One `inboxsync serve` with its worker, one sandbox at Meta's own pace, one process of readers. A reader asks
for a list of conversations, thinks for two seconds, and asks for the next. Measured three times: reads of one
reader with nothing else going on; two syncs with nobody there; and everything at once. Exits with 1 where an
answer was no success, where the 99th percentile of the reads is ten times the idle median or more, or where
the syncs had less than 0.7 of their own speed.
"""

import argparse
import asyncio
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import aiohttp
import msgspec
from served import sandbox

from inboxsync.cli.process import set_for_syncing

READERS = 200
LISTENERS = 50
THINK_SECONDS = 2.0
SYNC_PAGES = 5  # two with nobody there, two under load, one that is laid down
_LONG = aiohttp.ClientTimeout(total=300)
INBOXSYNC = [sys.executable, "-m", "inboxsync"]


@contextmanager
def service(ready: dict[str, Any], folder: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """A running `inboxsync serve` with the sandbox's Pages: its address, and our ids by Meta's."""
    environment = os.environ | {
        "INBOXSYNC_DATA_DIR": str(folder),
        "INBOXSYNC_GRAPH_URL": ready["url"],
        "INBOXSYNC_LOG_FORMAT": "json",
    }
    for page in ready["pages"]:
        command = [*INBOXSYNC, "pages", "add", page["page_id"], "--token-stdin"]
        subprocess.run(
            command, input=page["token"], text=True, env=environment, check=True, capture_output=True
        )
        # Else its schedule syncs it before it is measured.
        paused = [*INBOXSYNC, "pages", "set", page["page_id"], "--pause"]
        subprocess.run(paused, env=environment, check=True, capture_output=True)
    serving = subprocess.Popen(
        [*INBOXSYNC, "serve", "--port", "0"], env=environment, stderr=subprocess.PIPE, text=True
    )
    assert serving.stderr is not None
    url = next(json.loads(line)["url"] for line in serving.stderr if '"serving"' in line)
    # Whoever reads its lines must not let the pipe fill.
    drained = subprocess.Popen(["cat"], stdin=serving.stderr, stdout=subprocess.DEVNULL)
    with urlopen(f"{url}/api/v1/pages") as answer:  # noqa: S310 - our own service
        pages = json.load(answer)["items"]
    try:
        yield url, {page["facebookPageId"]: page["id"] for page in pages}
    finally:
        began = time.perf_counter()
        serving.send_signal(signal.SIGTERM)
        code = serving.wait(60)
        print(f"\nSIGTERM in mid-sync: ended with {code} after {time.perf_counter() - began:.1f} s.")
        drained.wait(10)


class Load:
    """Asks one service, and notes how long it took."""

    def __init__(self, client: aiohttp.ClientSession) -> None:
        self._client = client
        self.errors = 0

    async def read(self, path: str, **asked: str | int) -> tuple[Any, float]:
        """The answer, and its seconds."""
        began = time.perf_counter()
        try:
            async with self._client.get(path, params=asked) as answer:
                body = await answer.read()
        except aiohttp.ClientError:
            self.errors += 1
            return None, time.perf_counter() - began
        seconds = time.perf_counter() - began
        self.errors += answer.status != HTTPStatus.OK
        return msgspec.json.decode(body), seconds

    async def sync(self, pages: list[tuple[str, str]]) -> float:
        """These Pages at once; conversations a second."""
        began = time.perf_counter()
        answers = await asyncio.gather(*(self._sync(metas, ours) for metas, ours in pages))
        self.errors += sum(not answer["complete"] for answer in answers)
        return sum(answer["total"] for answer in answers) / (time.perf_counter() - began)

    async def _sync(self, metas: str, ours: str) -> Any:  # noqa: ANN401 - JSON
        body = {"pageId": ours, "facebookPageId": metas}
        async with self._client.post("/api/conversations/sync", json=body, timeout=_LONG) as answer:
            return await answer.json()

    async def reader(self, page: str, taken: list[float]) -> None:
        """Somebody who leafs through a list, until cancelled."""
        cursor = None
        await asyncio.sleep(random.uniform(0, THINK_SECONDS))  # noqa: S311 - people do not come all at once
        while True:
            more = {"cursor": cursor} if cursor else {}
            answer, seconds = await self.read("/api/v1/conversations", page=page, limit=50, **more)
            taken.append(seconds)
            cursor = answer and answer["nextCursor"]
            await asyncio.sleep(random.uniform(0.5, 1.5) * THINK_SECONDS)  # noqa: S311 - likewise

    async def listener(self, run_id: str) -> int:
        """Follows a run to its end; how many events it was sent."""
        events = 0
        await asyncio.sleep(random.uniform(0, THINK_SECONDS))  # noqa: S311 - as above
        async with self._client.get(f"/api/v1/runs/{run_id}/stream", timeout=_LONG) as answer:
            async for line in answer.content:
                events += line.startswith(b"id: ")
        return events


async def measure(
    url: str, pages: dict[str, str], metas: list[str], *, readers: int, listeners: int
) -> dict[str, float]:
    """All three measurements."""
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(url, connector=connector) as client:
        load = Load(client)
        full, *others = [(meta, pages[meta]) for meta in metas]
        await load.sync([full])
        idle = [(await load.read("/api/v1/conversations", page=full[1], limit=50))[1] for _ in range(300)]
        own_speed = await load.sync(others[:2])
        taken: list[float] = []
        reading = [asyncio.create_task(load.reader(full[1], taken)) for _ in range(readers)]
        await asyncio.sleep(THINK_SECONDS)
        taken.clear()
        syncing = asyncio.create_task(load.sync(others[2:4]))
        await asyncio.sleep(0.5)
        runs, _ = await load.read("/api/v1/runs", limit=2)
        ids = [run["id"] for run in runs["items"]]
        listening = [asyncio.create_task(load.listener(ids[number % 2])) for number in range(listeners)]
        speed = await syncing
        for reader in reading:
            reader.cancel()
        heard = await asyncio.gather(*listening)
        # What is under way when the service is told to end.
        meta, ours = others[4]
        again = {"pageId": ours, "facebookPageId": meta}
        await client.post("/api/conversations/sync", json=again, headers={"Prefer": "respond-async"})
        await asyncio.sleep(2 * THINK_SECONDS)
        return {
            "idle_p50": statistics.median(idle),
            "p50": statistics.median(taken),
            "p99": statistics.quantiles(taken, n=100)[98],
            "reads": len(taken),
            "own_speed": own_speed,
            "speed": speed,
            "heard": min(heard),
            "errors": load.errors,
        }


def main() -> None:
    """Once: the pace of the syncs is the source's."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--conversations", type=int, default=4_000)
    parser.add_argument("--readers", type=int, default=READERS)
    parser.add_argument("--listeners", type=int, default=LISTENERS)
    asked = parser.parse_args()
    set_for_syncing(stays=True)  # who measures must not stand still either
    print(f"### {asked.readers} readers, {asked.listeners} listeners, two syncs of {asked.conversations:,}\n")
    with (
        tempfile.TemporaryDirectory() as folder,
        sandbox(asked.conversations, "--pages", str(1 + SYNC_PAGES)) as ready,
        service(ready, Path(folder)) as (url, pages),
    ):
        metas = [page["page_id"] for page in ready["pages"]]
        found = asyncio.run(measure(url, pages, metas, readers=asked.readers, listeners=asked.listeners))
    print("\n| | |\n| --- | ---: |")
    print(f"| reads, idle: median | {found['idle_p50'] * 1000:.1f} ms |")
    print(f"| reads under load: median | {found['p50'] * 1000:.1f} ms |")
    print(f"| reads under load: 99th percentile | {found['p99'] * 1000:.1f} ms |")
    print(f"| reads | {found['reads']:,} |")
    print(f"| two syncs alone | {found['own_speed']:.0f} conversations/s |")
    print(f"| two syncs under load | {found['speed']:.0f} conversations/s |")
    print(f"| of their own speed | {found['speed'] / found['own_speed']:.2f} |")
    print(f"| fewest events that a listener was sent | {found['heard']:.0f} |")
    print(f"| errors | {found['errors']:.0f} |")
    is_slow = found["p99"] >= 10 * found["idle_p50"] or found["speed"] < 0.7 * found["own_speed"]
    sys.exit(1 if found["errors"] or is_slow else 0)


if __name__ == "__main__":
    main()
