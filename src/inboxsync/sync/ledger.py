"""Settles what is owed: conversations that failed their batch, gaps inside conversations, history.

Each is an item of one conversation, read by itself, so one that fails leaves the others be. It
then stays in the ledger with what it met, and a later run tries again.
"""

import asyncio
from dataclasses import KW_ONLY, dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial

import msgspec
import structlog

from inboxsync.errors import (
    AnswerFailed,
    AnswerTooLarge,
    CursorRefused,
    InboxsyncError,
    MessageUnreadable,
    NeedsPerson,
    SourceError,
    SourceUnreachable,
    Stalled,
)
from inboxsync.model import Conversation, History, Item, MessageBatch, Phase, Problem, Run
from inboxsync.store.items import list_history, list_items
from inboxsync.sync.context import RunContext
from inboxsync.sync.listener import Stage
from inboxsync.sync.plan import plan_item, plan_lanes

log = structlog.get_logger(__name__)

_MESSAGES_A_CALL = 100
# Of an Instagram conversation the details of no more than these are told (graph-facts 1.6-2).
_READABLE_MESSAGES = 20
_MOST_REENTRIES = 3
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
        """Try everything that is owed once. Raises Stopped, and what no other item would survive."""
        # A conversation that is brought at last may show a gap; history comes after all that is newer.
        for phase in (Phase.CONVERSATION, Phase.GAP, *([Phase.HISTORY] if history is History.ALL else [])):
            self.context.stall.moved(f"the first {phase} that is owed")
            await self._settle_phase(phase)

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
        pace = self.context.pace()
        lanes = plan_lanes(latency_seconds=pace.latency_seconds, calls_per_second=pace.calls_per_second)
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
        except (NeedsPerson, Stalled):
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
            except AnswerTooLarge:
                if messages == 1:
                    raise
                messages //= 2
            else:
                await self._store_conversation(item, conversation)
                context.stall.moved(f"conversation {item.conversation_id}")
                return

    async def _bring_messages(self, item: Item) -> None:
        context, how = self.context, _How()
        rest: Item | None = item
        while rest is not None:
            context.stall.check()
            try:
                batch = await context.source.fetch_messages(
                    context.access,
                    item.conversation_id,
                    after=rest.cursor,
                    limit=how.limit,
                    ids_only=how.ids_only,
                )
            except (AnswerTooLarge, MessageUnreadable, CursorRefused) as failure:
                rest = how.after(failure, rest)
            else:
                before, rest = rest, plan_item(rest, batch)
                await self._store_messages(before, _unreadable(batch) if how.ids_only else batch, rest)
                if batch.messages:
                    context.stall.moved(f"conversation {item.conversation_id}")

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
        log.warning(
            "still owed", what=item.phase.value, conversation_id=item.conversation_id, why=failure.message
        )
        attempts = item.attempts + 1
        kept = replace(
            item,
            problem=Problem(code=failure.code, message=failure.message, hint=failure.hint),
            attempts=attempts,
            next_attempt_at=_next_attempt_at(attempts, self.context.clock.now()),
        )
        await self.context.patiently(
            partial(self.context.ingest.put_back, kept, now=self.context.clock.now())
        )


@dataclass(slots=True)
class _How:
    """How a conversation's messages are asked for; less and less, as the source demands."""

    limit: int = _MESSAGES_A_CALL
    ids_only: bool = False
    _reentries: int = 0

    def after(self, failure: AnswerTooLarge | MessageUnreadable | CursorRefused, item: Item) -> Item:
        """Where to ask again after a failure; raises it where nothing is left to try."""
        match failure:
            case AnswerTooLarge() if self.limit > 1:
                self.limit //= 2
            case MessageUnreadable() if not self.ids_only:
                # Of the newest 20 the platform tells all, of the others no more than that they are.
                self.ids_only = self.limit <= _READABLE_MESSAGES
                self.limit = _MESSAGES_A_CALL if self.ids_only else _READABLE_MESSAGES
            case CursorRefused() if item.cursor is not None and self._reentries < _MOST_REENTRIES:
                self._reentries += 1
                return replace(item, cursor=None)
            case _:
                raise failure
        return item


def _unreadable(batch: MessageBatch) -> MessageBatch:
    """Messages of which the platform has just refused the details: known, and not to be read."""
    return replace(
        batch,
        messages=tuple(msgspec.structs.replace(each, is_readable=False) for each in batch.messages),
    )


def _next_attempt_at(attempts: int, now: datetime) -> datetime | None:
    """The first few runs try at once, then ever more seldom: a call a run for what never heals adds up."""
    if attempts <= _FREE_ATTEMPTS:
        return None
    return now + min(timedelta(minutes=2 ** min(attempts - _FREE_ATTEMPTS, 20)), _LONGEST_PAUSE)
