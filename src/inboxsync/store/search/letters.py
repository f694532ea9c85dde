"""What a text becomes before it is split into words: readers take these for the same, so the search does too.

A text is taken apart (NFKD), case and the marks that people omit are removed, and what is left is put
together again. Then each letter is mapped, mostly by Unicode's own data as Python has it: decimal digits of
all scripts, hiragana for katakana. There are lists only where Unicode has no property.

The time grows with the length. `unicodedata.normalize` sorts a run of marks by insertion, by the square of
its length, so long runs are cut before.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from itertools import chain, groupby, islice
from typing import Final, NamedTuple

# Counts up with the rules below and in `words`: what is stored is then folded again, once.
VERSION: Final = 2
# Letters that only look accented; Unicode takes none of them apart.
_LETTERS: Final = {
    "đ": "d", "ð": "d", "ħ": "h", "\u0131": "i", "ĸ": "k", "ł": "l", "ŋ": "n", "ø": "o", "œ": "oe", "æ": "ae",
    "ŧ": "t", "þ": "th", "ƀ": "b", "ɓ": "b", "ɖ": "d", "ɗ": "d", "ɨ": "i", "ƙ": "k", "ƴ": "y", "ƶ": "z",
}  # fmt: skip
# Letters that Arabic, Persian and Urdu keyboards have for one letter: alef wasla; farsi yeh and alef maksura
# for yeh; keheh for kaf; teh marbuta, heh goal and teh marbuta goal for heh. CLDR's collations agree (root
# "search" and Persian). Others that Persian sorts with these, such as yeh barree or heh doachashmee, are
# letters of their own in Urdu, Kurdish, Sindhi, Pashto or Uyghur, and stay apart.
_ARABIC: Final = {
    "\u0671": "\u0627", "\u0649": "\u064a", "\u06cc": "\u064a", "\u06a9": "\u0643", "\u0629": "\u0647",
    "\u06c1": "\u0647", "\u06c3": "\u0647",
}  # fmt: skip
# Persian heh with yeh above is a heh to its readers; Unicode takes it apart into another letter.
_HEH_WITH_YEH, _HEH = ("\u06c0", "\u06d5\u0654"), "\u0647"
# Letters to Unicode, apostrophes to people (o\u02bbzbek): like the apostrophe they separate words.
_APOSTROPHES: Final = frozenset("\u02b9\u02bb\u02bc\u02bd\u02be\u02bf\u02c8\u02ca\u02cb\u07f4\u07f5\ua78c")
_TATWEEL: Final = "\u0640"
# Marks with these names are omitted where people type: accents, Hebrew points, Arabic and Syriac vowels, and
# the dots of borrowed sounds in Indian scripts. Thai and Indian vowels are marks too, and are kept.
_OMITTED: Final = ("COMBINING ", "HEBREW ", "ARABIC ", "SYRIAC ", "VARIATION ", "MONGOLIAN FREE VARIATION ")
_NUKTA: Final = "NUKTA"
_VOICED: Final = ("\u3099", "\u309a")
# Thai and Lao, Myanmar, Khmer, Tai scripts: marks of one letter are typed in any order and look the same.
_ANY_ORDER: Final = (
    (0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x1950, 0x19DF), (0x1A20, 0x1AAF),
    (0xA9E0, 0xA9FF), (0xAA60, 0xAADF),
)  # fmt: skip
# Typed twice, the Thai and Lao vowel e looks like the vowel ae.
TWICE: Final = {"\u0e40": "\u0e41", "\u0ec0": "\u0ec1"}
# The marks beyond U+FFFF are between these, and so are letters that few people write.
_FIRST_BEYOND, _LAST_BEYOND = 0x101FD, 0x1E94A
# Beyond U+FFFF, these are left out: tags and variation selectors.
_OMITTED_BEYOND: Final = "\U000e0001-\U000e01ef"
# UAX #15 calls a text with no longer runs of marks stream-safe.
LONGEST_RUN: Final = 30
# There are few such runs, and Thai has one in every other word: they are remembered.
_SHORT_RUN: Final = 3
_LOWER: Final = {code: chr(code + 32) for code in range(ord("A"), ord("Z") + 1)}


def fold(text: str) -> str:
    """A text without case, width and marks that people omit, and with other marks in one order; in NFC."""
    if text.isascii():
        return text.translate(_LOWER)
    marks = _marks()
    for form in _HEH_WITH_YEH:
        text = text.replace(form, _HEH)
    text = marks.long_runs.sub(_shorten, text)
    apart = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    text = unicodedata.normalize("NFC", marks.runs.sub(_put_in_order, marks.omitted.sub("", apart)))
    for letter, twice in TWICE.items():
        text = text.replace(letter * 2, twice)
    return text


def letter_for(letter: str) -> str:
    """The letter, or letters, that stand for this one of a folded text."""
    if unicodedata.category(letter) == "Nd":
        return str(unicodedata.decimal(letter))
    if letter in _APOSTROPHES:
        return "'"
    return _LETTERS.get(letter) or _ARABIC.get(letter) or _hiragana(letter)


def is_in(code: int, ranges: Sequence[tuple[int, int]]) -> bool:
    """Whether one of the ranges, ends included, has this number of a character."""
    return any(first <= code <= last for first, last in ranges)


def with_short_runs(text: str) -> str:
    """A text without the marks behind the thirtieth of a letter, so that `normalize` takes linear time."""
    return _marks().long_runs.sub(lambda run: "".join(_cut(run[0])), text)


def _cut(run: str) -> Iterator[str]:
    for are_marks, some in groupby(run, _is_mark):
        yield from islice(some, LONGEST_RUN if are_marks else None)


def _shorten(run: re.Match[str]) -> str:
    parts = {each: unicodedata.normalize("NFKD", each) for each in set(run[0])}
    apart = "".join(map(parts.__getitem__, run[0]))
    return _in_order(_marks().omitted.sub("", apart))


def _put_in_order(run: re.Match[str]) -> str:
    return _short_in_order(run[0]) if len(run[0]) <= _SHORT_RUN else _in_order(run[0])


@lru_cache(maxsize=4096)
def _short_in_order(run: str) -> str:
    return _in_order(run)


def _in_order(run: str) -> str:
    """Each run of marks in one order, each of its marks once, and not too many."""
    parts: list[str] = []
    for are_marks, group in groupby(run, _is_mark):
        some = list(group)
        parts += sorted(set(some), key=_place)[:LONGEST_RUN] if are_marks else some
    return "".join(parts)


def _place(mark: str) -> tuple[int, str]:
    return unicodedata.combining(mark), mark


@cache
def _is_mark(character: str) -> bool:
    """Whether its order among its like makes no difference, or it becomes such a mark when taken apart."""
    if is_in(ord(character), _ANY_ORDER):
        return unicodedata.category(character)[0] == "M"
    first = unicodedata.normalize("NFKD", character)[0]
    return unicodedata.combining(first) > 0


def _is_omitted(character: str) -> bool:
    category = unicodedata.category(character)
    if category[0] != "M" or character in _VOICED:
        return category == "Cf" or character == _TATWEEL
    name = unicodedata.name(character, "")
    return name.startswith(_OMITTED) or _NUKTA in name


def _hiragana(letter: str) -> str:
    """The hiragana with the same name, for a katakana."""
    name = unicodedata.name(letter, "")
    if not name.startswith("KATAKANA "):
        return letter
    try:
        return unicodedata.lookup(name.replace("KATAKANA", "HIRAGANA", 1))
    except KeyError:  # no hiragana stands for some small katakana
        return letter


class _Marks(NamedTuple):
    """What finds marks that are left out, marks beside each other, and long runs in an unchanged text."""

    omitted: re.Pattern[str]
    runs: re.Pattern[str]
    long_runs: re.Pattern[str]


@cache
def _marks() -> _Marks:
    """Made from what Python knows of Unicode: some hundredths of a second, so only where it is needed."""
    # Between are Chinese and Korean letters, and what nobody may use.
    codes = chain(range(0xA0, 0x3400), range(0xA000, 0xAC00), range(0xF900, 0x10000))
    characters = list(map(chr, codes))
    beyond = f"{chr(_FIRST_BEYOND)}-{chr(_LAST_BEYOND)}"
    marks = "".join(filter(_is_mark, characters))
    omitted = "".join(filter(_is_omitted, characters)) + _OMITTED_BEYOND
    return _Marks(
        omitted=re.compile(f"[{omitted}]+"),
        runs=re.compile(f"[{marks}{beyond}]{{2,}}"),
        long_runs=re.compile(f"[{marks}{omitted}{beyond}]{{{LONGEST_RUN + 1},}}"),
    )
