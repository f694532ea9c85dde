"""Edges: a slice of a list with its paging (graph-facts 1.8)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice, takewhile
from typing import Any
from urllib.parse import urlencode

from inboxsync.sandbox.call import Call
from inboxsync.sandbox.config import SandboxConfig
from inboxsync.sandbox.cursors import index_cursor, opaque_cursor, read_index, read_opaque
from inboxsync.sandbox.folders import TOP, Folder, Key
from inboxsync.sandbox.mailbox import Mailbox
from inboxsync.sandbox.refusal import Refusal, bad_cursor, too_deep
from inboxsync.sandbox.threads import Message, Thread

_DEFAULT_LIMIT = 25
_LONGEST_NUMBER = 12
_WITHOUT_BEFORE_EVERY = 13
_MILLISECONDS = 1000


@dataclass(frozen=True, slots=True)
class Slice:
    """Entries, the cursors around them, and whether there are more at either end."""

    entries: list[Any]
    before: str | None
    after: str | None
    has_next: bool
    has_previous: bool

    def paging(self, next_url: str, previous_url: str) -> dict[str, Any] | None:
        """The `paging` object; None for an empty end."""
        if not self.entries and not self.has_next:
            return None
        cursors = {"before": self.before, "after": self.after}
        paging: dict[str, Any] = {"cursors": {name: each for name, each in cursors.items() if each}}
        if self.has_previous:
            paging["previous"] = previous_url
        if self.has_next:
            paging["next"] = next_url
        return paging


_EMPTY = Slice([], None, None, has_next=False, has_previous=False)


def read_limit(text: str | None, config: SandboxConfig) -> int:
    """How many entries are asked for: 25 by default, never more than the cap."""
    if text is None or text == "":
        return _DEFAULT_LIMIT
    if not (text.isdecimal() and text.isascii() and len(text) < _LONGEST_NUMBER) or int(text) == 0:
        raise Refusal(100, "(#100) The parameter limit must be a positive number")
    return min(int(text), config.largest_limit)


def next_url(
    base: str, call: Call, parameters: Mapping[str, str], *, limit: int, **cursor: str | None
) -> str:
    """An absolute URL of the next slice, with the token in it, as Meta's."""
    kept = {
        name: value
        for name, value in parameters.items()
        if name not in ("access_token", "after", "before", "limit", "pretty")
    }
    given = {name: value for name, value in cursor.items() if value is not None}
    # That today's `next` has no `pretty` is our assumption (graph-facts 8).
    pretty = {"pretty": "0"} if call.is_legacy else {}
    return f"{base}?{urlencode({'access_token': call.token, **pretty, **kept, 'limit': limit, **given})}"


