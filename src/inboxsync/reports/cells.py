"""Texts as cells of a table: safe to write, and safe to open."""

import re
from typing import Final, TypeGuard

REPLACEMENT: Final = "\ufffd"
# Characters that begin a formula in a spreadsheet; some programs accept their full-width forms too.
_FORMULA = frozenset("=+-@\t\r\uff1d\uff0b\uff0d\uff20")
# Characters that a spreadsheet may skip before them: blanks and characters without width; and the apostrophe,
# because ours must not be mistaken for a part of the text.
_BLANKS = "".join(each for each in map(chr, range(0x3001)) if each.isspace() and each not in _FORMULA)
_SKIPPED = f"{_BLANKS}\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff'"
_SUSPECT = _FORMULA | frozenset(_SKIPPED)
# A sign followed by digits runs nothing: numbers and phone numbers stay unchanged.
_NUMBER = re.compile(r"[+-][0-9][0-9 .]*(; \+[0-9]+)*")
_SIGNS = "=+\\-@\uff1d\uff0b\uff0d\uff20"
_SKIPPED_IN_CELL = re.escape("".join(each for each in _SKIPPED if each not in "\r\n") + '"')
_PHONE_NUMBERS = re.compile(r"\+[0-9]+(?:; \+[0-9]+)*")
_WHOLE_NUMBER = r"[+-][0-9][0-9 .]*"


def _behind(delimiter: str) -> re.Pattern[str]:
    """Where a formula begins inside a text, if it is read with another delimiter than this."""
    places = "|".join(
        rf"(?<={sign})(?!{_WHOLE_NUMBER}[{ends}])"
        for sign, ends in (
            *((re.escape(other), re.escape(other) + r"\r\n") for other in DELIMITERS if other != delimiter),
            (r"[\r\n]", r"\r\n"),
        )
    )
    return re.compile(rf"(?:{places})(?=[{_SKIPPED_IN_CELL}]*[{_SIGNS}])")


DELIMITERS: Final = (",", ";", "\t", "|")
_MAYBE_BEHIND: Final = {
    delimiter: re.compile(
        "["
        + "".join(each for each in DELIMITERS if each != delimiter)
        + f"\r\n][{_SKIPPED_IN_CELL}]*[{_SIGNS}]"
    ).search
    for delimiter in DELIMITERS
}
# The same and more, of many texts at once: U+0000 stands before each of them.
_MAYBE_AMONG: Final = {
    delimiter: re.compile(
        "[\0"
        + "".join(each for each in DELIMITERS if each != delimiter)
        + f"\r\n][{_SKIPPED_IN_CELL}\r\n]*[{_SIGNS}\t\r]"
    ).search
    for delimiter in DELIMITERS
}
_BEHIND: Final = {delimiter: _behind(delimiter) for delimiter in DELIMITERS}
_SURROGATE = re.compile("[\ud800-\udfff]")


def escape_formula(text: str) -> str:
    """The text, with an apostrophe before it if a spreadsheet would run it as a formula.

    To get the original text back, remove one apostrophe if it is followed, after blanks and further
    apostrophes, by a character that begins a formula.
    """
    if not text or text[0] not in _SUSPECT:
        return text
    if text.lstrip(_SKIPPED)[:1] not in _FORMULA or _NUMBER.fullmatch(text):
        return text
    return f"'{text}"


def escape_cells(text: str, delimiter: str) -> str:
    """The text for CSV with this delimiter, safe to read with any other of `,` `;` tab and `|` too.

    Read with another one, a cell may begin behind each of these signs and behind each line end, whatever
    quotes stand around the text. So `escape_formula` holds at the beginning, and an apostrophe is put there
    as well if a formula begins behind it. Numbers stay where they are the whole cell.
    """
    begun = escape_formula(text)
    # This look at the signs alone is quick, and nearly always enough.
    return _BEHIND[delimiter].sub("'", begun) if _MAYBE_BEHIND[delimiter](begun) else begun


def maybe_formulas(joined: str, delimiter: str) -> bool:
    """Whether `escape_cells` may change one of the texts that are joined with U+0000.

    One look at a whole column costs a fraction of many.
    """
    # Most columns have none of these, and `in` is the quickest look.
    return any(sign in joined for sign in _FORMULA) and _MAYBE_AMONG[delimiter](f"\0{joined}") is not None


def is_phone_numbers(value: object) -> TypeGuard[str]:
    """Whether it is phone numbers (E.164), as they stand in one cell: nothing runs in them."""
    return isinstance(value, str) and _PHONE_NUMBERS.fullmatch(value) is not None


def is_formula(text: str) -> bool:
    """Whether `escape_formula` puts an apostrophe before this."""
    return escape_formula(text) is not text


def without_surrogates(text: str) -> str:
    """The text with each half of a surrogate pair replaced: UTF-8 cannot encode them."""
    return _SURROGATE.sub(REPLACEMENT, text)


def without_nul(text: str) -> str:
    """The text with every U+0000 replaced: many programs stop reading there."""
    return text.replace("\0", REPLACEMENT)


def encoded(text: str) -> bytes:
    """As UTF-8."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return without_surrogates(text).encode()


def cut_to(text: str, units: int) -> str:
    """The text in at most so many UTF-16 units, as Excel counts; a cut text ends with an ellipsis."""
    if len(text) <= units // 2 or len(text.encode("utf-16-le", "surrogatepass")) // 2 <= units:
        return text
    kept = text[: units - 1].encode("utf-16-le", "surrogatepass")[: 2 * (units - 1)]
    return kept.decode("utf-16-le", "ignore") + "\u2026"
