"""Which fields each type has, and what is left of a value for those asked for (graph-facts 1.7)."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from inboxsync.sandbox.fields import Field
from inboxsync.sandbox.nodes import MESSAGE_FIELDS, THREAD_FIELDS
from inboxsync.sandbox.refusal import no_subfields, unknown_field

# The type behind each expandable field, and what each type has.
_TYPES = {
    "messages": "Message",
    "participants": "User",
    "senders": "User",
    "former_participants": "User",
    "from": "User",
    "to": "User",
    "users": "User",
    "attachments": "MessageAttachment",
    "shares": "MessageShare",
    "reactions": "MessageReaction",
    "tags": "MessageTag",
    "reply_to": "MessageReply",
    "story": "MessageStory",
    "mention": "MessageStoryPart",
    "image_data": "MessageImage",
    "video_data": "MessageVideo",
    "generic_template": "MessageTemplate",
    "template": "MessageTemplate",
    "cta": "MessageAction",
}
_KNOWN: Mapping[str, Collection[str]] = {
    "UnifiedThread": {*THREAD_FIELDS, "id", "messages"},
    "Message": {*MESSAGE_FIELDS, "id"},
    "User": {"id", "name", "email", "username", "user_id"},
    "MessageAttachment": {
        *("id", "mime_type", "name", "size", "image_data", "video_data", "file_url", "generic_template"),
        *("type", "sticker_id", "ig_post_media_id", "title", "url"),
    },
    "MessageShare": {"id", "link", "name", "description", "picture", "template"},
    "MessageReaction": {"id", "reaction", "users"},
    "MessageTag": {"id", "name"},
    "MessageReply": {"id", "mid", "is_self_reply"},
    "MessageStory": {"id", "reply_to", "mention"},
    "MessageStoryPart": {"id", "link"},
    "MessageImage": {
        *("id", "width", "height", "max_width", "max_height", "url", "preview_url", "image_type"),
        *("render_as_sticker", "animated_gif_url", "animated_gif_preview_url", "raw_gif_image"),
    },
    "MessageVideo": {"id", "width", "height", "length", "video_type", "url", "preview_url", "rotation"},
    "MessageTemplate": {"id", "title", "subtitle", "media_url", "medial_url", "cta"},
    "MessageAction": {"id", "title", "type", "url"},
}


def check_fields(fields: Iterable[Field], node: str) -> None:
    """Raise Refusal for a field that a type does not have, however deep.

    Before anything is looked up: an empty list refuses the same fields as a full one.
    """
    for field in fields:
        if field.name not in _KNOWN[node]:
            raise unknown_field(field.name, node)
        if field.inner is None:
            continue
        # A story's reply is to a story, a message's to a message.
        kind = _TYPES.get("mention" if node == "MessageStory" else field.name)
        if kind is None:
            raise no_subfields(field.name)
        check_fields(field.inner, kind)


def narrow(field: Field, value: Any) -> Any:
    """A part, with only those of its fields that were asked for."""
    # What a share contains is served only if it is asked for by name (graph-facts 1.6).
    inner = field.inner if field.inner is not None or field.name != "shares" else (Field(name="id"),)
    if inner is None or value is None:
        return value
    if isinstance(value, dict) and isinstance(value.get("data"), list):
        limit = field.arguments.get("limit", "")
        entries = value["data"][: int(limit)] if limit.isdecimal() else value["data"]
        return {**value, "data": [_pick(entry, inner) for entry in entries]}
    if isinstance(value, list):
        return [_pick(entry, inner) for entry in value]
    return _pick(value, inner) if isinstance(value, dict) else value


def _pick(entry: dict[str, Any], inner: Iterable[Field]) -> dict[str, Any]:
    asked = {field.name: field for field in inner}
    # The id is always there.
    return {
        key: narrow(asked[key], value) if key in asked else value
        for key, value in entry.items()
        if key in asked or key == "id"
    }
