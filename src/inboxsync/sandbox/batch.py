"""`POST /` with `batch=[...]`: several calls in one request, and each of them counts (graph-facts 1.9)."""

import json
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from inboxsync.sandbox.call import Call
from inboxsync.sandbox.graph import Graph
from inboxsync.sandbox.refusal import Refusal
from inboxsync.sandbox.render import to_text

_MOST = 50
_HEADERS = [{"name": "Content-Type", "value": "text/javascript; charset=UTF-8"}]


def answer_batch(graph: Graph, call: Call, trace_id: str) -> str:
    """An array in the request's order: status, headers, and the body as text. The batch has status 200."""
    with_headers = call.parameters.get("include_headers", "true") != "false"
    headers = {"headers": _HEADERS} if with_headers else {}
    answers = [_answer(graph, call, item, trace_id) for item in _items(call.parameters["batch"])]
    return to_text([{"code": status, **headers, "body": body} for status, body in answers])


def _items(text: str) -> list[Any]:
    try:
        items = json.loads(text)
    except ValueError:
        items = None
    if not isinstance(items, list) or not items:
        raise Refusal(100, "(#100) The batch parameter must be a JSON array", kind="GraphBatchException")
    if len(items) > _MOST:
        raise Refusal(
            100,
            f"Too many requests in batch message. Maximum batch size is {_MOST}",
            kind="GraphBatchException",
        )
    return items


def _answer(graph: Graph, call: Call, item: Any, trace_id: str) -> tuple[int, str]:
    try:
        return 200, graph.answer(_call(call, item))
    except Refusal as refusal:
        return refusal.status, to_text(refusal.envelope(trace_id))


def _call(call: Call, item: Any) -> Call:
    """The item's own call; its own token in the URL is not supported: a batch has one token."""
    if not isinstance(item, dict) or not isinstance(item.get("relative_url"), str):
        raise Refusal(100, "(#100) A batch item needs a relative_url", kind="GraphBatchException")
    url = urlsplit(item["relative_url"])
    parameters = dict(parse_qsl(url.query, keep_blank_values=True))
    body = item.get("body")
    if isinstance(body, str):
        parameters |= dict(parse_qsl(body))
    path = url.path.strip("/")
    head, _, rest = path.partition("/")
    if head.startswith("v") and head[1:].replace(".", "").isdecimal():
        path = rest
    return replace(call.at(path, parameters), method=str(item.get("method", "GET")).upper())
