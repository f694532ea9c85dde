"""Phone numbers in a folded text: what `phonenumbers` finds, without what is a date, a price or a code."""

import re
from collections.abc import Iterator
from itertools import islice
from typing import Final

# A sign before a number that makes it an order's, or a part of a name.
_OF_A_NAME: Final = frozenset("#_=&")

# Some countries have shorter numbers; so have years, sizes and ports.
_FEWEST_DIGITS: Final = 7

# A stranger writes the text, and each of these takes up to a thousandth of a second.
_MOST_TRIES: Final = 500
_MOST_NUMBERS: Final = 100

# Dates and hours. Between their parts stand the signs that stand in phone numbers too.
_DAY: Final = r"(?:0?[1-9]|[12]\d|3[01])"
_MONTH: Final = r"(?:0?[1-9]|1[0-2])"
_YEAR: Final = r"(?:19|20|25)\d\d"
_FULL_DATE: Final = (
    rf"(?:{_DAY}(?P<{{0}}1>\. ?|/| ?- ?| ){_MONTH}(?P={{0}}1){_YEAR}"
    rf"|{_MONTH}(?P<{{0}}2>\. ?|/| ?- ?| ){_DAY}(?P={{0}}2){_YEAR}"
    rf"|{_YEAR}(?P<{{0}}3>\. ?|/| ?- ?| ){_MONTH}(?P={{0}}3){_DAY}"
    rf"|{_DAY}(?P<{{0}}4>\. ?|/|-){_MONTH}(?P={{0}}4)\d\d)"
)
_PART: Final = (
    rf"(?:{_MONTH}[./-]{_YEAR}|{_YEAR}[./-]{_MONTH}|{_DAY}[./]{_DAY}\.?"
    rf"|(?:[01]?\d|2[0-4])[.:h][0-5]\d|{_YEAR})"
)
_TO: Final = r" ?[-/~] ?"
_DATE: Final = re.compile(
    r"(?<![\d+(])(?<!\d[./-])"
    rf"(?:{_FULL_DATE.format('a')}(?:{_TO}(?:{_FULL_DATE.format('b')}|{_PART}))?"
    rf"|{_PART}{_TO}(?:{_FULL_DATE.format('c')}|{_PART}))"
    r"(?![\d)]|[./-]\d)"
)

# Prices: thousands, and what stands before or behind an amount.
_THOUSANDS: Final = r"[1-9]\d{0,2}(?:[.,' ]\d{3})+(?:[.,]\d{1,2})?"
_CURRENCY: Final = (
    r"(?:[$\u00a3\u00a5\u0e3f\u20a0-\u20bf\u5143\u5186\u584a]|\u0111(?:\u1ed3ng)?|vn[d\u0111]|rp|rs|rm|usd|eur|euros?|gbp|jpy|cny|rmb"
    r"|idr|php|thb|baht|krw|inr|dollars?|z\u0142|pln|k\u010d|czk|huf|ft|kr|sek|nok|dkk|chf|r\$|brl|mxn|ars|clp|cop|\u0440\u0443\u0431"
    r"|\u20bd|t\u1ef7|tri\u1ec7u|tr|k)"
)
_PRICE: Final = re.compile(
    rf"(?<![\d.+]){_CURRENCY} ?(?:{_THOUSANDS}|[1-9]\d*(?:[.,]\d{{1,2}})?)(?![\d.-]\d|\d)"
    rf"|(?<![\d.+-])(?:{_THOUSANDS}|[1-9]\d*(?:[.,]\d{{1,2}})?) ?{_CURRENCY}(?![^\W\d_])"
    r"|(?<![\d.+-])[1-9]\d{0,2}(?:\.\d{3})*\.000(?![\d.-])",
    re.IGNORECASE,
)

