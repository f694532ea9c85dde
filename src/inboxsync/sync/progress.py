"""How far a run has come, as a share of all the calls that it will make, and how long it will still take.

Meta does not say how many conversations a Page has. So the share is known only where something else tells:
how many there were when the Page was last read to the bottom, how far a scan is between the time where it
began and the time where it ends, and how many items the backlog has. Where none does, there is no share.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from inboxsync.clock import Clock
from inboxsync.model import BacklogKind, Following, History, ListState, Page, Scanning
from inboxsync.store.state.backlog import count_backlog, count_older
from inboxsync.store.state.pages import count_conversations, newest_verification
from inboxsync.sync.completeness import report_of
from inboxsync.sync.plan import is_catch_up

# A run that has not ended has something left to do.
_MOST: Final = 0.99
_WINDOW_SECONDS: Final = 60.0
_SHORTEST_SECONDS: Final = 1.0
_LARGEST_BATCH: Final = 100
_MESSAGES_OF_A_CALL: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a run has come.

    `share` is from 0 to 1, and None where it is not known. `expected` is how many
    conversations there will be, `seconds_left` how long the run will take at its speed, where that is known.
    """

    share: float | None = None
    expected: int | None = None
    seconds_left: float | None = None


UNKNOWN: Final = Progress()


def expected_listed(connection: Connection, page: Page) -> int | None:
    """About how many conversations the source lists; None for a Page that was never read to the bottom."""
    if (verification := newest_verification(connection, page)) is not None:
        return report_of(verification).listed or None
    if page.last_synced_at is None:
        return None
    return count_conversations(connection, page.id) or None


def calls_to_come(connection: Connection, page: Page, history: History, *, messages: int) -> int:
    """About how many calls the backlog takes, and older messages where all of them are wanted.

    `messages` are stored of each conversation.
    """
    items = count_backlog(connection, page)
    calls = items[BacklogKind.CONVERSATION] + items[BacklogKind.GAP]
    if history is History.ALL:
        older = count_older(connection, page, messages=messages)
        calls += older.conversations + older.messages // _MESSAGES_OF_A_CALL
    return calls


class Speed:
    """How long something will take, from how its share has grown in the last minute."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seen: deque[tuple[float, float]] = deque()

    def seconds_left(self, share: float | None) -> float | None:
        """Note the share as of now; the time that is left, where it is known."""
        now = self._clock.monotonic()
        if share is None:
            self._seen.clear()
            return None
        self._seen.append((now, share))
        while len(self._seen) > 2 and now - self._seen[1][0] >= _WINDOW_SECONDS:  # noqa: PLR2004 - a pair stays
            self._seen.popleft()
        seconds, grown = now - self._seen[0][0], share - self._seen[0][1]
        if seconds < _SHORTEST_SECONDS or grown <= 0:
            return None
        return (1 - share) * seconds / grown


class RunProgress:
    """The progress of one run; what is read and stored is noted here.

    `expected` is how many conversations the `lists` will bring, where that is known, and `calls_to_come` how
    many calls follow them.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        expected: int | None = None,
        lists: Mapping[str, Scanning] | None = None,
        calls_to_come: int = 0,
    ) -> None:
        self._speed = Speed(clock)
        self._expected = expected
        self._lists: dict[str, ListState] = dict(lists or {})
        # Batches of the scan that each list is in.
        self._batches: dict[str, int] = {}
        self._in_lists = 0
        self._calls_to_come = calls_to_come
        self._share = 0.0

    def list_read(self, folder: str, state: Scanning | Following) -> None:
        """A batch of a list will be stored, and then it is in this state."""
        before = self._lists.get(folder)
        is_same = isinstance(before, Scanning) and isinstance(state, Scanning) and _is_same(before, state)
        self._batches[folder] = self._batches.get(folder, 0) + 1 if is_same else 0
        self._lists[folder] = state
        self._in_lists += 1

    def end_list(self, folder: str) -> None:
        """Nothing more of a list will be read."""
        self._lists.pop(folder, None)

    def set_calls_to_come(self, calls: int) -> None:
        """After the lists, or now that they are read, so many calls are to be made."""
        self._calls_to_come = max(0, calls)

    def call_made(self) -> None:
        """One of them was made."""
        self._calls_to_come = max(0, self._calls_to_come - 1)

    def now(self, *, fetched: int, calls: int) -> Progress:
        """After so many conversations and calls of the run."""
        expected = self._expected if self._expected is not None and self._expected >= fetched else None
        left = self._list_calls_left(expected, fetched=fetched)
        share = None
        if left is not None:
            left += self._calls_to_come
            made = max(calls, self._in_lists, 1)
            self._share = max(self._share, min(_MOST, made / (made + left)))
            share = self._share
        return Progress(share=share, expected=expected, seconds_left=self._speed.seconds_left(share))

    def _list_calls_left(self, expected: int | None, *, fetched: int) -> float | None:
        open_lists = {folder: each for folder, each in self._lists.items() if isinstance(each, Scanning)}
        full = [folder for folder, each in open_lists.items() if not is_catch_up(each)]
        left = sum(
            self._catch_up_calls_left(folder, each)
            for folder, each in open_lists.items()
            if is_catch_up(each)
        )
        if not full:
            return left
        if expected is None:
            return None
        of_each = fetched / self._in_lists if self._in_lists else _LARGEST_BATCH
        # Each is followed by a catch-up scan.
        return left + len(full) + (expected - fetched) / max(1.0, min(of_each, _LARGEST_BATCH))

    def _catch_up_calls_left(self, folder: str, scanning: Scanning) -> float:
        share = age_share(scanning)
        batches = self._batches.get(folder, 0)
        return max(1.0, batches * (1 - share) / share) if share else 1.0


def age_share(scanning: Scanning) -> float | None:
    """How much of the time between its snapshot time and its lower bound a catch-up scan has read."""
    top, bottom = scanning.snapshot_at, scanning.lower_bound
    if top is None or bottom is None or top <= bottom:
        return None
    left = sum(
        max(0.0, ((each.position or top) - _later(each.lower_bound, bottom)).total_seconds())
        for each in scanning.segments
    )
    return min(1.0, max(0.0, 1 - left / (top - bottom).total_seconds()))


def _later(at: datetime | None, bottom: datetime) -> datetime:
    return bottom if at is None else max(at, bottom)


def _is_same(before: Scanning, after: Scanning) -> bool:
    """Whether both are of one scan."""
    return before.lower_bound == after.lower_bound and before.snapshot_at in (None, after.snapshot_at)
