"""From the world's objects to Graph's JSON text.

Text, not objects, because the rendering of a conversation is kept: a benchmark should
measure the client, not the sandbox. Slashes and all beyond ASCII are escaped, as Meta does.
"""

import json
from collections import OrderedDict
from collections.abc import Mapping
from random import Random
from typing import Any

from inboxsync.sandbox import ids
from inboxsync.sandbox.call import Call
from inboxsync.sandbox.config import Faults, OddContent, SandboxConfig
from inboxsync.sandbox.fields import Field, defaults
from inboxsync.sandbox.lists import message_slice, next_url, oldest_messages, read_limit
from inboxsync.sandbox.nodes import (
    MESSAGE_DEFAULTS,
    MESSAGE_FIELDS,
    READABLE_MESSAGES,
    THREAD_FIELDS,
    View,
)
from inboxsync.sandbox.odd_contents import IN_CONVERSATIONS, IN_MESSAGES, Change
from inboxsync.sandbox.refusal import unknown_field, unreadable_message
from inboxsync.sandbox.selection import narrow
from inboxsync.sandbox.threads import Message, Thread

_KEPT = 6_000

Json = dict[str, Any]


def to_text(value: Any) -> str:
    """JSON as Meta writes it."""
    return json.dumps(value, separators=(",", ":")).replace("/", "\\/")


class Renderer:
    """Renders conversations and messages for one configuration."""

    def __init__(self, config: SandboxConfig) -> None:
        self._config = config
        self._faults = config.faults
        self._kept: OrderedDict[tuple[object, ...], str] = OrderedDict()

    def change(self, faults: Faults) -> None:
        """Other faults from now on."""
        if faults != self._faults:
            self._kept.clear()
        self._faults = faults

    def thread_text(self, call: Call, view: View, thread: Thread, fields: tuple[Field, ...]) -> str:
        """A conversation as JSON text, kept for the next time it is asked for in the same way."""
        asked = call.parameters.get("fields", "")
        kept = (
            view.page.number,
            view.is_instagram,
            thread.slot,
            thread.revision,
            asked,
            call.root,
            call.token,
            call.epoch,
        )
        text = self._kept.get(kept)
        if text is None:
            self._kept[kept] = text = to_text(self.thread(call, view, thread, fields))
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return text

    def thread(self, call: Call, view: View, thread: Thread, fields: tuple[Field, ...]) -> Json:
        """A conversation with the fields asked for; empty ones are left out."""
        rendered: Json = {}
        for field in fields:
            if field.name == "messages":
                value = self._messages(call, view, thread, field)
            elif field.name == "id":
                continue
            elif field.name in THREAD_FIELDS:
                value = narrow(field, THREAD_FIELDS[field.name](view, thread))
            else:
                raise unknown_field(field.name, "UnifiedThread")
            if value is not None:
                rendered[field.shown] = value
        rendered |= {"id": view.thread_id(thread)}
        self._make_odd(view, rendered, IN_CONVERSATIONS)
        return rendered

    def message(
        self, call: Call, view: View, thread: Thread, message: Message, fields: tuple[Field, ...]
    ) -> Json:
        """A message with the fields asked for.

        Beyond Instagram's 20 newest, by switch: id and time alone, or a refusal of the whole
        answer (what Meta does in a list is not confirmed, graph-facts 8).
        """
        rendered: Json = {}
        readable = view.is_readable(thread, message.ordinal)
        if not readable and self._config.unreadable_messages == "refuse" and _asks_for_details(fields):
            raise unreadable_message()
        message_id = view.message_id(thread, message.ordinal)
        for field in fields:
            if field.name == "id":
                continue
            if not readable and field.name != "created_time":
                continue
            value = narrow(field, MESSAGE_FIELDS[field.name](view, thread, message))
            if value is not None:
                rendered[field.shown] = _with_next(call, value, f"{call.root}{message_id}/{field.name}")
        rendered |= {"id": message_id}
        self._make_odd(view, rendered, IN_MESSAGES)
        return rendered

    def messages_edge(
        self, call: Call, view: View, thread: Thread, fields: tuple[Field, ...], parameters: Mapping[str, str]
    ) -> Json:
        """The messages of a conversation, newest first, with paging."""
        limit = read_limit(parameters.get("limit"), self._config)
        thread_id = view.thread_id(thread)
        name, after = f"{call.epoch}:messages:{thread_id}", parameters.get("after")
        if self._faults.message_order == "oldest":
            part = oldest_messages(thread, name, limit=limit, after=after)
        else:
            part = message_slice(
                thread,
                name,
                limit=limit,
                after=after,
                before=parameters.get("before"),
                oldest=self._first_listed(view, thread, fields),
            )
        base = f"{call.root}{thread_id}/messages"
        paging = part.paging(
            next_url(base, call, parameters, limit=limit, after=part.after),
            next_url(base, call, parameters, limit=limit, before=part.before),
        )
        data = [self.message(call, view, thread, message, fields) for message in part.entries]
        if self._faults.message_order == "reversed":
            data.reverse()
        return {"data": data} | ({"paging": paging} if paging else {})

    def _make_odd(self, view: View, node: Json, changes: Mapping[OddContent, Change]) -> None:
        """By the object's id: which ones are odd stays the same."""
        for name in self._faults.odd:
            if name not in changes:
                continue
            chance = Random(ids.digest(self._config.seed, "odd", name, node["id"])).random()
            if chance < self._faults.odd_share:
                changes[name](view, node)

    def _first_listed(self, view: View, thread: Thread, fields: tuple[Field, ...]) -> int:
        """How many of the oldest messages a list leaves out: by switch those without details."""
        omits = self._config.unreadable_messages == "omit" and view.is_instagram and _asks_for_details(fields)
        return max(0, len(thread.messages) - READABLE_MESSAGES) if omits else 0

    def _messages(self, call: Call, view: View, thread: Thread, field: Field) -> Json | None:
        if not thread.messages:
            return None
        fields = field.inner if field.inner is not None else defaults(MESSAGE_DEFAULTS)
        parameters = {"fields": _fields_text(fields)} | field.arguments
        return self.messages_edge(call, view, thread, fields, parameters)


def _asks_for_details(fields: tuple[Field, ...]) -> bool:
    return any(field.name not in MESSAGE_DEFAULTS for field in fields)


def _with_next(call: Call, value: Any, base: str) -> Any:
    """An attachment list has a `next` though it is complete (graph-facts 1.7)."""
    paging = value.get("paging") if isinstance(value, dict) else None
    if not isinstance(paging, dict):
        return value
    url = next_url(base, call, {}, limit=25, after=paging["cursors"]["after"])
    return value | {"paging": paging | {"next": url}}


def _fields_text(fields: tuple[Field, ...]) -> str:
    parts = []
    for field in fields:
        arguments = "".join(f".{name}({value})" for name, value in field.arguments.items())
        inner = f"{{{_fields_text(field.inner)}}}" if field.inner is not None else ""
        parts.append(f"{field.name}{arguments}{inner}")
    return ",".join(parts)
