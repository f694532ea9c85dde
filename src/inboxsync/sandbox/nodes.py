"""Graph's objects: a conversation, a message, a person, a Page, field by field (graph-facts 1.4 to 1.6).

"If a field has no data it is not returned": a field's function returns None for that.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from inboxsync.sandbox import ids
from inboxsync.sandbox.fields import Field
from inboxsync.sandbox.mailbox import Mailbox
from inboxsync.sandbox.people import Person
from inboxsync.sandbox.refusal import unknown_field
from inboxsync.sandbox.threads import Message, Thread
from inboxsync.sandbox.world import PageWorld

# On Instagram only so many newest messages of a conversation have details.
READABLE_MESSAGES = 20
# Replaced by another signature in each answer: Meta signs media URLs anew every time.
SIGNATURE = "SIGNATUREOFTHISANSWER"

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class View:
    """How objects are looked at: whose, on which platform."""

    page: PageWorld
    is_instagram: bool

    @property
    def mailbox(self) -> Mailbox:
        """The platform's own conversations."""
        return self.page.instagram if self.is_instagram else self.page.messenger

    def thread_id(self, thread: Thread) -> str:
        """Graph's id of a conversation."""
        if self.is_instagram:
            return ids.instagram_thread_id(self.page.instagram_id, self.page.number, thread.slot)
        return ids.thread_id(thread.slot, self.page.number)

    def message_id(self, thread: Thread, ordinal: int) -> str:
        """Graph's id of a message."""
        if self.is_instagram:
            return ids.instagram_message_id(self.page.instagram_id, self.page.number, thread.slot, ordinal)
        return ids.message_id(self.page.number, thread.slot, ordinal)

    def contact(self, person: Person) -> Json:
        """A contact among participants and senders."""
        if self.is_instagram:
            return {"username": person.username, "id": person.id}
        named = {"name": person.name} if person.name is not None else {}
        return named | {"email": f"{person.id}@facebook.com", "id": person.id}

    def business(self) -> Json:
        """The Page itself among them."""
        if self.is_instagram:
            return {"username": f"business.{self.page.number}", "id": self.page.instagram_id}
        return {"name": self.page.name, "email": f"{self.page.page_id}@facebook.com", "id": self.page.page_id}

    def people(self, thread: Thread) -> list[Json]:
        """Participants; who is gone is not among them. Their order means nothing."""
        both = (
            [self.business()] if thread.contact.is_gone else [self.contact(thread.contact), self.business()]
        )
        return both if thread.slot % 2 else both[::-1]

    def is_readable(self, thread: Thread, ordinal: int) -> bool:
        """Whether a message's details are served."""
        return not self.is_instagram or thread.place(ordinal) >= len(thread.messages) - READABLE_MESSAGES


