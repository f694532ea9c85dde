"""Phone numbers and e-mail addresses in what people write."""

import re
from collections.abc import Iterator
from typing import Final

EMAIL: Final = "email"
PHONE: Final = "phone"
_ADDRESS = re.compile(
    r"(?<![\w+%])\w[\w.+%'-]{0,63}@(?:[^\W_](?:(?:[^\W_]|-){0,61}[^\W_])?\.)+[^\W\d_]{2,24}(?![\w-])"
)
# What is read past, as a blank: three dots are no part of an address, and the digits of a web address are
# mostly a product's. Those of a messenger's are a number with its country's, without the plus.
_ELLIPSIS = re.compile(r"\.{3,}")
_LINK = re.compile(r"https?://\S+", re.IGNORECASE)
_LINK_TO_NUMBER = re.compile(
    r"https?://(?:wa\.me/|(?:api|web)\.whatsapp\.com/send/?\?phone=)\+?(?=\d)", re.IGNORECASE
)
# A sign before a number that makes it an order's, or a part of a name.
_OF_A_NAME = frozenset("#_=&")
# Seven digits at least, with no more than a few signs between them: few texts have that, and the real look is
# a thousand times as slow.
_MAYBE_PHONE = re.compile(r"\d(?:[\s().\-\u2010-\u2015/\u00a0]{0,4}\d){6}")
_PLUS = ("+", "\uff0b")


def details_in(text: str, *, region: str | None) -> Iterator[tuple[str, str]]:
    """What of a text is a phone number or an e-mail address: (kind, value), each once.

    Numbers are valid ones as of E.164. Without a `region` (a country's two letters) only those count that are
    written with a plus and their country's number.
    """
    found: dict[tuple[str, str], None] = {}
    text = _LINK.sub(" ", _LINK_TO_NUMBER.sub("+", text.replace("\uff20", "@")))
    if "@" in text:
        plain = _ELLIPSIS.sub(" ", text)
        found.update(dict.fromkeys((EMAIL, match[0].lower()) for match in _ADDRESS.finditer(plain)))
    if _MAYBE_PHONE.search(text) and (region or any(plus in text for plus in _PLUS)):
        found.update(dict.fromkeys((PHONE, number) for number in _phone_numbers(text, region)))
    yield from found


def _phone_numbers(text: str, region: str | None) -> Iterator[str]:
    # Its tables take a while to load, and many a text has no number in it.
    import phonenumbers  # noqa: PLC0415

    for match in phonenumbers.PhoneNumberMatcher(text, region):
        if text[max(match.start - 1, 0)] in _OF_A_NAME:
            continue
        yield phonenumbers.format_number(match.number, phonenumbers.PhoneNumberFormat.E164)
