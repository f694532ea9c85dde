"""Settles what is owed: conversations that failed their batch, gaps inside conversations, history.

Each is an item of one conversation, read by itself, so one that fails leaves the others be. It
then stays in the ledger with what it met, and a later run tries again.
"""

import asyncio
from dataclasses import KW_ONLY, dataclass, field, replace
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
from inboxsync.model import BacklogItem, BacklogKind, Conversation, History, MessageBatch, Problem, Run
from inboxsync.store.state.backlog import list_backlog, list_history
from inboxsync.sync.context import RunContext
from inboxsync.sync.edge import MessagesEdge
from inboxsync.sync.events import Stage
from inboxsync.sync.plan import plan_backlog_item

log = structlog.get_logger(__name__)

_FREE_ATTEMPTS = 3
_LONGEST_PAUSE = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Backlog:
    """The ledger of one Page, as one run settles it; `messages` newest ones come with a conversation."""

    context: RunContext
    _: KW_ONLY
    messages: int
    _failed: set[tuple[BacklogKind, str]] = field(default_factory=set)

    async def settle(self, history: History) -> None:
        """Try everything that is owed once. Raises Stopped, and what no other item would survive.

        Where nothing comes of any of it for too many calls, the rest of that phase is left for a later run.
        """
        # A conversation that is brought at last may show a gap; history comes after all that is newer.
        for kind in (
            BacklogKind.CONVERSATION,
            BacklogKind.GAP,
            *([BacklogKind.HISTORY] if history is History.ALL else []),
        ):
            self.context.stall.moved(f"the first {kind} that is owed")
            try:
                await self._settle_phase(kind)
            except Stalled as failure:
                if all(of is not kind for of, _ in self._failed):
                    raise
                # The lists are read, and what failed is owed: the run is not in vain, it is not complete.
                log.warning("too many fail in a row: the others wait for the next run", what=kind.value)
                self.context.tracker.note_problem(problem_of(failure))

    async def _settle_phase(self, kind: BacklogKind) -> None:
        """Every item of this phase, as many at once as the pace has room for."""
        busy: dict[asyncio.Task[None], BacklogItem] = {}
        try:
            while True:
                for item in await self._next_items(kind, busy):
                    busy[asyncio.create_task(self._settle_one(item))] = item
                if not busy:
                    return
                any_done = asyncio.wait(busy, return_when=asyncio.FIRST_COMPLETED)
                done, _ = await self.context.stop.unless_asked(any_done)
                for task in done:
                    del busy[task]
                    task.result()
        finally:
            for task in busy:
                task.cancel()
            await asyncio.gather(*busy, return_exceptions=True)

    async def _next_items(
        self, kind: BacklogKind, busy: dict[asyncio.Task[None], BacklogItem]
    ) -> list[BacklogItem]:
        readers = self.context.readers_wanted()
        if readers <= len(busy):
            return []
        tried = {conversation_id for of, conversation_id in self._failed if of is kind}
        excluding = tried.union(item.conversation_id for item in busy.values())
        return await self.context.with_retries(
            partial(self._read_items, kind, readers - len(busy), excluding)
        )

    def _read_items(self, kind: BacklogKind, count: int, excluding: set[str]) -> list[BacklogItem]:
        now, page = self.context.clock.now(), self.context.page
        with self.context.ingest.store.read() as connection:
            if kind is BacklogKind.HISTORY:
                return list_history(connection, page, now=now, limit=count, excluding=excluding)
            return list_backlog(connection, page, kind, now=now, limit=count, excluding=excluding)

    async def _settle_one(self, item: BacklogItem) -> None:
        """Bring one item, or keep it with what it met."""
        try:
            if item.kind is BacklogKind.CONVERSATION:
                await self._bring_conversation(item)
            else:
                await self._bring_messages(item)
        except NeedsPerson:
            raise
        except Stalled as failure:
            await self._keep(item, failure)
            raise
        except SourceUnreachable as failure:
            if not isinstance(failure, AnswerFailed):
                raise  # the source is away: the next item would meet the same
            await self._keep(item, failure)
        except SourceError as failure:
            await self._keep(item, failure)

    async def _bring_conversation(self, item: BacklogItem) -> None:
        context, messages = self.context, self.messages
        while True:
            context.stall.check()
            try:
                conversation = await context.source.fetch_conversation(
                    context.access, item.conversation_id, messages=messages
                )
            except (AnswerTooLarge, MessageUnreadable):
                if messages == 1:
                    raise
                messages //= 2
            else:
                await self._store_conversation(item, conversation)
                context.stall.moved(f"conversation {item.conversation_id}")
                return

    async def _bring_messages(self, item: BacklogItem) -> None:
        edge = MessagesEdge(self.context, item.conversation_id)
        rest: BacklogItem | None = item
        while rest is not None:
            batch = await edge.fetch(rest.cursor)
            before, rest = rest, plan_backlog_item(rest, batch)
            await self._store_messages(before, batch, rest)
            if batch.messages:
                self.context.stall.moved(f"conversation {item.conversation_id}")

    async def _store_conversation(self, item: BacklogItem, conversation: Conversation) -> None:
        context = self.context

        def write(run: Run) -> Run:
            return context.ingest.apply_conversation(item, conversation, run=run, now=context.clock.now())

        at = conversation.source_updated_at
        await context.tracker.store(write, stage=Stage.CONVERSATION, folder=item.folder, position=at)

    async def _store_messages(self, item: BacklogItem, batch: MessageBatch, rest: BacklogItem | None) -> None:
        context = self.context

        def write(run: Run) -> Run:
            return context.ingest.apply_messages(item, batch, rest=rest, run=run, now=context.clock.now())

        await context.tracker.store(write, stage=Stage(item.kind.value), folder=item.folder, position=None)

    async def _keep(self, item: BacklogItem, failure: InboxsyncError) -> None:
        self._failed.add((item.kind, item.conversation_id))
        self.context.tracker.batch_failed(failure, folder=item.folder)
        log.warning(
            "still in the backlog",
            what=item.kind.value,
            conversation_id=item.conversation_id,
            why=failure.message,
        )
        attempts = item.attempts + 1
        kept = replace(
            item,
            problem=problem_of(failure),
            attempts=attempts,
            next_attempt_at=_next_attempt_at(attempts, self.context.clock.now()),
        )
        await self.context.with_retries(
            partial(self.context.ingest.put_back, kept, now=self.context.clock.now())
        )


def problem_of(failure: InboxsyncError) -> Problem:
    """What an attempt met, as it is kept."""
    return Problem(code=failure.code, message=failure.message, hint=failure.hint)


def _next_attempt_at(attempts: int, now: datetime) -> datetime | None:
    """The first few runs try at once, then ever more seldom: a call a run for what never heals adds up."""
    if attempts <= _FREE_ATTEMPTS:
        return None
    return now + min(timedelta(minutes=2 ** min(attempts - _FREE_ATTEMPTS, 20)), _LONGEST_PAUSE)
