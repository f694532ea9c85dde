"""U+0000, which PostgreSQL cannot store in text or JSON: replaced by U+FFFD, and noted."""

import re
from collections.abc import Iterable
from operator import attrgetter
from typing import Any, Final, TypeVar

import msgspec

from inboxsync.model import Conversation, Message, Participant
from inboxsync.model.records import MESSAGE_FIELDS, Kind

# The key in `extra` that notes it.
NOTE: Final = "nul_replaced"
REPLACEMENT: Final = "\ufffd"
_JSON = frozenset(field.name for field in MESSAGE_FIELDS if field.kind is Kind.JSON)
# An escape of U+0000, or any other escape: a backslash that is itself escaped starts none.
_ESCAPE = re.compile(r"\\(u0000|.)", re.DOTALL)
_TEXTS = (
    "message_id",
    *(field.name for field in MESSAGE_FIELDS if field.kind in (Kind.TEXT, Kind.ID, Kind.JSON)),
)
_texts_of_message = attrgetter(*_TEXTS)
_texts_of_conversation = attrgetter("conversation_id", "snippet", "link", "extra")
_texts_of_person = attrgetter("id", "name", "username", "email")
_FIELDS = ("conversation_id", "snippet", "link", "extra")
_PERSON = Participant.__struct_fields__

R = TypeVar("R", Conversation, Message, Participant)
N = TypeVar("N", Conversation, Message)


def messages_without_nul(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """The same, as PostgreSQL takes them; one that was changed says so in `extra`."""
    if all(is_clean(*_texts_of_message(each)) for each in messages):
        return messages
    return tuple(_noted(_replaced(each, _TEXTS), before=each) for each in messages)


def is_clean(*texts: str | None) -> bool:
    """Whether PostgreSQL takes these, texts or JSON, as they are. May be too strict, never too lax."""
    return not any(text and ("\0" in text or "\\u0000" in text) for text in texts)


def json_without_nul(text: str) -> str:
    """JSON with every U+0000 in its strings replaced."""
    if "\\u0000" not in text:
        return text
    return _ESCAPE.sub(lambda found: REPLACEMENT if found[1] == "u0000" else found[0], text)


def text_without_nul(text: str) -> str:
    """Text with every U+0000 replaced."""
    return text.replace("\0", REPLACEMENT)


def conversation_without_nul(conversation: Conversation) -> Conversation:
    """The same, as PostgreSQL takes it; one that was changed says so in `extra`, and so does a message."""
    messages = messages_without_nul(conversation.messages)
    if messages is not conversation.messages:
        conversation = msgspec.structs.replace(conversation, messages=messages)
    contact, people = conversation.contact, conversation.participants
    everyone = people if contact is None else (*people, contact)
    if is_clean(
        *_texts_of_conversation(conversation), *(text for each in everyone for text in _texts_of_person(each))
    ):
        return conversation
    replaced = msgspec.structs.replace(
        _replaced(conversation, _FIELDS),
        participants=tuple(_replaced(each, _PERSON) for each in people),
        contact=_replaced(contact, _PERSON) if contact is not None else None,
    )
    return _noted(replaced, before=conversation)


def _replaced(record: R, names: Iterable[str]) -> R:
    changes: dict[str, Any] = {}
    for name in names:
        value = getattr(record, name)
        if value is not None:
            changes[name] = json_without_nul(value) if name in _JSON else text_without_nul(value)
    return msgspec.structs.replace(record, **changes)


def _noted(record: N, *, before: N) -> N:
    if record == before:
        return before
    extra = msgspec.json.decode(record.extra) if record.extra else {}
    return msgspec.structs.replace(record, extra=msgspec.json.encode(extra | {NOTE: True}).decode())
