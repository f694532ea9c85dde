"""Attacks that were tried from outside and failed: they go on failing."""

import csv
import io
import itertools
import random
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote

import pytest

from inboxsync.api.schemas import encode_cursor
from inboxsync.model import Scope
from inboxsync.web.app import ROUTES
from tests.attacks.fixtures import OpenSite
from tests.cli.fixtures import Run
from tests.fixtures import Json, examples

SECRET_TEXT = "the-text-that-nobody-else-may-read"
OPEN = ("/healthz", "/readyz", "/openapi.json", "/docs", "/login", "/static/")
SCRIPTS = (
    "<script>window.owned=1</script>",
    "<img src=x onerror=window.owned=1>",
    "\"><svg onload='window.owned=1'>",
    "'-alert(1)-'",
    "{{7*7}}${7*7}<%=7*7%>",
    "</title></textarea></script><b>",
    "javascript:alert(1)",
    "<!-- ]]> <a href=javascript:alert(1)>x</a>",
    "&lt;script&gt;",
)
CASES: tuple[Callable[[str], str], ...] = (
    str,
    str.upper,
    str.title,
    lambda word: quote(word, safe="").replace("a", "%61"),
)
LISTS = ("/api/v1/conversations", "/api/v1/contacts", "/api/v1/runs", "/api/v1/messages/search")
ASKED = {"/api/v1/messages/search": {"q": "needle"}}
OPERATORS = (
    "'",
    '"',
    '"" OR 1=1',
    "a' OR '1'='1",
    "'; DROP TABLE messages; --",
    "x* OR terms:y",
    "NEAR(a b)",
    "a AND b NOT c",
    "{terms} : a",
    "-a",
    "^a",
    "a + b",
    "(a",
    ")",
    "@104",
    "\x00",
    "%",
    "_",
    "\\",
    "a:*",
    "!a & b | c",
    "<->",
    "$1",
    ":x",
    "?1",
)


@pytest.mark.parametrize("who", ["nobody", "read", "sync"])
def test_every_route_of_the_api_needs_its_scope(site: OpenSite, who: str) -> None:
    opened = site()
    keys = {scope.value: opened.key(scope) for scope in Scope}
    headers = {} if who == "nobody" else {"X-API-Key": keys[who]}
    client = opened.client(**headers)
    document: Json = client.get("/openapi.json").json()
    asked = 0
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            needed = operation.get("x-scope")
            if needed is None or (who != "nobody" and Scope(who).covers(Scope(needed))):
                continue
            answer = client.request(method, path.replace("{", "").replace("}", ""), json={})
            assert answer.status_code == (401 if who == "nobody" else 403), (method, path)
            asked += 1
    assert asked > 3


@pytest.mark.parametrize("scope", [None, Scope.READ, Scope.SYNC])
def test_every_form_of_the_dashboard_needs_its_scope(site: OpenSite, scope: Scope | None) -> None:
    opened = site()
    page = opened.page()
    key = opened.key(scope or Scope.READ)
    visitor = opened.visitor()
    visitor.get("/login")
    if scope is not None:
        visitor.log_in(key)
    for route in ROUTES:
        if route.scope is None or route.path == "/logout" or (scope and scope.covers(route.scope)):
            continue
        path = route.path.replace("{id}", page.id)
        form = {"csrf": visitor.csrf} if route.method == "POST" else None
        answer = visitor.client.request(route.method, path, data=form)
        assert answer.status_code == (303 if scope is None else 403), path
        if scope is None:
            assert answer.headers["location"].startswith("/login")


