"""From the world's objects to Graph's JSON text.

Text, not objects, because the rendering of a conversation is kept: a benchmark should
wait for the client, not for us. Slashes are escaped, and all beyond ASCII, as Meta does.
"""

import json
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any

from inboxsync.sandbox.config import SandboxConfig
from inboxsync.sandbox.fields import Field
from inboxsync.sandbox.lists import message_slice, next_url, read_limit
from inboxsync.sandbox.nodes import (
    MESSAGE_DEFAULTS,
    MESSAGE_FIELDS,
    THREAD_DEFAULTS,
    THREAD_FIELDS,
    View,
    narrow,
)
from inboxsync.sandbox.refusal import unknown_field
from inboxsync.sandbox.threads import Message, Thread

_KEPT = 6_000

Json = dict[str, Any]


def to_text(value: Any) -> str:
    """JSON as Meta writes it."""
    return json.dumps(value, separators=(",", ":")).replace("/", "\\/")


def defaults(names: Iterable[str]) -> tuple[Field, ...]:
    """The fields served where none are asked for."""
    return tuple(Field(name=name) for name in names)


class Renderer:
    """Renders conversations and messages for one configuration."""

    def __init__(self, config: SandboxConfig) -> None:
        self._config = config
        self._kept: OrderedDict[tuple[object, ...], str] = OrderedDict()

    def thread_text(
        self, view: View, thread: Thread, fields: tuple[Field, ...], key: str, root: str, token: str
    ) -> str:
        """A conversation as JSON text; `key` names the fields, `root` and `token` are for nested `next` URLs."""
        kept = (view.page.number, view.is_instagram, thread.slot, thread.revision, key, root, token)
        text = self._kept.get(kept)
        if text is None:
            self._kept[kept] = text = to_text(self.thread(view, thread, fields, root, token))
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return text

    def thread(self, view: View, thread: Thread, fields: tuple[Field, ...], root: str, token: str) -> Json:
        """A conversation with the fields asked for; empty ones are left out."""
        rendered: Json = {}
        for field in fields:
            if field.name == "messages":
                value = self._messages(view, thread, field, root, token)
            elif field.name == "id":
                continue
            elif field.name in THREAD_FIELDS:
                value = narrow(field, THREAD_FIELDS[field.name](view, thread))
            else:
                raise unknown_field(field.name, "UnifiedThread")
            if value is not None:
                rendered[field.name] = value
        return rendered | {"id": view.thread_id(thread)}

    def message(
        self, view: View, thread: Thread, message: Message, fields: tuple[Field, ...], root: str, token: str
    ) -> Json:
        """A message with the fields asked for.

        Beyond Instagram's 20 newest: id and time alone (how Meta renders these in a list is
        not confirmed, graph-facts 8).
        """
        rendered: Json = {}
        readable = view.is_readable(thread, message.ordinal)
        message_id = view.message_id(thread, message.ordinal)
        for field in fields:
            if field.name == "id":
                continue
            if field.name not in MESSAGE_FIELDS:
                raise unknown_field(field.name, "Message")
            if not readable and field.name != "created_time":
                continue
            value = narrow(field, MESSAGE_FIELDS[field.name](view, thread, message))
            if value is not None:
                rendered[field.name] = _with_next(value, f"{root}{message_id}/{field.name}", token)
        return rendered | {"id": message_id}

    def messages_edge(
        self,
        view: View,
        thread: Thread,
        fields: tuple[Field, ...],
        parameters: Mapping[str, str],
        root: str,
        token: str,
    ) -> Json:
        """The messages of a conversation, newest first, with paging."""
        limit = read_limit(parameters.get("limit"), self._config)
        thread_id = view.thread_id(thread)
        part = message_slice(
            thread,
            f"messages:{thread_id}",
            limit=limit,
            after=parameters.get("after"),
            before=parameters.get("before"),
        )
        base = f"{root}{thread_id}/messages"
        paging = part.paging(
            next_url(base, parameters, token=token, limit=limit, after=part.after),
            next_url(base, parameters, token=token, limit=limit, before=part.before),
        )
        data = [self.message(view, thread, message, fields, root, token) for message in part.entries]
        return {"data": data} | ({"paging": paging} if paging else {})

    def _messages(self, view: View, thread: Thread, field: Field, root: str, token: str) -> Json | None:
        if not thread.messages:
            return None
        fields = field.inner if field.inner is not None else defaults(MESSAGE_DEFAULTS)
        parameters = {"fields": _fields_text(fields)} | field.arguments
        return self.messages_edge(view, thread, fields, parameters, root, token)


def _with_next(value: Any, base: str, token: str) -> Any:
    """An attachment list has a `next` though it is complete (graph-facts 1.7)."""
    paging = value.get("paging") if isinstance(value, dict) else None
    if not isinstance(paging, dict):
        return value
    url = next_url(base, {}, token=token, limit=25, after=paging["cursors"]["after"])
    return value | {"paging": paging | {"next": url}}


def _fields_text(fields: tuple[Field, ...]) -> str:
    parts = []
    for field in fields:
        arguments = "".join(f".{name}({value})" for name, value in field.arguments.items())
        inner = f"{{{_fields_text(field.inner)}}}" if field.inner is not None else ""
        parts.append(f"{field.name}{arguments}{inner}")
    return ",".join(parts)
