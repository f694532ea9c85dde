"""Requests that no client of ours would send."""

import pytest

from inboxsync.model import RunKind, RunRequest
from inboxsync.web.app import ROUTES
from inboxsync.workers import RunQueue
from tests.attacks.fixtures import OpenSite, Site
from tests.waiting import wait_until


def first_line(site: Site, *head: str) -> str:
    """How a request without the body that it announces is answered."""
    with site.connected() as connection:
        connection.sendall("\r\n".join((*head, "", "")).encode("latin-1"))
        answer = b""
        while b"\r\n" not in answer and (more := connection.recv(4096)):
            answer += more
    return answer.partition(b"\r\n")[0].decode()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/v1/pages"),
        ("POST", "/api/conversations/sync"),
        ("POST", "/api/v1/runs"),
        ("POST", "/api/v1/nowhere"),
        ("DELETE", "/api/v1/pages/104"),
    ],
)
@pytest.mark.parametrize("key", ["", "X-API-Key: ibs_wrong\r\n"])
def test_a_key_is_asked_for_before_a_body_is_read(site: OpenSite, method: str, path: str, key: str) -> None:
    opened = site()
    opened.key()
    head = f"{method} {path} HTTP/1.1", f"{key}Host: localhost", "Content-Type: application/json"
    # The body never comes.
    assert first_line(opened, *head, "Content-Length: 900000").startswith("HTTP/1.1 401")
    assert first_line(opened, *head, "Transfer-Encoding: chunked").startswith("HTTP/1.1 401")


def test_every_route_with_a_scope_asks_for_the_key_itself(site: OpenSite) -> None:
    opened = site()
    opened.key()
    document = opened.client().get("/openapi.json").json()
    asked = 0
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if "x-scope" in operation:
                head = (
                    f"{method.upper()} {path.replace('{', '').replace('}', '')} HTTP/1.1",
                    "Host: localhost",
                )
                assert first_line(opened, *head, "Content-Length: 10").startswith("HTTP/1.1 401"), path
                asked += 1
    assert asked > 10


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "[fe80::1%evil.com]",
        "fe80::1%evil.com",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
    ],
)
def test_no_foreign_name_passes_for_an_address(site: OpenSite, host: str) -> None:
    opened = site()
    assert first_line(opened, "GET /healthz HTTP/1.1", f"Host: {host}").startswith("HTTP/1.1 400")
    assert first_line(opened, "GET /healthz HTTP/1.1", "Host: [::1]:80").startswith("HTTP/1.1 200")


@pytest.mark.parametrize("scheme", ["https", "ws", "null", "chrome-extension"])
def test_another_scheme_is_another_site(site: OpenSite, scheme: str) -> None:
    opened = site()
    host = opened.url.partition("://")[2]
    assert opened.client(Origin=f"http://{host}").get("/api/v1/pages").status_code == 200
    refused = opened.client(Origin=f"{scheme}://{host}").get("/api/v1/pages")
    assert refused.status_code == 403
    assert refused.json()["code"] == "origin_refused"


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS"])
def test_no_address_of_the_dashboard_stays_open_for_a_request_without_an_answer(
    site: OpenSite, method: str
) -> None:
    opened = site()
    page = opened.page()
    run = RunQueue(opened.engine).enqueue(page, RunRequest(kind=RunKind.SYNC))
    visitor = opened.visitor()
    visitor.log_in(opened.key())
    for route in ROUTES:
        if route.method == "GET":
            path = route.path.replace("/runs/{id}", f"/runs/{run.id}").replace("{id}", page.id)
            answer = visitor.client.request(method, path)
            assert answer.status_code < 500, path
            assert answer.content == b"" or method == "OPTIONS", path
    wait_until(lambda: opened.app.state.service.event_streams.clients == 0)


def test_head_of_a_download_reads_nothing_and_holds_nothing(site: OpenSite) -> None:
    opened = site()
    opened.write(opened.page(), "hello")
    visitor = opened.visitor()
    visitor.log_in(opened.key())
    for _ in range(60):
        answer = visitor.client.head("/exports/file?what=messages&format=ndjson")
        assert answer.status_code == 200
        assert answer.headers["X-Inboxsync-Rows"] == "1"
    assert visitor.get("/exports/file?what=messages&format=ndjson").text.count("\n") == 2
