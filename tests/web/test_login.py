"""Who can log in, what a form must send back, and how a session ends."""

import re
from contextlib import suppress

import httpx2
import pytest

from inboxsync.model import Scope
from inboxsync.store.state.credentials import revoke_api_key
from inboxsync.web.app import ROUTES, DashboardRoute
from tests.web.fixtures import ServeWeb, Visitor

GUARDED = [route for route in ROUTES if route.scope is not None]
FORMS = [route for route in ROUTES if route.method == "POST"]


def ask(visitor: Visitor, route: DashboardRoute, **form: str) -> httpx2.Response:
    path = route.path.replace("{id}", "anything")
    return visitor.client.request(route.method, path, data=form if route.method == "POST" else None)


def the_cookie(visitor: Visitor) -> tuple[str, str]:
    """Name and value of the only cookie."""
    (cookie,) = visitor.client.cookies.jar
    assert cookie.value is not None
    return cookie.name, cookie.value


def test_everything_but_the_login_needs_a_session(web: ServeWeb) -> None:
    site = web()
    stranger = site.visitor()
    stranger.get("/login")
    for route in GUARDED:
        answer = ask(stranger, route, csrf=stranger.csrf)
        assert answer.status_code == 303, route.path
        assert answer.headers["location"].startswith("/login"), route.path
    assert stranger.get("/nothing/here").status_code == 303


def test_no_form_is_accepted_without_its_token(web: ServeWeb) -> None:
    site = web(conversations=2)
    page = site.add_page()
    admin = site.admin()
    for route in FORMS:
        path = route.path.replace("{id}", page.id)
        for token in ({}, {"csrf": ""}, {"csrf": "x" * 32}):
            answer = admin.client.post(path, data=token)
            assert answer.status_code == 403, (path, token)
            assert "no longer valid" in answer.text
    assert admin.get("/").status_code == 200


def sent(client: httpx2.Client, body: bytes, kind: str) -> httpx2.Response:
    """The answer to a form; who is still sending when it is refused may be cut off before the answer."""
    for _ in range(10):
        with suppress(httpx2.ReadError, httpx2.WriteError):
            return client.post("/settings/keys", content=body, headers={"Content-Type": kind})
    pytest.fail("cut off ten times")


def test_an_unreadable_form_gets_an_error_page(web: ServeWeb) -> None:
    admin = web().admin()
    multipart = "multipart/form-data; boundary=x"
    for kind, body, status in (
        ("multipart/form-data", b"no boundary", 400),
        (multipart, b"not one of its parts", 400),
        ("application/x-www-form-urlencoded", b"csrf=" + b"a" * 2_000_000, 413),
    ):
        answer = sent(admin.client, body, kind)
        assert answer.status_code == status, kind
        assert "<h1>" in answer.text
    assert admin.get("/").status_code == 200


def test_another_sessions_token_is_refused(web: ServeWeb) -> None:
    site = web()
    admin, other = site.admin(), site.visitor()
    other.get("/login")
    answer = admin.client.post("/settings/keys", data={"csrf": other.csrf, "name": "x", "scope": "admin"})
    assert answer.status_code == 403
    assert "ibs_" not in answer.text


@pytest.mark.parametrize("scope", [Scope.READ, Scope.SYNC])
def test_a_key_opens_what_its_scope_covers_and_no_more(web: ServeWeb, scope: Scope) -> None:
    site = web(conversations=2)
    page = site.add_page()
    visitor = site.visitor()
    visitor.log_in(site.key(scope))
    for route in GUARDED:
        assert route.scope is not None
        if scope.covers(route.scope) or route.path == "/logout":
            continue
        answer = ask(visitor, route, csrf=visitor.csrf)
        assert answer.status_code == 403, route.path
        assert "This needs the scope" in answer.text
    shown = visitor.get(f"/pages/{page.id}").text
    assert ("Sync now" in shown) == scope.covers(Scope.SYNC)
    assert "Pause" not in shown


def test_without_any_key_a_button_opens_the_dashboard_on_this_machine(web: ServeWeb) -> None:
    site = web()
    visitor = site.visitor()
    assert "Open the dashboard" in visitor.get("/login").text
    assert visitor.log_in().headers["location"] == "/"
    assert visitor.get("/").status_code == 200
    site.key()
    assert visitor.get("/").status_code == 303  # the first key ends that


def test_behind_a_proxy_there_is_no_such_button(web: ServeWeb) -> None:
    visitor = web().visitor(**{"X-Forwarded-For": "203.0.113.9"})
    assert "API key" in visitor.get("/login").text
    assert visitor.post("/login").status_code == 401


