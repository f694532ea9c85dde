"""Where e-mail addresses begin and end, in texts of every script."""

import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

_LONGEST_NAME: Final = 64
_LONGEST_LABEL: Final = 63
_LONGEST_LAST: Final = 24
_IN_NAME: Final = frozenset("._+%'-")
_DOTS: Final = frozenset(".\u3002")
# Japanese writes one word in three scripts.
_AS_ONE: Final = {"HIRAGANA": "CJK", "KATAKANA": "CJK", "KATAKANA-HIRAGANA": "CJK"}
# Behind these only a country's two letters follow, as in `shop.com.vn`.
_GENERIC: Final = frozenset({"com", "net", "org"})
_OF_A_COUNTRY: Final = 2


def addresses_in(text: str) -> Iterator[tuple[int, int]]:
    """Begin and end of each address in a folded text (see `folding`), in order.

    Few scripts put a blank beside an address. So each label, and the name before the @, is of one script, and
    a change of script ends the address. A sentence may go on behind the dot: see `_goes_on`.
    """
    at, free_from = text.find("@"), 0
    while at >= 0:
        begin = _begin_of_name(text, at, free_from)
        end = _end_of_domain(text, at + 1)
        if begin < at and end > at:
            yield begin, end
            free_from = end
        at = text.find("@", max(at + 1, end))


def _begin_of_name(text: str, at: int, free_from: int) -> int:
    """Where the name before the @ begins; `at` if there is none."""
    begin, script = at, None
    while begin > free_from:
        character = text[begin - 1]
        if _is_of_word(character):
            of = _script(character)
            if of is not None and script is not None and of != script:
                break
            script = script or of
        elif character not in _IN_NAME or text[begin - 1 : begin + 1] == "..":
            break
        begin -= 1
        if at - begin > _LONGEST_NAME:
            return at
    while begin < at and text[begin] in ".+%'-":
        begin += 1
    return begin


def _end_of_domain(text: str, begin: int) -> int:
    """Where the domain that begins there ends; -1 if there is none."""
    labels: list[str] = []
    ends: list[int] = []
    place = begin
    while True:
        end = _end_of_label(text, place)
        label = text[place:end]
        if not 0 < len(label) <= _LONGEST_LABEL or (_is_whole(labels) and _goes_on(labels, label)):
            break
        labels.append(label)
        ends.append(end)
        if text[end : end + 1] == "_" and _is_label_of_more(text, end + 1):
            return -1  # no domain has this sign
        if end >= len(text) or text[end] not in _DOTS:
            break
        place = end + 1
    while labels and not _is_whole(labels):
        shorter = labels[-1].partition("-")[0]
        if len(labels) > 1 and shorter != labels[-1] and _is_last(shorter):
            return ends[-1] - len(labels[-1]) + len(shorter)
        labels.pop()
        ends.pop()
    return ends[-1] if labels else -1


def _end_of_label(text: str, begin: int) -> int:
    end, script = begin, None
    while end < len(text):
        character = text[end]
        if character == "-":
            end += 1
            continue
        if character == "_" or not _is_of_word(character):
            break
        of = _script(character)
        if of is not None and script is not None and of != script:
            break
        script = script or of
        end += 1
    while end > begin and text[end - 1] == "-":
        end -= 1
    return begin if text[begin : begin + 1] == "-" else end


def _is_label_of_more(text: str, begin: int) -> bool:
    end = _end_of_label(text, begin)
    return begin < end < len(text) - 1 and text[end] == "." and text[end + 1].isalnum()


def _is_whole(labels: list[str]) -> bool:
    return len(labels) > 1 and _is_last(labels[-1])


def _is_last(label: str) -> bool:
    """Whether a domain may end with it."""
    if label.lower().startswith("xn--"):
        return True
    has_letters = all(unicodedata.category(each)[0] in "LM" for each in label)
    return has_letters and _OF_A_COUNTRY <= len(label) <= _LONGEST_LAST


def _goes_on(labels: list[str], following: str) -> bool:
    """Whether what follows the dot of a whole domain is the next sentence's: `ann@example.com.Thanks`."""
    last = labels[-1]
    if _script_of(following) not in (_script_of(last), None):
        return True
    if following[0].isupper() and not last[0].isupper() and following != following.upper():
        return True
    if following[:1].isdigit() or not following.isascii():
        return last.isascii() and last.lower() in _GENERIC
    return last.lower() in _GENERIC and len(following) > _OF_A_COUNTRY


@lru_cache(maxsize=4096)
def _script(character: str) -> str | None:
    """The script of a letter; None for what any script uses."""
    category = unicodedata.category(character)
    if category[0] not in "LM":
        return None
    name = unicodedata.name(character, "").partition(" ")[0]
    if name in {"COMBINING", "MODIFIER"}:
        return None
    return _AS_ONE.get(name, name)


def _script_of(label: str) -> str | None:
    return next((of for of in map(_script, label) if of is not None), None)


def _is_of_word(character: str) -> bool:
    return character.isalnum() or unicodedata.category(character)[0] == "M"
