"""A conversation as the page shows it: days, messages, and gaps where messages are missing. Pure."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from hashlib import sha256
from types import MappingProxyType
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import msgspec

from inboxsync.store.reading import Gap, MessageRecord
from inboxsync.web.explained import plain

_UNREADABLE: Final = "The platform gives only the time of this message."
_LONGEST_QUOTE: Final = 120
_NOTHING: Final = "A message without text."
_KINDS: Final = {"image": "Image", "video": "Video", "audio": "Audio"}
_TYPES: Final = {"sticker": "Sticker", "ig_post": "Shared post"}
_META: Final = ("facebook.com", "instagram.com", "messenger.com")
# The fields in which an attachment may have its address.
_PLACES: Final = ("image_data", "video_data", "audio_data")


@dataclass(frozen=True, slots=True, kw_only=True)
class Attached:
    """An attachment of a message. `href` is empty if the source gives no address."""

    label: str
    href: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """What a message answers: who wrote it, how it begins, and where it is; `href` empty where it is not."""

    who: str
    text: str
    href: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry of the page: a message, a new day, or a gap."""

    kind: Literal["message", "day", "gap"]
    text: str
    is_from_page: bool = False
    is_found: bool = False
    anchor: str = ""
    who: str = ""
    remark: str = ""
    reply_to: str = ""
    quote: Quote | None = None
    attachments: tuple[Attached, ...] = ()
    at: datetime | None = None
    reactions: str = ""


def entries_of(
    messages: Sequence[MessageRecord],
    gaps: Sequence[Gap],
    *,
    names: tuple[str, str],
    zone: tzinfo,
    found: str = "",
    answered: Mapping[str, MessageRecord] = MappingProxyType({}),
    link: Callable[[MessageRecord], str] = lambda _: "",
) -> Iterator[Entry]:
    """`messages` are newest first, the entries oldest first. `names` are the contact's and the Page's.

    Days are those of `zone`. `found` is the id of the message that the search found. `answered` are messages
    that are not on the page, and that some of these answer, by their ids; `link` is the address of such a
    message.
    """
    above = {gap.above_message_id: gap for gap in gaps}
    shown = {message.message_id: message for message in messages}

    def quote(message_id: str) -> Quote:
        if message_id in shown:
            return _quote(shown[message_id], names, f"#{anchor_of(message_id)}")
        if message_id in answered:
            return _quote(answered[message_id], names, link(answered[message_id]))
        return Quote(who="", text="A message that is not stored", href="")

    day = None
    for message in reversed(messages):
        at = message.sent_at
        if at is not None and at.astimezone(zone).date() != day:
            day = at.astimezone(zone).date()
            yield Entry(kind="day", text=f"{day:%A, %-d %B %Y}")
        entry = _message_entry(message, names, shown, is_found=message.message_id == found)
        yield (
            replace(entry, quote=quote(message.reply_to_message_id)) if message.reply_to_message_id else entry
        )
        if gap := above.get(message.message_id):
            yield gap_entry(gap)


def gap_entry(gap: Gap) -> Entry:
    """A place where messages are missing that the source has."""
    why = f" {plain(gap.problem)}" if gap.problem else ""
    return Entry(kind="gap", text=f"Messages are missing here. The next sync fetches them.{why}")


def anchor_of(message_id: str) -> str:
    """The anchor of a message on the page: only letters and digits, whatever Graph's id contains."""
    return f"m{sha256(message_id.encode()).hexdigest()[:16]}"


def _message_entry(
    message: MessageRecord, names: tuple[str, str], shown: Collection[str], *, is_found: bool
) -> Entry:
    attached = tuple(_attached(message))
    text = message.text or ""
    remark = "" if text or attached else (_NOTHING if message.is_readable else _UNREADABLE)
    reply_to = message.reply_to_message_id or ""
    return Entry(
        kind="message",
        text=text,
        is_from_page=message.is_from_page,
        is_found=is_found,
        anchor=anchor_of(message.message_id),
        who=_who(message, names),
        remark=remark,
        reply_to=anchor_of(reply_to) if reply_to in shown else "",
        attachments=attached,
        at=message.sent_at,
        reactions=_reactions(message),
    )


