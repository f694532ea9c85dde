"""What a test in another process may see and do, at `/sandbox/...`, outside the Graph namespace.

A conversation is named by `"slot"` (0 is the newest of its `"folder"` at the start; without
a folder, of the inbox) or by Graph's own `"conversation_id"`; `"page"` is the Page's number,
`"platform"` messenger or instagram. Nothing here counts as a call.

* `GET /sandbox/stats`: `{"received", "answered", "refused", "edge:conversations", "error:613",
  "fault:reset", ...}`, and by object id `"calls"` (refused ones too) and `"most_in_a_second"`.
* `GET /sandbox/inbox?page=0&folder=inbox&platform=messenger`: the folder as it is, newest first.
* `POST /sandbox/messages` `{"text", "slot"?, "from_page"?, "times"?: int}`: write now, in that
  conversation or, without one, in a new one in the folder; answers `{"conversation_id", "message_id"}`
  of the last.
* `POST /sandbox/conversations`, one of `{"slot", "move_to": FOLDER}`, `{"slot", "delete": true}`,
  `{"slot", "unsend": ORDINAL}`, `{"slot", "edit": {"ordinal", "text"}}`,
  `{"slot", "react": {"ordinal", "reaction": TEXT | null}}`; ordinal 0 is the oldest message, -1 the
  newest. None of them moves the conversation's time; answers `{"conversation_id", "message_id"?}`.
* `POST /sandbox/faults` `{NAME: VALUE, ...}`: change switches of `Faults`; `"heal": true` heals the
  poisoned, naming any of the poisons poisons again; `outage_seconds` begins an outage, or with 0 ends it.
* `POST /sandbox/tokens` `{"kill": SUBCODE}` or `{"mint": true}`: Page tokens die; a new one is answered.
"""

from collections.abc import Awaitable, Callable
from dataclasses import asdict, fields
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from inboxsync.sandbox import ids
from inboxsync.sandbox.config import Faults
from inboxsync.sandbox.folders import TOP, Folder
from inboxsync.sandbox.graph import Graph
from inboxsync.sandbox.http import GraphHttp
from inboxsync.sandbox.mailbox import INBOX
from inboxsync.sandbox.nodes import View, iso
from inboxsync.sandbox.threads import Thread
from inboxsync.sandbox.tokens import Tokens
from inboxsync.sandbox.world import World

_EXPIRED = 463
_POISONS = {"poison", "poison_slots", "list_poison", "list_poison_slots"}
_CHANGES = ("move_to", "delete", "unsend", "edit", "react")

Asked = dict[str, Any]
Endpoint = Callable[[Request], Awaitable[Response]]


class _NotFoundError(Exception):
    """What was named does not exist; the message says what."""


