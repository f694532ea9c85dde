"""Edges: a slice of a list with its paging (graph-facts 1.8)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice, takewhile
from typing import Any
from urllib.parse import urlencode

from inboxsync.sandbox.config import SandboxConfig
from inboxsync.sandbox.cursors import index_cursor, opaque_cursor, read_index, read_opaque
from inboxsync.sandbox.folders import TOP, Folder, Key
from inboxsync.sandbox.refusal import Refusal, bad_cursor
from inboxsync.sandbox.threads import Message, Thread
from inboxsync.sandbox.world import PageWorld

_DEFAULT_LIMIT = 25
_LONGEST_NUMBER = 12
_MILLISECONDS = 1000


@dataclass(frozen=True, slots=True)
class Slice:
    """Entries, the cursors around them, and whether the list goes on at either end."""

    entries: list[Any]
    before: str | None
    after: str | None
    has_next: bool
    has_previous: bool

    def paging(self, next_url: str, previous_url: str) -> dict[str, Any] | None:
        """The `paging` object; None for an empty end."""
        if not self.entries and not self.has_next:
            return None
        paging: dict[str, Any] = {"cursors": {"before": self.before, "after": self.after}}
        if self.has_previous:
            paging["previous"] = previous_url
        if self.has_next:
            paging["next"] = next_url
        return paging


_EMPTY = Slice([], None, None, has_next=False, has_previous=False)


def read_limit(text: str | None, config: SandboxConfig) -> int:
    """How many entries are asked for: 25 unless told, never more than the cap."""
    if text is None or text == "":
        return _DEFAULT_LIMIT
    if not (text.isdecimal() and text.isascii() and len(text) < _LONGEST_NUMBER) or int(text) == 0:
        raise Refusal(100, "(#100) The parameter limit must be a positive number")
    return min(int(text), config.largest_limit)


def next_url(
    base: str, parameters: Mapping[str, str], *, token: str, limit: int, **cursor: str | None
) -> str:
    """An absolute URL of the next slice, with the token in it, as Meta's."""
    kept = {
        name: value
        for name, value in parameters.items()
        if name not in ("access_token", "after", "before", "limit", "pretty")
    }
    given = {name: value for name, value in cursor.items() if value is not None}
    return f"{base}?{urlencode({'access_token': token, 'pretty': '0', **kept, 'limit': limit, **given})}"


class ConversationList:
    """A folder of a Page on one platform, between two times."""

    def __init__(
        self,
        config: SandboxConfig,
        page: PageWorld,
        folder: Folder,
        name: str,
        *,
        earlier_ms: int | None = None,
        later_ms: int | None = None,
    ) -> None:
        self._config = config
        self._earlier_ms = earlier_ms
        self._later_ms = later_ms
        self._page = page
        self._folder = folder
        self._name = name

    def slice(self, *, limit: int, after: str | None, before: str | None) -> Slice:
        """Entries after (or before) a cursor. Raises Refusal."""
        if before is not None and after is None:
            return self._slice_before(before, limit)
        if self._config.cursors == "index":
            return self._slice_by_index(read_index(after) + 1 if after else 0, limit)
        slots = list(islice(self._window(TOP if after is None else self._place(after)), limit + 1))
        return self._of(slots, limit, is_start=after is None)

    def only(self, thread: Thread | None) -> Slice:
        """This conversation alone, if it lies in the folder."""
        if thread is None or self._page.folder_of(thread) is not self._folder:
            return _EMPTY
        cursor = index_cursor(0) if self._config.cursors == "index" else self._cursor(thread.slot)
        return Slice([thread], cursor, cursor, has_next=False, has_previous=False)

    def same_place(self, cursor: str, *, nonce: int) -> str:
        """Another cursor that leads where this one does."""
        if self._config.cursors == "index":
            return cursor
        return opaque_cursor(self._name, [*self._place(cursor), nonce])

    def _slice_by_index(self, index: int, limit: int) -> Slice:
        slots = list(islice(self._window(TOP), index, index + limit + 1))
        has_next = len(slots) > limit
        threads = self._threads(slots[:limit])
        last = index + max(len(threads) - 1, 0)
        return Slice(threads, index_cursor(index), index_cursor(last), has_next, index > 0)

    def _slice_before(self, before: str, limit: int) -> Slice:
        if self._config.cursors == "index":
            end = read_index(before)
            return self._slice_by_index(max(0, end - limit), min(limit, end)) if end else _EMPTY
        place = self._place(before)
        above = []
        for slot in self._window(TOP):
            if self._folder.key(slot) >= place:
                break
            above.append(slot)
        if not above:
            return _EMPTY
        slots = above[-limit:]
        threads = self._threads(slots)
        first, last = self._cursors(slots)
        return Slice(threads, first, last, has_next=True, has_previous=len(above) > limit)

    def _window(self, start: Key) -> Iterator[int]:
        """Slots after this place, updated before `earlier_ms` and from `later_ms` on."""
        if self._earlier_ms is not None:
            start = max(start, (-self._earlier_ms / _MILLISECONDS, 10**12))
        slots = self._folder.after(start)
        later_ms = self._later_ms
        if later_ms is None:
            return slots
        return takewhile(lambda slot: -self._folder.key(slot)[0] * _MILLISECONDS >= later_ms, slots)

    def _of(self, slots: list[int], limit: int, *, is_start: bool) -> Slice:
        shown = slots[:limit]
        first, last = self._cursors(shown)
        return Slice(self._threads(shown), first, last, len(slots) > limit, not is_start)

    def _threads(self, slots: list[int]) -> list[Thread]:
        return [thread for slot in slots if (thread := self._page.thread(slot)) is not None]

    def _cursors(self, slots: list[int]) -> tuple[str | None, str | None]:
        if not slots:
            return None, None
        return self._cursor(slots[0]), self._cursor(slots[-1])

    def _cursor(self, slot: int) -> str:
        return opaque_cursor(self._name, list(self._folder.key(slot)))

    def _place(self, cursor: str) -> Key:
        match read_opaque(cursor, self._name):
            case [float() | int() as at, int(slot), *_]:
                return at, slot
        raise bad_cursor()


def message_slice(thread: Thread, name: str, *, limit: int, after: str | None, before: str | None) -> Slice:
    """Messages of a conversation, newest first."""
    newest = len(thread.messages)
    top = _ordinal(after, name) if after else newest
    if before and not after:
        top = min(newest, _ordinal(before, name) + 1 + limit)
        limit = min(limit, top - _ordinal(before, name) - 1)
    entries: list[Message] = thread.messages[max(0, top - limit) : top][::-1]
    if not entries:
        return _EMPTY
    first, last = entries[0].ordinal, entries[-1].ordinal
    return Slice(
        entries, opaque_cursor(name, [first]), opaque_cursor(name, [last]), last > 0, first < newest - 1
    )


def _ordinal(cursor: str, name: str) -> int:
    match read_opaque(cursor, name):
        case [int(ordinal)]:
            return ordinal
    raise bad_cursor()
