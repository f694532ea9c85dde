"""How near to Meta's own limit: 2 calls a second, each answer takes 1.1 s.

    make bench-pace

The predecessor's algorithm (one chain, a pause of 100 ms, a batch at a time) beside inboxsync on
a source that honours time windows and on one that does not. Both sandboxes count the calls and
refuse what comes too soon, with a penalty.
"""

import argparse
import sqlite3
import tempfile
import time
from pathlib import Path
from typing import Any

import ours
from floor import answers, rows
from served import BATCH, MESSAGES, sandbox

LATENCY = 1.1


def predecessor(ready: dict[str, Any], path: Path) -> float:
    """Fetch, store, wait 100 ms, fetch; returns seconds."""
    database = sqlite3.connect(path)
    database.execute(
        "CREATE TABLE conversations (id TEXT PRIMARY KEY, updated_at TEXT, name TEXT, snippet TEXT)"
    )
    database.execute(
        "CREATE TABLE messages (id TEXT PRIMARY KEY, conversation_id TEXT, at TEXT, sender TEXT, text TEXT)"
    )
    began = time.perf_counter()
    for answer in answers(ready, pause_seconds=0.1):
        conversations, messages = rows(answer, ready["page_id"])
        with database:
            database.executemany("INSERT INTO conversations VALUES (?, ?, ?, ?)", conversations)
            database.executemany("INSERT INTO messages VALUES (?, ?, ?, ?, ?)", messages)
    seconds = time.perf_counter() - began
    database.close()
    return seconds


def main() -> None:
    """Each side once: the pace is the source's, not the machine's."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--conversations", type=int, default=10_000)
    asked = parser.parse_args()
    what = f"{asked.conversations:,} conversations x {MESSAGES} messages"
    print(f"### {what} at 2 calls/s, {LATENCY} s an answer\n")
    print("| side | seconds | conversations/s | calls |")
    print("| --- | ---: | ---: | ---: |")
    switches = ["--latency", str(LATENCY), "--penalty", "5"]
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        with sandbox(asked.conversations, *switches) as ready:
            report("predecessor", asked.conversations, predecessor(ready, folder / "p.db"), None)
            timed = ours.sync(ready, folder / "chain", calls_per_second=2.0)
            report("inboxsync, no time windows", asked.conversations, timed.seconds, timed.calls)
        with sandbox(asked.conversations, *switches, "--time-windows") as ready:
            timed = ours.sync(ready, folder / "windows", calls_per_second=2.0)
            report("inboxsync, time windows honoured", asked.conversations, timed.seconds, timed.calls)


def report(side: str, conversations: int, seconds: float, calls: int | None) -> None:
    """One row."""
    made = calls if calls is not None else -(-conversations // BATCH)
    print(f"| {side} | {seconds:,.1f} | {conversations / seconds:,.0f} | {made:,} |", flush=True)


if __name__ == "__main__":
    main()
