"""Many Pages side by side in one process, each held to its own 2 calls a second by the sandbox.

    .venv/bin/python bench/pages.py 100

`inboxsync sync --all --parallel N`, as a user runs it, beside one Page of them alone.
"""

import argparse
import asyncio
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from served import MESSAGES, sandbox

from inboxsync.engine import Engine
from inboxsync.model import Platform
from inboxsync.settings import Settings


def main() -> None:
    """One row for one Page, one for all of them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pages", type=int, nargs="?", default=100)
    parser.add_argument("--conversations", type=int, default=1_000)
    asked = parser.parse_args()
    print(f"### {asked.conversations:,} conversations x {MESSAGES} messages a Page, 2 calls/s a Page\n")
    print("| Pages | seconds | conversations/s | calls | refused | processor of the sync |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: |")
    switches = ["--pages", str(asked.pages), "--penalty", "5"]
    with sandbox(asked.conversations, *switches) as ready, tempfile.TemporaryDirectory() as made:
        for count in (1, asked.pages):
            folder = Path(made) / str(count)
            asyncio.run(add_pages(ready, folder, count))
            print(measure(ready, folder, count, asked.conversations), flush=True)


async def add_pages(ready: dict[str, Any], folder: Path, count: int) -> None:
    """The first so many Pages of the sandbox."""
    engine = Engine(Settings(data_dir=folder, graph_url=ready["url"]))
    try:
        for page in ready["pages"][:count]:
            await engine.add_page(
                page["page_id"], platform=Platform.MESSENGER, token=page["token"], name=None
            )
    finally:
        engine.close()


def measure(ready: dict[str, Any], folder: Path, count: int, conversations: int) -> str:
    """Sync them all with the command; a Markdown row."""
    command = [sys.executable, "-m", "inboxsync", "sync", "--all", "--parallel", str(count), "--json"]
    told = {"INBOXSYNC_DATA_DIR": str(folder), "INBOXSYNC_GRAPH_URL": ready["url"]}
    used_before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    ended = subprocess.run(command, stdout=subprocess.PIPE, env=os.environ | told, text=True, check=True)
    seconds = time.perf_counter() - began
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = used.ru_utime + used.ru_stime - used_before.ru_utime - used_before.ru_stime
    runs = [json.loads(line) for line in ended.stdout.splitlines()]
    assert len(runs) == count
    assert all(run["status"] == "complete" and run["inserted"] == conversations for run in runs), runs
    calls, refused = (sum(run[name] for run in runs) for name in ("calls", "refused_calls"))
    rate = count * conversations / seconds
    return f"| {count} | {seconds:.1f} | {rate:,.0f} | {calls:,} | {refused} | {processor:.1f} s |"


if __name__ == "__main__":
    main()
