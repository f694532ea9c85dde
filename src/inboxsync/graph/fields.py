"""What is asked for.

Meta drops fields from the reference while they still answer, and one day they no
longer do: a single unknown field fails the whole call with code 100. So every field
that is not vital can be left out once the source has refused it (graph-facts 5, 20).
"""

import re

from inboxsync.model import Platform

_VITAL = frozenset({"id", "updated_time", "created_time", "messages", "from", "message"})
_CONVERSATION = (
    "id",
    "updated_time",
    "message_count",
    "unread_count",
    "snippet",
    "link",
    "participants",
)
_MESSAGE = {
    # Tags and `to` are left out: they say nothing that `from` and the participants do not.
    Platform.MESSENGER: (
        "id",
        "created_time",
        "from",
        "message",
        "attachments",
        "shares",
        "sticker",
        "reply_to",
    ),
    Platform.INSTAGRAM: (
        "id",
        "created_time",
        "from",
        "message",
        "attachments",
        "shares",
        "reactions",
        "story",
        "reply_to",
        "is_unsupported",
    ),
}
# Meta serves the inner fields of a share only when they are named (graph-facts 1.6).
_INNER = {"shares": ("link", "name", "description")}
_REFUSED_FIELD = re.compile(r"nonexist\w* field \((\w+)\)", re.IGNORECASE)


class Fields:
    """The fields to ask for, less those that the source has refused."""

    def __init__(self) -> None:
        self._refused: set[str] = set()

    def light(self) -> str:
        """As little as tells where in the list an answer stands."""
        return "id,updated_time"

    def conversations(self, platform: Platform, *, messages: int) -> str:
        """Conversations, each with its newest `messages` messages, in one call."""
        asked = [self._expand(name) for name in _CONVERSATION if name not in self._refused]
        inner = ",".join(self._expand(name) for name in _MESSAGE[platform] if name not in self._refused)
        return ",".join([*asked, f"messages.limit({messages}){{{inner}}}"])

    def drop_refused(self, message: str) -> str | None:
        """Leave out the field that this error message names; None where it names none we can do without."""
        match = _REFUSED_FIELD.search(message)
        if match is None or match[1] in _VITAL or match[1] in self._refused:
            return None
        self._refused.add(match[1])
        return match[1]

    def _expand(self, name: str) -> str:
        inner = [field for field in _INNER.get(name, ()) if field not in self._refused]
        return f"{name}{{{','.join(inner)}}}" if inner else name
