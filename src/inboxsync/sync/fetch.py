"""Gets the next batch of a list, or of a conversation's messages, however often the source must be asked.

It asks for less where the source wants less, goes around one unreadable conversation, and finds its
place again where a cursor has died. What is stored, and where the list then stands, is not decided here.
"""

from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar

import msgspec

from inboxsync.clock import Clock
from inboxsync.errors import (
    AnswerFailed,
    AnswerTooLarge,
    CursorRefused,
    InboxsyncError,
    MessageUnreadable,
    SourceError,
    SourceUnreachable,
)
from inboxsync.graph import Access, GraphClient
from inboxsync.model import Batch, MessageBatch, Page, Problem, Segment, Window
from inboxsync.sync.bisect import Bisection
from inboxsync.sync.plan import (
    LARGEST_BATCH,
    BatchSize,
    is_at_top,
    is_done,
    plan_readers,
    respects,
    wanted_from,
)
from inboxsync.sync.stop import SourceWait, StallGuard, Stop, with_retries

T = TypeVar("T")

# What one conversation of a list can do to the whole answer.
_BY_ONE_CONVERSATION = (AnswerFailed, MessageUnreadable)
_TOO_MUCH = (AnswerTooLarge, *_BY_ONE_CONVERSATION)

_MESSAGES_A_CALL = 100
# What a light answer may list at once (graph-facts 1.3-8).
LARGEST_SUMMARY = 500
# Instagram has details of only so many messages of a conversation, the newest (graph-facts 1.6-2).
_READABLE_MESSAGES = 20
_MOST_REENTRIES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One Page that is being read: from which source, and what ends it."""

    source: GraphClient
    access: Access
    clock: Clock
    page: Page
    stop: Stop
    stall: StallGuard
    source_wait: SourceWait

    def readers_wanted(self) -> int:
        """How many calls must be under way at once to reach the allowed call rate."""
        call_rate = self.source.call_rate(self.access)
        return plan_readers(
            latency_seconds=call_rate.latency_seconds, calls_per_second=call_rate.calls_per_second
        )

    async def with_retries(self, work: Callable[[], T]) -> T:
        """What `work` returns, in a thread; see `stop.with_retries`."""
        return await with_retries(work, clock=self.clock, stop=self.stop)

    async def source_was_away(self) -> bool:
        """Whether the source gives no answer to a light call either; waits until it does.

        Raises what the last call raised where it is away for too long.
        """
        was_away = False
        while True:
            try:
                await self.source.fetch_conversation_times(self.access, after=None, limit=1)
            except SourceUnreachable as failure:
                was_away = True
                await self.source_wait.wait(failure)
            else:
                return was_away


@dataclass(slots=True)
class TimeWindows:
    """Whether the source honours time windows for this Page's lists; None: not tried yet."""

    are_honoured: bool | None


class WindowsIgnored(Exception):
    """The source was asked for a time window and answered with something else."""


