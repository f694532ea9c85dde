"""Splits texts into words that can be compared: the same for both databases, stored texts and queries.

Words are folded: case, accents and width make no difference, nor do letters that only look accented (d, o and
l with stroke, ...). Everything except letters, digits and pictures separates words. In scripts that write
without spaces each character is a word, so a phrase finds any part of a text. Each picture is a word too.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

# Longer words are cut into several: PostgreSQL cannot store words of 2,048 bytes.
LONGEST: Final = 100
_LETTERS: Final = {
    "đ": "d", "ð": "d", "ħ": "h", "\u0131": "i", "ĸ": "k", "ł": "l", "ŋ": "n", "ø": "o", "œ": "oe", "æ": "ae",
    "ŧ": "t", "þ": "th", "ƀ": "b", "ɓ": "b", "ɖ": "d", "ɗ": "d", "ɨ": "i", "ƙ": "k", "ƴ": "y", "ƶ": "z",
}  # fmt: skip
# Marks on letters that people omit when they type: accents, Hebrew points, Arabic vowels, and the letter that
# only stretches an Arabic word. Thai and Indian vowels are marks too, and are kept.
_LEFT_OUT: Final = (
    (0x0300, 0x036F), (0x0483, 0x0487), (0x0591, 0x05BD), (0x05BF, 0x05BF), (0x05C1, 0x05C2),
    (0x05C4, 0x05C5), (0x0610, 0x061A), (0x0640, 0x0640), (0x064B, 0x065F), (0x0670, 0x0670),
    (0x1AB0, 0x1AFF), (0x1DC0, 0x1DFF), (0x20D0, 0x20FF), (0xFE00, 0xFE0F), (0xFE20, 0xFE2F),
    (0x00AD, 0x00AD), (0x200B, 0x200F), (0x2060, 0x2060), (0xFEFF, 0xFEFF),
)  # fmt: skip
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
_MARKS = re.compile("[" + "".join(f"{chr(a)}-{chr(b)}" for a, b in _LEFT_OUT) + "]+")


class _Parts(dict[int, str]):
    """What each folded character becomes: itself, nothing, a space, or a word of its own."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        self[code] = part = _part(character)
        return part


def _part(character: str) -> str:
    code, category = ord(character), unicodedata.category(character)
    if _is_in(code, _LEFT_OUT):
        return ""
    if category[0] not in "LMN" and category != "So":
        return " "
    if category == "So" or _is_in(code, _WITHOUT_SPACES):
        return f" {character} "
    return _LETTERS.get(character, character)


def _is_in(code: int, ranges: Sequence[tuple[int, int]]) -> bool:
    return any(first <= code <= last for first, last in ranges)


_parts = _Parts()
_lower = {code: chr(code + 32) for code in range(ord("A"), ord("Z") + 1)}


@dataclass(frozen=True, slots=True)
class Word:
    """A folded word and its place in the original: from character `start` up to `end`."""

    text: str
    start: int
    end: int


def folded_words(text: str) -> list[str]:
    """The words of a text, in order."""
    words = _folded(text).translate(_parts).split()
    if len(text) <= LONGEST:
        return words
    return [word[at : at + LONGEST] for word in words for at in range(0, len(word), LONGEST)]


def terms_of(text: str | None) -> str:
    """The words of a text as they are stored: a space before and after each; empty without words."""
    words = folded_words(text) if text else None
    return f" {' '.join(words)} " if words else ""


def placed_words(text: str) -> list[Word]:
    """The same words as `folded_words`, with their places; slower."""
    words: list[Word] = []
    letters: list[tuple[str, int, int]] = []

    def end_word() -> None:
        for at in range(0, len(letters), LONGEST):
            part = letters[at : at + LONGEST]
            words.append(Word("".join(letter for letter, _, _ in part), part[0][1], part[-1][2]))
        letters.clear()

    for start, end in _clusters(text):
        for letter in _folded(text[start:end]).translate(_parts):
            if letter == " ":
                end_word()
            else:
                letters.append((letter, start, end))
    end_word()
    return words


def _folded(text: str) -> str:
    if text.isascii():
        return text.translate(_lower)
    apart = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    return unicodedata.normalize("NFC", _MARKS.sub("", apart))


def _clusters(text: str) -> Iterator[tuple[int, int]]:
    """What is folded together: a letter with its marks, or the parts of a Korean letter."""
    start, letter = 0, text[:1]
    for at, character in enumerate(text):
        if _is_mark(character):
            continue
        if at and not (_is_korean_part(letter) and _is_korean_part(character)):
            yield start, at
            start = at
        letter = character
    if text:
        yield start, len(text)


def _is_mark(character: str) -> bool:
    if _is_in(ord(character), _LEFT_OUT):
        return True
    # With half width it is a letter, which becomes a mark when it is folded.
    return unicodedata.category(unicodedata.normalize("NFKD", character)[0])[0] == "M"


def _is_korean_part(letter: str) -> bool:
    return _is_in(ord(letter), _KOREAN_PARTS)
