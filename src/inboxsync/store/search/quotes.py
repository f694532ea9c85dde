"""Which signs open and close a phrase: the quotation marks of all languages, by their names in Unicode."""

import unicodedata
from enum import Enum
from functools import lru_cache
from typing import Final

_HEBREW: Final = ("\u05d0", "\u05ea")


class Quote(Enum):
    """What a sign can be: an apostrophe is the same sign as a single quotation mark."""

    NONE = "none"
    DOUBLE = "double"
    ANGLE = "angle"
    BRACKET = "bracket"
    SINGLE = "single"


@lru_cache(maxsize=1024)
def kind_of(sign: str) -> Quote:
    """What a character opens or closes."""
    if unicodedata.category(sign)[0] not in "PS":
        return Quote.NONE
    name = unicodedata.name(sign, "")
    if "CORNER BRACKET" in name or "DOUBLE ANGLE BRACKET" in name:
        return Quote.BRACKET
    if name.endswith("APOSTROPHE"):
        return Quote.SINGLE
    if "QUOTATION MARK" not in name:
        return Quote.NONE
    if "ANGLE" in name:
        return Quote.ANGLE
    return Quote.SINGLE if "SINGLE" in name else Quote.DOUBLE


def opens_at(text: str, at: int) -> bool:
    """Whether a phrase begins with this character; an apostrophe opens nothing that is not closed."""
    kind = kind_of(text[at])
    if kind is Quote.SINGLE:
        is_first = at == 0 or _is_outside(text[at - 1])
        return is_first and closing_after(text, at) < len(text)
    return kind is not Quote.NONE and not _is_in_hebrew_word(text, at)


def closing_after(text: str, at: int) -> int:
    """Where the phrase ends that the sign at `at` opens; the text's end if nothing closes it."""
    opening, kind = text[at], kind_of(text[at])
    usual, other = len(text), len(text)
    for place in range(len(text) - 1, at, -1):
        if kind_of(text[place]) is not kind or not _may_close(text, place):
            continue
        other = place
        if _closes(opening, text[place]):
            usual = place
    return usual if usual < len(text) or kind is Quote.BRACKET else other


def _may_close(text: str, at: int) -> bool:
    if kind_of(text[at]) is not Quote.SINGLE:
        return not _is_in_hebrew_word(text, at)
    is_behind_blank = text[at - 1].isspace()
    return not is_behind_blank and (at + 1 == len(text) or _is_outside(text[at + 1]))


def _is_outside(neighbour: str) -> bool:
    """Whether a phrase may begin or end beside this character."""
    return not neighbour.isalnum() and unicodedata.category(neighbour)[0] != "M"


def _closes(opening: str, sign: str) -> bool:
    """Whether a sign usually closes what this one of the same kind opens."""
    opened, name = unicodedata.name(opening), unicodedata.name(sign)
    if kind_of(opening) in (Quote.DOUBLE, Quote.SINGLE):
        # Keyboards mix curled signs with straight ones. A low sign is closed by what opens elsewhere.
        return "LOW" in opened or not _is_only_opening(name)
    is_same_sort = name.replace("LEFT", "RIGHT") == opened.replace("LEFT", "RIGHT")
    # Angles are written both ways, and each closes itself where the right one opens.
    return is_same_sort and ("RIGHT" in name or "LEFT" not in opened)


def _is_only_opening(name: str) -> bool:
    return "LEFT" in name or "LOW-" in name or "TURNED" in name


def _is_in_hebrew_word(text: str, at: int) -> bool:
    """Hebrew abbreviations have a double quotation mark before their last letter."""
    first, last = _HEBREW
    return (
        kind_of(text[at]) is Quote.DOUBLE
        and 0 < at < len(text) - 1
        and first <= text[at - 1] <= last
        and first <= text[at + 1] <= last
    )