class ListCall(Protocol):
    """One call for a part of a list, with whatever is wanted of each conversation."""

    async def __call__(
        self, segment: Segment, window: Window | None, *, limit: int, attempts: int | None
    ) -> Batch:
        """At most `limit` conversations from the segment's cursor; `attempts` None: as the settings say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationsCall:
    """Asks for conversations with their newest `messages` messages each."""

    reading: Reading
    folder: str | None
    messages: int

    async def __call__(
        self, segment: Segment, window: Window | None, *, limit: int, attempts: int | None
    ) -> Batch:
        """As in `ListCall`."""
        return await self.reading.source.fetch_conversations(
            self.reading.access,
            folder=self.folder,
            window=window,
            after=segment.cursor,
            limit=limit,
            messages=self.messages,
            attempts=attempts,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SummaryCall:
    """Asks only for what a verification compares, with the ids of the newest `message_ids` messages."""

    reading: Reading
    folder: str | None
    message_ids: int

    async def __call__(
        self, segment: Segment, window: Window | None, *, limit: int, attempts: int | None
    ) -> Batch:
        """As in `ListCall`."""
        return await self.reading.source.fetch_summary(
            self.reading.access,
            folder=self.folder,
            window=window,
            after=segment.cursor,
            limit=limit,
            message_ids=self.message_ids,
            attempts=attempts,
        )


@dataclass(slots=True, kw_only=True)
class ListFetcher:
    """Fetches batches of one list of one Page. `folder` None is the list that Meta serves by default.

    `unreadable` are conversations that failed every answer with them, and it grows. `on_failure` is called
    for every batch that has to be bisected. With `light_heads` a scan from the top to a lower bound begins
    with one light answer, so that everything there is as of one moment, however many batches it takes.
    """

    reading: Reading
    folder: str | None
    size: BatchSize
    call: ListCall
    unreadable: MutableMapping[str, Problem] = field(default_factory=dict)
    on_failure: Callable[[InboxsyncError], None] | None = None
    light_heads: bool = False
    # Parts of a summary that are still to come, by the cursor of the next one. The cursors of two time
    # windows may look the same.
    _bisections: dict[tuple[Window | None, str | None], Bisection] = field(default_factory=dict, init=False)
    # Unreadable ones that this list has had already: they are not below.
    _passed: set[str] = field(default_factory=set, init=False)

    async def fetch(self, segment: Segment, *, window: Window | None, most: int) -> Batch:
        """The next batch of this segment, of at most `most` conversations.

        Raises WindowsIgnored where `window` was not respected, CursorRefused where the segment's cursor
        has died, and what else the source raises.
        """
        is_top = is_at_top(segment)
        bisection = self._bisections.pop((window, segment.cursor), None)
        if bisection is not None and (is_top or segment.cursor):
            return await self._next_part(bisection, segment, window, most)
        if segment.next_size is not None:
            limit = min(self.size.current, most)
            return await self._bisect(segment, window, limit, await self._summary(segment, window, limit))
        if self.light_heads and is_top and segment.lower_bound is not None:
            return await self._fetch_head(segment, window, most)
        # Where an unreadable conversation may be: look who is here before the same is asked again.
        attempts = 1 if self.unreadable.keys() - self._passed else None
        while True:
            limit = min(self.size.current, most)
            try:
                return await self._fetch_whole(segment, window, limit, attempts)
            except AnswerTooLarge:
                if limit == 1:
                    return await self._bisect(segment, window, 1, await self._summary(segment, window, 1))
                self.size.shrink(limit)
            except _BY_ONE_CONVERSATION as failure:
                summary = await self._listed_here(segment, window, limit, failure)
                if attempts is None or not _ids_in(summary).isdisjoint(self.unreadable):
                    if self.on_failure is not None:
                        self.on_failure(failure)
                    return await self._bisect(segment, window, limit, summary)
                attempts = None  # none of them is here: it has failed for a moment

    async def _fetch_whole(
        self, segment: Segment, window: Window | None, limit: int, attempts: int | None
    ) -> Batch:
        """The next batch in one answer. Waits where no connection to the source can be made."""
        self.reading.stall.check()
        try:
            batch = await self.call(segment, window, limit=limit, attempts=attempts)
        except AnswerFailed:
            raise
        except SourceUnreachable as failure:
            await self.reading.source_wait.wait(failure)
            return await self._fetch_whole(segment, window, limit, attempts)
        if not respects(window, batch):
            raise WindowsIgnored
        self.size.succeeded(
            asked=limit,
            served=len(batch.conversations),
            has_next=batch.has_next,
            is_last=is_done(segment, batch),
        )
        return batch

    async def fetch_summary(self, segment: Segment, *, most: int) -> Batch:
        """Only ids and times of what comes next in this segment."""
        self.reading.stall.check()
        return await self._summary(segment, None, most)

    async def find_position(self, segment: Segment) -> Segment:
        """The same segment with a new cursor: reads summaries from the top down to the position.

        The answer that reaches the position is fetched again in full, so nothing around it is lost.
        """
        after, limit = None, LARGEST_BATCH
        while segment.position is not None:
            self.reading.stall.check()
            try:
                batch = await self._summary(Segment(cursor=after), None, limit)
            except AnswerTooLarge:
                if limit == 1:
                    raise
                limit //= 2
                continue
            reached = batch.reached_at
            if not batch.has_next or (reached is not None and reached <= segment.position):
                break
            if batch.conversations:
                self.reading.stall.moved(reached)
            after = batch.after
        return replace(segment, cursor=after)

    async def _fetch_head(self, segment: Segment, window: Window | None, most: int) -> Batch:
        """The first part of a head, after a light answer that lists all of it."""
        summary = await self._largest_summary(segment, window)
        if not wanted_from(segment, summary):
            return replace(summary, conversations=(), depth=summary.reached_at)
        size = self.size.current
        bisection = Bisection(segment, summary, unreadable=self.unreadable, most=size, has_failed=False)
        return await self._next_part(bisection, segment, window, most)

    async def _largest_summary(self, segment: Segment, window: Window | None) -> Batch:
        limit = LARGEST_SUMMARY
        while True:
            try:
                return await self._summary(segment, window, limit)
            except AnswerTooLarge:
                if limit == 1:
                    raise
                limit //= 2

    async def _listed_here(
        self, segment: Segment, window: Window | None, limit: int, failure: InboxsyncError
    ) -> Batch:
        """A summary of the batch that failed. If that is refused too, no conversation is the cause."""
        try:
            return await self._summary(segment, window, limit)
        except SourceUnreachable:
            raise
        except (SourceError, WindowsIgnored):
            raise failure from None

    async def _bisect(self, segment: Segment, window: Window | None, limit: int, summary: Batch) -> Batch:
        """The first part of a batch that failed, around what fails every answer with it."""
        bisection = Bisection(segment, summary, unreadable=self.unreadable, most=limit)
        self._passed.update(_ids_in(summary))
        return await self._next_part(bisection, segment, window, limit)

    async def _next_part(
        self, bisection: Bisection, here: Segment, window: Window | None, most: int
    ) -> Batch:
        """The next part of a summary that comes, or that is left to the backlog."""
        part = None
        while part is None:
            self.reading.stall.check()
            part = await self._part(bisection, here, window, most)
        if part.conversations or part.unread:
            self.reading.stall.moved(part.reached_at)
        if part.is_part:
            self._bisections[window, part.after] = bisection
        elif bisection.was_too_large and bisection.has_failed:
            self.size.suspect(bisection.size)
        return part

    async def _part(
        self, bisection: Bisection, here: Segment, window: Window | None, most: int
    ) -> Batch | None:
        """A part, or a summary of those that cannot be fetched; None where it was too much."""
        if count := bisection.skippable:
            return bisection.skip(await self._summary(here, window, count))
        asked = min(bisection.next_size, most)
        try:
            # One attempt, unless it would be blamed: what fails only for a moment succeeds at half the size.
            part = await self.call(here, window, limit=asked, attempts=None if asked == 1 else 1)
        except _TOO_MUCH as failure:
            is_too_large = isinstance(failure, AnswerTooLarge)
            if asked > 1:
                if is_too_large:
                    self.size.shrink(asked)
                failed = bisection.failed(here, asked, is_too_large=is_too_large)
                # Without a cursor the next call would have to find the place again.
                return failed if here.cursor or is_at_top(here) else None
            listed = await self._summary(here, window, 1)
            if not listed.conversations:
                raise  # nothing is listed here that could be the cause
            self._passed.update(_ids_in(listed))
            return bisection.blame(listed, failure)
        except SourceUnreachable as failure:
            await self.reading.source_wait.wait(failure)
            return None
        return bisection.take(part)

    async def _summary(self, segment: Segment, window: Window | None, limit: int) -> Batch:
        """Ids and times. A light answer fails only where the source is away: then it is waited for."""
        while True:
            try:
                return await self.reading.source.fetch_conversation_times(
                    self.reading.access, folder=self.folder, window=window, after=segment.cursor, limit=limit
                )
            except SourceUnreachable as failure:
                await self.reading.source_wait.wait(failure)


def _ids_in(summary: Batch) -> set[str]:
    return {each.conversation_id for each in summary.conversations}


@dataclass(slots=True)
class MessageFetcher:
    """Fetches batches of one conversation's messages; `ids_only` for only ids and times.

    Where the platform refuses the details of messages beyond its 20 newest, or leaves those messages out
    silently, it continues with their ids, and marks the messages as not readable.
    """

    reading: Reading
    conversation_id: str
    ids_only: bool = False
    _limit: int = _MESSAGES_A_CALL
    _reentries: int = 0
    # How many have come since the top; None where it began further down.
    _seen: int | None = None
    _is_cut_short: bool = False
    _without_details: bool = field(default=False, init=False)

    async def fetch(self, after: str | None) -> MessageBatch:
        """The batch that follows this cursor; from the top where there is none, or where it has died."""
        while True:
            if after is None:
                self._seen = 0
            self.reading.stall.check()
            try:
                batch = await self.reading.source.fetch_messages(
                    self.reading.access,
                    self.conversation_id,
                    after=after,
                    limit=self._limit,
                    ids_only=self.ids_only or self._without_details,
                )
            except AnswerTooLarge:
                if self._limit == 1:
                    raise
                self._limit //= 2
            except MessageUnreadable as failure:
                self._ask_for_readable(failure)
            except CursorRefused:
                if after is None or self._reentries == _MOST_REENTRIES:
                    raise
                self._reentries += 1
                after = None
            else:
                return self._take(batch)

    def _ask_for_readable(self, failure: MessageUnreadable) -> None:
        """Ask for the rest of the newest 20, which have details; after them, only for ids."""
        if self.ids_only or self._without_details:
            raise failure
        left = max(0, _READABLE_MESSAGES - self._seen) if self._seen is not None else 0
        self._is_cut_short = True
        if 0 < left < self._limit:
            self._limit = left
        else:
            self._ask_for_ids()

    def _take(self, batch: MessageBatch) -> MessageBatch:
        if self._seen is not None:
            self._seen += len(batch.messages)
        if self._without_details:
            # Those among them that are stored with their details keep them.
            unreadable = (msgspec.structs.replace(each, is_readable=False) for each in batch.messages)
            return replace(batch, messages=tuple(unreadable))
        if self._is_cut_short and self._seen is not None and self._seen >= _READABLE_MESSAGES:
            self._ask_for_ids()
        elif not self.ids_only and not batch.has_next and self._may_hide_messages(batch):
            self._ask_for_ids()
            return replace(batch, after=None, has_next=True)
        return batch

    def _may_hide_messages(self, batch: MessageBatch) -> bool:
        """Whether this may be the end of the messages with details only (graph-facts 1.6-5)."""
        if not self.reading.access.is_instagram or not all(each.is_readable for each in batch.messages):
            return False
        return self._seen is None or self._seen == _READABLE_MESSAGES

    def _ask_for_ids(self) -> None:
        self._without_details, self._limit = True, _MESSAGES_A_CALL
