"""What a search asks for: words, "phrases", beginnings of words*."""

import re
from dataclasses import dataclass
from typing import Final

from inboxsync.errors import SearchInvalid
from inboxsync.store.search.words import folded_words, placed_words

LONGEST_QUERY: Final = 500
MOST_PATTERNS: Final = 20
_ELEMENT = re.compile(r'"([^"]*)"?(\*?)|([^\s"]+)')


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
    """A message matches if it has all of the patterns."""

    patterns: tuple[Pattern, ...]

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


def parse_query(text: str) -> Query:
    """Parse what a person typed. Raises SearchInvalid if there is no word in it, or too much.

    Text that becomes several words (`e-mail`, or anything in Thai, Japanese or Chinese) is a phrase.
    """
    if len(text) > LONGEST_QUERY:
        raise SearchInvalid(f"More than {LONGEST_QUERY} characters cannot be searched for.")
    patterns: dict[Pattern, None] = {}
    for phrase, star, word in _ELEMENT.findall(text):
        words = tuple(folded_words(phrase or word))
        if words:
            patterns[Pattern(words, is_prefix=bool(star) or (phrase or word).endswith("*"))] = None
    if not patterns:
        raise SearchInvalid("There is no word to search for.")
    if len(patterns) > MOST_PATTERNS:
        raise SearchInvalid(f"More than {MOST_PATTERNS} words cannot be searched for at once.")
    return Query(tuple(patterns))


def _matches(pattern: Pattern, words: tuple[str, ...]) -> bool:
    if not pattern.is_prefix:
        return words == pattern.words
    return words[:-1] == pattern.words[:-1] and words[-1].startswith(pattern.words[-1])
