"""What a test in another process may see and do, at `/sandbox/...`, outside the Graph namespace.

* `GET /sandbox/stats`: `{"answered", "refused", "edge:conversations", "error:613", "fault:reset", ...}`
* `POST /sandbox/messages` `{"text", "slot"?: int, "from_page"?: bool, "page"?: int, "times"?: int}`:
  write now, in the conversation of that slot (0 is the newest at the start) or in a new one;
  answers `{"conversation_id", "message_id"}` of the last.
* `POST /sandbox/faults` `{NAME: VALUE, ...}`: change switches of `Faults`; `"heal": true` heals the poisoned.
* `POST /sandbox/tokens` `{"kill": SUBCODE}` or `{"mint": true}`: Page tokens die; a new one is answered.
"""

from dataclasses import asdict, replace

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from inboxsync.sandbox.conversations import Conversations
from inboxsync.sandbox.http import GraphHttp
from inboxsync.sandbox.nodes import View
from inboxsync.sandbox.tokens import Tokens
from inboxsync.sandbox.world import World

_EXPIRED = 463


class Control:
    """The control endpoints of one sandbox."""

    def __init__(self, world: World, tokens: Tokens, conversations: Conversations, http: GraphHttp) -> None:
        self._world = world
        self._tokens = tokens
        self._conversations = conversations
        self._http = http

    def routes(self) -> list[Route]:
        """For Starlette."""
        return [
            Route("/sandbox/stats", self._stats),
            Route("/sandbox/messages", self._write, methods=["POST"]),
            Route("/sandbox/faults", self._change_faults, methods=["POST"]),
            Route("/sandbox/tokens", self._change_tokens, methods=["POST"]),
        ]

    async def _stats(self, _request: Request) -> Response:
        return JSONResponse(dict(self._http.counts))

    async def _write(self, request: Request) -> Response:
        asked = await request.json()
        page = self._world.pages[asked.get("page", 0)]
        slot = asked.get("slot")
        view = View(page, is_instagram=False)
        exists = slot is None or page.thread(slot) is not None
        for _ in range(asked.get("times", 1) if exists else 0):
            page.write(slot, asked["text"], from_page=asked.get("from_page", False))
            slot = page.newest_slot if slot is None else slot
        thread = page.thread(slot) if slot is not None else None
        if thread is None or not thread.messages:
            return JSONResponse({"error": "there is no conversation in this slot"}, 404)
        newest = view.message_id(thread, thread.messages[-1].ordinal)
        return JSONResponse({"conversation_id": view.thread_id(thread), "message_id": newest})

    async def _change_faults(self, request: Request) -> Response:
        asked = await request.json()
        if asked.pop("heal", False):
            for page in self._world.pages:
                for is_instagram in (False, True):
                    view = View(page, is_instagram=is_instagram)
                    self._conversations.healed |= self._conversations.poisoned(view)
        faults = replace(self._http.faults, **asked)
        self._http.faults = self._conversations.faults = faults
        return JSONResponse(asdict(faults))

    async def _change_tokens(self, request: Request) -> Response:
        asked = await request.json()
        if asked.get("kill"):
            subcode = asked["kill"] if isinstance(asked["kill"], int) else _EXPIRED
            self._tokens.kill_all(subcode)
        if asked.get("mint"):
            return JSONResponse({"token": self._tokens.mint(self._world.pages[asked.get("page", 0)])})
        return JSONResponse({})
