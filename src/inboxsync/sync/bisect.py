"""Puts one batch together from smaller answers, around what fails every answer with it.

Pure: it is given what came, and says how much to ask for next. One unreadable conversation among
a hundred is found by halving, in about as many calls as a hundred can be halved; those that are
known to be unreadable are not asked for at all.
"""

from collections.abc import MutableMapping
from dataclasses import replace
from itertools import takewhile

from inboxsync.errors import InboxsyncError
from inboxsync.model import Batch, Problem, SourceRecord, Unread

# After so many unreadable ones in a row the rest of the batch is not asked for: the backlog fetches them
# one by one, as it does where the list fails whatever it is asked for.
_GIVE_UP_AFTER = 20
# After two in a row the next may be unreadable too: it is asked for alone, then twice as many, and so on.
_NEIGHBOURS = 2
_LARGE = 25
_MOVED = Problem(
    code="moved_meanwhile",
    message="It was listed, and had moved when it was to be read.",
    hint="The next run fetches it.",
)


class Bisection:
    """`wanted` of the `summary` as it comes. `unreadable` grows with those found here."""

    def __init__(
        self, summary: Batch, wanted: tuple[SourceRecord, ...], *, unreadable: MutableMapping[str, Problem]
    ) -> None:
        self._summary = summary
        self._wanted = frozenset(each.conversation_id for each in wanted)
        self._missing = [each.conversation_id for each in wanted]
        self._unreadable = unreadable
        self._had_unreadable = any(each.conversation_id in unreadable for each in summary.conversations)
        self._conversations: list[SourceRecord] = []
        self._last: Batch | None = None
        self._most = len(wanted)
        # One of the next so many fails; 0: nothing is known.
        self._candidates = 0
        if len(wanted) == len(summary.conversations) and not unreadable:
            self._candidates = len(wanted)
        self._blamed_in_a_row = 0
        self.is_past_end = False
        self._unread: list[Unread] = []

    @property
    def is_incomplete(self) -> bool:
        """Whether any of those wanted has not come yet."""
        return bool(self._missing)

    @property
    def was_too_large(self) -> bool:
        """Whether no conversation is unreadable, so that it was too much at once.

        Where only a few were wanted, one of the others may be unreadable: then only a large batch counts.
        """
        if self._unread or self._had_unreadable:
            return False
        count = len(self._summary.conversations)
        return count == len(self._wanted) or count > _LARGE

    @property
    def after(self) -> str | None:
        """The cursor of the next part; None: it is the first."""
        return self._last.after if self._last else None

    @property
    def skippable(self) -> int:
        """How many of the next ones need not be asked for."""
        if self._blamed_in_a_row >= _GIVE_UP_AFTER:
            return len(self._missing)
        return len(list(takewhile(self._unreadable.__contains__, self._missing)))

    @property
    def next_size(self) -> int:
        """How many to ask for next: half of the candidates, or all up to a known unreadable one."""
        readable = len(list(takewhile(lambda each: each not in self._unreadable, self._missing)))
        half = max(1, self._candidates // 2) if self._candidates else readable
        return max(1, min(readable, self._most, half))

    def failed(self, asked: int, *, is_too_large: bool) -> None:
        """An answer of so many failed."""
        if is_too_large:
            self._most = asked // 2
        else:
            self._candidates = asked

    def take(self, part: Batch) -> None:
        """A part came."""
        self._conversations += part.conversations
        if part.conversations:
            self._blamed_in_a_row = 0
            self._most *= 2
        if self._candidates and part.conversations:
            # The last one of them is asked for alone before it is blamed.
            self._candidates = max(0, self._candidates - len(part.conversations))
        self._pass(part)

    def blame(self, part: Batch, failure: InboxsyncError) -> None:
        """One alone failed for good; `part` is the summary that says which one."""
        problem = Problem(code=failure.code, message=failure.message, hint=failure.hint)
        for each in part.conversations:
            self._unreadable[each.conversation_id] = problem
        self._blamed_in_a_row += 1
        if self._blamed_in_a_row >= _NEIGHBOURS:
            self._most = 1
        self._candidates = 0
        self.skip(part)

    def skip(self, part: Batch) -> None:
        """Some are not asked for; `part` is the summary that says which ones."""
        last_problem = list(self._unreadable.values())[-1]
        self._unread += [
            Unread(
                conversation_id=each.conversation_id,
                problem=self._unreadable.get(each.conversation_id, last_problem),
            )
            for each in part.conversations
        ]
        self._pass(part)

    def as_batch(self) -> Batch:
        """The parts as one batch; a conversation in the summary but in no part goes to the backlog."""
        summary, end = self._summary, self._last or self._summary
        is_whole = not self._missing
        moved = [Unread(conversation_id=each, problem=_MOVED) for each in self._missing]
        return replace(
            summary,
            conversations=tuple(self._conversations),
            unread=(*self._unread, *moved),
            depth=summary.reached_at,
            after=end.after if is_whole else summary.after,
            has_next=summary.has_next and (end.has_next or not is_whole),
            is_whole=is_whole,
        )

    def _pass(self, part: Batch) -> None:
        self._last = part
        came = {each.conversation_id for each in part.conversations}
        # None of those in the summary: what is still missing is not below here.
        self.is_past_end = bool(came) and self._wanted.isdisjoint(came)
        self._missing = [each for each in self._missing if each not in came]
