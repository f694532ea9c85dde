"""Authentication, limits and safe headers: who gets which answer."""

import asyncio
import socket
from contextlib import suppress

import pytest
from prometheus_client import Counter, Histogram
from starlette.types import Message

from inboxsync.api.middleware import RequestLog
from inboxsync.errors import StoreUnreachable
from inboxsync.model import Scope
from inboxsync.store.state.credentials import revoke_api_key
from tests.api.fixtures import Api, PlainEngine, ServeApi
from tests.fixtures import PATIENCE_SECONDS


def test_until_a_key_is_created_only_this_machine_is_let_in(api: Api) -> None:
    assert api.get("/api/v1/pages").status_code == 200
    behind_a_proxy = api.get("/api/v1/pages", headers={"X-Forwarded-For": "203.0.113.9"})
    assert (behind_a_proxy.status_code, behind_a_proxy.json()["code"]) == (401, "key_missing")
    assert behind_a_proxy.headers["WWW-Authenticate"].startswith("Bearer")


def test_after_a_key_was_created_everyone_needs_one_even_when_it_is_revoked(api: Api) -> None:
    header = api.key(Scope.READ)
    assert api.get("/api/v1/pages").json()["code"] == "key_missing"
    assert api.get("/api/v1/pages", headers=header).status_code == 200
    with api.engine.store.write() as connection:
        revoke_api_key(connection, "read", now=api.engine.clock.now())
    api.forget_keys()
    assert api.get("/api/v1/pages", headers=header).json()["code"] == "key_invalid"
    assert api.get("/api/v1/pages").json()["code"] == "key_missing"


def test_the_key_may_be_in_either_header(api: Api) -> None:
    key = api.key(Scope.READ)["Authorization"].removeprefix("Bearer ")
    assert api.get("/api/v1/pages", headers={"X-API-Key": key}).status_code == 200
    assert api.get("/api/v1/pages", headers={"Authorization": f"bearer {key}"}).status_code == 200


def test_the_fixed_key_may_do_everything(plain_engine: PlainEngine, serve_api: ServeApi) -> None:
    api = serve_api(plain_engine(api_key="a fixed key of mine"))
    assert api.get("/api/v1/pages").status_code == 401
    assert api.get("/api/v1/pages", headers={"X-API-Key": "a fixed key of mine"}).status_code == 200
    assert api.get("/api/v1/pages", headers={"X-API-Key": "a fixed key of mino"}).status_code == 401


def test_a_key_that_is_nearly_right_is_not_valid(api: Api) -> None:
    key = api.key(Scope.ADMIN)["Authorization"].removeprefix("Bearer ")
    for wrong in (key[:-1], key + "x", key[:-1] + ("a" if key[-1] != "a" else "b"), key.swapcase()):
        assert api.get("/api/v1/pages", headers={"X-API-Key": wrong}).json()["code"] == "key_invalid"


def test_after_ten_invalid_keys_no_key_is_checked_for_a_minute(api: Api) -> None:
    header = api.key(Scope.READ)
    codes = [api.get("/api/v1/pages", headers={"X-API-Key": f"guess {i}"}).status_code for i in range(11)]
    assert codes == [401] * 10 + [429]
    refused = api.get("/api/v1/pages", headers=header)
    assert refused.json()["code"] == "key_guessing"
    assert 0 < int(refused.headers["Retry-After"]) <= 60


@pytest.mark.parametrize("scope", list(Scope))
def test_a_key_may_do_what_its_scope_and_smaller_ones_allow(api: Api, scope: Scope) -> None:
    header = api.key(scope)
    reads = api.get("/api/v1/pages", headers=header)
    adds = api.post("/api/v1/pages", headers=header, json={})
    assert reads.status_code == 200
    assert adds.status_code == (422 if scope is Scope.ADMIN else 403)


def test_a_page_of_another_site_is_refused_without_a_key(api: Api) -> None:
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}):
        assert api.get("/api/v1/pages", headers=headers).json()["code"] == "origin_refused"
    own = {"Sec-Fetch-Site": "same-origin", "Origin": api.url}
    assert api.get("/api/v1/pages", headers=own).status_code == 200