class Control:
    """The control endpoints of one sandbox."""

    def __init__(self, world: World, tokens: Tokens, graph: Graph, http: GraphHttp) -> None:
        self._world = world
        self._tokens = tokens
        self._limits = graph.limits
        self._conversations = graph.conversations
        self._http = http

    def routes(self) -> list[Route]:
        """For Starlette."""
        posts = {
            "messages": self._write,
            "conversations": self._change_conversation,
            "faults": self._change_faults,
            "tokens": self._change_tokens,
        }
        return [
            Route("/sandbox/stats", self._stats),
            Route("/sandbox/inbox", _gets(self._list)),
            *(Route(f"/sandbox/{name}", _posts(do), methods=["POST"]) for name, do in posts.items()),
        ]

    async def _stats(self, _request: Request) -> Response:
        by_object = {"calls": self._limits.calls(), "most_in_a_second": self._limits.most_in_a_second()}
        return JSONResponse(dict(self._http.counts) | by_object)

    def _list(self, asked: Asked) -> Any:
        view = self._view(asked)
        folder = _folder(view, asked)
        threads = (view.mailbox.thread(slot) for slot in folder.after(TOP))
        return [_shown(view, thread) for thread in threads if thread is not None]

    def _write(self, asked: Asked) -> Any:
        view = self._view(asked)
        folder = _folder(view, asked)
        is_named = asked.get("slot") is not None or "conversation_id" in asked
        slot = _thread(view, asked).slot if is_named else view.mailbox.begin(folder.name)
        for _ in range(asked.get("times", 1)):
            view.mailbox.write(slot, asked["text"], from_page=asked.get("from_page", False))
        thread = view.mailbox.thread(slot)
        if thread is None or not thread.messages:
            raise _NotFoundError("nothing was written in this conversation")
        return _named(view, thread, thread.messages[-1].ordinal)

    def _change_conversation(self, asked: Asked) -> Any:
        view = self._view(asked)
        thread = _thread(view, asked)
        (change,) = (name for name in _CHANGES if name in asked)
        wish = asked[change]
        match change:
            case "move_to":
                _folder(view, {"folder": wish})
                view.mailbox.move(thread.slot, wish)
            case "delete":
                view.mailbox.delete(thread.slot)
            case "unsend":
                ordinal = _ordinal(thread, wish)
                view.mailbox.unsend(thread.slot, ordinal)
                return _named(view, thread, ordinal)
            case "edit":
                ordinal = _ordinal(thread, wish["ordinal"])
                view.mailbox.edit(thread.slot, ordinal, wish["text"])
                return _named(view, thread, ordinal)
            case "react":
                ordinal = _ordinal(thread, wish["ordinal"])
                view.mailbox.react(thread.slot, ordinal, wish["reaction"])
                return _named(view, thread, ordinal)
        return _named(view, thread)

    def _change_faults(self, asked: Asked) -> Any:
        if asked.pop("heal", False):
            self._conversations.heal(self._world.pages)
        unknown = asked.keys() - {each.name for each in fields(Faults)}
        if unknown:
            raise TypeError(f"there is no fault {min(unknown)!r}")
        faults = msgspec.convert(msgspec.to_builtins(self._http.faults) | asked, Faults)
        if asked.keys() & _POISONS:
            self._conversations.healed.clear()
        self._http.change(faults, is_outage="outage_seconds" in asked)
        self._conversations.faults = faults
        return asdict(faults)

    def _change_tokens(self, asked: Asked) -> Any:
        if asked.get("kill"):
            subcode = asked["kill"] if isinstance(asked["kill"], int) else _EXPIRED
            self._tokens.kill_all(subcode)
        if asked.get("mint"):
            return {"token": self._tokens.mint(self._view(asked).page)}
        return {}

    def _view(self, asked: Asked) -> View:
        number, platform = int(asked.get("page", 0)), asked.get("platform", "messenger")
        if not 0 <= number < len(self._world.pages):
            raise _NotFoundError(f"there is no Page number {number}")
        if platform not in ("messenger", "instagram"):
            raise _NotFoundError(f"there is no platform {platform!r}")
        return View(self._world.pages[number], platform == "instagram")


def _posts(do: Callable[[Asked], Any]) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        return _answered(do, await request.json())

    return endpoint


def _gets(do: Callable[[Asked], Any]) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        return _answered(do, dict(request.query_params))

    return endpoint


def _answered(do: Callable[[Asked], Any], asked: Asked) -> Response:
    try:
        return JSONResponse(do(asked))
    except _NotFoundError as missing:
        return JSONResponse({"error": str(missing)}, 404)
    except (KeyError, TypeError, ValueError, msgspec.ValidationError) as wrong:
        return JSONResponse({"error": f"this cannot be read: {wrong!r}"}, 400)


def _folder(view: View, asked: Asked) -> Folder:
    name = asked.get("folder", INBOX)
    if name not in view.mailbox.folders:
        raise _NotFoundError(f"there is no folder {name!r}; --folder {name}=0 makes one")
    return view.mailbox.folders[name]


def _thread(view: View, asked: Asked) -> Thread:
    if "conversation_id" in asked:
        place = (ids.place_of_instagram if view.is_instagram else ids.slot_of_thread)(
            asked["conversation_id"]
        )
        slot = place[1] if place is not None and place[0] == view.page.number else -1
    else:
        slot = asked["slot"]
    if "folder" in asked and "conversation_id" not in asked:
        folder = _folder(view, asked)
        slot = folder.first_slot + slot if 0 <= slot < folder.count else -1
    thread = view.mailbox.thread(slot)
    if thread is None:
        raise _NotFoundError("there is no such conversation")
    return thread


def _ordinal(thread: Thread, wish: int) -> int:
    ordinal = thread.messages[wish].ordinal if wish < 0 and -wish <= len(thread.messages) else wish
    if thread.message(ordinal) is None:
        raise _NotFoundError(f"the conversation has no message {wish}")
    return ordinal


def _named(view: View, thread: Thread, ordinal: int | None = None) -> dict[str, str]:
    named = {"conversation_id": view.thread_id(thread)}
    return named if ordinal is None else named | {"message_id": view.message_id(thread, ordinal)}


def _shown(view: View, thread: Thread) -> dict[str, Any]:
    contact = thread.contact
    name = contact.username if view.is_instagram else contact.name
    return {
        "conversation_id": view.thread_id(thread),
        "updated_time": iso(thread.updated_at),
        "folder": thread.folder,
        "message_ids": [view.message_id(thread, message.ordinal) for message in reversed(thread.messages)],
        "name": None if contact.is_gone else name,
    }
