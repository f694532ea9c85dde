"""Gets the next batch of a list, whatever it takes.

Asks for less where the source wants less, goes round one bad conversation, and finds its
place again where a cursor has died. What is stored, and where the list then stands, is not
decided here.
"""

from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from inboxsync.errors import (
    AnswerFailed,
    AnswerTooLarge,
    InboxsyncError,
    MessageUnreadable,
    SourceError,
)
from inboxsync.model import Batch, Problem, Segment, Window
from inboxsync.sync.batch_size import LARGEST_BATCH, BatchSize
from inboxsync.sync.bisect import Bisection
from inboxsync.sync.context import Reading
from inboxsync.sync.plan import respects, wanted_of

# What one conversation of a list can do to the whole answer.
_ONE_OF_THEM = (AnswerFailed, MessageUnreadable)
_TOO_MUCH = (AnswerTooLarge, *_ONE_OF_THEM)


class WindowsIgnored(Exception):
    """The source was asked for a stretch of time and answered with another."""


class Ask(Protocol):
    """One call for a part of a list, with whatever of each conversation is wanted."""

    async def __call__(
        self, segment: Segment, window: Window | None, *, limit: int, attempts: int | None
    ) -> Batch:
        """At most `limit` conversations from the span's cursor; `attempts` None: as the settings say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetcher:
    """Reads one list of one Page. `folder` None is the list that Meta serves unasked.

    `known_bad` are conversations that failed every answer that would hold them, and grows. `on_failure` hears
    of every batch that has to be put together from parts.
    """

    context: Reading
    folder: str | None
    size: BatchSize
    ask: Ask
    known_bad: MutableMapping[str, Problem] = field(default_factory=dict)
    on_failure: Callable[[InboxsyncError], None] | None = None

    async def fetch(self, segment: Segment, *, window: Window | None, most: int) -> Batch:
        """The answer that comes next in this span, of at most `most` conversations.

        Raises WindowsIgnored where `window` was not respected, CursorRefused where the span's place
        is lost, and what else the source raises.
        """
        while True:
            limit = min(self.size.current, most)
            self.context.stall.check()
            try:
                # Where one is known to be bad it may be here: what fails is looked at before it is repeated.
                attempts = 1 if self.known_bad else None
                batch = await self.ask(segment, window, limit=limit, attempts=attempts)
                if not respects(window, batch):
                    raise WindowsIgnored
            except AnswerTooLarge as failure:
                if limit == 1:
                    return await self._bisect(segment, window, limit, failure)
                self.size.shrink(limit)
            except _ONE_OF_THEM as failure:
                return await self._bisect(segment, window, limit, failure)
            else:
                self.size.succeeded(asked=limit, served=len(batch.conversations), has_next=batch.has_next)
                return batch

    async def look(self, segment: Segment, *, most: int) -> Batch:
        """Who comes next in this span, by a light answer."""
        self.context.stall.check()
        return await self._light(segment, None, most)

    async def reenter(self, segment: Segment) -> Segment:
        """The same span with a new cursor: light answers from the top down to the position.

        The answer that reaches it is fetched again in full, so nothing around it is lost.
        """
        after, limit = None, LARGEST_BATCH
        while segment.position is not None:
            self.context.stall.check()
            try:
                batch = await self._light(Segment(cursor=after), None, limit)
            except AnswerTooLarge:
                if limit == 1:
                    raise
                limit //= 2
                continue
            reached = batch.reached_at
            if not batch.has_next or (reached is not None and reached <= segment.position):
                break
            if batch.conversations:
                self.context.stall.moved(reached)
            after = batch.after
        return replace(segment, cursor=after)

    async def _bisect(
        self, segment: Segment, window: Window | None, limit: int, failure: InboxsyncError
    ) -> Batch:
        """The same batch from smaller answers, around what fails every answer that would hold it.

        A light answer first: it tells what is here, and proves that the source is. Where that
        fails too, nothing is wrong with one conversation: raises what failed before.
        """
        if self.on_failure is not None:
            self.on_failure(failure)
        try:
            summary = await self._light(segment, window, limit)
        except (SourceError, WindowsIgnored):
            raise failure from None
        bisection = Bisection(summary, wanted_of(segment, summary), known_bad=self.known_bad)
        while bisection.are_missing:
            self.context.stall.check()
            here = replace(segment, cursor=bisection.after) if bisection.after is not None else segment
            part = await self._part(bisection, here, window)
            if part is not None and (part.conversations or not part.has_next):
                self.context.stall.moved(part.reached_at)
                if bisection.have_passed or not part.has_next:
                    break
        if bisection.were_too_much:
            self.size.shrink(limit)
        return bisection.together()

    async def _part(self, bisection: Bisection, here: Segment, window: Window | None) -> Batch | None:
        """The next part, or a light one of those that cannot be had; None where it was too much."""
        if hopeless := bisection.hopeless:
            part = await self._light(here, window, hopeless)
            bisection.leave_out(part)
            return part
        asked = bisection.next_size
        try:
            # One attempt, unless it is to be blamed: what passes by itself passes at half the size too.
            part = await self.ask(here, window, limit=asked, attempts=None if asked == 1 else 1)
        except _TOO_MUCH as again:
            if asked > 1:
                bisection.failed(asked, is_too_large=isinstance(again, AnswerTooLarge))
                return None
            part = await self._light(here, window, 1)
            bisection.convict(part, again)
        else:
            bisection.take(part)
        return part

    async def _light(self, segment: Segment, window: Window | None, limit: int) -> Batch:
        return await self.context.source.fetch_conversation_times(
            self.context.access, folder=self.folder, window=window, after=segment.cursor, limit=limit
        )
