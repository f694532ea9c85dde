"""Gets the next batch of a list, whatever it takes.

Asks for less where the source wants less, goes round one bad conversation, and finds its
place again where a cursor has died. What is stored, and where the list then stands, is not
decided here.
"""

from dataclasses import dataclass, replace
from typing import Protocol

from inboxsync.errors import (
    AnswerFailed,
    AnswerTooLarge,
    InboxsyncError,
    MessageUnreadable,
    SourceError,
)
from inboxsync.model import Batch, Conversation, Problem, Span, Unread, Window
from inboxsync.sync.batch_size import BatchSize
from inboxsync.sync.context import Reading
from inboxsync.sync.plan import has_arrived, respects, wanted_of

# What one conversation of a list can do to the whole answer.
_ONE_OF_THEM = (AnswerFailed, MessageUnreadable)
_TOO_MUCH = (AnswerTooLarge, *_ONE_OF_THEM)


class WindowsIgnored(Exception):
    """The source was asked for a stretch of time and answered with another."""


class Ask(Protocol):
    """One call for a part of a list, with whatever of each conversation is wanted."""

    async def __call__(self, span: Span, window: Window | None, *, limit: int, attempts: int | None) -> Batch:
        """At most `limit` conversations from the span's cursor; `attempts` None: as the settings say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetcher:
    """Reads one list of one Page. `folder` None is the list that Meta serves unasked."""

    context: Reading
    folder: str | None
    size: BatchSize
    ask: Ask

    async def fetch(self, span: Span, *, window: Window | None, most: int) -> Batch:
        """The answer that comes next in this span, of at most `most` conversations.

        Raises WindowsIgnored where `window` was not respected, CursorRefused where the span's place
        is lost, and what else the source raises.
        """
        while True:
            limit = min(self.size.current, most)
            self.context.stall.check()
            try:
                batch = await self.ask(span, window, limit=limit, attempts=None)
                if not respects(window, batch):
                    raise WindowsIgnored
            except AnswerTooLarge as failure:
                if limit == 1:
                    return await self._in_parts(span, window, limit, failure)
                self.size.shrink(limit)
            except _ONE_OF_THEM as failure:
                return await self._in_parts(span, window, limit, failure)
            else:
                self.size.succeeded(asked=limit, served=len(batch.conversations), has_next=batch.has_next)
                return batch

    async def reenter(self, span: Span) -> Span:
        """The same span with a new cursor: light answers from the top down to the frontier.

        The answer that reaches it is fetched again in full, so nothing around it is lost.
        """
        after = None
        while span.frontier is not None:
            self.context.stall.check()
            batch = await self._light(Span(cursor=after), None, self.size.current)
            reached = batch.reached_at
            if not batch.has_next or (reached is not None and reached <= span.frontier):
                break
            self.context.stall.moved(reached)
            after = batch.after
        return replace(span, cursor=after)

    async def _in_parts(
        self, span: Span, window: Window | None, limit: int, failure: InboxsyncError
    ) -> Batch:
        """The same batch from smaller answers, around what fails every answer that would hold it.

        A light answer first: it tells what is here, and proves that the source is. Where that
        fails too, nothing is wrong with one conversation: raises what failed before.
        """
        try:
            outline = await self._light(span, window, limit)
        except (SourceError, WindowsIgnored):
            raise failure from None
        parts = _Parts(wanted=wanted_of(span, outline))
        size = max(1, limit // 2)
        while parts.left > 0:
            here = replace(span, cursor=parts.last.after) if parts.last else span
            asked = min(size, parts.left)
            try:
                # One attempt, unless it is to be blamed: what passes by itself passes at half the size too.
                part = await self.ask(here, window, limit=asked, attempts=None if asked == 1 else 1)
            except _TOO_MUCH as again:
                if asked > 1:
                    size = asked // 2
                    continue
                part = await self._light(here, window, 1)
                parts.leave_out(part, again)
                size = max(1, parts.left)
            else:
                parts.take(part)
            if not part.has_next:
                break
        if not parts.unread:
            self.size.shrink(limit)  # nothing was wrong with any of them: it was too much at once
        return parts.together(outline, has_arrived_already=has_arrived(span, outline))

    async def _light(self, span: Span, window: Window | None, limit: int) -> Batch:
        return await self.context.source.fetch_conversation_times(
            self.context.access, folder=self.folder, window=window, after=span.cursor, limit=limit
        )


class _Parts:
    """A batch that is being put together: `wanted` is what a light answer showed to be here."""

    def __init__(self, *, wanted: tuple[Conversation, ...]) -> None:
        self._wanted = wanted
        self._conversations: list[Conversation] = []
        self.unread: list[Unread] = []
        self.left = len(wanted)
        self.last: Batch | None = None

    def take(self, part: Batch) -> None:
        """A part came."""
        self._conversations += part.conversations
        self._passed(part)

    def leave_out(self, part: Batch, failure: InboxsyncError) -> None:
        """A part failed for good: `part` is the light answer that tells who it is."""
        problem = Problem(code=failure.code, message=failure.message, hint=failure.hint)
        self.unread += [
            Unread(conversation_id=each.conversation_id, problem=problem) for each in part.conversations
        ]
        self._passed(part)

    def together(self, outline: Batch, *, has_arrived_already: bool) -> Batch:
        """`outline` filled in. Whom it shows and the parts have not has moved up since."""
        brought = {each.conversation_id for each in self._conversations}
        brought.update(each.conversation_id for each in self.unread)
        end = self.last or outline
        return replace(
            outline,
            conversations=tuple(self._conversations),
            unread=tuple(self.unread),
            depth=outline.reached_at if has_arrived_already or not self._conversations else None,
            after=end.after,
            has_next=end.has_next and outline.has_next,
            is_whole=brought.issuperset(each.conversation_id for each in self._wanted),
        )

    def _passed(self, part: Batch) -> None:
        self.last = part
        self.left -= max(1, len(part.conversations))