def odd_spellings(path: str) -> set[str]:
    """Other ways to write an address, which a router and a check could read differently."""
    parts = path.strip("/").split("/")
    seed = random.Random(16)  # noqa: S311 - no secret
    joints = (
        "/",
        "//",
        "/./",
        "/x/../",
        "%2f",
        "/%2e/",
        "/%2e%2e/",
        "\\",
        "/;/",
        "/%20/",
        "/%00/",
        "/%c0%af/",
    )
    ends = (
        "",
        "/",
        "//",
        "/.",
        "/..",
        "%20",
        "%00",
        ";x",
        ".json",
        "?",
        "#",
        "%2f",
        "/%2e%2e",
        "%0a",
        "..;/",
    )
    made = {
        f"{joint}{joint.join(map(case, parts))}{end}"
        for joint, end, case in itertools.product(joints, ends, CASES)
    }
    return set(seed.sample(sorted(made), examples(100)))


@pytest.mark.parametrize("path", ["/api/v1/conversations", "/conversations", "/metrics"])
def test_no_spelling_of_an_address_avoids_the_key(site: OpenSite, path: str) -> None:
    opened = site()
    opened.write(opened.page(name=SECRET_TEXT), SECRET_TEXT, contact=SECRET_TEXT)
    opened.key()
    for spelling in odd_spellings(path):
        with opened.connected() as connection:
            request = f"GET {spelling} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            connection.sendall(request.encode("latin-1"))
            answer = b""
            while more := connection.recv(65_536):
                answer += more
        assert SECRET_TEXT.encode() not in answer, spelling
        status = int(answer.split()[1]) if answer else 400
        assert status in (303, 400, 401, 404, 405), (spelling, status)


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Host": "evil.example"},
        {"Host": "evil.example:8000"},
    ],
)
def test_a_page_of_another_site_reads_and_starts_nothing(site: OpenSite, headers: dict[str, str]) -> None:
    opened = site()  # without a key, this machine may do everything
    page = opened.page(name=SECRET_TEXT)
    client = opened.client(**headers)
    answers = [
        client.get("/api/v1/pages"),
        client.post(f"/api/v1/pages/{page.id}/runs", json={}),
        client.delete(f"/api/v1/pages/{page.id}"),
        client.post("/settings/keys", data={"name": "evil", "scope": "admin"}),
        client.post("/login", data={}),
    ]
    for answer in answers:
        assert answer.status_code in (303, 400, 403, 404, 405), answer.url
        assert SECRET_TEXT not in answer.text
        assert "access-control-allow-origin" not in answer.headers
    with opened.engine.store.read() as connection:
        for table in ("sync_runs", "api_keys"):
            assert connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one() == 0


def test_no_page_is_framed_or_sniffed(site: OpenSite) -> None:
    opened = site()
    visitor = opened.visitor()
    visitor.log_in(opened.key())
    paths = [route.path for route in ROUTES if route.method == "GET" and "{" not in route.path]
    for path in (
        *paths,
        "/docs",
        "/openapi.json",
        "/healthz",
        "/nowhere",
        "/api/v1/pages",
        "/static/style.css",
    ):
        answer = visitor.client.get(path)
        assert answer.headers["x-frame-options"] == "DENY", path
        assert answer.headers["x-content-type-options"] == "nosniff", path
        policy = answer.headers["content-security-policy"]
        assert path.startswith("/static/") or "frame-ancestors 'none'" in policy, path
        assert "unsafe" not in policy, path


@pytest.mark.parametrize(
    "wanted",
    [
        "//evil.example",
        "https://evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "javascript:alert(1)",
        "///evil.example",
        "/\t/evil.example",
        "/%0d%0aLocation:%20https://evil.example",
        "/\r\nLocation: https://evil.example",
        "http:evil.example",
        "//evil.example/%2f..",
        "/login?next=//evil.example",
        " //evil.example",
        "?x",
        "@evil.example",
        ".evil.example",
    ],
)
def test_a_login_leads_to_no_other_site(site: OpenSite, wanted: str) -> None:
    opened = site()
    key = opened.key()
    visitor = opened.visitor()
    visitor.get("/login")
    location = visitor.post("/login", key=key, next=wanted).headers["location"]
    assert location.startswith("/")
    assert not location.startswith(("//", "/\\"))
    assert location.isprintable()


