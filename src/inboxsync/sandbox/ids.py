"""Ids in the shapes that Meta gives them (graph-facts 1.4, 1.10), the same in every process.

An id contains what it identifies, so that a lookup needs no table: a million
conversations need no memory.
"""

import base64
import hashlib
import re

_PAGE_FLOOR = 100_000_000_000_000
_INSTAGRAM_FLOOR = 17_841_400_000_000_000
_PSID_FLOOR = 24_000_000_000_000_000
_IGSID_FLOOR = 3_000_000_000_000_000
_THREAD_FLOOR = 10**14
_PER_PAGE = 10**9
_LONGEST_ID = 20
# Of so many conversations two have ids in older forms, and so have their first messages.
_OLD_EVERY = 97
_OLD_MESSAGES = 12
_OLD_MS = 1_330_000_000_000
_OLD_THREAD = re.compile(r"t_mid\.\d{1,20}:([0-9a-f]{16})")
_OLD_MESSAGE = re.compile(r"m_mid\.\d{1,20}:([0-9a-f]{8})([0-9a-f]{12})([0-9a-f]{6})")


def digest(*parts: object) -> bytes:
    """32 bytes that depend on every part."""
    return hashlib.blake2b("\x1f".join(map(str, parts)).encode(), digest_size=32).digest()


def number(*parts: object, below: int) -> int:
    """A number from 0 to `below` that depends on every part."""
    return int.from_bytes(digest(*parts)[:8], "big") % below


def page_id(world_key: str, index: int) -> str:
    """15 digits; two different worlds do not share one."""
    return str(_PAGE_FLOOR + number(world_key, "page", index, below=8 * _PAGE_FLOOR))


def instagram_id(world_key: str, index: int) -> str:
    """17 digits, as 17841..."""
    return str(_INSTAGRAM_FLOOR + number(world_key, "instagram", index, below=10**11))


def token(world_key: str, *names: object) -> str:
    """An access token: EAA..., as Meta's begin."""
    return "EAAS" + base64.urlsafe_b64encode(digest(world_key, "token", *names) * 3).decode().rstrip("=")


def person_id(page: str, slot: int, *, is_instagram: bool) -> str:
    """Another one for each Page: 17 digits, more than a double holds, or 16 on Instagram."""
    floor = _IGSID_FLOOR if is_instagram else _PSID_FLOOR
    return str(floor + (int(page) % 10**4) * 10**11 + slot)


def thread_id(slot: int, page_number: int) -> str:
    """`t_` and digits; of a few conversations `t_id.<n>` or `t_mid.<ms>:<hex>`, as older ones have."""
    number = page_number * _PER_PAGE + slot
    match slot % _OLD_EVERY:
        case 41:
            return f"t_mid.{_OLD_MS + slot}:{number:016x}"
        case 42:
            return f"t_id.{_THREAD_FLOOR + number}"
    return f"t_{_THREAD_FLOOR + number}"


def slot_of_thread(text: str) -> tuple[int, int] | None:
    """(page number, slot) of a Messenger thread id; None where it is none."""
    form = _OLD_THREAD.fullmatch(text)
    if form is not None:
        whole = int(form[1], 16)
    else:
        digits = text.removeprefix("t_").removeprefix("id.")
        if not (digits.isdecimal() and digits.isascii() and len(digits) <= _LONGEST_ID):
            return None
        whole = int(digits) - _THREAD_FLOOR
    number, slot = divmod(whole, _PER_PAGE)
    return (number, slot) if number >= 0 and thread_id(slot, number) == text else None


def message_id(page_number: int, slot: int, ordinal: int) -> str:
    """`m_` and 86 characters, the first 16 bytes of which say which message it is.

    The older ones of a few conversations are `m_mid.<ms>:<hex>`, those of others `m_mid.$<...>`.
    """
    if slot % _OLD_EVERY == 41 and ordinal < _OLD_MESSAGES:
        return f"m_mid.{_OLD_MS + ordinal}:{page_number:08x}{slot:012x}{ordinal:06x}"
    modern = _modern_message_id(page_number, slot, ordinal)
    is_middling = slot % _OLD_EVERY == 42 and ordinal < _OLD_MESSAGES
    return modern.replace("m_", "m_mid.$", 1) if is_middling else modern


def _modern_message_id(page_number: int, slot: int, ordinal: int) -> str:
    head = page_number.to_bytes(4, "big") + slot.to_bytes(6, "big") + ordinal.to_bytes(6, "big")
    mask = digest("message", page_number, slot, ordinal)
    return "m_" + base64.urlsafe_b64encode(head + mask + mask[:16]).decode().rstrip("=")


def place_of_message(text: str) -> tuple[int, int, int] | None:
    """(page number, slot, ordinal) of a message id; None where it is none of ours."""
    form = _OLD_MESSAGE.fullmatch(text)
    if form is not None:
        old = int(form[1], 16), int(form[2], 16), int(form[3], 16)
        return old if message_id(*old) == text else None
    try:
        raw = base64.urlsafe_b64decode(text.removeprefix("m_").removeprefix("mid.$") + "==")
    except ValueError:
        return None
    place = (
        int.from_bytes(raw[:4], "big"),
        int.from_bytes(raw[4:10], "big"),
        int.from_bytes(raw[10:16], "big"),
    )
    return place if message_id(*place) == text else None


def instagram_thread_id(account: str, page_number: int, slot: int) -> str:
    """Base64 of what Instagram's ids decode to."""
    return _instagram(f"ig_dm:1:IGMessageThread:{account}:{_thread_number(page_number, slot)}")


def instagram_message_id(account: str, page_number: int, slot: int, ordinal: int) -> str:
    """Likewise for a message."""
    item = 3 * 10**34 + ordinal
    return _instagram(f"ig_dm_item:1:IGMessageID:{account}:{_thread_number(page_number, slot)}:{item}")


def place_of_instagram(text: str) -> tuple[int, int, int | None] | None:
    """(page number, slot, ordinal or None for a thread) of an Instagram id; None where it is none."""
    try:
        parts = base64.urlsafe_b64decode(text.replace("ZD", "=") + "==").decode().split(":")
        page_number, slot = divmod(int(parts[4]) - 3 * 10**38, _PER_PAGE)
        ordinal = int(parts[5]) - 3 * 10**34 if parts[0] == "ig_dm_item" else None
    except (ValueError, IndexError):
        return None
    if ordinal is None:
        back = instagram_thread_id(parts[3], page_number, slot)
    else:
        back = instagram_message_id(parts[3], page_number, slot, ordinal)
    return (page_number, slot, ordinal) if back == text else None


def _thread_number(page_number: int, slot: int) -> int:
    return 3 * 10**38 + page_number * _PER_PAGE + slot


def _instagram(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().replace("=", "ZD")
