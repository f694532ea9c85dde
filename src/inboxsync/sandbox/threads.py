"""A conversation and its messages, as the world knows them; Graph's shapes are `render`'s business."""

from dataclasses import dataclass, field
from random import Random

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


@dataclass(slots=True, kw_only=True)
class Thread:
    """A conversation, its messages oldest first. `revision` grows with each change."""

    slot: int
    folder: str
    contact: Person
    messages: list[Message] = field(default_factory=list)
    unread: int = 0
    revision: int = 0
    dataset_id: str | None = None

    @property
    def updated_at(self) -> int:
        """When the newest message was sent, seconds since the epoch."""
        return self.messages[-1].at if self.messages else 0


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
