"""The same 5,000 conversations x 10 messages by inboxsync, by a plain loop and by dlt, in turn.

    make bench

The sandbox runs without limits in a process of its own, and packs no answer. Every side fetches 100
conversations a call over one kept-alive connection. Imports and process start are excluded on all
sides. Whatever inboxsync has stored is held against what is served, after every run.
"""

import argparse
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ours
import table
from check import Database, compare_all
from floor import plain_loop
from served import FIELDS, MESSAGES, sandbox
from servers import postgresql

DLT_PYTHON = Path(".venv-bench/bin/python")
FLOOR, FIRST, AGAIN, DLT = "plain loop, SQLite", "inboxsync, {}", "inboxsync again, {}", "dlt, {}"
_AGAIN_TIMES = 3


def main() -> None:
    """Run all sides in turn and print a table a database."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--conversations", type=int, default=5_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--database", choices=("SQLite", "PostgreSQL"), action="append")
    asked = parser.parse_args()
    databases = asked.database or ("SQLite", "PostgreSQL")
    with sandbox(asked.conversations, "--no-limits") as ready:
        for name in databases:
            with postgresql(wanted=name == "PostgreSQL") as server:
                if name == "PostgreSQL" and server is None:
                    print("\nPostgreSQL: no server to be had, left out.")
                    continue
                seconds = measure(ready, asked.runs, asked.conversations, name, server)
                print(f"\n### {asked.conversations:,} conversations x {MESSAGES} messages, {name}\n")
                for against in (FIRST.format(name), *((FLOOR,) if server is None else ())):
                    print(table.rates(asked.conversations, seconds, against=against), "\n")


def measure(
    ready: dict[str, Any], runs: int, conversations: int, name: str, server: str | None
) -> dict[str, list[float]]:
    """Seconds of each side, run after run; the first round warms the sandbox up and is left out."""
    seconds: dict[str, list[float]] = {}
    for number in range(runs + 1):
        with tempfile.TemporaryDirectory() as made:
            for side, took, stored in sides(ready, Path(made), name, server, number):
                assert stored == (conversations, conversations * MESSAGES), (side, stored)
                if number:
                    seconds.setdefault(side, []).append(took)
    return seconds


def sides(
    ready: dict[str, Any], folder: Path, name: str, server: str | None, number: int
) -> Iterator[tuple[str, float, tuple[int, int]]]:
    """Each side once, inboxsync again some times: its name, its seconds, what it stored."""
    if server is None:
        took, *stored = plain_loop(ready, folder / "plain.db")
        yield FLOOR, took, (stored[0], stored[1])
    url, schema = server or "", f"bench_{number}" if server else None
    database = Database(url or f"sqlite:///{folder / 'ours' / 'inboxsync.db'}", schema)
    sizes = []
    for side in (FIRST, *[AGAIN] * _AGAIN_TIMES):
        timed = ours.sync(ready, folder / "ours", url=url, schema=schema)
        compare_all(ready, database)
        sizes.append(database.size())
        yield side.format(name), timed.seconds, (timed.conversations, timed.messages)
    assert len(set(sizes)) == 1, f"syncing again has changed the size of the tables: {sizes}"
    if DLT_PYTHON.exists():
        url = server or f"sqlite:///{folder / 'dlt.db'}"
        told = dlt(ready, url, folder / "dlt")
        yield DLT.format(name), told["seconds"], (told["conversations"], told["messages"])


def dlt(ready: dict[str, Any], url: str, folder: Path) -> dict[str, Any]:
    """The pipeline of `dlt_rest_api`, in its own environment."""
    script = Path(__file__).with_name("dlt_rest_api.py")
    # It wants a host and a password, even where the folder of a socket is all it takes.
    url = url.replace(":@/", ":none@localhost/")
    command = [str(DLT_PYTHON), str(script), json.dumps(ready), url, FIELDS, str(folder)]
    environment = os.environ | {"RUNTIME__DLTHUB_TELEMETRY": "false"}
    ended = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    told: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return told


if __name__ == "__main__":
    main()
