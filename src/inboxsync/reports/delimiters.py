"""What stands between the cells of CSV, by name, by sign, and by the locale of the Excel that opens it.

Excel separates lists, and so the cells of a CSV, by `;` where a comma is the decimal sign, else by `,`.
CLDR says where that is (https://cldr.unicode.org, "numbers/symbols/decimal").
"""

import os
import re
from typing import Final

from inboxsync.errors import SettingsInvalid
from inboxsync.reports.cells import DELIMITERS

_NAMES: Final = {"comma": ",", "semicolon": ";", "tab": "\t", "\\t": "\t", "pipe": "|"}
_DECIMAL_COMMA: Final = frozenset(
    re.findall(
        "[a-z]+",
        "af az be bg bs ca cs da de el es et eu fi fo fr fy gl hr hu hy id is it ka kk kl ky lb lt lv mk mn "
        "nb nl nn no os pl pt ro ru sk sl sq sr sv tk tr tt uk uz vi",
    )
)
# Countries that write another decimal sign than most who speak their language.
_OTHERWISE: Final = {
    "es": frozenset({"419", "BZ", "CU", "DO", "GT", "HN", "MX", "NI", "PA", "PE", "PR", "SV", "US"}),
    "de": frozenset(("CH", "LI")),
    "it": frozenset(("CH",)),
    "en": frozenset({"AT", "BE", "DE", "DK", "FI", "NL", "SE", "SI", "ZA"}),
    "ar": frozenset({"DZ", "LB", "LY", "MA", "MR", "TN"}),
}
_LOCALE: Final = re.compile(
    r"([a-z]{2,3})(?:[_-][A-Z][a-z]{3})?(?:[_-]([A-Z]{2}|\d{3}))?(?:[.@].*)?", re.IGNORECASE
)


def delimiter_of(text: str) -> str:
    """The delimiter that a name (`semicolon`) or the sign itself means. Raises SettingsInvalid for others."""
    delimiter = _NAMES.get(text.lower(), text)
    if delimiter not in DELIMITERS:
        raise SettingsInvalid(
            f"{text!r} is no delimiter of CSV.", hint="Choose one: comma, semicolon, tab or pipe."
        )
    return delimiter


def delimiter_of_excel(locale: str) -> str:
    """The delimiter that Excel expects in a locale, such as `de`, `vi-VN` or `pt_BR`.

    `auto`: the locale of this process, as LC_ALL, LC_NUMERIC or LANG name it. Raises SettingsInvalid for
    what is no locale.
    """
    named = _own_locale() if locale.lower() == "auto" else locale
    parts = _LOCALE.fullmatch(named)
    if parts is None:
        raise SettingsInvalid(
            f"{locale!r} is no locale.", hint="Name one such as de, vi-VN or pt-BR, or auto."
        )
    language, country = parts[1].lower(), (parts[2] or "").upper()
    has_comma = language in _DECIMAL_COMMA
    if country in _OTHERWISE.get(language, frozenset()):
        has_comma = not has_comma
    return ";" if has_comma else ","


def delimiter_asked(delimiter: str | None, excel: str | None, *, is_csv: bool) -> str:
    """The delimiter that one of the two names; a comma without. Raises SettingsInvalid."""
    if delimiter is None and excel is None:
        return ","
    if not is_csv:
        raise SettingsInvalid(
            "Only CSV has a delimiter.",
            hint="Leave out the delimiter and the locale of Excel, or choose csv.",
        )
    if excel is None:
        return delimiter_of(delimiter or ",")
    if delimiter is not None:
        raise SettingsInvalid(
            "The delimiter and the locale of Excel both name the delimiter.",
            hint="Use one of them: the delimiter, or the locale.",
        )
    return delimiter_of_excel(excel)


def _own_locale() -> str:
    found = next(
        (os.environ[name] for name in ("LC_ALL", "LC_NUMERIC", "LANG") if os.environ.get(name)), "en"
    )
    return "en" if found.partition(".")[0] in {"C", "POSIX"} else found
