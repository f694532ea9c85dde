"""One first sync, one derive pass and some incremental syncs in a process of its own, with notes on the way.

Run by `scale.py`: ready line, database URL (empty: SQLite in the folder), folder, two files for the notes,
how many conversations the sandbox has, how many get a message before each further incremental sync. Prints a
line of JSON after each part: {"first"} unless the database was filled already, {"derived"}, {"changed N"}.
After the first sync it waits for a line.
"""

import http.client
import json
import resource
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TextIO

import ours
from served import MESSAGES

from inboxsync.engine import Engine
from inboxsync.model import Mode
from inboxsync.settings import Settings
from inboxsync.store.reading import PageOverview, list_overviews
from inboxsync.sync import BatchStored, Event, RunStarted

_NOTE_EVERY_SECONDS = 0.5
# Meta's lists may lag, so a sync reads the last 20 seconds again until they are quiet. Here they are over.
_BURST_SECONDS = 25


class Notes:
    """Writes a line now and then: what is done, seconds, seconds of our processor, MB."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._began, self._cpu_before, self._noted = time.perf_counter(), time.process_time(), 0.0

    def on_event(self, event: Event) -> None:
        """Note what a batch has brought."""
        if isinstance(event, RunStarted):
            self._began, self._cpu_before = time.perf_counter(), time.process_time()
        elif isinstance(event, BatchStored):
            self.note(event.run.counts.inserted)

    def note(self, done: int, *, is_last: bool = False) -> None:
        """So much is done."""
        seconds = time.perf_counter() - self._began
        if is_last or seconds - self._noted >= _NOTE_EVERY_SECONDS:
            self._noted = seconds
            cpu = time.process_time() - self._cpu_before
            print(done, f"{seconds:.3f} {cpu:.3f} {memory_mb():.1f}", file=self._file, flush=True)


def memory_mb() -> float:
    """What this process holds in memory right now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 1e6


def main() -> None:
    """The parts, one after the other."""
    ready: dict[str, Any] = json.loads(sys.argv[1])
    url, folder = sys.argv[2], Path(sys.argv[3])
    first_notes, derive_notes, conversations = Path(sys.argv[4]), Path(sys.argv[5]), int(sys.argv[6])
    if stored(url, folder) < conversations:
        with first_notes.open("w", encoding="ascii") as file:
            first = ours.sync(ready, folder, url=url, listener=Notes(file).on_event)
        assert (first.conversations, first.messages) == (conversations, conversations * MESSAGES), first
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
        counts = {"conversations": conversations, "calls": first.calls}
        tell("first", counts | {"seconds": first.seconds, "peak_mb": peak_mb})
        sys.stdin.readline()
    with opened(url, folder) as engine:
        derive(engine, derive_notes)
        (overview,) = overviews(engine)
        # Of a few in a million only messages of the Page are listed, so nobody knows their contact.
        assert overview.conversations == conversations, overview
        assert conversations - overview.contacts <= conversations / 100_000 + 1, overview
    for number, changed in enumerate((0, *map(int, sys.argv[7:]))):
        write(
            ready, [(number + place * conversations // changed) % conversations for place in range(changed)]
        )
        again = ours.sync(ready, folder, url=url, mode=Mode.INCREMENTAL)
        assert again.new_messages == changed, (changed, again)
        took = {"seconds": again.seconds, "own_seconds": again.own_seconds}
        tell(f"changed {changed}", took | {"changed": changed, "calls": again.calls})


def derive(engine: Engine, notes: Path) -> None:
    """Derive from all that is stored, batch after batch."""
    with notes.open("w", encoding="ascii") as file:
        noted, messages, unsettled, is_current = Notes(file), 0, 0, False
        began = time.perf_counter()
        while not is_current:
            done = engine.derive(max_seconds=0.0, unsettled=unsettled)
            messages, unsettled, is_current = messages + done.messages, done.unsettled, done.is_current
            if messages:
                noted.note(messages, is_last=is_current)
    tell("derived", {"messages": messages, "seconds": time.perf_counter() - began})


def write(ready: dict[str, Any], slots: list[int]) -> None:
    """Have somebody write in these conversations of the sandbox; 0 is the newest at the start."""
    with closing(http.client.HTTPConnection("127.0.0.1", ready["port"])) as connection:
        for slot in slots:
            body = json.dumps({"text": "Is it still there?", "slot": slot})
            connection.request("POST", "/sandbox/messages", body, {"Content-Type": "application/json"})
            answer = json.loads(connection.getresponse().read())
            assert "message_id" in answer, answer
    if slots:
        time.sleep(_BURST_SECONDS)


@contextmanager
def opened(url: str, folder: Path) -> Iterator[Engine]:
    """An engine over this database."""
    engine = Engine(Settings(data_dir=folder, database_url=url))
    try:
        yield engine
    finally:
        engine.close()


def overviews(engine: Engine) -> list[PageOverview]:
    """The Pages in numbers."""
    with engine.store.read() as connection:
        return list_overviews(connection)


def stored(url: str, folder: Path) -> int:
    """How many conversations the database has."""
    with opened(url, folder) as engine:
        return sum(each.conversations for each in overviews(engine))


def tell(part: str, numbers: Mapping[str, float]) -> None:
    """Say how a part went."""
    print(json.dumps({part: numbers}), flush=True)


if __name__ == "__main__":
    main()
