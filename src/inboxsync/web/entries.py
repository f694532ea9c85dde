"""A conversation as the page shows it: days, messages, and gaps where messages are missing. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import msgspec

from inboxsync.store.reading import Gap, MessageRecord
from inboxsync.web.explained import plain

_UNREADABLE: Final = "The platform gives only the time of this message."
_NOTHING: Final = "A message without text."
_KINDS: Final = {"image": "Image", "video": "Video", "audio": "Audio"}
_TYPES: Final = {"sticker": "Sticker", "ig_post": "Shared post"}
# The fields in which an attachment may have its address.
_PLACES: Final = ("image_data", "video_data", "audio_data")


@dataclass(frozen=True, slots=True, kw_only=True)
class Attached:
    """An attachment of a message. `href` is empty if the source gives no address."""

    label: str
    href: str = ""


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
    attachments: tuple[Attached, ...] = ()
    at: datetime | None = None
    reactions: str = ""


def entries_of(
    messages: Sequence[MessageRecord],
    gaps: Sequence[Gap],
    *,
    names: tuple[str, str],
    found: str = "",
) -> Iterator[Entry]:
    """`messages` are newest first, the entries oldest first. `names` are the contact's and the Page's.

    `found` is the id of the message that the search found.
    """
    above = {gap.above_message_id: gap for gap in gaps}
    shown = {message.message_id for message in messages}
    day = None
    for message in reversed(messages):
        at = message.sent_at
        if at is not None and at.astimezone(UTC).date() != day:
            day = at.astimezone(UTC).date()
            yield Entry(kind="day", text=f"{day:%A, %-d %B %Y}")
        yield _message_entry(message, names, shown, is_found=message.message_id == found)
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
    message: MessageRecord, names: tuple[str, str], shown: set[str], *, is_found: bool
) -> Entry:
    attached = tuple(_attached(message))
    text = message.text or ""
    remark = "" if text or attached else (_NOTHING if message.is_readable else _UNREADABLE)
    reply_to = message.reply_to_message_id or ""
    contact, page = names
    return Entry(
        kind="message",
        text=text,
        is_from_page=message.is_from_page,
        is_found=is_found,
        anchor=anchor_of(message.message_id),
        who=page if message.is_from_page else message.sender_name or contact,
        remark=remark,
        reply_to=anchor_of(reply_to) if reply_to in shown else "",
        attachments=attached,
        at=message.sent_at,
        reactions=_reactions(message),
    )


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


def _safe(link: str) -> str:
    """A web address, or nothing: a link from the source may be anything, even a script."""
    try:
        parts = urlsplit(link)
    except ValueError:
        return ""
    return link if parts.scheme in ("http", "https") and parts.netloc else ""