def iso(at: int) -> str:
    """`2026-01-02T03:04:05+0000`: always UTC, no colon, whole seconds."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S+0000")


ThreadField = Callable[[View, Thread], Any]
MessageField = Callable[[View, Thread, Message], Any]

THREAD_FIELDS: Mapping[str, ThreadField] = {
    "updated_time": lambda _, thread: iso(thread.updated_at) if thread.updated_at else None,
    "link": lambda view, thread: f"/{view.page.page_id}/inbox/{thread.slot + 2_000_000}/",
    "message_count": lambda _, thread: len(thread.messages),
    "unread_count": lambda _, thread: thread.unread,
    "snippet": lambda _, thread: (thread.messages[-1].text[:100] or None) if thread.messages else None,
    "participants": lambda view, thread: {"data": view.people(thread)},
    "senders": lambda view, thread: {"data": view.people(thread)},
    "former_participants": lambda _view, _thread: {"data": []},
    "can_reply": lambda _view, thread: not thread.contact.is_gone,
    "folder": lambda _, thread: thread.folder,
    "is_subscribed": lambda _view, _thread: True,
    "is_owner": lambda _view, _thread: None,  # only with Conversation Routing
    "name": lambda _view, _thread: None,
    "scoped_thread_key": lambda view, thread: view.thread_id(thread),
    "wallpaper": lambda _view, _thread: None,
    "linked_group": lambda _view, _thread: None,
}
THREAD_DEFAULTS = ("id", "updated_time")


def _sender(view: View, thread: Thread, message: Message) -> Json | None:
    if message.from_page:
        return view.business()
    return None if thread.contact.is_gone and thread.contact.name is None else view.contact(thread.contact)


def _recipients(view: View, thread: Thread, message: Message) -> Json:
    return {"data": [view.contact(thread.contact) if message.from_page else view.business()]}


def _url(thread: Thread, message: Message, ending: str) -> str:
    return f"https://cdn.sandbox.invalid/v/t1/{thread.slot}_{message.ordinal}.{ending}?_nc_cat=1&oh={SIGNATURE}&oe=7f000000"


def _attachments(_view: View, thread: Thread, message: Message) -> Json | None:
    if message.kind not in ("image", "video", "file"):
        return None
    number = str(651_000_000_000_000 + thread.slot * 1000 + message.ordinal)
    entry: Json = {"id": number}
    if message.kind == "image":
        url = _url(thread, message, "jpg")
        image = {"width": 1920, "height": 1213, "max_width": 1920, "max_height": 1213, "url": url}
        image |= {"preview_url": f"{url}&p=280", "image_type": 1, "render_as_sticker": False}
        entry |= {"mime_type": "image/jpeg", "name": f"image-{number}", "size": None, "image_data": image}
    elif message.kind == "video":
        url = _url(thread, message, "mp4")
        video = {
            "width": 960,
            "height": 544,
            "length": 11,
            "video_type": 1,
            "url": url,
            "preview_url": url,
            "rotation": 0,
        }
        entry |= {
            "mime_type": "video/mp4",
            "name": f"video-{number}.mp4",
            "size": 1_994_148,
            "video_data": video,
        }
    else:
        entry |= {"mime_type": "application/pdf", "name": "invoice 42/b.pdf", "size": 88_213}
        entry |= {"file_url": _url(thread, message, "pdf")}
    # One attachment, and still a `next`: following it leads nowhere (graph-facts 1.7).
    return {"data": [entry], "paging": {"cursors": {"before": "MAZDZD", "after": "MAZDZD"}, "next": None}}


def _shares(_view: View, thread: Thread, message: Message) -> Json | None:
    if message.kind != "share":
        return None
    link = f"https://shop.example.com/p/{thread.slot}?v={message.ordinal}"
    return {"data": [{"link": link, "name": "A product", "description": "Red / large"}]}


def _sticker(_view: View, thread: Thread, message: Message) -> str | None:
    return _url(thread, message, "png") if message.kind == "sticker" else None


def _reactions(view: View, thread: Thread, message: Message) -> Json | None:
    if message.reaction is None:
        return None
    person = thread.contact if message.from_page else None
    user = {"id": person.id, "username": person.username} if person else {"id": view.page.instagram_id}
    return {"data": [{"reaction": message.reaction, "users": [user]}]}


def _reply_to(view: View, thread: Thread, message: Message) -> Json | None:
    if message.replies_to is None:
        return None
    other = thread.message(message.replies_to)
    if other is None:
        return None
    return {
        "mid": view.message_id(thread, other.ordinal),
        "is_self_reply": other.from_page == message.from_page,
    }


def _tags(_view: View, _thread: Thread, message: Message) -> Json:
    names = ["inbox", "read", "sent"] if message.from_page else ["inbox"]
    return {"data": [{"name": name} for name in (*names, "source:chat")]}


MESSAGE_FIELDS: Mapping[str, MessageField] = {
    "created_time": lambda _view, _thread, message: iso(message.at),
    "from": _sender,
    "to": _recipients,
    # Stickers and attachments: an empty text, or on some none at all (graph-facts 1.6).
    "message": lambda _view, _thread, message: message.text if message.text or message.ordinal % 2 else None,
    "attachments": _attachments,
    "shares": _shares,
    "sticker": _sticker,
    "tags": _tags,
    "reactions": _reactions,
    "story": lambda _view, _thread, _message: None,
    "reply_to": _reply_to,
    "is_unsupported": lambda _view, _thread, _message: None,
    "thread_id": lambda view, thread, _message: view.thread_id(thread),
}
MESSAGE_DEFAULTS = ("id", "created_time")

# The type behind each expandable field, and what each type has.
_TYPES = {
    "messages": "Message",
    "participants": "User",
    "senders": "User",
    "former_participants": "User",
    "from": "User",
    "to": "User",
    "attachments": "MessageAttachment",
    "shares": "MessageShare",
    "reactions": "MessageReaction",
    "tags": "MessageTag",
}
_KNOWN: Mapping[str, Collection[str]] = {
    "UnifiedThread": THREAD_FIELDS,
    "Message": MESSAGE_FIELDS,
    "User": frozenset({"id", "name", "email", "username", "user_id"}),
    "MessageAttachment": frozenset(
        {"id", "mime_type", "name", "size", "image_data", "video_data", "file_url", "generic_template"}
    ),
    "MessageShare": frozenset({"id", "link", "name", "description", "picture", "template"}),
    "MessageReaction": frozenset({"reaction", "users"}),
    "MessageTag": frozenset({"name"}),
}


def check_fields(fields: Iterable[Field], node: str) -> None:
    """Raise Refusal for a field that a type does not have, however deep.

    Before anything is looked up: a list without entries refuses what a full one would.
    """
    for field in fields:
        is_edge = node == "UnifiedThread" and field.name == "messages"
        if field.name != "id" and not is_edge and field.name not in _KNOWN[node]:
            raise unknown_field(field.name, node)
        if field.inner is not None and field.name in _TYPES:
            check_fields(field.inner, _TYPES[field.name])


def narrow(field: Field, value: Any) -> Any:
    """A part, with only those of its fields that were asked for."""
    # What a share says is served only where it is asked for by name (graph-facts 1.6).
    inner = field.inner if field.inner is not None or field.name != "shares" else (Field(name="id"),)
    if inner is None or value is None:
        return value
    names = [each.name for each in inner]
    if isinstance(value, dict) and isinstance(value.get("data"), list):
        limit = field.arguments.get("limit", "")
        entries = value["data"][: int(limit)] if limit.isdecimal() else value["data"]
        picked = [_pick(entry, names) for entry in entries]
        return {**value, "data": picked}
    return _pick(value, names) if isinstance(value, dict) else value


def _pick(entry: Json, names: list[str]) -> Json:
    # The id comes unasked.
    return {key: value for key, value in entry.items() if key in names or key == "id"}
