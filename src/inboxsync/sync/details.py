"""Phone numbers and e-mail addresses in what people write."""

import re
from collections.abc import Iterator
from typing import Final

from inboxsync.sync.addresses import addresses_in
from inboxsync.sync.folding import folded
from inboxsync.sync.links import without_links
from inboxsync.sync.phone_numbers import phone_numbers_in

EMAIL: Final = "email"
PHONE: Final = "phone"
# Seven digits of any script, not far from each other: few texts have them, and to look closely is a thousand
# times as slow. Every sign may stand between them, so no number is lost here.
_MAYBE_PHONE = re.compile(r"\d(?:\D{0,8}\d){6}")
# A stranger writes the text: only so much of it is searched.
_LONGEST: Final = 20_000
_AT = ("@", "\uff20", "\ufe6b")


def details_in(text: str, *, region: str | None) -> Iterator[tuple[str, str]]:
    """What of a text is a phone number or an e-mail address: (kind, value), each once.

    Numbers are valid ones as of E.164. Without a `region` (a country's two letters) only those count that are
    written with a plus and their country's number, and those in links of messengers. Of a very long text, the
    first 20,000 characters and 100 numbers count.
    """
    text = text[:_LONGEST]
    may_have_phone = _MAYBE_PHONE.search(text)
    may_have_address = _AT[0] in text or _AT[1] in text or _AT[2] in text
    if not (may_have_phone or may_have_address):
        return
    # Links come first: what ends one can be told only by the signs as they were written.
    plain = folded(without_links(text))
    found: dict[tuple[str, str], None] = {}
    if may_have_address:
        addresses = list(addresses_in(plain))
        found.update(
            dict.fromkeys(
                (EMAIL, plain[start:end].lower().replace("\u3002", ".")) for start, end in addresses
            )
        )
        # The digits of an address are no number.
        for start, end in reversed(addresses):
            plain = f"{plain[:start]}, {plain[end:]}"
    if may_have_phone:
        found.update(dict.fromkeys((PHONE, number) for number in phone_numbers_in(plain, region)))
    yield from found
