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
from inboxsync.model import Conversation, History, Item, MessageBatch, Phase, Problem, Run
from inboxsync.store.state.backlog import list_history, list_items
from inboxsync.sync.context import RunContext
from inboxsync.sync.edge import MessagesEdge
from inboxsync.sync.events import Stage
from inboxsync.sync.plan import plan_item

log = structlog.get_logger(__name__)

_FREE_ATTEMPTS = 3
_LONGEST_PAUSE = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Ledger:
    """The ledger of one Page, as one run settles it; `messages` newest ones come with a conversation."""

    context: RunContext
    _: KW_ONLY
    messages: int
    _failed: set[tuple[Phase, str]] = field(default_factory=set)

    async def settle(self, history: History) -> None:
        """Try everything that is owed once. Raises Stopped, and what no other item would survive.

        Where nothing comes of any of it for too many calls, the rest of that phase is left for a later run.
        """
        # A conversation that is brought at last may show a gap; history comes after all that is newer.
        for phase in (Phase.CONVERSATION, Phase.GAP, *([Phase.HISTORY] if history is History.ALL else [])):
            self.context.stall.moved(f"the first {phase} that is owed")
            try:
                await self._settle_phase(phase)
            except Stalled as failure:
                if all(of is not phase for of, _ in self._failed):
                    raise
                # The lists are read, and what failed is owed: the run is not in vain, it is not complete.
                log.warning("too many fail in a row: the others wait for the next run", what=phase.value)
                self.context.tally.note_problem(problem_of(failure))

    async def _settle_phase(self, phase: Phase) -> None:
        """Every item of this phase, as many at once as the pace has room for."""
        busy: dict[asyncio.Task[None], Item] = {}
        try:
            while True:
                for item in await self._next_items(phase, busy):
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

    async def _next_items(self, phase: Phase, busy: dict[asyncio.Task[None], Item]) -> list[Item]:
        lanes = self.context.lanes_wanted()
        if lanes <= len(busy):
            return []
        tried = {conversation_id for of, conversation_id in self._failed if of is phase}
        excluding = tried.union(item.conversation_id for item in busy.values())
        return await self.context.patiently(partial(self._read_items, phase, lanes - len(busy), excluding))

    def _read_items(self, phase: Phase, count: int, excluding: set[str]) -> list[Item]:
        now, page = self.context.clock.now(), self.context.page
        with self.context.ingest.store.read() as connection:
            if phase is Phase.HISTORY:
                return list_history(connection, page, now=now, limit=count, excluding=excluding)
            return list_items(connection, page, phase, now=now, limit=count, excluding=excluding)

    async def _settle_one(self, item: Item) -> None:
        """Bring one item, or keep it with what it met."""
        try:
            if item.phase is Phase.CONVERSATION:
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

    async def _bring_conversation(self, item: Item) -> None:
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

    async def _bring_messages(self, item: Item) -> None:
        edge = MessagesEdge(self.context, item.conversation_id)
        rest: Item | None = item
        while rest is not None:
            batch = await edge.fetch(rest.cursor)
            before, rest = rest, plan_item(rest, batch)
            await self._store_messages(before, batch, rest)
            if batch.messages:
                self.context.stall.moved(f"conversation {item.conversation_id}")

    async def _store_conversation(self, item: Item, conversation: Conversation) -> None:
        context = self.context

        def write(run: Run) -> Run:
            return context.ingest.apply_conversation(item, conversation, run=run, now=context.clock.now())

        at = conversation.source_updated_at
        await context.tally.store(write, stage=Stage.CONVERSATION, folder=item.folder, frontier=at)

    async def _store_messages(self, item: Item, batch: MessageBatch, rest: Item | None) -> None:
        context = self.context

        def write(run: Run) -> Run:
            return context.ingest.apply_messages(item, batch, rest=rest, run=run, now=context.clock.now())

        await context.tally.store(write, stage=Stage(item.phase.value), folder=item.folder, frontier=None)

    async def _keep(self, item: Item, failure: InboxsyncError) -> None:
        self._failed.add((item.phase, item.conversation_id))
        self.context.tally.batch_failed(failure, folder=item.folder)
        log.warning(
            "still owed", what=item.phase.value, conversation_id=item.conversation_id, why=failure.message
        )
        attempts = item.attempts + 1
        kept = replace(
            item,
            problem=problem_of(failure),
            attempts=attempts,
            next_attempt_at=_next_attempt_at(attempts, self.context.clock.now()),
        )
        await self.context.patiently(
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