# Codes: cards, accounts (IBAN), addresses in a network, coordinates, hexadecimal numbers.
_CODE: Final = re.compile(
    r"(?<![\d+])\d{4}(?P<between>[ -])\d{4}(?P=between)\d{4}(?P=between)\d{1,4}(?!\d)"
    r"|\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){3,7}(?: ?[A-Z0-9]{1,3})?\b"
    r"|(?<![\d.])(?=[\d.]*(?<!\d)(?:\d|\d{3})(?!\d))(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?:25[0-5]|2[0-4]\d|1?\d?\d)){3}(?![\d.])"
    r"|-?\b\d{1,3}\.\d{4,}, ?-?\d{1,3}\.\d{4,}"
    r"|\[ *\d+\.\d+\]"
    r"|\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"
)
# Words that say that the number behind them is no phone's.
_NO_PHONE: Final = re.compile(
    r"(?:\b(?:order|invoice|tracking|track|account|acct|booking|reference|ref|bestell|auftrags|rechnungs|kunden"
    r"|konto|commande|facture|pedido|fattura|ordine|factura|resi|pesanan|rekening)"
    r"[ -]?(?:number|code|id|no|nr|nummer|num)?"
    r"|\bm\u00e3 (?:\u0111\u01a1n(?: h\u00e0ng)?|v\u1eadn \u0111\u01a1n|s\u1ed1|kh\u00e1ch h\u00e0ng)"
    r"|\bs\u1ed1 t\u00e0i kho\u1ea3n|\bstk"
    r"|[\u5355\u55ae\u8ba2\u8a02\u8d26\u5e33\u53e3\u6ce8][\u53f7\u865f\u756a]\u53f7?|\u6ce8\u6587\u756a\u53f7|\u53e3\u5ea7\u756a\u53f7"
    r"|\uc8fc\ubb38\ubc88\ud638|\uacc4\uc88c\ubc88\ud638|\uacc4\uc88c|\u0e40\u0e25\u0e02\u0e1a\u0e31\u0e0d\u0e0a\u0e35|\u0e40\u0e25\u0e02\u0e1e\u0e31\u0e2a\u0e14\u0e38)"
    r"(?: *[:#=.]| +is| +l\u00e0| +ist| +est| +es)* *$",
    re.IGNORECASE,
)
_BEFORE: Final = 40
# Words for a phone: a number may follow without a blank, or behind a sign.
_PHONE_WORD: Final = re.compile(
    r"(?<![^\W_])((?:s[d\u0111]t|[d\u0111]t|zalo|viber|tel|tlf|tlp|telp|telefon|tel[e\u00e9]fono|phone|mobile|mob|cell|handy|call"
    r"|whatsapp|wa|hotline|hp|no|alo|lh|li\u00ean h\u1ec7)[.:=_# -]{0,3})(?=[+(]?\d)",
    re.IGNORECASE,
)
# A word, written to the end of a number without a blank.
_WORD_BEHIND: Final = re.compile(r"(?<=\d{5})(?=[^\W\d_]{1,12}(?![\w@.-]\w))")
_PROLONGED: Final = re.compile("(?<=[0-9])\u30fc(?=[0-9])")
# Two numbers with a dash between them.
_TWO_NUMBERS: Final = re.compile(r"(?<=\d{8}) ?- ?(?=(?:\+|0)\d{8})")


def phone_numbers_in(text: str, region: str | None) -> Iterator[str]:
    """The numbers of a folded text (see `folding`) as of E.164; without a region those with a plus."""
    if region is None and "+" not in text:
        return
    # Its tables take a while to load, and many a text has no number in it.
    import phonenumbers  # noqa: PLC0415

    read = _readable(text)
    matches = phonenumbers.PhoneNumberMatcher(read, region, max_tries=_MOST_TRIES)
    for match in islice(matches, _MOST_NUMBERS):
        extension = len(match.number.extension or "")
        digits = sum(map(str.isdigit, match.raw_string)) - extension
        if digits >= _FEWEST_DIGITS and not _is_of_something_else(read, match.start):
            yield phonenumbers.format_number(match.number, phonenumbers.PhoneNumberFormat.E164)


def _readable(text: str) -> str:
    """The text without dates, prices and codes, and with a blank where people leave it out."""
    for pattern in (_CODE, _PRICE, _DATE):
        text = pattern.sub(" , ", text)
    text = _PHONE_WORD.sub(r"\1 ", _PROLONGED.sub("-", text))
    return _TWO_NUMBERS.sub(" , ", _WORD_BEHIND.sub(" ", text))


def _is_of_something_else(text: str, start: int) -> bool:
    """Whether what stands before a number says that it is no phone's; a plus says that it is."""
    if start == 0:
        return False
    if text[start - 1] in _OF_A_NAME:
        return True
    return text[start] != "+" and bool(_NO_PHONE.search(text[max(start - _BEFORE, 0) : start]))