def _who(message: MessageRecord, names: tuple[str, str]) -> str:
    contact, page = names
    return page if message.is_from_page else message.sender_name or contact


def _quote(message: MessageRecord, names: tuple[str, str], href: str) -> Quote:
    text = " ".join((message.text or "").split())
    if len(text) > _LONGEST_QUOTE:
        text = f"{text[:_LONGEST_QUOTE].rstrip()} …"
    attached = next(_attached(message), None)
    kind = attached.label if attached else _NOTHING if message.is_readable else _UNREADABLE
    return Quote(who=_who(message, names), text=text or kind, href=href)


def _attached(message: MessageRecord) -> Iterator[Attached]:
    for each in _list(message.attachments):
        yield _attachment(each)
    for each in _list(message.shares):
        link = _text(each.get("link"))
        yield Attached(label=_text(each.get("name")) or link or "Shared link", href=_safe(link))
    if message.sticker:
        yield Attached(label="Sticker", href=_safe(message.sticker))
    for story in _list(f"[{message.story}]" if message.story else None):
        link = next((found for found in map(_link_in, story.values()) if found), "")
        yield Attached(label="Story", href=_safe(link))


def _attachment(sent: Mapping[str, Any]) -> Attached:
    kind = _text(sent.get("mime_type")).partition("/")[0]
    name = _text(sent.get("name"))
    link = _text(sent.get("file_url"))
    for place in _PLACES:
        link = link or _link_in(sent.get(place))
    label = name or _KINDS.get(kind) or _TYPES.get(_text(sent.get("type")), "Attachment")
    if name and kind in _KINDS:
        label = f"{_KINDS[kind]}: {name}"
    template = sent.get("generic_template")
    if isinstance(template, dict) and not name:
        label = _text(template.get("title")) or "Template"
    return Attached(label=label, href=_safe(link))


def _link_in(part: object) -> str:
    """The address inside a nested object: `{url}` or `{link}`."""
    if not isinstance(part, dict):
        return ""
    return _text(part.get("url")) or _text(part.get("link"))


def _reactions(message: MessageRecord) -> str:
    parts = []
    for each in _list(message.reactions):
        users = each.get("users")
        count = len(users) if isinstance(users, list) else 1
        parts.append(f"{_text(each.get('reaction'))[:8]} {count}")
    return "  ".join(parts)


def _list(sent: str | None) -> list[dict[str, Any]]:
    """The objects of a list that the source sent as JSON; empty if it is anything else."""
    if not sent:
        return []
    try:
        decoded = msgspec.json.decode(sent)
    except msgspec.DecodeError:
        return []
    return [each for each in decoded if isinstance(each, dict)] if isinstance(decoded, list) else []


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def address_at_meta(link: str | None) -> str:
    """Where a conversation is opened at Meta; empty where the source gives no address of Meta's.

    It gives a path, `/{page-id}/inbox/{n}/` (graph-facts 1.4-7), and may give a whole address.
    """
    if not link or not link.isascii() or not link.isprintable() or " " in link:
        return ""
    address = f"https://www.facebook.com{link}" if link.startswith("/") and link[1:2] not in "/\\" else link
    try:
        host = urlsplit(address).hostname or ""
    except ValueError:
        return ""
    is_metas = address.startswith("https://") and any(
        host == domain or host.endswith(f".{domain}") for domain in _META
    )
    return address if is_metas else ""


def _safe(link: str) -> str:
    """A web address, or nothing: a link from the source may be anything, even a script."""
    try:
        parts = urlsplit(link)
    except ValueError:
        return ""
    return link if parts.scheme in ("http", "https") and parts.netloc else ""
