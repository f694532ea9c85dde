"""Reads what a summary listed in parts, around what fails every answer with it.

Pure: it is given what came, and says how much to ask for next. Each part is a batch of its own, which is
stored with the position that it proves, so a run that ends in between loses one call. One unreadable
conversation among a hundred is found by halving, in about as many calls as a hundred can be halved; those
that are known to be unreadable are not asked for at all.
"""

from collections.abc import MutableMapping
from dataclasses import replace
from datetime import datetime
from itertools import takewhile

from inboxsync.errors import InboxsyncError
from inboxsync.model import Batch, Problem, Segment, SourceRecord, Unread
from inboxsync.sync.plan import is_at_top, is_done, wanted_from

# After so many unreadable ones in a row the rest is not asked for: the backlog fetches them one by one.
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
    """What is wanted of a `summary`, part after part. `unreadable` grows with those found here.

    `segment` is what the summary was asked for. `most` is the largest part. `has_failed`: an answer with all
    of it failed.
    """

    def __init__(
        self,
        segment: Segment,
        summary: Batch,
        *,
        unreadable: MutableMapping[str, Problem],
        most: int,
        has_failed: bool = True,
    ) -> None:
        wanted = wanted_from(segment, summary)
        self._segment = segment
        self._summary = summary
        self._wanted = frozenset(each.conversation_id for each in wanted)
        self._missing = [each.conversation_id for each in wanted]
        self._unreadable = unreadable
        self._had_unreadable = any(each.conversation_id in unreadable for each in summary.conversations)
        # A run that ended in between has noted how many to ask for.
        self._most = max(1, min(segment.next_size or most, len(wanted)))
        self.size, self.has_failed = most, has_failed
        # One of the next so many fails; 0: nothing is known.
        self._candidates = 0
        if has_failed and len(wanted) == len(summary.conversations) and not self._had_unreadable:
            self._candidates = len(wanted)
        self._blamed = self._blamed_in_a_row = 0

    @property
    def is_incomplete(self) -> bool:
        """Whether any of those wanted has not come yet."""
        return bool(self._missing)

    @property
    def was_too_large(self) -> bool:
        """Whether no conversation is unreadable, so that it was too much at once, or failed by chance.

        Where only a few were wanted, one of the others may be unreadable: then only a large batch counts.
        """
        if self._blamed or self._had_unreadable:
            return False
        count = len(self._summary.conversations)
        return count == len(self._wanted) or count > _LARGE

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

    def failed(self, here: Segment, asked: int, *, is_too_large: bool) -> Batch:
        """An answer of so many failed; returns what is stored of that: how many to ask for from here."""
        if is_too_large:
            self._most = max(1, asked // 2)
        else:
            self._candidates = asked
        return Batch(
            conversations=(),
            answered_at=self._summary.answered_at,
            after=here.cursor,
            has_next=True,
            is_part=True,
            next_size=self.next_size,
        )

    def take(self, part: Batch) -> Batch:
        """A part came; returns it as it is stored."""
        if part.conversations:
            self._blamed_in_a_row = 0
            self._most *= 2
        if self._candidates and part.conversations:
            # The last one of them is asked for alone before it is blamed.
            self._candidates = max(0, self._candidates - len(part.conversations))
        return self._passed(part, part.conversations, ())

    def blame(self, part: Batch, failure: InboxsyncError) -> Batch:
        """One alone failed for good; `part` is the summary that says which one."""
        problem = Problem(code=failure.code, message=failure.message, hint=failure.hint)
        for each in part.conversations:
            self._unreadable[each.conversation_id] = problem
        self._blamed += len(part.conversations)
        self._blamed_in_a_row += 1
        if self._blamed_in_a_row >= _NEIGHBOURS:
            self._most = 1
        self._candidates = 0
        return self.skip(part)

    def skip(self, part: Batch) -> Batch:
        """Some are not asked for; `part` is the summary that says which ones."""
        last_problem = list(self._unreadable.values())[-1]
        unread = tuple(
            Unread(
                conversation_id=each.conversation_id,
                problem=self._unreadable.get(each.conversation_id, last_problem),
            )
            for each in part.conversations
        )
        return self._passed(part, (), unread)

    def _passed(
        self, part: Batch, conversations: tuple[SourceRecord, ...], unread: tuple[Unread, ...]
    ) -> Batch:
        """What is stored of a part. The last one reaches as far as the summary did."""
        came = {each.conversation_id for each in part.conversations}
        self._missing = [each for each in self._missing if each not in came]
        # None of those in the summary: what is still missing is not below here.
        is_past_end = bool(came) and self._wanted.isdisjoint(came)
        summary = self._summary
        at = summary.answered_at
        stored = replace(part, conversations=conversations, unread=unread, answered_at=at)
        if self._missing and part.has_next and not is_past_end:
            size = self.next_size if self._candidates else None
            return replace(stored, depth=self._depth_of(part), is_part=True, next_size=size)
        has_all = not self._missing
        # What has moved is above, and in the backlog. On a busy Page something always moves.
        is_whole = has_all or not self.has_failed
        moved = tuple(Unread(conversation_id=each, problem=_MOVED) for each in self._missing)
        return replace(
            stored,
            unread=(*unread, *moved),
            depth=summary.reached_at,
            after=part.after if has_all else summary.after,
            has_next=summary.has_next and (part.has_next or not has_all),
            is_whole=is_whole,
            covers_head=is_whole and is_at_top(self._segment) and is_done(self._segment, summary),
        )

    def _depth_of(self, part: Batch) -> datetime | None:
        """How far down a part reaches. More of the summary is wanted, so not below the lower bound."""
        reached, lower_bound = part.reached_at, self._segment.lower_bound
        if reached is None or lower_bound is None:
            return reached
        return max(reached, lower_bound)
