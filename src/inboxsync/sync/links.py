"""Links in what people write: where they end, and which of them are phone numbers."""

import re
from typing import Final

# Scripts without blanks, and the signs that are written between their words: they end a link. In links these
# letters are mostly written as %E4...
_NO_BLANKS: Final = (
    "\u0e00-\u0eff"  # Thai, Lao
    "\u1000-\u109f\u1780-\u17ff"  # Burmese, Khmer
    "\u2e80-\u312f\u31a0-\u9fff\uf900-\ufaff\uff00-\uffef"  # Chinese, Japanese, full-width signs
    "\U00020000-\U0003ffff"
)
_TYPOGRAPHIC: Final = "\u00a0\u00ab\u00bb\u2000-\u206f\u060c\u061b\u06d4\u0964"
_IN_LINK: Final = rf"[^\s<>\"{{}}|\\^`()\[\]{_TYPOGRAPHIC}{_NO_BLANKS}]"
# What follows a comma is not a link's any more if it is a number, with or without a word before it.
_THEN_NUMBER: Final = (
    r"[,;!](?=(?:[^\W\d_]{1,12}[:=.]?)?[+(]?\d(?:[-. ()]{0,2}\d){8,14}(?![\w%/=&?-]|\.\w))|[,;!](?=\+\d)"
)
_HOST: Final = r"(?:[a-z0-9\u00a1-\u02af\u1e00-\u1eff](?:[\w-]{0,61}\w)?\.)+[a-z]{2,24}"
_LINK: Final = re.compile(
    rf"(?:https?://|\bwww\.|(?<![\w@.+-]){_HOST}(?::\d+)?[/?])(?:(?!{_THEN_NUMBER}){_IN_LINK})*",
    re.IGNORECASE,
)
# A messenger's link to a number: the country's number is there, the plus may be missing.
_TO_NUMBER: Final = re.compile(
    r"(?:(?:https?://)?(?:www\.)?(?:(?:wa|zalo|t)\.me/|(?:(?:api|web|www)\.)?whatsapp\.com/send/?\?\S*?\bphone=)"
    r"|(?:whatsapp|viber|zalo)://[a-z]*/?\?\S*?\b(?:phone|number)=)"
    r"(?P<plus>\+|%2b)?(?P<number>\d{7,15})(?!\d)",
    re.IGNORECASE,
)
_TELEGRAM: Final = re.compile(r"(?:https?://)?(?:www\.)?t\.me/", re.IGNORECASE)


def without_links(text: str) -> str:
    """The text with a comma instead of each link, and with the number instead of a messenger's link to it.

    The digits of other links are a product's, mostly.
    """
    if "." not in text and "://" not in text:
        return text
    return _LINK.sub(_replaced, _APPS.sub(_replaced, text))


_APPS: Final = re.compile(rf"\b(?:whatsapp|viber|zalo)://(?:{_IN_LINK})*", re.IGNORECASE)


def _replaced(link: re.Match[str]) -> str:
    to_number = _TO_NUMBER.match(link[0])
    if to_number is None:
        return " , "
    number = to_number["number"]
    if _TELEGRAM.match(link[0]) and not to_number["plus"]:
        return " , "  # the name of somebody that is made of digits
    if number.startswith("0"):
        # Only Zalo knows numbers without a country's; it is Vietnamese.
        return f" , +84{number[1:]} , " if "zalo" in to_number[0].lower() else f" , {number} , "
    return f" , +{number} , "
