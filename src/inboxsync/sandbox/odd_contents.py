"""Contents in forms that public bug reports have shown, by name: what is known, of another type or unit.

Each changes a rendered conversation or message in place; the words stay the same.
"""

from calendar import timegm
from collections.abc import Callable
from time import strptime
from typing import Any, Final

from inboxsync.sandbox.config import OddContent
from inboxsync.sandbox.nodes import View

Json = dict[str, Any]
Change = Callable[[View, Json], None]
_TIMES = ("created_time", "updated_time", "edited_time")


def _message_object(_view: View, message: Json) -> None:
    if "message" in message:
        message["message"] = {"text": message["message"]}


def _message_number(_view: View, message: Json) -> None:
    if "message" in message:
        message["message"] = 12345


def _story_reply(_view: View, message: Json) -> None:
    message["reply_to"] = {"story": {"id": "s1", "url": "https://cdn.sandbox.invalid/s1"}}


def _sticker_number(_view: View, message: Json) -> None:
    message["sticker"] = 369239263222822


def _sender_without_id(_view: View, message: Json) -> None:
    if "from" in message:
        message["from"] = {"name": "Facebook User"}


def _milliseconds(_view: View, node: Json) -> None:
    _change_times(node, 1_000)


def _microseconds(_view: View, node: Json) -> None:
    _change_times(node, 1_000_000)


def _change_times(node: Json, each_second: int) -> None:
    for name in _TIMES:
        if isinstance(node.get(name), str):
            at = timegm(strptime(node[name], "%Y-%m-%dT%H:%M:%S+0000")) * each_second
            # As text in a conversation, as a number in a message.
            node[name] = str(at) if name == "updated_time" else at


def _bare_messages(_view: View, thread: Json) -> None:
    if isinstance(thread.get("messages"), dict):
        thread["messages"] = thread["messages"]["data"]


def _second_account_id(view: View, node: Json) -> None:
    """The Instagram account under an id of its own, with the known one as `user_id`."""
    _change_own_account(node, view.page.instagram_id, {"id": f"28{view.page.instagram_id[2:]}"})


def _account_without_id(view: View, node: Json) -> None:
    _change_own_account(node, view.page.instagram_id, None)


def _change_own_account(value: Any, account_id: str, other: Json | None) -> None:
    if isinstance(value, list):
        for each in value:
            _change_own_account(each, account_id, other)
    elif isinstance(value, dict):
        if value.get("id") == account_id and "username" in value:
            if other is None:
                del value["id"]
            else:
                value.update(other, user_id=account_id)
        for each in value.values():
            _change_own_account(each, account_id, other)


IN_MESSAGES: Final[dict[OddContent, Change]] = {
    "message_object": _message_object,
    "message_number": _message_number,
    "story_reply": _story_reply,
    "sticker_number": _sticker_number,
    "sender_without_id": _sender_without_id,
    "milliseconds": _milliseconds,
    "microseconds": _microseconds,
    "second_account_id": _second_account_id,
    "account_without_id": _account_without_id,
}
IN_CONVERSATIONS: Final[dict[OddContent, Change]] = {
    "bare_messages": _bare_messages,
    "milliseconds": _milliseconds,
    "microseconds": _microseconds,
    "second_account_id": _second_account_id,
    "account_without_id": _account_without_id,
}
