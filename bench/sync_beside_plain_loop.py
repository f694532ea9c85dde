"""Times a sync of 5,000 conversations beside a plain loop over the same answers.

The sandbox runs without limits in a process of its own; both sides fetch 100
conversations x 10 messages a call over one kept-alive connection and write to SQLite.
The plain loop is the floor: http.client, json and executemany, one chain, no retries, no
resume, no upsert, no progress. Process start is excluded on both sides. The two run in
turn, so that a machine that changes its speed changes it for both.

    make bench
"""

import argparse
import asyncio
import http.client
import json
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from inboxsync.engine import Engine
from inboxsync.model import Mode, Platform, Run
from inboxsync.settings import Settings
from inboxsync.sync import BatchStored, SyncOptions

BATCH = 100
FIELDS = (
    "id,updated_time,message_count,unread_count,snippet,link,participants,"
    "messages.limit(10){id,created_time,from,message,attachments,shares{link,name,description},sticker,reply_to}"
)


class Quiet:
    """Watches a run and says nothing."""

    def on_start(self, run: Run) -> None:
        """The run begins."""

    def on_batch(self, event: BatchStored) -> None:
        """A batch has been stored."""

    def on_end(self, run: Run, *, reason: str | None) -> None:
        """The run is over."""


@contextmanager
def sandbox(conversations: int) -> Iterator[dict[str, Any]]:
    """A sandbox without limits, in a process of its own."""
    command = [sys.executable, "-m", "inboxsync", "sandbox", "--no-limits"]
    command += ["--conversations", str(conversations), "--messages", "10:10"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.terminate()


def plain_loop(ready: dict[str, Any], path: Path) -> tuple[float, int, int]:
    """Fetch, parse, insert, and nothing else; returns seconds, conversations, messages."""
    database = sqlite3.connect(path)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute(
        "CREATE TABLE conversations (id TEXT PRIMARY KEY, updated_at TEXT, name TEXT, snippet TEXT)"
    )
    database.execute(
        "CREATE TABLE messages (id TEXT PRIMARY KEY, conversation_id TEXT, at TEXT, sender TEXT, text TEXT)"
    )
    began = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", ready["port"])
    path_and_query = f"/v25.0/{ready['page_id']}/conversations?" + urlencode(
        {"limit": BATCH, "fields": FIELDS}
    )
    after = ""
    while True:
        connection.request(
            "GET", path_and_query + after, headers={"Authorization": f"Bearer {ready['token']}"}
        )
        answer = json.loads(connection.getresponse().read())
        conversations, messages = [], []
        for entry in answer["data"]:
            names = [
                each.get("name") for each in entry["participants"]["data"] if each["id"] != ready["page_id"]
            ]
            conversations.append(
                (entry["id"], entry["updated_time"], (names or [None])[0], entry.get("snippet"))
            )
            for message in entry["messages"]["data"]:
                sender = message.get("from", {}).get("id")
                messages.append(
                    (message["id"], entry["id"], message["created_time"], sender, message.get("message"))
                )
        with database:
            database.executemany("INSERT INTO conversations VALUES (?, ?, ?, ?)", conversations)
            database.executemany("INSERT INTO messages VALUES (?, ?, ?, ?, ?)", messages)
        if "next" not in answer["paging"]:
            break
        after = "&" + urlencode({"after": answer["paging"]["cursors"]["after"]})
    seconds = time.perf_counter() - began
    stored = [
        database.execute(f"SELECT COUNT(*) FROM {name}").fetchone()[0]
        for name in ("conversations", "messages")
    ]
    database.close()
    return seconds, *stored


async def inboxsync(ready: dict[str, Any], folder: Path, *, again: bool) -> tuple[float, int, int]:
    """A sync into a new database, or a full one over an old; returns seconds, conversations, messages."""
    engine = Engine(Settings(data_dir=folder, graph_url=ready["url"], calls_per_second=0.0))
    page, _ = await engine.add_page(
        ready["page_id"], platform=Platform.MESSENGER, token=ready["token"], name=None
    )
    modes = [Mode.FULL, Mode.FULL] if again else [Mode.FULL]
    for mode in modes:
        began = time.perf_counter()
        async with engine.source() as source, engine.stop() as stop:
            options = SyncOptions(mode=mode)
            run = await engine.page_sync(source, page, options=options, stop=stop, listener=Quiet()).run()
        seconds = time.perf_counter() - began
        assert run.status == "complete", run
    with engine.store.read() as connection:
        stored = [
            connection.exec_driver_sql(f"SELECT COUNT(*) FROM {name}").scalar_one()
            for name in ("messenger_conversations", "messages")
        ]
    engine.close()
    return seconds, *stored


def main() -> None:
    """Run both in turn and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--conversations", type=int, default=5_000)
    parser.add_argument("--runs", type=int, default=5)
    asked = parser.parse_args()
    seconds: dict[str, list[float]] = {"plain loop": [], "inboxsync": [], "inboxsync, nothing new": []}
    with sandbox(asked.conversations) as ready:
        for number in range(asked.runs + 1):
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name)
                results = {
                    "plain loop": plain_loop(ready, folder / "plain.db"),
                    "inboxsync": asyncio.run(inboxsync(ready, folder / "first", again=False)),
                    "inboxsync, nothing new": asyncio.run(inboxsync(ready, folder / "again", again=True)),
                }
            for side, (took, *stored) in results.items():
                assert stored == [asked.conversations, asked.conversations * 10], (side, stored)
                if number:  # the first round warms the sandbox up
                    seconds[side].append(took)
    report(asked.conversations, seconds)


def report(conversations: int, seconds: dict[str, list[float]]) -> None:
    """Medians, spread, and the ratio to the plain loop, pair by pair."""
    print(f"{conversations:,} conversations x 10 messages, {len(seconds['inboxsync'])} runs each, in turn")
    print(f"{'':24}{'conversations/s':>16}{'min':>8}{'max':>8}{'of the plain loop':>20}")
    for side, took in seconds.items():
        ratio = statistics.median(plain / own for plain, own in zip(seconds["plain loop"], took, strict=True))
        rates = sorted(conversations / each for each in took)
        print(f"{side:24}{statistics.median(rates):16,.0f}{rates[0]:8,.0f}{rates[-1]:8,.0f}{ratio:20.2f}")


if __name__ == "__main__":
    main()
