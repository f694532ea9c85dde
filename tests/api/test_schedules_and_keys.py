"""Schedules and API keys over HTTP: for who may administer, and never so that everybody is locked out."""

from datetime import timedelta

import pytest

from inboxsync.model import History, Schedule, Scope
from inboxsync.store.state.pages import get_page
from inboxsync.store.state.schedules import get_schedule, put_schedule
from inboxsync.workers import EVERY_SECONDS
from tests.api.fixtures import Api, PlainEngine, ServeApi
from tests.fixtures import Json

KEYS = "/api/v1/keys"


def change(api: Api, named: str, **asked: Json) -> Json:
    answer = api.client.patch(f"/api/v1/pages/{named}/schedule", json=asked)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_schedules_are_listed_in_parts_with_their_pages(api: Api) -> None:
    pages = [api.page(str(number)) for number in range(100, 105)]
    change(api, pages[1].id, isPaused=True)
    seen: list[Json] = []
    cursor = None
    for _ in range(3):
        answer = api.get(
            "/api/v1/schedules", params={"limit": 2} | ({"cursor": cursor} if cursor else {})
        ).json()
        seen += answer["items"]
        cursor = answer["nextCursor"]
    assert cursor is None
    assert [each["pageId"] for each in seen] == [page.id for page in pages]
    assert [each["isPaused"] for each in seen] == [False, True, False, False, False]
    assert {(each["everySeconds"], each["isDefault"]) for each in seen} == {(EVERY_SECONDS, True)}


def test_a_schedule_is_changed_in_part_and_returned_to_the_default(api: Api) -> None:
    page = api.page("104")
    assert change(api, "104", everySeconds=7200)["everySeconds"] == 7200
    told = change(api, page.id.upper(), is_paused=True)
    assert (told["everySeconds"], told["isPaused"], told["isDefault"]) == (7200, True, False)
    assert change(api, "Page%20104", history="all", everySeconds=600.0)["history"] == "all"
    assert api.get("/api/v1/pages/104/schedule").json()["everySeconds"] == 600
    with api.engine.store.read() as connection:
        stored = get_schedule(connection, page.id)
        assert (stored.every_seconds, stored.is_paused) == (600, True)
        assert get_page(connection, page.id).history is History.ALL
    told = api.client.delete("/api/v1/pages/104/schedule").json()
    assert (told["everySeconds"], told["isDefault"], told["isPaused"]) == (EVERY_SECONDS, True, False)
    assert told["history"] == "all"