class Tags(HTMLParser):
    """What a browser would make of a page: its elements and their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.attributes: list[tuple[str, str, str]] = []
        self.elements: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]


def assert_harmless_page(text: str) -> None:
    found = Tags(text)
    assert not {"svg", "b", "img"} & set(found.elements) or "<svg onload" not in text
    assert not any(name.startswith("on") for _, name, _ in found.attributes)
    addresses = [
        value for _, name, value in found.attributes if name in ("href", "src", "action", "formaction")
    ]
    assert not any(value.strip().lower().startswith("javascript:") for value in addresses)
    assert "<script>window.owned" not in text
    assert "49$" not in text  # what a template would compute


@pytest.mark.parametrize("script", SCRIPTS)
def test_names_and_texts_are_no_markup(site: OpenSite, run: Run, tmp_path: Path, script: str) -> None:
    opened = site()
    page = opened.page(name=script)
    opened.write(page, f"word {script}", contact=script)
    visitor = opened.visitor()
    visitor.log_in(opened.key())
    with opened.engine.store.read() as connection:
        row_id = connection.exec_driver_sql("SELECT id FROM messenger_conversations").scalar_one()
    paths = [
        "/",
        f"/pages/{page.id}",
        "/conversations",
        f"/conversations/{row_id}",
        "/contacts",
        "/search?q=word",
    ]
    for path in (*paths, f"/search?q={quote(script)}", f"/conversations?named={quote(script)}", "/settings"):
        answer = visitor.client.get(path)
        assert answer.headers["content-type"].startswith("text/html"), path
        assert_harmless_page(answer.text)
    archive = tmp_path / "data" / "archive"
    assert run("export", "html", "104", "-o", str(archive)).returncode == 0
    for file in archive.rglob("*.html"):
        assert_harmless_page(file.read_text(encoding="utf-8"))


@pytest.mark.parametrize("typed", OPERATORS)
def test_what_is_searched_for_is_no_program(site: OpenSite, typed: str) -> None:
    opened = site()
    mine = opened.page()
    opened.write(mine, "needle here", contact="Ann")
    client = opened.client()
    for params in (
        {"q": typed},
        {"q": f"needle {typed}"},
        {"q": "needle", "pageId": typed},
        {"q": "needle", "pageId": f'{mine.id}" OR terms : needle OR "x'},
    ):
        answer = client.get("/api/v1/messages/search", params=params)
        assert answer.status_code in (200, 400, 404, 422), params
        if "pageId" in params:
            assert not (answer.status_code == 200 and answer.json()["items"]), params
    visitor = opened.visitor()
    visitor.log_in()
    for path in (
        f"/search?q={quote(typed)}",
        f"/search?q=needle&page={quote(typed)}",
        f"/contacts?named={quote(typed)}",
    ):
        assert visitor.get(path).status_code in (200, 400, 404, 422), path
    assert client.get("/api/v1/messages/search", params={"q": "needle"}).json()["items"]


@pytest.mark.parametrize("path", LISTS)
def test_a_forged_cursor_is_refused(site: OpenSite, path: str) -> None:
    opened = site()
    opened.write(opened.page(), "needle", contact="Ann")
    kinds = ("conversations", "contacts", "runs", "messages")
    garbage = ["x", "é", "A" * 2000, "../../etc/passwd", "' OR 1=1 --", encode_cursor("nothing", "1")]
    # Well formed, they are a place in a list and no more.
    made = [encode_cursor(kind, *key) for kind in kinds for key in (("1",), ("\0", "\0"), ("1", "2", "3"))]
    for cursor in garbage + made:
        answer = opened.client().get(path, params={"cursor": cursor} | ASKED.get(path, {}))
        assert answer.status_code in ((400, 422) if cursor in garbage else (200, 400, 422)), cursor
        assert len(cursor) < 3 or cursor not in answer.text


def test_no_path_leads_out_of_our_files(site: OpenSite) -> None:
    opened = site()
    opened.engine.token_cipher(may_make_key=True)
    ups = (
        "../",
        "..%2f",
        "%2e%2e/",
        "%2e%2e%2f",
        "..\\",
        "%2e%2e%5c",
        "....//",
        "%252e%252e%252f",
        "/",
        "%2f",
    )
    for base, up, count, target in itertools.product(
        ("/static/", "/docs/"), ups, (1, 4, 9), ("app.py", "etc/passwd", "secret.key", "templates/base.html")
    ):
        with opened.connected() as connection:
            head = f"GET {base}{up * count}{target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            connection.sendall(head.encode())
            answer = b""
            while more := connection.recv(65_536):
                answer += more
        assert answer.split()[1] in (b"303", b"400", b"404"), (base, up, count, target)
        assert b"root:" not in answer


@pytest.mark.parametrize("delimiter", ["comma", "semicolon", "tab", "pipe"])
def test_no_text_in_a_csv_file_is_a_formula(site: OpenSite, delimiter: str) -> None:
    opened = site()
    begins = (
        "=",
        "+",
        "-",
        "@",
        "\t=",
        "\r=",
        " =",
        "\n=",
        "'=",
        '"=',
        ";=",
        "|=",
        ",=",
        "x;=",
        "x|=",
        "x\t=",
        "\uff1d",
    )
    page = opened.page(name='=HYPERLINK("http://evil.example")')
    opened.write(
        page, *(f'{begin}cmd|" /C calc"!A0' for begin in begins), contact="@SUM(1+1)*cmd|' /C calc'!A0"
    )
    for what in ("messages", "conversations", "contacts"):
        answer = opened.client().get(f"/api/v1/exports/{what}?format=csv&delimiter={delimiter}")
        assert answer.status_code == 200
        for other in ",;\t|":
            for cell in itertools.chain.from_iterable(
                csv.reader(io.StringIO(answer.text, newline=""), delimiter=other)
            ):
                assert not cell.lstrip(" \r\n\t").startswith(("=", "@", "+cmd", "-cmd")), (what, other, cell)


def test_no_key_and_no_cookie_is_in_a_log_or_an_answer(
    site: OpenSite, capsys: pytest.CaptureFixture[str]
) -> None:
    opened = site()
    key = opened.key()
    visitor = opened.visitor()
    visitor.log_in(key)
    cookie = next(iter(visitor.client.cookies.jar)).value or "none"
    answers = [
        opened.client().get("/api/v1/pages", params={"key": key}),
        opened.client(**{"X-API-Key": key + "x"}).get("/api/v1/pages"),
        opened.client(Authorization=f"Bearer {key}").post("/api/v1/pages", json={"token": key}),
        opened.client(Authorization=f"Basic {key}").get("/api/v1/pages"),
        opened.client(Cookie=f"x={cookie}").get("/nowhere"),
        visitor.client.post("/login", data={"csrf": visitor.csrf, "key": key + "x"}),
        opened.client(**{"X-API-Key": key}).get(f"/api/v1/conversations?cursor={key}"),
    ]
    written = capsys.readouterr()
    for secret in (key, key.partition(".")[2], cookie):
        assert all(secret not in answer.text for answer in answers)
        assert secret not in written.err + written.out


def test_a_huge_head_and_a_huge_body_are_not_read(site: OpenSite) -> None:
    opened = site()
    with opened.connected() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n")
        sent = 0
        try:
            for _ in range(10_000):
                sent += connection.send(b"X-Y: " + b"z" * 1000 + b"\r\n")
        except OSError:
            pass
        assert sent < 10_000_000
    with opened.connected() as connection:
        head = "POST /api/v1/pages HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        connection.sendall(f"{head}Content-Length: 99999999999\r\n\r\n".encode())
        assert re.match(rb"HTTP/1.1 413 ", connection.recv(4096))
