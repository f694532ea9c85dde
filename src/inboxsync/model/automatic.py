"""Which of a Page's messages nobody wrote: greetings that Meta sends by itself at once.

Meta does not mark them. A text is *automatic* if the Page sent it within seconds of a contact's message in
many conversations, and hardly ever otherwise. The contact's name may stand in it.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Final

from inboxsync.model.exchange import Sent

# How soon after the contact's message an automatic one comes. Graph's times are whole seconds.
AT_ONCE: Final = timedelta(seconds=5)
# In how many conversations at least, and how often of all times that the Page sent the text.
MANY_CONVERSATIONS: Final = 5
NEARLY_ALWAYS: Final = 0.9
NAME: Final = "\u2026"
_SHORTEST_NAME: Final = 2

# A message: when it was sent, whether the Page sent it, and its text if so.
Said = tuple[datetime | None, bool, str | None]


class AutomaticTexts:
    """Finds the automatic texts of one Page: first `look`, then `count`, at all conversations each."""

    def __init__(self) -> None:
        self._conversations: Counter[str] = Counter()
        self._all: Counter[str] = Counter()
        self._at_once: Counter[str] = Counter()

    def look(self, said: Iterable[Said], name: str | None) -> None:
        """At a conversation with the contact of this name, in the order of `exchange`."""
        self._conversations.update({text for text, is_at_once in _texts(said, name) if is_at_once})

    def leave_rare(self) -> bool:
        """Forget what stands in few conversations; whether anything is left to `count`."""
        self._conversations = Counter(
            {text: count for text, count in self._conversations.items() if count >= MANY_CONVERSATIONS}
        )
        return bool(self._conversations)

    def count(self, said: Iterable[Said], name: str | None) -> None:
        """How often in this conversation the texts were sent at once, and at all."""
        for text, is_at_once in _texts(said, name):
            if text in self._conversations:
                self._all[text] += 1
                self._at_once[text] += is_at_once

    def found(self) -> dict[str, int]:
        """The automatic texts, with `NAME` for the contact's name, and in how many conversations."""
        return {
            text: count
            for text, count in self._conversations.most_common()
            if self._at_once[text] >= NEARLY_ALWAYS * self._all[text]
        }


def without_automatic(said: Iterable[Said], name: str | None, automatic: Iterable[str]) -> list[Sent]:
    """The messages that somebody wrote: without the automatic ones, where they came at once."""
    texts = frozenset(automatic)
    kept: list[Sent] = []
    asked_at: datetime | None = None
    for at, is_from_page, text in said:
        if not is_from_page:
            asked_at = at
        elif _is_at_once(asked_at, at) and text and _with_any_name(text, name) in texts:
            continue
        kept.append((at, is_from_page))
    return kept


def _texts(said: Iterable[Said], name: str | None) -> Iterator[tuple[str, bool]]:
    """The Page's texts, and whether each came within seconds of a contact's message."""
    asked_at: datetime | None = None
    for at, is_from_page, text in said:
        if not is_from_page:
            asked_at = at
        elif text:
            yield _with_any_name(text, name), _is_at_once(asked_at, at)


def _is_at_once(asked_at: datetime | None, at: datetime | None) -> bool:
    return asked_at is not None and at is not None and asked_at <= at <= asked_at + AT_ONCE


def _with_any_name(text: str, name: str | None) -> str:
    for part in (name, *(name or "").split()):
        if part and len(part) >= _SHORTEST_NAME:
            text = text.replace(part, NAME)
    return text
