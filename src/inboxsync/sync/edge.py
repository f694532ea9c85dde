"""Reads the messages of one conversation, a batch at a time, asking for less as the source demands."""

from dataclasses import dataclass, field, replace

import msgspec

from inboxsync.errors import AnswerTooLarge, CursorRefused, MessageUnreadable
from inboxsync.model import MessageBatch
from inboxsync.sync.context import Reading

_MESSAGES_A_CALL = 100
# Of an Instagram conversation the details of no more than these are told (graph-facts 1.6-2).
_READABLE_MESSAGES = 20
_MOST_REENTRIES = 3


@dataclass(slots=True)
class MessagesEdge:
    """One conversation's messages edge; `ids_only` for no more than ids and times.

    Where the platform refuses the details of what is beyond its 20 newest messages, or leaves those
    out without a word, it goes on with their ids, and says that the messages are not readable.
    """

    context: Reading
    conversation_id: str
    ids_only: bool = False
    _limit: int = _MESSAGES_A_CALL
    _reentries: int = 0
    # How many have come since the top; None where it was entered further down.
    _seen: int | None = None
    _is_cut_short: bool = False
    _without_details: bool = field(default=False, init=False)

    async def fetch(self, after: str | None) -> MessageBatch:
        """The batch that follows this cursor; from the top where there is none, or none that lives."""
        while True:
            if after is None:
                self._seen = 0
            self.context.stall.check()
            try:
                batch = await self.context.source.fetch_messages(
                    self.context.access,
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
        """Of the newest 20 the platform tells all, of the others no more than that they are."""
        if self.ids_only or self._without_details:
            raise failure
        left = max(0, _READABLE_MESSAGES - self._seen) if self._seen is not None else 0
        self._is_cut_short = True
        if 0 < left < self._limit:
            self._limit = left
        else:
            self._go_without_details()

    def _take(self, batch: MessageBatch) -> MessageBatch:
        if self._seen is not None:
            self._seen += len(batch.messages)
        if self._without_details:
            # Those among them that are stored with their details keep them.
            known = (msgspec.structs.replace(each, is_readable=False) for each in batch.messages)
            return replace(batch, messages=tuple(known))
        if self._is_cut_short and self._seen is not None and self._seen >= _READABLE_MESSAGES:
            self._go_without_details()
        elif not self.ids_only and not batch.has_next and self._may_leave_out(batch):
            self._go_without_details()
            return replace(batch, after=None, has_next=True)
        return batch

    def _may_leave_out(self, batch: MessageBatch) -> bool:
        """Whether this end may be that of the details alone (graph-facts 1.6-5)."""
        if not self.context.access.is_instagram or not all(each.is_readable for each in batch.messages):
            return False
        return self._seen is None or self._seen == _READABLE_MESSAGES

    def _go_without_details(self) -> None:
        self._without_details, self._limit = True, _MESSAGES_A_CALL