def test_the_cookie_is_only_for_this_site_and_no_script_reads_it(web: ServeWeb) -> None:
    site = web()
    plain = site.visitor().get("/login").headers["set-cookie"]
    assert "HttpOnly" in plain
    assert "SameSite=strict" in plain
    assert "Secure" not in plain
    behind_tls = site.visitor(**{"X-Forwarded-Proto": "https"}).get("/login").headers["set-cookie"]
    assert "Secure" in behind_tls


def test_logging_out_ends_the_session_everywhere(web: ServeWeb) -> None:
    site = web()
    admin = site.admin()
    name, kept = the_cookie(admin)
    assert admin.post("/logout").headers["location"] == "/login"
    assert name not in admin.client.cookies
    thief = site.visitor(Cookie=f"{name}={kept}")
    assert thief.get("/").status_code == 303


def test_a_revoked_key_ends_its_sessions(web: ServeWeb) -> None:
    site = web()
    admin = site.admin()
    with site.engine.store.write() as connection:
        revoke_api_key(connection, "admin", now=site.engine.clock.now())
    site.forget_keys()
    assert admin.get("/").status_code == 303


def test_a_cookie_that_is_not_ours_opens_nothing(web: ServeWeb) -> None:
    site = web()
    admin = site.admin()
    name, ours = the_cookie(admin)
    middle = len(ours) // 2
    changed = ours[:middle] + ("A" if ours[middle] != "A" else "B") + ours[middle + 1 :]
    for cookie in (changed, ours[:-4], "", "x", "é", "A" * 5000):
        visitor = site.visitor()
        answer = visitor.client.get("/", headers={b"Cookie": f"{name}={cookie}".encode()})
        assert answer.status_code == 303, cookie[:20]


def test_a_login_starts_a_new_session(web: ServeWeb) -> None:
    site = web()
    visitor = site.visitor()
    visitor.get("/login")
    name, before = the_cookie(visitor)
    visitor.post("/login", key=site.key())
    assert visitor.client.cookies[name] != before
    assert site.visitor(Cookie=f"{name}={before}").get("/").status_code == 303


def test_a_wrong_key_is_reported_and_guessing_is_slowed_down(web: ServeWeb) -> None:
    site = web()
    key = site.key()
    visitor = site.visitor()
    visitor.get("/login")
    refused = visitor.post("/login", key="ibs_wrong")
    assert refused.status_code == 401
    assert "not valid" in refused.text
    assert "ibs_wrong" not in refused.text
    for _ in range(9):
        visitor.post("/login", key="ibs_wrong")
    assert "Too many" in visitor.post("/login", key=key).text


@pytest.mark.parametrize(
    "wanted", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)", "/login"]
)
def test_the_login_leads_to_no_other_site(web: ServeWeb, wanted: str) -> None:
    site = web()
    visitor = site.visitor()
    visitor.get("/login")
    assert visitor.post("/login", key=site.key(), next=wanted).headers["location"] == "/"


def test_the_login_leads_to_the_page_that_was_wanted(web: ServeWeb) -> None:
    site = web()
    visitor = site.visitor()
    location = visitor.get("/search?q=two+words").headers["location"]
    visitor.get(location)
    answer = visitor.post("/login", key=site.key(), next="/search?q=two+words")
    assert answer.headers["location"] == "/search?q=two+words"


def test_every_page_forbids_foreign_content(web: ServeWeb) -> None:
    site = web(conversations=20)
    page = site.add_page()
    site.sync(page)
    admin = site.admin()
    for route in ROUTES:
        if route.method != "GET" or "{id}" in route.path or route.path == "/exports/file":
            continue
        answer = admin.get(route.path)
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'self'; base-uri 'none'; form-action 'self'"), route.path
        assert "unsafe" not in policy
        for script in re.findall(r"<script\b[^>]*>", answer.text):
            assert "src=" in script, route.path
        assert not re.search(r"<style|\sstyle=|\son\w+=", answer.text), route.path
        for address in re.findall(r'(?:src|href|action)="([^"]*)"', answer.text):
            assert address.startswith(("/", "#", "tel:", "mailto:")) or address == "", (route.path, address)


def test_only_our_own_files_are_served(web: ServeWeb) -> None:
    visitor = web().visitor()
    assert visitor.get("/static/style.css").headers["content-type"].startswith("text/css")
    assert "immutable" in visitor.get("/static/live.js").headers["cache-control"]
    for path in ("/static/../app.py", "/static/%2e%2e/app.py", "/static/nothing", "/static/"):
        assert visitor.get(path).status_code in (303, 404), path


def test_addresses_of_the_http_service_are_left_to_it(web: ServeWeb) -> None:
    visitor = web().visitor()
    missing = visitor.get("/api/v1/nothing")
    assert missing.headers["content-type"] == "application/problem+json"
    assert visitor.get("/healthz").status_code == 200
