"""A conversation and its messages, as the world knows them; Graph's shapes are `render`'s business."""

import bisect
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from inboxsync.sandbox.people import Person
from inboxsync.sandbox.texts import make_text

# Of so many conversations, one is deep.
_DEEP_EVERY = 400
_DEEP_MESSAGES = (200, 600)
_KINDS = ("text", "image", "video", "file", "sticker", "share")
_WEIGHTS = (93, 3, 0.6, 0.8, 1.6, 1)


@dataclass(slots=True, kw_only=True)
class Message:
    """`ordinal` counts from 0, the oldest; `at` is seconds since the epoch."""

    ordinal: int
    at: int
    from_page: bool
    text: str
    kind: str = "text"
    reaction: str | None = None
    replies_to: int | None = None
    is_deleted: bool = False
    edited_at: int | None = None


@dataclass(slots=True, kw_only=True)
class Thread:
    """A conversation, its messages oldest first. `revision` grows with each change.

    The ordinals of unsent messages are missing, and stay missing: `sent` is how many messages
    there ever were, `written_at` when the newest of them was sent.
    """

    slot: int
    folder: str
    contact: Person
    messages: list[Message] = field(default_factory=list)
    unread: int = 0
    revision: int = 0
    dataset_id: str | None = None
    sent: int = 0
    written_at: int = 0

    @property
    def updated_at(self) -> int:
        """When the last message was added, seconds since the epoch; unsending it changes nothing."""
        return max(self.written_at, self.messages[-1].at if self.messages else 0)

    @property
    def next_ordinal(self) -> int:
        """The ordinal of the next message: never one that was there before."""
        return max(self.sent, self.messages[-1].ordinal + 1 if self.messages else 0)

    def place(self, ordinal: int) -> int:
        """How many messages are older than this ordinal."""
        return bisect.bisect_left(self.messages, ordinal, key=lambda message: message.ordinal)

    def message(self, ordinal: int) -> Message | None:
        """The message with this ordinal; None if there is none, or no longer."""
        place = self.place(ordinal)
        is_there = place < len(self.messages) and self.messages[place].ordinal == ordinal
        return self.messages[place] if is_there else None

    def with_message(self, message: Message) -> "Thread":
        """One more message has been sent."""
        unread = 0 if message.from_page else self.unread + 1
        return self._changed(messages=[*self.messages, message], unread=unread)

    def without_message(self, ordinal: int) -> "Thread":
        """A message was unsent; nothing else moves."""
        left = [message for message in self.messages if message.ordinal != ordinal]
        return self._changed(messages=left, sent=self.next_ordinal, written_at=self.updated_at)

    def with_changed(self, ordinal: int, **changes: Any) -> "Thread":
        """A message has another text or reaction; nothing moves."""
        messages = [
            replace(message, **changes) if message.ordinal == ordinal else message
            for message in self.messages
        ]
        return self._changed(messages=messages)

    def in_folder(self, name: str) -> "Thread":
        """It is in another folder."""
        return self._changed(folder=name)

    def _changed(self, **changes: Any) -> "Thread":
        return replace(self, revision=self.revision + 1, **changes)


def make_thread(
    random: Random, *, slot: int, folder: str, contact: Person, ends_at: int, messages: tuple[int, int]
) -> Thread:
    """The thread that this random source makes, its newest message sent at `ends_at`."""
    count = random.randint(*messages)
    if messages[1] > 1 and slot % _DEEP_EVERY == _DEEP_EVERY - 1:
        count = max(count, random.randint(*_DEEP_MESSAGES))
    made: list[Message] = []
    at = ends_at
    kinds = random.choices(_KINDS, _WEIGHTS, k=count)
    for back, kind in enumerate(kinds):
        from_page = random.random() < 0.45
        ordinal = count - 1 - back
        made.append(
            Message(
                ordinal=ordinal,
                at=at,
                from_page=from_page,
                text=make_text(random, from_page=from_page) if kind == "text" else "",
                kind=kind,
                reaction="love" if random.random() < 0.02 else None,
                replies_to=ordinal - 1 if ordinal and random.random() < 0.03 else None,
            )
        )
        at -= random.choice((0, 1, 7, 40, 200, 3000, 86_000))
    made.reverse()
    return Thread(
        slot=slot, folder=folder, contact=contact, messages=made, unread=random.choice((0, 0, 0, 1, 3))
    )
