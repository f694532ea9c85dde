"""Texts as a table's cells: safe to write, and safe to open."""

import re
from typing import Final

REPLACEMENT: Final = "\ufffd"
# What a spreadsheet takes for the beginning of a formula; some read the full-width forms alike.
_FORMULA = frozenset("=+-@\t\r\uff1d\uff0b\uff0d\uff20")
# What it may pass over on the way to one: blanks and what has no width; and the apostrophe, which is our own
# and must not be taken for a text's.
_BLANKS = "".join(each for each in map(chr, range(0x3001)) if each.isspace() and each not in _FORMULA)
_SKIPPED = f"{_BLANKS}\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff'"
_SUSPECT = _FORMULA | frozenset(_SKIPPED)
# A sign with digits runs nothing: numbers and phone numbers stay as they are.
_NUMBER = re.compile(r"[+-][0-9][0-9 .]*(; \+[0-9]+)*")
_SURROGATE = re.compile("[\ud800-\udfff]")


def harmless(text: str) -> str:
    """The text with an apostrophe before it where a spreadsheet would run it as a formula.

    Whoever reads the file back takes one apostrophe away where, apart from blanks and apostrophes,
    a character of a formula follows, and has the text as it was.
    """
    if not text or text[0] not in _SUSPECT:
        return text
    if text.lstrip(_SKIPPED)[:1] not in _FORMULA or _NUMBER.fullmatch(text):
        return text
    return f"'{text}"


def is_formula(text: str) -> bool:
    """Whether `harmless` puts an apostrophe before this."""
    return harmless(text) is not text


def mended(text: str) -> str:
    """The text with each half of a surrogate pair, which no file may hold, replaced."""
    return _SURROGATE.sub(REPLACEMENT, text)


def without_nul(text: str) -> str:
    """The text with every U+0000, at which many readers stop, replaced."""
    return text.replace("\0", REPLACEMENT)


def encoded(text: str) -> bytes:
    """As UTF-8."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return mended(text).encode()


def cut_to(text: str, units: int) -> str:
    """The text in so many units of UTF-16, as Excel counts; where it was cut the last one is a mark."""
    if len(text) <= units // 2 or len(text.encode("utf-16-le", "surrogatepass")) // 2 <= units:
        return text
    kept = text[: units - 1].encode("utf-16-le", "surrogatepass")[: 2 * (units - 1)]
    return kept.decode("utf-16-le", "ignore") + "\u2026"
