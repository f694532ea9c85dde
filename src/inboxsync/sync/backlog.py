"""Fetches the backlog of a Page: unreadable conversations, gaps inside conversations, and history.

Each item is of one conversation and is fetched alone, so one that fails does not affect the others. It
then stays in the backlog with its problem, and a later run tries again.
"""

import asyncio
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial

import structlog

from inboxsync.errors import (
    AnswerFailed,
    AnswerTooLarge,
    InboxsyncError,
    MessageUnreadable,
    NeedsPerson,
    SourceError,
    SourceUnreachable,
    Stalled,
)
from inboxsync.model import BacklogItem, BacklogKind, History, Problem
from inboxsync.store.state.backlog import list_backlog, list_history
from inboxsync.sync.events import Stage
from inboxsync.sync.fetch import MessageFetcher, Reading
from inboxsync.sync.ingest import Ingest
from inboxsync.sync.plan import plan_backlog_item
from inboxsync.sync.progress import calls_to_come
from inboxsync.sync.write_queue import RunWriter

log = structlog.get_logger(__name__)

_FREE_ATTEMPTS = 3
# So many that fail for the first time are no stall: among them may be some that a list has failed by chance.
_MOST_FIRST_FAILURES = 15
_LONGEST_PAUSE = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class BacklogFetch:
    """The backlog of one Page in one run; `messages` newest ones come with a conversation."""

    reading: Reading
    ingest: Ingest
    writer: RunWriter
    messages: int
    _failed: set[tuple[BacklogKind, str]] = field(default_factory=set)

    async def run(self, history: History) -> None:
        """Try every item once. Raises Stopped, and what would make every other item fail too.

        Where too many calls of one kind gain nothing, the rest of that kind waits for a later run.
        """
        count = partial(self._count_calls, history)
        calls = await self.reading.with_retries(count)
        (await self.writer.progress()).set_calls_to_come(calls)
        # A conversation that is read at last may have a gap; history comes after all that is newer.
        for kind in (
            BacklogKind.CONVERSATION,
            BacklogKind.GAP,
            *([BacklogKind.HISTORY] if history is History.ALL else []),
        ):
            self.reading.stall.moved(f"the first {kind} of the backlog")
            try:
                await self._fetch_kind(kind)
            except Stalled as failure:
                if all(of is not kind for of, _ in self._failed):
                    raise
                # The lists are read, and what failed is in the backlog: the run is useful, but not complete.
                log.warning("too many fail in a row: the others wait for the next run", what=kind.value)
                self.writer.note_problem(problem_of(failure))

    async def _fetch_kind(self, kind: BacklogKind) -> None:
        """Every item of this kind, as many at once as the call rate has room for."""
        busy: dict[asyncio.Task[None], BacklogItem] = {}
        try:
            while True:
                for item in await self._next_items(kind, busy):
                    busy[asyncio.create_task(self._fetch_item(item))] = item
                if not busy:
                    return
                any_done = asyncio.wait(busy, return_when=asyncio.FIRST_COMPLETED)
                done, _ = await self.reading.stop.unless_asked(any_done)
                for task in done:
                    del busy[task]
                    task.result()
        finally:
            for task in busy:
                task.cancel()
            await asyncio.gather(*busy, return_exceptions=True)

    def _count_calls(self, history: History) -> int:
        with self.ingest.store.read() as connection:
            return calls_to_come(connection, self.reading.page, history, messages=self.messages)

    async def _next_items(
        self, kind: BacklogKind, busy: dict[asyncio.Task[None], BacklogItem]
    ) -> list[BacklogItem]:
        wanted = self.reading.readers_wanted()
        if wanted <= len(busy):
            return []
        tried = {conversation_id for of, conversation_id in self._failed if of is kind}
        excluding = tried.union(item.conversation_id for item in busy.values())
        read = partial(self._read_items, kind, wanted - len(busy), excluding)
        return await self.reading.with_retries(read)

    def _read_items(self, kind: BacklogKind, count: int, excluding: set[str]) -> list[BacklogItem]:
        now, page = self.reading.clock.now(), self.reading.page
        with self.ingest.store.read() as connection:
            if kind is BacklogKind.HISTORY:
                return list_history(connection, page, now=now, limit=count, excluding=excluding)
            return list_backlog(connection, page, kind, now=now, limit=count, excluding=excluding)

    async def _fetch_item(self, item: BacklogItem) -> None:
        """Fetch and store one item, or keep it in the backlog with its problem."""
        try:
            await self._fetch_while_away(item)
        except NeedsPerson:
            raise
        except Stalled as failure:
            await self._postpone(item, failure)
            raise
        except SourceUnreachable as failure:
            if not isinstance(failure, AnswerFailed):
                raise  # the source is away: the next item would fail too
            await self._postpone(item, failure)
        except SourceError as failure:
            await self._postpone(item, failure)

    async def _fetch_while_away(self, item: BacklogItem) -> None:
        """Fetch and store one item; again, once the source is back, where it failed because that was away."""
        while True:
            try:
                if item.kind is BacklogKind.CONVERSATION:
                    await self._fetch_conversation(item)
                else:
                    await self._fetch_messages(item)
            except SourceUnreachable:
                if not await self.reading.source_was_away():
                    raise
                self.reading.stall.moved(None)
            else:
                return

    async def _fetch_conversation(self, item: BacklogItem) -> None:
        reading, messages = self.reading, self.messages
        while True:
            reading.stall.check()
            try:
                conversation = await reading.source.fetch_conversation(
                    reading.access, item.conversation_id, messages=messages
                )
            except (AnswerTooLarge, MessageUnreadable):
                if messages == 1:
                    raise
                messages //= 2
            else:
                (await self.writer.progress()).call_made()
                store = partial(self.ingest.store_conversation, item=item, conversation=conversation)
                position = conversation.source_updated_at
                await self.writer.write(
                    store, stage=Stage.CONVERSATION, folder=item.folder, position=position
                )
                reading.stall.moved(f"conversation {item.conversation_id}")
                return

    async def _fetch_messages(self, item: BacklogItem) -> None:
        fetcher = MessageFetcher(self.reading, item.conversation_id)
        rest: BacklogItem | None = item
        while rest is not None:
            batch = await fetcher.fetch(rest.cursor)
            (await self.writer.progress()).call_made()
            before, rest = rest, plan_backlog_item(rest, batch)
            store = partial(self.ingest.store_messages, item=before, batch=batch, rest=rest)
            await self.writer.write(store, stage=Stage(item.kind.value), folder=item.folder, position=None)
            if batch.messages:
                self.reading.stall.moved(f"conversation {item.conversation_id}")

    async def _postpone(self, item: BacklogItem, failure: InboxsyncError) -> None:
        self._failed.add((item.kind, item.conversation_id))
        if (
            item.attempts == 0
            and len(self._failed) <= _MOST_FIRST_FAILURES
            and not isinstance(failure, Stalled)
        ):
            self.reading.stall.moved(f"conversation {item.conversation_id}")
        (await self.writer.progress()).call_made()
        self.writer.batch_failed(failure, folder=item.folder)
        log.warning(
            "still in the backlog",
            what=item.kind.value,
            conversation_id=item.conversation_id,
            why=failure.message,
        )
        attempts = item.attempts + 1
        postponed = replace(
            item,
            problem=problem_of(failure),
            attempts=attempts,
            next_attempt_at=_next_attempt_at(attempts, self.reading.clock.now()),
        )
        await self.reading.with_retries(partial(self.ingest.postpone, postponed))


def problem_of(failure: InboxsyncError) -> Problem:
    """A failure as it is stored."""
    return Problem(code=failure.code, message=failure.message, hint=failure.hint)


def _next_attempt_at(attempts: int, now: datetime) -> datetime | None:
    """The first few runs try at once, later ones less and less often: a call a run would add up."""
    if attempts <= _FREE_ATTEMPTS:
        return None
    return now + min(timedelta(minutes=2 ** min(attempts - _FREE_ATTEMPTS, 20)), _LONGEST_PAUSE)
