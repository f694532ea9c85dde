"""The OpenAPI document says what is: schemathesis holds the service to it, and every route has its scope."""

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import update
from starlette.routing import Route

from inboxsync.model import Conversation, Message, Page, Participant, Scope
from inboxsync.store.tables import facebook_pages, messenger_conversations
from inboxsync.store.writing.upsert import upsert_batch
from tests.api.fixtures import Api, ServeApi
from tests.fixtures import PATIENCE_SECONDS, EngineFor, Serve

# As the examples of the document have them.
PAGE_ID = "01978b2e-4a10-7cc3-9f6d-3a2b1c0d9e8f"
REMOVED_PAGE_ID = "01978b2e-4a10-7cc3-9f6d-3a2b1c0d9e90"
META_ID = "104567890123456"
OPEN = {"/healthz", "/readyz"}


@pytest.fixture
def filled(serve: Serve, engine_for: EngineFor, serve_api: ServeApi) -> Api:
    """A service whose database has what the examples need; its runs wait for a worker that never comes."""
    engine = engine_for(serve(conversations=3), request_stop_seconds=0.05)
    api = serve_api(engine)
    page, other = api.page(META_ID), api.page("105")
    with engine.store.write() as connection:
        for page_id, each in ((REMOVED_PAGE_ID, other), (PAGE_ID, page)):
            is_it = facebook_pages.c.id == each.id
            connection.execute(update(facebook_pages).where(is_it).values(id=page_id))
        own = Page(**{name: getattr(page, name) for name in page.__slots__} | {"id": PAGE_ID})
        ann = Participant(id="7", name="Ann")
        message = Message(message_id="m_1", sent_at=engine.clock.now(), sender_id="7", text="hello")
        one = Conversation(
            conversation_id="t_1", contact=ann, participants=(ann,), messages=(message,), unread_count=1
        )
        upsert_batch(connection, own, [one], folder="inbox", source="initial_sync", now=engine.clock.now())
    return api


@pytest.mark.system
def test_schemathesis_finds_nothing(filled: Api, tmp_path: Path) -> None:
    key = filled.key(Scope.ADMIN)["Authorization"]
    command = [
        str(Path(sys.executable).with_name("st")),
        "run",
        f"{filled.url}/openapi.json",
        "--checks",
        "all",
    ]
    command += ["--max-examples", "2", "--seed", "1", "--header", f"Authorization: {key}", "--no-color"]
    # One worker: CPython before 3.11.9 and 3.12.1 counts the depth of all threads that parse Python in one
    # place, and two that do it at once, as two workers may, end in a SystemError (cpython issue 106905).
    command += [
        "--workers",
        "1",
        "--suppress-health-check",
        "all",
        "--request-timeout",
        "20",
    ]
    done = subprocess.run(
        command,
        env=os.environ
        | {"SCHEMATHESIS_HOOKS": "schemathesis_hooks", "PYTHONPATH": str(Path(__file__).parent)}
        | {"TEST_URL": filled.url, "TEST_KEY": key},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=4 * PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2000:]


def test_every_route_has_a_scope_and_it_is_enforced(filled: Api) -> None:
    headers = {scope: filled.key(scope) for scope in Scope}
    document = filled.get("/openapi.json").json()
    seen = set()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if path in OPEN:
                assert "x-scope" not in operation
                continue
            needed = Scope(operation["x-scope"])
            seen.add(needed)
            assert operation["security"], path
            address = path.replace("{page_id}", "0190").replace("{run_id}", "0190")
            address = address.replace("{conversation_id}", "0190").replace("{sender_id}", "7")
            without_key = filled.client.request(method, address, json={})
            assert (without_key.status_code, without_key.json()["code"]) == (401, "key_missing"), (
                method,
                path,
            )
            for scope, header in headers.items():
                answer = filled.client.request(method, address, json={}, headers=header)
                is_refused = answer.status_code == 403 and answer.json()["code"] == "scope_too_small"
                assert is_refused == (not scope.covers(needed)), (method, path, scope, answer.text)
    assert seen == set(Scope)


def test_every_route_of_the_app_is_in_the_document_or_shows_it(filled: Api) -> None:
    document = filled.get("/openapi.json").json()
    shown = {"/openapi.json", "/docs", "/docs/{name}"}
    routes = {route.path for route in _routes(filled.app.routes)}
    assert routes - shown == set(document["paths"])


def _routes(routes: Iterable[object]) -> Iterator[Route]:
    for route in routes:
        inner = getattr(getattr(route, "original_router", None), "routes", None)
        if inner is not None:
            yield from _routes(inner)
        elif isinstance(route, Route):
            yield route


def test_everything_in_the_document_has_an_example(filled: Api) -> None:
    document = filled.get("/openapi.json").json()
    schemas = document["components"]["schemas"]
    for path, methods in document["paths"].items():
        for operation in methods.values():
            for answer in operation["responses"].values():
                for content in answer.get("content", {}).values():
                    name = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
                    has_own = "example" in content or "example" in schemas.get(name, {})
                    assert has_own or "properties" in schemas.get(name, {}), (path, content)


def test_the_docs_page_needs_nothing_from_elsewhere(filled: Api) -> None:
    for path in ("/docs", "/docs/page.js", "/docs/page.css"):
        answer = filled.get(path)
        assert answer.status_code == 200
        assert "http://" not in answer.text
        assert "https://" not in answer.text
    assert filled.get("/docs/docs.html").status_code == 404


def test_what_is_stored_is_listed_filtered_and_shown(filled: Api) -> None:
    (one,) = filled.get("/api/v1/conversations", params={"page": PAGE_ID, "unread": "true"}).json()["items"]
    assert (one["senderName"], one["folder"], one["conversationId"]) == ("Ann", "inbox", "t_1")
    for nothing in ({"unread": "false"}, {"folder": "spam"}, {"updatedSince": "2999-01-01T00:00:00Z"}):
        assert filled.get("/api/v1/conversations", params=nothing).json()["items"] == []
    thread = filled.get(f"/api/v1/conversations/{one['id']}").json()
    assert [each["text"] for each in thread["messages"]["items"]] == ["hello"]
    with filled.engine.store.write() as connection:
        connection.execute(update(messenger_conversations).values(unread_count=0))
    assert filled.get("/api/v1/conversations", params={"unread": "true"}).json()["items"] == []