def test_a_default_that_is_shorter_counts_from_now_and_a_page_is_not_due_at_once(api: Api) -> None:
    page, now = api.page("104"), api.engine.clock.now()
    later = now + timedelta(days=20)
    with api.engine.store.write() as connection:
        put_schedule(
            connection,
            Schedule(page_id=page.id, every_seconds=2_000_000, next_sync_at=later, next_verify_at=later),
        )
    api.client.delete(f"/api/v1/pages/{page.id}/schedule")
    with api.engine.store.read() as connection:
        schedule = get_schedule(connection, page.id)
    assert schedule.next_sync_at is not None
    assert now < schedule.next_sync_at < now + timedelta(seconds=EVERY_SECONDS + 60)
    assert schedule.next_verify_at == later.replace(microsecond=later.microsecond // 1000 * 1000)


@pytest.mark.parametrize(
    ("asked", "at"),
    [
        ({"everySeconds": 29}, "body.everySeconds"),
        ({"everySeconds": 2_592_001}, "body.everySeconds"),
        ({"everySeconds": "300"}, "body.everySeconds"),
        ({"everySeconds": 300.5}, "body.everySeconds"),
        ({"every": "5m"}, "body.every"),
        ({"paused": True}, "body.paused"),
        ({"isPaused": "yes"}, "body.isPaused"),
        ({"history": "some"}, "body.history"),
    ],
)
def test_a_schedule_that_cannot_be_is_refused_by_its_field(api: Api, asked: Json, at: str) -> None:
    page = api.page()
    answer = api.client.patch(f"/api/v1/pages/{page.id}/schedule", json=asked)
    assert answer.status_code == 422
    assert {each["at"] for each in answer.json()["errors"]} == {at}
    assert api.get(f"/api/v1/pages/{page.id}/schedule").json()["isDefault"] is True


def test_nothing_to_set_and_an_unknown_page_are_refused(api: Api) -> None:
    page = api.page()
    answer = api.client.patch(f"/api/v1/pages/{page.id}/schedule", json={})
    assert (answer.status_code, answer.json()["code"]) == (422, "request_invalid")
    assert change(api, page.id, isPaused=None)["isDefault"] is True
    for method in ("GET", "PATCH", "DELETE"):
        body = '{"isPaused": true}' if method == "PATCH" else ""
        header = {"Content-Type": "application/json"}
        answer = api.client.request(method, "/api/v1/pages/nosuch/schedule", content=body, headers=header)
        assert (answer.status_code, answer.json()["code"]) == (404, "page_unknown")


def make(api: Api, name: str, scope: str, **how: Json) -> dict[str, str]:
    answer = api.post(KEYS, json={"name": name, "scope": scope}, **how)
    assert answer.status_code == 201, answer.text
    return {"Authorization": f"Bearer {answer.json()['key']}"}


def test_a_key_is_made_shown_once_used_at_once_and_revoked_at_once(api: Api) -> None:
    admin = make(api, "ann", "admin")
    answer = api.post(KEYS, json={"name": "my script"}, headers=admin)
    told = answer.json()
    assert (told["scope"], told["key"][: len(told["prefix"])]) == ("read", told["prefix"])
    header = {"X-API-Key": told["key"]}
    assert api.get("/api/v1/pages", headers=header).status_code == 200
    assert api.get(KEYS, headers=header).json()["code"] == "scope_too_small"
    listed = api.get(KEYS, headers=admin)
    assert [(each["name"], each["scope"]) for each in listed.json()["items"]] == [
        ("ann", "admin"),
        ("my script", "read"),
    ]
    assert told["key"] not in listed.text
    assert "key" not in listed.json()["items"][0]
    revoked = api.client.delete(f"{KEYS}/my%20script", headers=admin)
    assert (revoked.status_code, revoked.json()["revokedAt"] is None) == (200, False)
    assert api.get("/api/v1/pages", headers=header).json()["code"] == "key_invalid"
    again = api.post(KEYS, json={"name": "my script"}, headers=admin)
    assert (again.status_code, again.json()["code"]) == (409, "api_key_name_taken")


def test_a_key_is_revoked_by_its_id_too_in_any_case(api: Api) -> None:
    admin = make(api, "ann", "admin")
    made = api.post(KEYS, json={"name": "a/b", "scope": "sync"}, headers=admin).json()
    assert api.client.delete(f"{KEYS}/{made['id'].upper()}", headers=admin).json()["name"] == "a/b"
    unknown = api.client.delete(f"{KEYS}/nobody", headers=admin)
    assert (unknown.status_code, unknown.json()["code"]) == (404, "api_key_unknown")


@pytest.mark.parametrize("scope", ["read", "sync"])
def test_the_first_key_may_do_everything(api: Api, scope: str) -> None:
    answer = api.post(KEYS, json={"name": "ann", "scope": scope})
    assert (answer.status_code, answer.json()["code"]) == (422, "first_key_too_small")
    assert api.get(KEYS).json()["items"] == []
    admin = make(api, "ann", "admin")
    make(api, "script", scope, headers=admin)


def test_the_last_key_that_may_do_everything_is_revoked_only_if_confirmed(api: Api) -> None:
    admin = make(api, "ann", "admin")
    make(api, "ben", "admin", headers=admin)
    assert api.client.delete(f"{KEYS}/ben", headers=admin).status_code == 200
    refused = api.client.delete(f"{KEYS}/ann", headers=admin)
    assert (refused.status_code, refused.json()["code"]) == (409, "last_admin_key")
    assert "inboxsync keys create" in refused.json()["hint"]
    assert api.client.delete(f"{KEYS}/ann?confirm=true", headers=admin).status_code == 200
    assert api.get(KEYS, headers=admin).json()["code"] == "key_invalid"
    assert api.get(KEYS).json()["code"] == "key_missing"


def test_a_fixed_key_is_a_key_that_may_do_everything(plain_engine: PlainEngine, serve_api: ServeApi) -> None:
    fixed = "fixed-0123456789abcdef"
    api = serve_api(plain_engine(api_key=fixed))
    header = {"X-API-Key": fixed}
    make(api, "script", "read", headers=header)
    make(api, "ann", "admin", headers=header)
    assert api.client.delete(f"{KEYS}/ann", headers=header).status_code == 200


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"name": ""},
        {"name": "   "},
        {"name": "x" * 65},
        {"name": "a\nb"},
        {"name": "a\x1b[31m"},
        {"name": 5},
        {"name": "x", "scope": "root"},
        {"name": "x", "scopes": "read"},
        {"name": "x", "key": "chosen"},
    ],
)
def test_a_key_that_cannot_be_is_refused(api: Api, asked: Json) -> None:
    admin = make(api, "ann", "admin")
    answer = api.post(KEYS, json=asked, headers=admin)
    assert answer.status_code == 422, answer.text
    assert len(api.get(KEYS, headers=admin).json()["items"]) == 1


def test_reserved_names_are_refused(api: Api) -> None:
    admin = make(api, "ann", "admin")
    for name in ("local", "INBOXSYNC_API_KEY"):
        answer = api.post(KEYS, json={"name": name}, headers=admin)
        assert (answer.status_code, answer.json()["code"]) == (409, "api_key_name_taken")


def test_only_an_admin_key_administers(api: Api) -> None:
    page = api.page()
    headers = {scope: api.key(scope) for scope in Scope}
    for scope, header in headers.items():
        may = scope is Scope.ADMIN
        answers = [
            api.get(KEYS, headers=header),
            api.post(KEYS, json={"name": f"by {scope}"}, headers=header),
            api.client.patch(f"/api/v1/pages/{page.id}/schedule", json={"isPaused": True}, headers=header),
            api.client.delete(f"/api/v1/pages/{page.id}/schedule", headers=header),
            api.client.delete(f"{KEYS}/read", headers=header) if may else None,
        ]
        assert all(each is None or (each.status_code in (200, 201)) == may for each in answers)
        if not may:
            assert api.get("/api/v1/schedules", headers=header).status_code == 200
