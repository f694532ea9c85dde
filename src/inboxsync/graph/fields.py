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
# Details exist of the 20 newest alone; whoever asks for more may be told they are deleted (graph-facts 1.6).
_READABLE_ON_INSTAGRAM = 20
_WORD = re.compile(r"\w+")
_REFUSED_FIELD = re.compile(r"nonexist\w* field \((\w+)\)", re.IGNORECASE)


class Fields:
    """The fields to ask for, less those that the source has refused."""

    def __init__(self) -> None:
        self._refused: set[str] = set()

    def light(self) -> str:
        """As little as tells where in the list an answer stands."""
        return "id,updated_time"

    def summary(self, *, message_ids: int) -> str:
        """What it takes to compare the list with what is stored, with the newest messages' ids if asked."""
        asked = ["id", "updated_time", *(["message_count"] if "message_count" not in self._refused else [])]
        return ",".join([*asked, *([f"messages.limit({message_ids}){{id}}"] if message_ids > 0 else [])])

    def conversations(self, platform: Platform, *, messages: int) -> str:
        """Conversations, each with its newest `messages` messages, in one call."""
        asked = [self._expand(name) for name in _CONVERSATION if name not in self._refused]
        if platform is Platform.INSTAGRAM:
            messages = min(messages, _READABLE_ON_INSTAGRAM)
        return ",".join([*asked, f"messages.limit({messages}){{{self.messages(platform)}}}"])

    def messages(self, platform: Platform, *, ids_only: bool = False) -> str:
        """Messages, whole or just to be known."""
        if ids_only:
            return "id,created_time"
        return ",".join(self._expand(name) for name in _MESSAGE[platform] if name not in self._refused)

    def drop_refused(self, message: str, *, asked: str) -> str | None:
        """Leave out the field that this error message names; None where that is no help.

        It helps where the call had `asked` for it: another call may have had it refused while
        this one was under way.
        """
        match = _REFUSED_FIELD.search(message)
        if match is None or match[1] in _VITAL or match[1] not in _WORD.findall(asked):
            return None
        self._refused.add(match[1])
        return match[1]

    def _expand(self, name: str) -> str:
        inner = [field for field in _INNER.get(name, ()) if field not in self._refused]
        return f"{name}{{{','.join(inner)}}}" if inner else name
