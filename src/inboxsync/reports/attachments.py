"""Attachments, shares, stickers and stories of a message as links for people, in any form that Meta sends."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_MEDIA = ("image_data", "video_data")
# Types of Meta that have no name: `sticker` since 30 Aug 2026, `ig_post` since 27 Apr 2026.
_TYPES = {"sticker": "sticker", "ig_post": "shared post"}
_SCHEMES = ("https://", "http://")


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """Something to open: what it is, and its address; None where Meta sent no address."""

    label: str
    url: str | None


def links_of(
    *,
    attachments: str | None,
    shares: str | None = None,
    sticker: str | None = None,
    story: str | None = None,
) -> tuple[Link, ...]:
    """Everything attached to a message, from the stored JSON; entries of unknown form are omitted."""
    return (
        *(_attachment(entry) for entry in _entries(attachments)),
        *(_share(entry) for entry in _entries(shares)),
        *([Link(label="sticker", url=web_address(sticker))] if sticker else []),
        *_story(story),
    )


def web_address(value: object) -> str | None:
    """The address if it is a web address: no other scheme becomes a link."""
    return value if isinstance(value, str) and value.lower().startswith(_SCHEMES) else None


def _entries(text: str | None) -> Iterator[dict[str, Any]]:
    served = _decoded(text)
    # A list, or Meta's answer with the list in it.
    entries = served.get("data") if isinstance(served, dict) else served
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, dict):
            yield entry


def _decoded(text: str | None) -> Any:  # noqa: ANN401 - any JSON
    try:
        return json.loads(text) if text else None
    except ValueError:
        return None


def _attachment(entry: dict[str, Any]) -> Link:
    address = web_address(entry.get("file_url"))
    for key in _MEDIA:
        media = entry.get(key)
        if address is None and isinstance(media, dict):
            address = web_address(media.get("url"))
    template = entry.get("generic_template")
    if isinstance(template, dict):
        action = template.get("cta")
        address = address or (web_address(action.get("url")) if isinstance(action, dict) else None)
    return Link(label=_label(entry, template), url=address)


def _label(entry: dict[str, Any], template: object) -> str:
    titles = (template.get("title"), template.get("subtitle")) if isinstance(template, dict) else ()
    names = (entry.get("name"), *titles, entry.get("mime_type"))
    return next((each for each in names if isinstance(each, str) and each), _type_label(entry))


def _type_label(entry: dict[str, Any]) -> str:
    kind = entry.get("type")
    return _TYPES.get(kind, "attachment") if isinstance(kind, str) else "attachment"


def _share(entry: dict[str, Any]) -> Link:
    names = (entry.get("name"), entry.get("link"))
    label = next((each for each in names if isinstance(each, str) and each), "shared link")
    return Link(label=label, url=web_address(entry.get("link")))


def _story(text: str | None) -> Iterator[Link]:
    served = _decoded(text)
    for key, label in (("reply_to", "a story it replies to"), ("mention", "a story that mentions the Page")):
        of_kind = served.get(key) if isinstance(served, dict) else None
        if isinstance(of_kind, dict):
            yield Link(label=label, url=web_address(of_kind.get("link")))
