"""Graph's objects: a conversation, a message, a person, a Page, field by field (graph-facts 1.4 to 1.6).

"If a field has no data it is not returned": a field's function returns None for that.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from inboxsync.sandbox import ids
from inboxsync.sandbox.attachments import attachments, is_instagram_post, media_url, shares, sticker
from inboxsync.sandbox.mailbox import Mailbox
from inboxsync.sandbox.people import Person
from inboxsync.sandbox.threads import Message, Thread
from inboxsync.sandbox.world import PageWorld

# On Instagram only so many newest messages of a conversation have details.
READABLE_MESSAGES = 20
# Of so many conversations, one has a wrong `message_count`; of so many people, one has a `user_id`.
_MISCOUNTED_EVERY = 11
_USER_ID_EVERY = 3

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class View:
    """How objects are seen: of which Page, on which platform."""

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
            also = {"user_id": person.id} if int(person.id) % _USER_ID_EVERY == 0 else {}
            return {"username": person.username, "id": person.id} | also
        named = {"name": person.name} if person.name is not None else {}
        return named | {"email": f"{person.id}@facebook.com", "id": person.id}

    def business(self) -> Json:
        """The Page itself among them."""
        if self.is_instagram:
            return {"username": f"business.{self.page.number}", "id": self.page.instagram_id}
        return {"name": self.page.name, "email": f"{self.page.page_id}@facebook.com", "id": self.page.page_id}

    def people(self, thread: Thread) -> list[Json]:
        """Participants without deleted accounts. Their order means nothing."""
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


def _count(_view: View, thread: Thread) -> int:
    """An estimate: on some conversations it is one too many (graph-facts 1.4)."""
    return len(thread.messages) + (thread.slot % _MISCOUNTED_EVERY == 5)


THREAD_FIELDS: Mapping[str, ThreadField] = {
    "updated_time": lambda _, thread: iso(thread.updated_at) if thread.updated_at else None,
    "link": lambda view, thread: f"/{view.page.page_id}/inbox/{thread.slot + 2_000_000}/",
    "message_count": _count,
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


def _story(view: View, thread: Thread, message: Message) -> Json | None:
    if not view.is_instagram or message.kind != "share" or message.ordinal % 2:
        return None
    part = {"link": media_url(thread, message, "jpg"), "id": str(17_900_000_000_000_000 + thread.slot)}
    return {"mention" if message.from_page else "reply_to": part}


def _unsupported(view: View, _thread: Thread, message: Message) -> bool | str | None:
    """Only if it is true; has been seen as a text (graph-facts 1.6)."""
    if not view.is_instagram or message.kind != "sticker":
        return None
    return "true" if message.ordinal % 2 else True


def _shares(view: View, thread: Thread, message: Message) -> Json | None:
    is_other = _story(view, thread, message) or is_instagram_post(message, is_instagram=view.is_instagram)
    return None if is_other else shares(thread, message)


def _is_sticker_attached(view: View, thread: Thread, message: Message) -> bool:
    """Whether a sticker is an attachment: by switch, a share of them (graph-facts 1.6-9)."""
    return (thread.slot * 31 + message.ordinal * 7) % 100 < 100 * view.page.sticker_attachments


def _sticker(view: View, thread: Thread, message: Message) -> str | None:
    is_attached_only = message.ordinal % 2 and _is_sticker_attached(view, thread, message)
    return None if view.is_instagram or is_attached_only else sticker(thread, message)


def _tags(_view: View, _thread: Thread, message: Message) -> Json:
    names = ["inbox", "read", "sent"] if message.from_page else ["inbox"]
    return {"data": [{"name": name} for name in (*names, "source:chat")]}


MESSAGE_FIELDS: Mapping[str, MessageField] = {
    "created_time": lambda _view, _thread, message: iso(message.at),
    "from": _sender,
    "to": _recipients,
    # Stickers and attachments: an empty text, or on some none at all (graph-facts 1.6).
    "message": lambda _view, _thread, message: message.text if message.text or message.ordinal % 2 else None,
    "attachments": lambda view, thread, message: attachments(
        thread,
        message,
        is_instagram=view.is_instagram,
        is_sticker=_is_sticker_attached(view, thread, message),
    ),
    "shares": _shares,
    "sticker": _sticker,
    "tags": _tags,
    "reactions": _reactions,
    "story": _story,
    "reply_to": _reply_to,
    "is_unsupported": _unsupported,
    # Only if they are asked for. That webhooks tell them is known, not that a list does (graph-facts A-15).
    "is_deleted": lambda _view, _thread, message: message.is_deleted or None,
    "edited_time": lambda _view, _thread, message: iso(message.edited_at) if message.edited_at else None,
    "thread_id": lambda view, thread, _message: view.thread_id(thread),
}
MESSAGE_DEFAULTS = ("id", "created_time")