def test_a_foreign_name_in_the_host_header_is_refused(api: Api) -> None:
    for host in ("evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", ""):
        refused = api.get("/api/v1/pages", headers={"Host": host})
        assert (refused.status_code, refused.json()["code"]) == (400, "host_unknown"), host
    for host in ("localhost", "LOCALHOST:8000", "[::1]:8000", "127.0.0.1"):
        assert api.get("/api/v1/pages", headers={"Host": host}).status_code == 200, host


def test_a_name_of_the_settings_is_answered_to(plain_engine: PlainEngine, serve_api: ServeApi) -> None:
    api = serve_api(plain_engine(allowed_hosts="inbox.example.com, other.example.com"))
    assert api.get("/healthz", headers={"Host": "inbox.example.com:443"}).status_code == 200


def test_other_sites_are_answered_only_if_the_settings_name_them(
    api: Api, plain_engine: PlainEngine, serve_api: ServeApi
) -> None:
    origin = "https://app.example.com"
    asked = {"Origin": origin, "Access-Control-Request-Method": "GET"}
    assert "access-control-allow-origin" not in api.get("/healthz", headers={"Origin": origin}).headers
    open_api = serve_api(plain_engine(cors_origins=origin))
    allowed = open_api.client.options("/api/v1/pages", headers=asked)
    assert allowed.headers["access-control-allow-origin"] == origin
    other = open_api.get("/healthz", headers={"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in other.headers


def test_a_large_body_is_not_read(plain_engine: PlainEngine, serve_api: ServeApi) -> None:
    api = serve_api(plain_engine(max_body_bytes=2048))
    told = api.post("/api/v1/pages", content=b"x" * 4096, headers={"Content-Type": "application/json"})
    pieces = (b"x" * 512 for _ in range(8))
    untold = api.post("/api/v1/pages", content=pieces, headers={"Content-Type": "application/json"})
    for answer in (told, untold):
        assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


def test_every_answer_has_an_id_and_safe_headers(api: Api) -> None:
    for path in ("/healthz", "/docs", "/nowhere", "/api/v1/pages"):
        headers = api.get(path, headers={"X-Request-ID": "mine-1"}).headers
        assert headers["X-Request-ID"] == "mine-1"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "default-src 'none'" in headers["Content-Security-Policy"]
    unsafe = api.get("/healthz", headers={"X-Request-ID": "a" * 65}).headers["X-Request-ID"]
    assert unsafe != "a" * 65


def test_what_takes_get_takes_head_except_a_stream(api: Api) -> None:
    for path in ("/healthz", "/readyz", "/docs", "/api/v1/pages", "/openapi.json"):
        head, got = api.client.head(path), api.get(path)
        assert (head.status_code, head.content) == (200, b""), path
        assert head.headers["Content-Type"] == got.headers["Content-Type"]
    assert api.client.head("/nowhere").status_code == 404
    asked = {"pageId": "0190", "facebookPageId": "1"}
    for path in ("/api/conversations/sync-stream", "/api/conversations/sync", "/api/v1/runs/0190/stream"):
        refused = api.client.head(path, params=asked)
        assert (refused.status_code, "HEAD" in refused.headers["Allow"]) == (405, False), path
    assert api.client.delete("/api/v1/runs").headers["Allow"] == "GET, HEAD"
    assert 'method="HEAD",route="/api/v1/pages",status="200"' in api.get("/metrics").text


def test_for_a_body_of_another_kind_the_hint_names_json(api: Api) -> None:
    answer = api.post("/api/conversations/sync", data={"pageId": "0190", "facebookPageId": "1"})
    assert answer.status_code == 422
    assert "Content-Type: application/json" in answer.json()["hint"]
    deep = api.post(
        "/api/conversations/sync", content=b"[" * 60_000, headers={"Content-Type": "application/json"}
    )
    assert (deep.status_code, deep.json()["code"]) == (400, "request_invalid")
    assert deep.json()["hint"]


@pytest.mark.parametrize("limit", ["_BODY_SECONDS", "_WHOLE_BODY_SECONDS"])
def test_a_body_that_never_ends_is_refused(api: Api, monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    monkeypatch.setattr(f"inboxsync.api.middleware.{limit}", 0.2)
    host, port = api.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE_SECONDS) as connection:
        connection.sendall(
            b"POST /api/v1/pages HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Content-Length: 100\r\n\r\n{"
        )
        answer = b"".join(iter(lambda: connection.recv(4096), b""))  # to its end: nothing more is read
        assert answer.startswith(b"HTTP/1.1 408")


@pytest.mark.parametrize("first", [b"", b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"])
def test_headers_that_never_end_close_the_connection(
    api: Api, monkeypatch: pytest.MonkeyPatch, first: bytes
) -> None:
    monkeypatch.setattr("inboxsync.api.middleware._HEAD_SECONDS", 0.3)
    host, port = api.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE_SECONDS) as connection:
        connection.sendall(first + b"GET / HTTP/1.1\r\nX-Slow: ")
        with suppress(ConnectionResetError):
            assert b"".join(iter(lambda: connection.recv(4096), b"")).count(b"HTTP/1.1") == bool(first)


def test_headers_without_end_are_not_kept(api: Api) -> None:
    host, port = api.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE_SECONDS) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nX-Long: ")
        with pytest.raises(OSError, match=r"reset|Broken pipe"):
            connection.sendall(b"x" * 40_000_000)


def test_an_unexpected_error_is_reported_without_a_traceback(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a secret of the inside")

    monkeypatch.setattr("inboxsync.api.pages.list_pages_after", fail)
    answer = api.get("/api/v1/pages")
    assert (answer.status_code, answer.json()["code"]) == (500, "unexpected")
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text


def test_a_call_that_the_end_of_the_service_cuts_off_gets_an_answer() -> None:
    sent: list[Message] = []

    async def never(*_: object) -> None:
        await asyncio.sleep(60)

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        sent.append(message)

    async def go() -> None:
        requests = Counter("requests", "", ["route", "method", "status"], registry=None)
        log = RequestLog(never, requests=requests, seconds=Histogram("seconds", "", ["route"], registry=None))
        scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
        asked = asyncio.create_task(log(scope, receive, send))
        await asyncio.sleep(0)
        asked.cancel()  # as the server does when it has waited long enough
        await asked

    asyncio.run(go())
    assert sent[0]["status"] == 503
    assert b'"answer_too_late"' in sent[1]["body"]


def test_a_database_that_does_not_answer_is_not_the_callers_fault(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> None:
        raise StoreUnreachable("The database is away.")

    assert api.get("/readyz").status_code == 200
    monkeypatch.setattr("inboxsync.api.pages.list_pages_after", away)
    monkeypatch.setattr("inboxsync.api.health.was_source_reached", away)
    answer = api.get("/api/v1/pages")
    assert (answer.status_code, answer.json()["code"]) == (503, "store_unreachable")
    assert api.get("/readyz").status_code == 503
    assert api.get("/healthz").status_code == 200


def test_the_fixed_key_needs_no_database_and_other_keys_share_one_query(
    plain_engine: PlainEngine, serve_api: ServeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = serve_api(plain_engine(api_key="a fixed key of mine"))
    asked: list[None] = []

    def away(*_: object) -> None:
        asked.append(None)
        raise StoreUnreachable("The database is away.", hint="Wait.")

    api.forget_keys()
    monkeypatch.setattr("inboxsync.api.auth.list_api_keys", away)
    assert api.get("/api/v1/pages", headers={"X-API-Key": "a fixed key of mine"}).status_code == 200
    for _ in range(5):
        other = api.get("/api/v1/pages", headers={"X-API-Key": "ibs_0123456789.x"}).json()
        assert (other["code"], other["hint"]) == ("store_unreachable", "Wait.")
    assert len(asked) < 5
