"""What `schemathesis` is told of this service; it reads this file in a process of its own."""

import base64
import itertools
import json
import os
from contextlib import suppress
from typing import Any
from urllib.error import URLError
from urllib.parse import quote
from urllib.request import Request, urlopen

import schemathesis
from hypothesis import strategies as st
from schemathesis import Case, HookContext

from inboxsync.api.schemas import filter_mark

PAGE_ID = "01978b2e-4a10-7cc3-9f6d-3a2b1c0d9e8f"
REMOVED_PAGE_ID = "01978b2e-4a10-7cc3-9f6d-3a2b1c0d9e90"
_numbers = itertools.count()
_NOON = "2026-06-01T12:00:00+00:00"


def _cursor(parts: list[str]) -> str:
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


# A cursor is a text that the service handed out: any other is refused, as it should be.
_LISTS = {
    "/api/v1/pages": ["pages", "0190"],
    "/api/v1/runs": ["runs", "0190"],
    "/api/v1/schedules": ["schedules", "0190"],
    "/api/v1/keys": ["keys", "0190"],
    "/api/v1/conversations": ["conversations", _NOON, "0190"],
    "/api/v1/contacts": ["contacts", "", "0190"],
}
schemathesis.openapi.format("cursor", st.just("CURSOR"))
schemathesis.openapi.format("since", st.sampled_from(["2026-01-31", "2026-01-31T12:00", "30d", "4w"]))
schemathesis.openapi.format("zone", st.sampled_from(["UTC", "Europe/Berlin", "Asia/Ho_Chi_Minh"]))
schemathesis.openapi.format("delimiter", st.sampled_from(["comma", "semicolon", "tab", "|"]))
schemathesis.openapi.format("locale", st.sampled_from(["de", "vi-VN", "en_US"]))
schemathesis.openapi.format("key-name", st.text("abc ü你", max_size=9).map(lambda text: f"k{text}"))
# A query without a word is refused.
schemathesis.openapi.format("search", st.sampled_from(["hello", '"on sunday"', "deliver*", "ünï 7"]))


@schemathesis.hook
def before_call(_context: HookContext, case: Case[Any], _kwargs: dict[str, object]) -> None:
    """Give each its list's cursor, and an address of its own, since keys are guessed on purpose.

    The Page of the examples stays; another of its kind is there to be removed.
    """
    if case.operation.method.upper() == "DELETE" and case.path_parameters.get("page_id") == PAGE_ID:
        case.path_parameters["page_id"] = REMOVED_PAGE_ID
    if (case.query or {}).get("cursor") == "CURSOR":
        parts = _LISTS.get(case.operation.path)
        path = case.path_parameters or {}
        if case.operation.path.endswith("/events"):
            parts = [f"events {path.get('run_id', '')}", "3"]
        # It continues a list without a filter, and a search for this word.
        case.query = {name: each for name, each in case.query.items() if name in ("limit", "order", "q")}
        if case.operation.path.endswith("/search"):
            case.query["q"] = "hello"
            of_hello = filter_mark(q="hello")
            rank = case.query.get("order") == "rank"
            parts = [f"search rank?{of_hello}", "1", "7", "7"] if rank else [f"search newest?{of_hello}", "7"]
        case.query["cursor"] = _cursor(parts or [f"messages {path.get('conversation_id', '')}", _NOON, "m_1"])
    if case.operation.path.startswith("/api/v1/exports/") and case.query:
        # Only CSV has a delimiter, and one of the two names it.
        is_csv = case.query.get("format", "csv") == "csv"
        if not is_csv or "excel" in case.query:
            case.query.pop("delimiter", None)
        if not is_csv:
            case.query.pop("excel", None)
    if case.operation.path.endswith("/stream"):
        _cancel((case.path_parameters or {}).get("run_id", ""))
    case.headers["X-Forwarded-For"] = f"203.0.{next(_numbers) % 250}.9"


def _cancel(run_id: str) -> None:
    """The stream of a run that waits for a worker would never end."""
    url = f"{os.environ['TEST_URL']}/api/v1/runs/{quote(run_id, safe='')}/cancel"
    with suppress(URLError):
        asked = Request(url, method="POST", headers={"Authorization": os.environ["TEST_KEY"]})  # noqa: S310 - http
        urlopen(asked).close()  # noqa: S310 - likewise
