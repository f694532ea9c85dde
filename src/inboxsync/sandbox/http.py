"""The HTTP side: headers, tokens, transport faults. ASGI, by Starlette."""

import asyncio
import gzip
import hashlib
import secrets
from collections import Counter
from random import Random
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from inboxsync.sandbox import ids
from inboxsync.sandbox.attachments import SIGNATURE
from inboxsync.sandbox.batch import answer_batch
from inboxsync.sandbox.broken import abort, broken, huge, trickle
from inboxsync.sandbox.call import Call
from inboxsync.sandbox.config import Faults, SandboxConfig
from inboxsync.sandbox.door import Door
from inboxsync.sandbox.forms import read_form
from inboxsync.sandbox.graph import Graph
from inboxsync.sandbox.odd_refusals import odd_refusal
from inboxsync.sandbox.odd_usage import odd_usage
from inboxsync.sandbox.outage import Outage
from inboxsync.sandbox.refusal import Refusal, any_refusal, no_user
from inboxsync.sandbox.render import to_text
from inboxsync.sandbox.tokens import Tokens
from inboxsync.sandbox.versions import Version, split_version, version_text

_SUCCESS_HEADERS = {
    "Content-Type": "application/json; charset=UTF-8",
    "Access-Control-Allow-Origin": "*",
    "Cache-Control": "private, no-cache, no-store, must-revalidate",
    "Pragma": "no-cache",
    "Expires": "Sat, 01 Jan 2000 00:00:00 GMT",
    "Vary": "Accept-Encoding",
}
_NO_NODES = ("", "me", "debug_token", "oauth")
_WORTH_PACKING = 1_000
_LOOK_SECONDS = 0.01  # how often a held call looks whether it is released
_SHARES = (
    *("reset", "html", "empty", "null", "cut", "code_1", "code_2", "transient", "stall"),
    *("cut_error", "huge", "trickle"),
)
# What `passing` is a mix of, in twentieths.
_PASSING = {"reset": 4, "html": 4, "empty": 3, "null": 2, "code_2": 4, "cut": 3}


