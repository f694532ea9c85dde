"""What a search asks for: words, "phrases", beginnings of words*, -what is not wanted, one OR another.

Signs of full width are the same signs, and phrases stand between the quotation marks of any language.
"""

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Final, NamedTuple

from inboxsync.errors import SearchInvalid
from inboxsync.store.search.quotes import Quote, closing_after, kind_of, opens_at
from inboxsync.store.search.words import folded_words, placed_words

LONGEST_QUERY: Final = 500
MOST_PATTERNS: Final = 20
_OR: Final = "OR"


@dataclass(frozen=True, slots=True)
class Pattern:
    """Words that follow each other; with `is_prefix` the last one is only the beginning of a word."""

    words: tuple[str, ...]
    is_prefix: bool

    @property
    def text(self) -> str:
        """As it appears in a message's terms."""
        return f" {' '.join(self.words)}{'' if self.is_prefix else ' '}"


@dataclass(frozen=True, slots=True)
class Query:
    """A message matches if it has a pattern of each group, and none of those that are excluded."""

    groups: tuple[tuple[Pattern, ...], ...]
    excluded: tuple[Pattern, ...] = ()

    @property
    def patterns(self) -> tuple[Pattern, ...]:
        """All that a message may have."""
        return tuple(chain.from_iterable(self.groups))

    def highlights(self, text: str) -> tuple[tuple[int, int], ...]:
        """What matches in a text: ranges of characters [start, end), in order and without overlap."""
        words = placed_words(text)
        found: set[int] = set()
        for pattern in self.patterns:
            size = len(pattern.words)
            for at in range(len(words) - size + 1):
                if _matches(pattern, tuple(word.text for word in words[at : at + size])):
                    found.update(range(at, at + size))
        ranges: list[tuple[int, int]] = []
        for at in sorted(found):
            start, end = words[at].start, words[at].end
            if ranges and start <= ranges[-1][1]:
                start, end = ranges[-1][0], max(end, ranges.pop()[1])
            ranges.append((start, end))
        return tuple(ranges)


class _Element(NamedTuple):
    """A part of what was typed. `is_or` is whether it may be there instead of the one before."""

    pattern: Pattern
    is_excluded: bool
    is_or: bool


def parse_query(text: str) -> Query:
    """Parse what a person typed. Raises SearchInvalid if there is no word in it, or too much.

    Text that becomes several words (`e-mail`, or anything in Thai, Japanese or Chinese) is a phrase. Words
    with OR between them are one group. A word behind a minus is excluded.
    """
    if len(text) > LONGEST_QUERY:
        raise SearchInvalid(f"More than {LONGEST_QUERY} characters cannot be searched for.")
    groups: list[dict[Pattern, None]] = []
    excluded: dict[Pattern, None] = {}
    for element in _elements(text):
        if element.is_excluded:
            excluded[element.pattern] = None
        elif element.is_or and groups:
            groups[-1][element.pattern] = None
        elif {element.pattern: None} not in groups:
            groups.append({element.pattern: None})
    if not groups and excluded:
        raise SearchInvalid(
            "There is no word to search for: all have a minus before them.",
            hint="Add a word that the message has, such as: refund -paid.",
        )
    if not groups:
        raise SearchInvalid("There is no word to search for.")
    if sum(map(len, groups)) + len(excluded) > MOST_PATTERNS:
        raise SearchInvalid(f"More than {MOST_PATTERNS} words cannot be searched for at once.")
    return Query(tuple(map(tuple, groups)), tuple(excluded))


def _elements(text: str) -> Iterator[_Element]:
    at, is_or, was_excluded = 0, False, True
    while at < len(text):
        start = at
        is_excluded = _is_minus(text, at)
        at += is_excluded
        if _plain(text[at]) == "|":
            at, is_or = at + 1, not was_excluded
            continue
        if text[at].isspace():
            at += 1
            continue
        phrase, at = _phrase(text, at) if opens_at(text, at) else _word(text, at)
        if _plain(text[start:at]) == _OR and not was_excluded and text[at:].strip():
            is_or = True
            continue
        words = tuple(folded_words(phrase))
        if not words:
            continue
        is_prefix = _plain(phrase).endswith("*") or _plain(text[at : at + 1]) == "*"
        yield _Element(Pattern(words, is_prefix=is_prefix), is_excluded, is_or and not is_excluded)
        is_or, was_excluded = False, is_excluded


def _phrase(text: str, at: int) -> tuple[str, int]:
    """What is between quotation marks, and where the text continues."""
    end = closing_after(text, at)
    return text[at + 1 : end], min(end + 1, len(text))


def _word(text: str, at: int) -> tuple[str, int]:
    """What is up to the next blank, phrase or bar, and where the text continues."""
    end = at + 1
    while end < len(text) and not (
        text[end].isspace()
        or _plain(text[end]) == "|"
        or (kind_of(text[end]) is not Quote.SINGLE and opens_at(text, end))
    ):
        end += 1
    return text[at:end], end


def _is_minus(text: str, at: int) -> bool:
    """Whether a word or a phrase behind this sign is excluded."""
    if _plain(text[at]) != "-" or at + 1 == len(text):
        return False
    is_first = at == 0 or text[at - 1].isspace() or _plain(text[at - 1]) == "|"
    return is_first and (bool(folded_words(text[at + 1])) or opens_at(text, at + 1))


def _plain(signs: str) -> str:
    """The same signs with usual width."""
    return unicodedata.normalize("NFKC", signs)


def _matches(pattern: Pattern, words: tuple[str, ...]) -> bool:
    if not pattern.is_prefix:
        return words == pattern.words
    return words[:-1] == pattern.words[:-1] and words[-1].startswith(pattern.words[-1])
