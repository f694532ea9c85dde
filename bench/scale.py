"""A great many conversations into one database: does the rate hold, does memory stay flat?

    .venv/bin/python bench/scale.py 50000     as `make bench` does
    make bench-scale                          a million, and the curve

The sandbox makes the conversations when they are asked for, in a process of its own; the sync is
another. It notes rows, seconds and memory as it goes (`--notes` keeps them, for `curve.py`).
Afterwards an incremental sync, and what is stored is held against what the sandbox serves.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from check import Database, compare_sample
from served import MESSAGES, sandbox
from servers import postgresql

_TENTHS = 10


def main() -> None:
    """One run for each database, each a row."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("conversations", type=int, nargs="?", default=50_000)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), action="append")
    parser.add_argument("--notes", type=Path, help="folder for the notes of each run")
    asked = parser.parse_args()
    print(f"### {asked.conversations:,} conversations x {MESSAGES} messages\n")
    print(
        "| database | conversations/s | first tenth | last tenth | ratio | own CPU ratio | peak memory "
        "| incremental: calls, own seconds |"
    )
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for name in asked.database or ("sqlite", "postgresql"):
        with tempfile.TemporaryDirectory() as folder:
            print(measure(name, asked.conversations, Path(folder), asked.notes), flush=True)


def measure(name: str, conversations: int, folder: Path, kept: Path | None) -> str:
    """One database: a Markdown row."""
    notes = (kept or folder) / f"scale-{name}-{conversations}.txt"
    with sandbox(conversations, "--no-limits") as ready, postgresql(wanted=name == "postgresql") as server:
        command = [sys.executable, str(Path(__file__).with_name("scaled_sync.py"))]
        command += [json.dumps(ready), server or "", str(folder / "data"), str(notes)]
        ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        told = json.loads(ended.stdout.splitlines()[-1])
        stored = (told["conversations"], told["messages"])
        assert stored == (conversations, conversations * MESSAGES), stored
        compare_sample(ready, Database(server or f"sqlite:///{folder / 'data' / 'inboxsync.db'}"))
    return row(name, conversations, told, notes)


def row(name: str, conversations: int, told: dict[str, Any], notes: Path) -> str:
    """What a run was like: rates of the first and the last tenth by what was noted on the way."""
    lines = [tuple(map(float, line.split())) for line in notes.read_text(encoding="ascii").splitlines()]
    points = [(0.0, 0.0, 0.0), *((rows, seconds, cpu) for rows, seconds, cpu, _ in lines)]
    first = points[: 1 + sum(each[0] <= conversations / _TENTHS for each in points[1:])]
    last = [each for each in points if each[0] >= conversations * (1 - 1 / _TENTHS)]
    rates, cpu_rates = zip(*(_rates(part) for part in (first, last)), strict=True)
    cells = [
        name,
        f"{conversations / told['first']['seconds']:,.0f}",
        *(f"{each:,.0f}" for each in rates),
        f"{rates[1] / rates[0]:.2f}",
        f"{cpu_rates[1] / cpu_rates[0]:.2f}",
        f"{told['peak_mb']:.0f} MB",
        f"{told['again']['calls']}, {told['again']['own_seconds']:.2f} s",
    ]
    return f"| {' | '.join(cells)} |"


def _rates(points: list[tuple[float, float, float]]) -> tuple[float, float]:
    """Conversations a second, and a second of our own processor."""
    (rows, seconds, cpu), (rows_before, before, cpu_before) = points[-1], points[0]
    return (rows - rows_before) / (seconds - before), (rows - rows_before) / (cpu - cpu_before)


if __name__ == "__main__":
    main()
