"""Puts one batch together from smaller answers, around what fails every answer that would hold it.

Pure: it is told what came, and says how much to ask for next. One bad conversation among
a hundred is found by halving, in about as many calls as the hundred can be halved; those
known to be bad from an earlier time are gone round at once.
"""

from collections.abc import MutableMapping
from dataclasses import replace
from itertools import takewhile

from inboxsync.errors import InboxsyncError
from inboxsync.model import Batch, Problem, SourceRecord, Unread

# So many bad ones in a row, and the list is not asked again for the rest of the batch: the ledger brings
# them one by one, as it does where the list fails whatever it would hold.
_GIVE_UP_AFTER = 20
# After two in a row the next may be bad too: it is asked for alone, then twice as many, and so on.
_NEIGHBOURS = 2
_LARGE = 25
_MOVED = Problem(
    code="moved_meanwhile",
    message="It was listed, and was elsewhere when it was to be read.",
    hint="The next run reads it by itself.",
)


class Bisection:
    """`wanted` of the `outline`, a light answer, as it comes. `known_bad` grows with those found here."""

    def __init__(
        self, summary: Batch, wanted: tuple[SourceRecord, ...], *, known_bad: MutableMapping[str, Problem]
    ) -> None:
        self._summary = summary
        self._wanted = frozenset(each.conversation_id for each in wanted)
        self._missing = [each.conversation_id for each in wanted]
        self._known_bad = known_bad
        self._had_known_bad = any(each.conversation_id in known_bad for each in summary.conversations)
        self._conversations: list[SourceRecord] = []
        self._last: Batch | None = None
        self._most = len(wanted)
        # Among the next so many is one that fails; 0: nothing is known.
        self._suspects = 0
        if len(wanted) == len(summary.conversations) and not known_bad:
            self._suspects = len(wanted)
        self._convicted_in_a_row = 0
        self.have_passed = False
        self.unread: list[Unread] = []

    @property
    def are_missing(self) -> bool:
        """Whether any of those wanted has not come yet."""
        return bool(self._missing)

    @property
    def were_too_much(self) -> bool:
        """Whether nothing is wrong with any of them, so that it was too much at once.

        Where only a few were wanted, one of the others may be bad: then it is believed of a large batch.
        """
        if self.unread or self._had_known_bad:
            return False
        count = len(self._summary.conversations)
        return count == len(self._wanted) or count > _LARGE

    @property
    def after(self) -> str | None:
        """The cursor of the next part; None: it is the first."""
        return self._last.after if self._last else None

    @property
    def hopeless(self) -> int:
        """How many of the next ones need not be asked for."""
        if self._convicted_in_a_row >= _GIVE_UP_AFTER:
            return len(self._missing)
        return len(list(takewhile(self._known_bad.__contains__, self._missing)))

    @property
    def next_size(self) -> int:
        """How many to ask for next: half of those among which a bad one is, or all up to a known one."""
        good = len(list(takewhile(lambda each: each not in self._known_bad, self._missing)))
        half = max(1, self._suspects // 2) if self._suspects else good
        return max(1, min(good, self._most, half))

    def failed(self, asked: int, *, is_too_large: bool) -> None:
        """An answer of so many failed."""
        if is_too_large:
            self._most = asked // 2
        else:
            self._suspects = asked

    def take(self, part: Batch) -> None:
        """A part came."""
        self._conversations += part.conversations
        if part.conversations:
            self._convicted_in_a_row = 0
            self._most *= 2
        if self._suspects and part.conversations:
            # The last one of them is asked for alone before it is blamed.
            self._suspects = max(0, self._suspects - len(part.conversations))
        self._pass(part)

    def convict(self, part: Batch, failure: InboxsyncError) -> None:
        """One alone failed for good: `part` is the light answer that tells who it is."""
        problem = Problem(code=failure.code, message=failure.message, hint=failure.hint)
        for each in part.conversations:
            self._known_bad[each.conversation_id] = problem
        self._convicted_in_a_row += 1
        if self._convicted_in_a_row >= _NEIGHBOURS:
            self._most = 1
        self._suspects = 0
        self.leave_out(part)

    def leave_out(self, part: Batch) -> None:
        """These are not asked for: `part` is the light answer that tells who they are."""
        last_met = list(self._known_bad.values())[-1]
        self.unread += [
            Unread(
                conversation_id=each.conversation_id,
                problem=self._known_bad.get(each.conversation_id, last_met),
            )
            for each in part.conversations
        ]
        self._pass(part)

    def together(self) -> Batch:
        """The outline filled in. Whom it shows and the parts have not has moved up since, or is owed."""
        summary, end = self._summary, self._last or self._summary
        is_whole = not self._missing
        moved = [Unread(conversation_id=each, problem=_MOVED) for each in self._missing]
        return replace(
            summary,
            conversations=tuple(self._conversations),
            unread=(*self.unread, *moved),
            depth=summary.reached_at,
            after=end.after if is_whole else summary.after,
            has_next=summary.has_next and (end.has_next or not is_whole),
            is_whole=is_whole,
        )

    def _pass(self, part: Batch) -> None:
        self._last = part
        came = {each.conversation_id for each in part.conversations}
        # Nobody whom the outline showed: what is still missing is not below here.
        self.have_passed = bool(came) and self._wanted.isdisjoint(came)
        self._missing = [each for each in self._missing if each not in came]
