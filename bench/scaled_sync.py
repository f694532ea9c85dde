"""One sync in a process of its own, which notes how it goes: rows, seconds, processor, memory.

Run by `scale.py`: ready line, database URL (empty: SQLite in the folder), folder, file for the notes.
The last line printed is {"conversations", "messages", "peak_mb", "first", "again"}.
"""

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

import ours

from inboxsync.model import Mode
from inboxsync.sync import BatchStored, Event, RunStarted

_NOTE_EVERY_SECONDS = 0.5


class Notes:
    """Writes a line now and then: conversations stored, seconds, seconds of our processor, MB."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w", encoding="ascii")
        self._began = time.perf_counter()
        self._noted = 0.0

    def on_event(self, event: Event) -> None:
        """Note what a batch has brought."""
        if isinstance(event, RunStarted):
            self._began = time.perf_counter()
            self._cpu_before = time.process_time()
        elif isinstance(event, BatchStored):
            self._note(event)

    def _note(self, event: BatchStored) -> None:
        seconds = time.perf_counter() - self._began
        if seconds - self._noted >= _NOTE_EVERY_SECONDS:
            self._noted = seconds
            cpu = time.process_time() - self._cpu_before
            print(
                event.run.counts.inserted,
                f"{seconds:.3f} {cpu:.3f} {memory_mb():.1f}",
                file=self._file,
                flush=True,
            )


def memory_mb() -> float:
    """What this process holds in memory right now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 1e6


def main() -> None:
    """A first sync with notes, then an incremental one."""
    ready: dict[str, Any] = json.loads(sys.argv[1])
    url, folder, notes = sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4])
    first = ours.sync(ready, folder, url=url, listener=Notes(notes).on_event)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    again = ours.sync(ready, folder, url=url, mode=Mode.INCREMENTAL)
    told = {
        "conversations": again.conversations,
        "messages": again.messages,
        "peak_mb": peak_mb,
        "first": {"seconds": first.seconds, "calls": first.calls},
        "again": {
            "seconds": again.seconds,
            "calls": again.calls,
            "own_seconds": again.own_seconds,
        },
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
