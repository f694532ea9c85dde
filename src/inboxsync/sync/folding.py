"""A text as the search for phone numbers and addresses reads it: one form for each sign."""

import unicodedata
from typing import Final

from inboxsync.store.search.letters import with_short_runs

_DASHES: Final = {"\u2212", "\u02d7", "\u2043"}
# Shown with a character before them, and no sign of their own: how keycap digits are written.
_SHOWN_WITH: Final = {"\ufe0e", "\ufe0f", "\u20e3"}


class _Folding(dict[int, str]):
    """For `str.translate`: what is written instead of a character. Remembers what was asked."""

    def __missing__(self, code: int) -> str:
        parts = unicodedata.normalize("NFKC", _fold(chr(code)))
        self[code] = instead = "".join(map(_fold, parts))
        return instead


def _fold(character: str) -> str:
    category = unicodedata.category(character)
    if character in _SHOWN_WITH or category == "Cf":
        return ""
    if category == "Nd":
        return str(unicodedata.decimal(character))
    if category == "Pd" or character in _DASHES:
        return "-"
    # A circled or raised digit counts something; it is no part of the number beside it.
    if category in {"Zs", "No"}:
        return " "
    return character


_FOLDING: Final = _Folding()


def folded(text: str) -> str:
    """Full-width forms, digits of every script, dashes and blanks in one form each; none without width.

    Lines stay apart. The result is for reading only: places in it are not places in the text.
    """
    if text.isascii():
        return text
    # Long runs of marks are cut: to normalize one takes time by the square of its length.
    return unicodedata.normalize("NFC", with_short_runs(text.translate(_FOLDING)))
