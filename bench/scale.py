"""Very many conversations in one database: does the rate hold, does memory stay flat, what do changes cost?

    .venv/bin/python bench/scale.py 50000     as `make bench` does
    make bench-scale                          a million, and the curve

The sandbox makes the conversations when they are asked for, in a process of its own; the sync is another.
Three parts, each with a table of its own:

* the first sync: rows, seconds and memory are noted as it goes (`--notes` keeps them, for `curve.py`), and
  what is stored is compared with what the sandbox serves;
* the derive pass over all of it (search index, contacts, facts, totals), batch after batch;
* incremental syncs: nothing new, then 1, 100 and 2,000 conversations that got a message, spread evenly over
  the whole list. The sandbox answers over HTTP, as Meta would.

`--keep FOLDER` keeps the SQLite database. A database that has the conversations already is not filled again.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from check import Database, compare_sample
from served import MESSAGES, sandbox
from servers import postgresql

_TENTHS = 10
# What is done, seconds, seconds of our own processor.
_Point = tuple[float, float, float]
_HEADS = (
    "| database | conversations/s | first tenth | last tenth | ratio | own CPU ratio | peak memory |",
    "| database | messages derived from | messages/s | first tenth | last tenth | ratio | own CPU ratio |",
    "| database | changed conversations | calls | seconds | own CPU seconds |",
)


def main() -> None:
    """One run for each database, then the three tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("conversations", type=int, nargs="?", default=50_000)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), action="append")
    parser.add_argument("--changed", type=int, nargs="*", default=[1, 100, 2_000])
    parser.add_argument("--notes", type=Path, help="folder for the notes of each run")
    parser.add_argument("--keep", type=Path, help="folder for the database and the notes")
    asked = parser.parse_args()
    tables: tuple[list[str], ...] = ([], [], [])
    for name in asked.database or ("sqlite", "postgresql"):
        with folder_of(asked.keep) as folder:
            rows = measure(name, asked.conversations, asked.changed, folder, asked.notes or folder)
        for table, more in zip(tables, rows, strict=True):
            table.extend(more)
    print(f"### {asked.conversations:,} conversations x {MESSAGES} messages")
    for head, table in zip(_HEADS, tables, strict=True):
        columns = head.count("|") - 2
        print(f"\n{head}\n| --- |{' ---: |' * columns}", *table, sep="\n")


@contextmanager
def folder_of(kept: Path | None) -> Iterator[Path]:
    """This folder, or one that is gone afterwards."""
    if kept is not None:
        kept.mkdir(parents=True, exist_ok=True)
        yield kept
        return
    with tempfile.TemporaryDirectory() as made:
        yield Path(made)


def measure(
    name: str, conversations: int, changed: Sequence[int], folder: Path, notes: Path
) -> tuple[list[str], list[str], list[str]]:
    """One database: the rows of the three tables."""
    files = [notes / f"{part}-{name}-{conversations}.txt" for part in ("scale", "derive")]
    with sandbox(conversations, "--no-limits") as ready, postgresql(wanted=name == "postgresql") as server:
        database = server or f"sqlite:///{folder / 'data' / 'inboxsync.db'}"
        command = [sys.executable, str(Path(__file__).with_name("scaled_sync.py"))]
        command += [json.dumps(ready), server or "", str(folder / "data"), *map(str, files)]
        command += [str(conversations), *map(str, changed)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            parts: dict[str, Any] = {}
            for line in process.stdout:
                part = json.loads(line)
                print(json.dumps({"database": name} | part), file=sys.stderr, flush=True)
                parts |= part
                if "first" in part:
                    compare_sample(ready, Database(database))
                    print(file=process.stdin, flush=True)
        assert process.returncode == 0, process.returncode
    changes = [
        f"| {name} | {each['changed']:,} | {each['calls']} "
        f"| {each['seconds']:.2f} | {each['own_seconds']:.2f} |"
        for each in (parts[f"changed {count}"] for count in (0, *changed))
    ]
    return first_rows(name, parts.get("first"), files[0]), derive_rows(name, files[1]), changes


def first_rows(name: str, first: dict[str, Any] | None, notes: Path) -> list[str]:
    """What the first sync was like; nothing where the database was filled already."""
    if first is None:
        return []
    rate, tenths = first["conversations"] / first["seconds"], in_tenths(points_of(notes))
    return [f"| {name} | {rate:,.0f} | {tenths} | {first['peak_mb']:.0f} MB |"]


def derive_rows(name: str, notes: Path) -> list[str]:
    """What the derive pass was like; nothing where it had been done already."""
    points = points_of(notes)
    if not points:
        return []
    messages, seconds, _ = points[-1]
    return [f"| {name} | {messages:,.0f} | {messages / seconds:,.0f} | {in_tenths(points)} |"]


def points_of(notes: Path) -> list[_Point]:
    """What was noted on the way."""
    lines = notes.read_text(encoding="ascii").splitlines() if notes.exists() else []
    return [(float(done), float(seconds), float(cpu)) for done, seconds, cpu, *_ in map(str.split, lines)]


def in_tenths(noted: Sequence[_Point]) -> str:
    """Rates of the first and the last tenth, their ratio by the clock, and by our own processor time."""
    points, whole = [(0.0, 0.0, 0.0), *noted], noted[-1][0]
    first = points[: 1 + sum(done <= whole / _TENTHS for done, _, _ in points[1:])]
    last = [each for each in points if each[0] >= whole * (1 - 1 / _TENTHS)]
    rates, cpu_rates = zip(*(_rates(part) for part in (first, last)), strict=True)
    speeds = " | ".join(f"{each:,.0f}" for each in rates)
    return f"{speeds} | {rates[1] / rates[0]:.2f} | {cpu_rates[1] / cpu_rates[0]:.2f}"


def _rates(points: Sequence[_Point]) -> tuple[float, float]:
    """How much a second, and a second of our own processor."""
    (done, seconds, cpu), (done_before, before, cpu_before) = points[-1], points[0]
    return (done - done_before) / (seconds - before), (done - done_before) / (cpu - cpu_before)


if __name__ == "__main__":
    main()
