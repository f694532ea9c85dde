"""`/api/v1/pages`: no answer contains a token."""

import pytest

from inboxsync.store.state.pages import list_pages
from tests.api.fixtures import Api, ServeApi
from tests.fixtures import EngineFor, Serve

_ID = "01978b2e-4a10-7cc3-9f6d-3a2b1c0d9e8f"


def test_pages_are_listed_in_parts_and_each_once(api: Api) -> None:
    added = [api.page(str(number)).id for number in range(100, 107)]
    seen: list[str] = []
    cursor = None
    for _ in range(4):
        answer = api.get("/api/v1/pages", params={"limit": 2} | ({"cursor": cursor} if cursor else {})).json()
        seen += [each["id"] for each in answer["items"]]
        cursor = answer["nextCursor"]
    assert (seen, cursor) == (added, None)


@pytest.mark.parametrize("limit", ["0", "201", "-1", "x", "1e2", ""])
def test_a_limit_lies_between_1_and_200(api: Api, limit: str) -> None:
    assert api.get("/api/v1/pages", params={"limit": limit}).status_code == 422


@pytest.mark.parametrize(
    "cursor", ["x", "%00", "WyJydW5zIiwiMSJd", "WyJwYWdlcyJd", "WyJwYWdlcyIsMV0", "é", "A" * 600, "=", "e30"]
)
def test_an_invalid_cursor_is_refused(api: Api, cursor: str) -> None:
    answer = api.get("/api/v1/pages", params={"cursor": cursor})
    assert answer.status_code == 422
    assert answer.json()["code"] in ("cursor_invalid", "request_invalid")


def test_a_page_is_shown_and_removed(api: Api) -> None:
    page = api.page("104")
    shown = api.get(f"/api/v1/pages/{page.id}").json()
    assert (shown["facebookPageId"], shown["conversations"]) == ("104", 0)
    assert api.get("/api/v1/pages/105").json()["code"] == "page_unknown"
    assert api.client.delete(f"/api/v1/pages/{_ID}").status_code == 404
    assert api.client.delete(f"/api/v1/pages/{page.id}").status_code == 204
    assert api.get("/api/v1/pages").json()["items"] == []


def test_a_page_is_added_with_its_token_and_no_answer_contains_the_token(
    serve: Serve, engine_for: EngineFor, serve_api: ServeApi
) -> None:
    served = serve(conversations=3)
    api = serve_api(engine_for(served))
    asked = {"facebookPageId": served.page.page_id, "token": served.page.token}
    added, again = api.post("/api/v1/pages", json=asked), api.post("/api/v1/pages", json=asked)
    assert (added.status_code, again.status_code) == (201, 200)
    wrong = api.post("/api/v1/pages", json=asked | {"token": served.page.token + "x"})
    assert (wrong.status_code, wrong.json()["code"]) == (409, "token_invalid")
    refused = api.post("/api/v1/pages", json=asked | {"token": served.page.token + " x"})
    extra = api.post("/api/v1/pages", json=asked | {"colour": served.page.token})
    assert (refused.status_code, extra.status_code) == (422, 422)
    shown = api.get(f"/api/v1/pages/{added.json()['id']}")
    for answer in (added, again, wrong, refused, extra, shown, api.get("/api/v1/pages")):
        assert served.page.token not in answer.text


def test_if_meta_is_unreachable_nothing_is_stored(api: Api) -> None:
    answer = api.post("/api/v1/pages", json={"facebookPageId": "104", "token": "EAAG"})
    assert (answer.status_code, answer.json()["code"]) == (502, "source_unreachable")
    with api.engine.store.read() as connection:
        assert list_pages(connection) == []
