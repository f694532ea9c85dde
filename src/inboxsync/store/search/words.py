"""Splits texts into words that can be compared: the same for both databases, stored texts and queries.

Words are folded first (`letters`). Then everything except letters, digits and pictures separates words. In
scripts that write without spaces each character is a word, so a phrase finds any part of a text. Each picture
is a word too.
"""

import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from inboxsync.store.search.letters import TWICE, fold, is_in, letter_for

# Longer words are cut into several: PostgreSQL cannot store words of 2,048 bytes.
LONGEST: Final = 100
# So many letters of a text have words that are found: PostgreSQL cannot index a text with a megabyte of them.
MOST_LETTERS: Final = 100_000
# A character becomes at most so many letters.
_MOST_OF_ONE: Final = 18
# A letter with its marks; what it is folded to is remembered.
_SHORT: Final = 4
# Thai, Lao, Tibetan, Myanmar, Khmer, Tai, Japanese, Chinese, Yi; not Korean, which has spaces.
_WITHOUT_SPACES: Final = (
    (0x0E00, 0x0EFF), (0x0F00, 0x0FFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x1950, 0x19DF),
    (0x1A20, 0x1AAF), (0x2E80, 0x2FDF), (0x3005, 0x3007), (0x3021, 0x302F), (0x3031, 0x3035),
    (0x3038, 0x30FF), (0x3100, 0x312F), (0x31A0, 0x31BF), (0x31F0, 0x31FF), (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF), (0xA000, 0xA4CF), (0xA9E0, 0xA9FF), (0xAA60, 0xAADF), (0xF900, 0xFAFF),
    (0x1AFF0, 0x1B16F), (0x20000, 0x323AF),
)  # fmt: skip
_KOREAN_PARTS: Final = (
    (0x1100, 0x11FF),
    (0x3130, 0x318F),
    (0xA960, 0xA97F),
    (0xAC00, 0xD7FF),
    (0xFFA0, 0xFFDC),
)


class _Parts(dict[int, str]):
    """What each folded character becomes: itself, a space, or a word of its own."""

    def __missing__(self, code: int) -> str:
        self[code] = part = _part(chr(code))
        return part


def _part(character: str) -> str:
    letter = letter_for(character)
    category = unicodedata.category(letter[0])
    if category[0] not in "LMN" and category != "So":
        return " "
    if category == "So" or is_in(ord(letter[0]), _WITHOUT_SPACES):
        return f" {letter} "
    return letter


class _Joins(dict[str, bool]):
    """Whether a character is folded together with the letter before it: marks are, and what has no width."""

    def __missing__(self, character: str) -> bool:
        folded = fold(character)
        self[character] = joins = not folded or unicodedata.category(folded[0])[0] == "M"
        return joins


_parts = _Parts()
_joins = _Joins()


@dataclass(frozen=True, slots=True)
class Word:
    """A folded word and its place in the original: from character `start` up to `end`."""

    text: str
    start: int
    end: int


def folded_words(text: str) -> list[str]:
    """The words of a text, in order; of a very long one those of its first `MOST_LETTERS` letters."""
    words = fold(text).translate(_parts).split()
    if len(text) <= LONGEST:
        return words
    words = [word[at : at + LONGEST] for word in words for at in range(0, len(word), LONGEST)]
    return words if len(text) <= MOST_LETTERS // _MOST_OF_ONE else words[: _how_many(map(len, words))]


def terms_of(text: str | None) -> str:
    """The words of a text as they are stored: a space before and after each; empty without words."""
    words = folded_words(text) if text else None
    return f" {' '.join(words)} " if words else ""


def placed_words(text: str) -> list[Word]:
    """The same words as `folded_words`, with their places; slower."""
    words: list[Word] = []
    has_letters = 0
    for letters in _words_of_letters(text):
        for at in range(0, len(letters), LONGEST):
            part = letters[at : at + LONGEST]
            has_letters += len(part)
            if has_letters > MOST_LETTERS:
                return words
            words.append(Word("".join(letter for letter, _, _ in part), part[0][1], part[-1][2]))
    return words


def _words_of_letters(text: str) -> Iterator[list[tuple[str, int, int]]]:
    """Each word as its folded letters, with the places of what they were folded from."""
    letters: list[tuple[str, int, int]] = []
    for start, end in _clusters(text):
        for letter in _letters_of(text[start:end]):
            if letter != " ":
                letters.append((letter, start, end))
            elif letters:
                yield letters
                letters = []
    if letters:
        yield letters


def _letters_of(cluster: str) -> str:
    return _of_short(cluster) if len(cluster) <= _SHORT else fold(cluster).translate(_parts)


@lru_cache(maxsize=8192)
def _of_short(cluster: str) -> str:
    return fold(cluster).translate(_parts)


def _how_many(lengths: Iterable[int]) -> int:
    """How many words have together no more than `MOST_LETTERS` letters."""
    number, letters = 0, 0
    for length in lengths:
        letters += length
        if letters > MOST_LETTERS:
            break
        number += 1
    return number


def _clusters(text: str) -> Iterator[tuple[int, int]]:
    """What is folded together: a letter with its marks, parts of a Korean letter, a doubled Thai vowel."""
    start, letter, is_alone = 0, text[:1], True
    for at, character in enumerate(text):
        if _joins[character]:
            is_alone = is_alone and (at == start or not _of_short(character))
            continue
        if not at:
            continue
        is_pair = is_alone and letter == character and character in TWICE
        if not (is_pair or (_is_korean_part(letter) and _is_korean_part(character))):
            yield start, at
            start = at
            is_alone = True
        else:
            is_alone = False
        letter = character
    if text:
        yield start, len(text)


def _is_korean_part(letter: str) -> bool:
    return is_in(ord(letter), _KOREAN_PARTS)
