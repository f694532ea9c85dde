"""No token and no key is in anything that a service writes or answers, whatever goes wrong."""

import base64
import json
import urllib.parse
import urllib.request
from pathlib import Path

import httpx2
import msgspec
import pytest

from inboxsync.model import Scope
from inboxsync.sandbox import Faults
from tests.api.fixtures import Live
from tests.fixtures import PATIENCE_SECONDS, Json

SANDBOX = {"pages": 13, "conversations": 30}
SETTINGS = {"request_stop_seconds": 3.0, "timeout_seconds": 1.0, "stall_calls": 6}
# Every kind of fault, those together that can be.
FAULTS: list[dict[str, Json]] = [
    dict.fromkeys(("reset", "html", "empty", "null", "cut", "code_1", "code_2", "transient"), 0.08),
    {"stall": 0.3, "stall_seconds": 2.0, "short_batch": 0.3, "empty_batch": 0.2, "repeat_cursor": 0.1},
    {"refuse_cursors": True, "endless": True, "deepest_cursor": 10, "forget_cursors": 1},
    {"weight_limit": 50, "poison": 2, "poison_slots": [0, 5]},
    {"list_poison": 2, "list_poison_slots": [3], "padding_bytes": 1_000, "passing": 0.2},
    {"cut_error": 0.1, "huge": 0.1, "huge_bytes": 100_000, "huge_form": "plain", "huge_chunked": True}
    | {
        "huge_is_json": False,
        "trickle": 0.1,
        "trickle_bytes": 1_000,
        "trickle_seconds": 0.01,
        "where": "lists",
    },
    {
        "outage_seconds": 1.0,
        "outage_after": 2,
        "outage_every": 20,
        "outage_kind": "503",
        "outage_body": "json",
    }
    | {"retry_after": "left", "jitter_seconds": 0.02},
    {"odd": ["milliseconds", "sender_without_id"], "odd_share": 0.5, "message_order": "reversed"}
    | {"usage": "cut", "usage_headers": '{"X-App-Usage": "nonsense"}', "cursor_cycle": 5},
    {"refuse_fields": ["sticker"], "refuse_fields_code": 12, "refuse_fields_words": "(#12) no {field}"}
    | {"refuse_fields_language": "fr"},
    {"refusal": "code_on_top"},
    {"refuse_code": 368, "refuse_subcode": 1, "refuse_words": "(#368) stop"},
    {"hold_after": 5},
    {"token_dies_after": 2, "token_subcode": 460},
]
# What was forgotten stays forgotten.
HEALTHY: dict[str, Json] = {
    name: value for name, value in msgspec.to_builtins(Faults()).items() if name != "forget_cursors"
}


def spellings(secret: str) -> list[bytes]:
    """As it could be written: itself, in a URL, in base64, in part."""
    raw = secret.encode()
    return [raw, urllib.parse.quote(secret, safe="").encode(), base64.b64encode(raw), raw[8:-8]]


def test_every_kind_of_fault_is_tried() -> None:
    assert {name for faults in FAULTS for name in faults} == set(Faults.__dataclass_fields__)


def test_no_token_and_no_key_is_anywhere(live: Live, capfd: pytest.CaptureFixture[str]) -> None:
    api = live.api
    key = api.key(Scope.ADMIN)
    told: list[str] = []

    def ask(method: str, path: str, **more: Json) -> httpx2.Response:
        answer = api.client.request(method, path, headers=key, **more)
        told.append(f"{answer.headers}{answer.text}")
        return answer

    tokens = [each.token for each in live.served.world.pages]
    for page, faults in zip(list(live.pages), FAULTS, strict=False):
        change(live, HEALTHY | faults)
        ask("POST", "/api/conversations/sync", json=live.asked(page))
        ask("GET", "/api/conversations/sync-stream", params=live.asked(page))
        ask("GET", f"/api/v1/pages/{page.id}")
        wrong = {"facebookPageId": page.facebook_page_id, "token": tokens[0] + "x", "name": 7}
        ask("POST", "/api/v1/pages", json=wrong)
        ask("POST", "/api/v1/pages", json=wrong | {"name": None})
        ask("POST", "/api/v1/pages", content=b'{"token": "' + tokens[0].encode() + b'", ')
    runs = ask("GET", "/api/v1/runs").json()["items"]
    for run in runs:
        ask("GET", f"/api/v1/runs/{run['id']}/events", params={"limit": 200})
    for path in ("/metrics", "/openapi.json", "/api/v1/pages", "/api/v1/conversations"):
        ask("GET", path)
    assert len(runs) >= len(FAULTS)
    logged = capfd.readouterr()
    files = {
        path: path.read_bytes() for path in Path(api.engine.settings.data_dir).rglob("*") if path.is_file()
    }
    assert any(path.name.startswith("inboxsync.db") for path in files)
    everything = {
        "log": (logged.out + logged.err).encode(),
        "answers": "".join(told).encode(),
        **{path.name: content for path, content in files.items()},
    }
    assert b"sync started" in everything["log"]
    for secret in (*tokens, key["Authorization"].removeprefix("Bearer ")):
        for spelling in spellings(secret):
            for where, content in everything.items():
                assert spelling not in content, where


def change(live: Live, faults: dict[str, Json]) -> None:
    asked = urllib.request.Request(  # noqa: S310 - our own
        f"{live.api.engine.settings.graph_url}/sandbox/faults", json.dumps(faults).encode()
    )
    with urllib.request.urlopen(asked, timeout=PATIENCE_SECONDS) as answer:  # noqa: S310
        assert answer.status == 200