class GraphHttp:
    """Answers requests of the Graph API; everything below the version."""

    def __init__(self, config: SandboxConfig, graph: Graph, tokens: Tokens) -> None:
        self._config = config
        self._graph = graph
        self._tokens = tokens
        self._died_after: int | None = None
        self._outage = Outage(config.faults)
        self._shutting: asyncio.Task[None] | None = None
        self._faults = config.faults
        self.counts: Counter[str] = Counter()
        self.door: Door | None = None  # without one, a refused connection is a cut one

    @property
    def faults(self) -> Faults:
        """What goes wrong; may be changed while it runs."""
        return self._faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self.change(faults, is_outage=faults.outage_seconds != self._faults.outage_seconds)

    def change(self, faults: Faults, *, is_outage: bool) -> None:
        """Other faults from now on; with `is_outage` an outage begins, or ends."""
        self._faults = faults
        now = self._graph.now()
        self._outage.change(faults, begins=is_outage, number=self.counts["received"], now=now)
        self._shut()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, from its faults to its answer."""
        request = Request(scope, receive)
        self.counts["received"] += 1
        number = self.counts["received"]
        is_away = self._outage.is_on(number, self._graph.now())
        path = split_version(request.url.path)[2]
        fault = "outage" if is_away else self._fault(number) if self._is_meant(path) else None
        if fault is not None:
            self.counts[f"fault:{fault}"] += 1
        if is_away:
            response = await self._be_away()
        elif fault == "reset":
            response = None
        else:
            response = await self._serve(request, number, fault)
        if response is None:
            await abort(receive, send)
        else:
            await response(scope, receive, send)

    async def _serve(self, request: Request, number: int, fault: str | None) -> Response:
        await self._hold(number)
        jitter = Random(ids.digest(self._config.seed, "jitter", number)).random()
        await asyncio.sleep(jitter * self.faults.jitter_seconds)
        if fault == "stall":
            await asyncio.sleep(self.faults.stall_seconds)
        response = broken(fault) or await self._answer(request, number, fault)
        await asyncio.sleep(self._config.latency_seconds)
        return response

    async def _be_away(self) -> Response | None:
        """What a call gets during an outage; None cuts the connection."""
        self._shut()
        match self.faults.outage_kind:
            case "refused" | "reset":
                return None
            case "silent":
                await self._wait_for_end()
                return None
        return self._outage.answer(self._graph.now())

    def _shut(self) -> None:
        """Refuse connections until the outage is over, where that is its kind."""
        is_away = self.faults.outage_kind == "refused" and self._outage.seconds_left(self._graph.now())
        if is_away and self.door is not None and (self._shutting is None or self._shutting.done()):
            self.door.close()
            self._shutting = asyncio.create_task(self._open_again(self.door))

    async def _open_again(self, door: Door) -> None:
        await self._wait_for_end()
        await door.open()

    async def _wait_for_end(self) -> None:
        while self._outage.seconds_left(self._graph.now()):  # noqa: ASYNC110 - any thread may change it
            await asyncio.sleep(_LOOK_SECONDS)

    async def _hold(self, number: int) -> None:
        while self.faults.hold_after is not None and number > self.faults.hold_after:  # noqa: ASYNC110 - any thread may change it
            await asyncio.sleep(_LOOK_SECONDS)

    async def _answer(self, request: Request, number: int, fault: str | None) -> Response:
        version, prefix, path = split_version(request.url.path)
        trace_id = f"A{secrets.token_urlsafe(16)}"
        headers = {
            "facebook-api-version": version_text(version),
            "x-fb-trace-id": trace_id,
            "x-fb-request-id": trace_id,
        }
        headers |= {"x-fb-rev": "1000000000", "X-FB-Debug": secrets.token_urlsafe(32)}
        call: Call | None = None
        try:
            call = await self._call(request, path, prefix, version, number)
            if self._is_meant(path):
                self._refuse(fault)
                if self.faults.refusal is not None:
                    self.counts["refused"] += 1
                    return odd_refusal(self.faults.refusal, self._page_id(call))
            if "batch" in call.parameters and request.method == "POST":
                text = answer_batch(self._graph, call, trace_id)
            else:
                text = self._graph.answer(call)
        except Refusal as refusal:
            self.counts["refused"] += 1
            self.counts[f"error:{refusal.code}"] += 1
            headers |= self._usage(call) if call else {}
            headers |= {"WWW-Authenticate": _latin(refusal.challenge), "Cache-Control": "no-store"}
            headers["Content-Type"] = _SUCCESS_HEADERS["Content-Type"]
            text = to_text(refusal.envelope(trace_id))
            return Response(text[: len(text) // 2] if fault == "cut_error" else text, refusal.status, headers)
        self._count(path)
        if self._config.legacy:
            # Else nobody can tell that two answers are the same.
            headers["ETag"] = f'"{hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()}"'
            if request.headers.get("if-none-match") == headers["ETag"]:
                return Response(None, 304, headers | self._usage(call))
            if "callback" in call.parameters:
                text = f"/**/ {call.parameters['callback']}({text});"
        headers = {"ETag": f'"{secrets.token_hex(20)}"'} | headers | _SUCCESS_HEADERS | self._usage(call)
        text = text.replace(SIGNATURE, secrets.token_hex(16))
        return self._wrap(request, text, headers, fault)

    def _wrap(self, request: Request, text: str, headers: dict[str, str], fault: str | None) -> Response:
        """A good answer, as whole as its fault lets it be."""
        body = (text[: len(text) // 2] if fault == "cut" else text).encode()
        if fault == "huge":
            return huge(body, self.faults, headers)
        if fault == "trickle":
            return trickle(body, self.faults, headers)
        takes_gzip = self._config.gzip and "gzip" in request.headers.get("accept-encoding", "")
        if takes_gzip and len(body) >= _WORTH_PACKING:
            headers["Content-Encoding"] = "gzip"
            body = gzip.compress(body, compresslevel=1)
        return Response(body, 200, headers)

    def _usage(self, call: Call) -> dict[str, str]:
        return odd_usage(self.faults, self._page_id(call)) or self._graph.headers(call)

    def _page_id(self, call: Call) -> str:
        return call.page.page_id if call.page is not None else ""

    def _is_meant(self, path: str) -> bool:
        """Whether a call of this path meets the faults that `where` restricts."""
        if self.faults.where == "all":
            return True
        if path.rstrip("/").endswith("/conversations"):
            return self.faults.where == "lists"
        if self._graph.is_page(path):
            return self.faults.where == "page"
        return self.faults.where == "nodes" and path.strip("/").partition("/")[0] not in _NO_NODES

    async def _call(self, request: Request, path: str, prefix: str, version: Version, number: int) -> Call:
        parameters = dict(request.query_params)
        if request.method == "POST":
            parameters |= read_form(request.headers.get("content-type", ""), await request.body())
        token = _token(request, parameters)
        dies_after = self.faults.token_dies_after
        if dies_after is not None and number > dies_after and self._died_after != dies_after:
            # Once: a token that is minted afterwards is valid.
            self._died_after = dies_after
            self._tokens.kill_all(self.faults.token_subcode)
        page = None
        if path.strip("/") != "oauth/access_token":
            if token is None:
                if path.strip("/").split("/")[0] == "me":
                    raise no_user()
                raise Refusal(104, "An access token is required to request this resource.")
            page = self._tokens.page(token)
            proof = parameters.get("appsecret_proof")
            if proof is not None or (self._config.require_proof and not self._tokens.is_app(token)):
                self._tokens.check_proof(token, proof)
        method = parameters.get("method", "") if self._config.legacy else ""
        root = f"{request.url.scheme}://{request.headers.get('host', 'localhost')}/"
        root += f"{prefix}/" if prefix else ""
        return Call(
            method=method.upper() or request.method,
            path=path,
            parameters=parameters,
            token=token or "",
            root=root,
            version=version,
            is_legacy=self._config.legacy,
            page=page,
            number=number,
            epoch=self._epoch(),
        )

    def _epoch(self) -> int:
        """Cursors of another epoch are refused: how often cursors were forgotten."""
        deaths = self._tokens.deaths if self._config.cursors_die_with_token else 0
        return self.faults.forget_cursors + deaths

    def _fault(self, number: int) -> str | None:
        chance = Random(ids.digest(self._config.seed, "fault", number)).random()
        for name in _SHARES:
            chance -= getattr(self.faults, name)
            if chance < 0:
                return name
        for name, twentieths in _PASSING.items():
            chance -= self.faults.passing * twentieths / 20
            if chance < 0:
                return name
        return None

    def _refuse(self, fault: str | None) -> None:
        if self.faults.refuse_code is not None:
            raise any_refusal(self.faults.refuse_code, self.faults.refuse_subcode, self.faults.refuse_words)
        match fault:
            case "code_1":
                raise Refusal(1, "An unknown error occurred", subcode=99, status=500)
            case "code_2" | "cut_error":
                raise Refusal(2, "Service temporarily unavailable", status=500, is_transient=True)
            case "transient":
                raise Refusal(960, "(#960) Request aborted. Try again.", is_transient=True)

    def _count(self, path: str) -> None:
        self.counts["answered"] += 1
        parts = path.strip("/").split("/")
        self.counts[f"edge:{parts[1]}" if len(parts) > 1 else "node"] += 1


def _token(request: Request, parameters: dict[str, Any]) -> str | None:
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() in ("bearer", "oauth") and given:
        return given.strip()
    return parameters.get("access_token") or None


def _latin(text: str) -> str:
    return text.encode("latin-1", "replace").decode("latin-1")