class ConversationList:
    """A folder of a Page on one platform, from `later_ms` on and before `earlier_ms`, milliseconds.

    `deepest`: an `after` further down than so many conversations is refused.
    """

    def __init__(
        self,
        config: SandboxConfig,
        mailbox: Mailbox,
        folder: Folder,
        name: str,
        *,
        earlier_ms: int | None = None,
        later_ms: int | None = None,
        deepest: int | None = None,
    ) -> None:
        self._config = config
        self._earlier_ms = earlier_ms
        self._later_ms = later_ms
        self._deepest = deepest
        self._mailbox = mailbox
        self._folder = folder
        self._name = name

    def slice(self, *, limit: int, after: str | None, before: str | None) -> Slice:
        """Entries after (or before) a cursor. Raises Refusal."""
        if before is not None and after is None:
            return self._slice_before(before, limit)
        if self._config.cursors == "index":
            index = read_index(after) + 1 if after else 0
            if self._deepest is not None and index > self._deepest:
                raise too_deep()
            return self._slice_by_index(index, limit)
        place = TOP if after is None else self._place(after)
        self._refuse_depth(place)
        slots = list(islice(self._window(place), limit + 1))
        return self._of(slots, limit, is_start=after is None)

    def only(self, thread: Thread | None) -> Slice:
        """This conversation alone, if it lies in the folder and between the times."""
        if thread is None or thread.slot not in self._folder or not self._is_between(thread.slot):
            return _EMPTY
        cursor = index_cursor(0) if self._config.cursors == "index" else self._cursor(thread.slot)
        return Slice([thread], cursor, cursor, has_next=False, has_previous=False)

    def same_place(self, cursor: str, *, nonce: int) -> str:
        """Another cursor to the same place."""
        if self._config.cursors == "index":
            return cursor
        return opaque_cursor(self._name, [*self._place(cursor), nonce])

    def place_after(self, count: int) -> str:
        """A cursor to the place after so many conversations, or the end."""
        slots = list(islice(self._window(TOP), count))
        return index_cursor(len(slots) - 1) if self._config.cursors == "index" else self._cursor(slots[-1])

    def _refuse_depth(self, place: Key) -> None:
        if self._deepest is None:
            return
        beyond = next(islice(self._window(TOP), self._deepest, None), None)
        if beyond is not None and place >= self._folder.key(beyond):
            raise too_deep()

    def _is_between(self, slot: int) -> bool:
        at_ms = -self._folder.key(slot)[0] * _MILLISECONDS
        is_later = self._later_ms is None or at_ms >= self._later_ms
        return is_later and (self._earlier_ms is None or at_ms < self._earlier_ms)

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
        """Slots after this place and between the times."""
        if self._earlier_ms is not None:
            start = max(start, (-self._earlier_ms / _MILLISECONDS, 10**12))
        slots = self._folder.after(start)
        return slots if self._later_ms is None else takewhile(self._is_between, slots)

    def _of(self, slots: list[int], limit: int, *, is_start: bool) -> Slice:
        shown = slots[:limit]
        first, last = self._cursors(shown)
        return Slice(self._threads(shown), first, last, len(slots) > limit, not is_start)

    def _threads(self, slots: list[int]) -> list[Thread]:
        return [thread for slot in slots if (thread := self._mailbox.thread(slot)) is not None]

    def _cursors(self, slots: list[int]) -> tuple[str | None, str | None]:
        if not slots:
            return None, None
        return self._cursor(slots[0]), self._cursor(slots[-1])

    def _cursor(self, slot: int) -> str:
        return opaque_cursor(self._name, list(self._folder.key(slot)))

    def _place(self, cursor: str) -> Key:
        match read_opaque(cursor, self._name):
            # "A cursor is invalidated if its item is deleted or removed" (graph-facts 1.8).
            case [float() | int() as at, int(slot), *_] if slot in self._folder:
                return at, slot
        raise bad_cursor()


def message_slice(
    thread: Thread, name: str, *, limit: int, after: str | None, before: str | None, oldest: int = 0
) -> Slice:
    """Messages of a conversation, newest first; the first `oldest` are left out."""
    newest = len(thread.messages)
    top = _message_place(thread, after, name) if after else newest
    if before and not after:
        place = _message_place(thread, before, name)
        top = min(newest, place + 1 + limit)
        limit = min(limit, top - place - 1)
    bottom = max(oldest, top - limit)
    entries: list[Message] = thread.messages[bottom:top][::-1]
    if not entries:
        return _EMPTY
    first, last = (opaque_cursor(name, [each.ordinal]) for each in (entries[0], entries[-1]))
    has_previous = top < newest
    # `before` has been seen to be absent (graph-facts 1.5): here at the top of some conversations.
    has_before = has_previous or thread.slot % _WITHOUT_BEFORE_EVERY != 6
    return Slice(entries, first if has_before else None, last, bottom > oldest, has_previous)


def oldest_messages(thread: Thread, name: str, *, limit: int, after: str | None) -> Slice:
    """Messages of a conversation, oldest first."""
    start = _message_place(thread, after, name) + 1 if after else 0
    entries: list[Message] = thread.messages[start : start + limit]
    if not entries:
        return _EMPTY
    first, last = (opaque_cursor(name, [each.ordinal]) for each in (entries[0], entries[-1]))
    return Slice(entries, first, last, start + limit < len(thread.messages), start > 0)


def _message_place(thread: Thread, cursor: str, name: str) -> int:
    match read_opaque(cursor, name):
        case [int(ordinal)] if thread.message(ordinal) is not None:
            return thread.place(ordinal)
    raise bad_cursor()
