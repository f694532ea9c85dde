"""The three compatible endpoints: their fixed shapes, and never success for a partial sync."""

import json
import threading
import time

import httpx2
import pytest

from tests.api.fixtures import Live
from tests.fixtures import PATIENCE_SECONDS, Json

SETTINGS = {"request_stop_seconds": 20.0}
SYNC = "/api/conversations/sync"
OPTIMIZED = "/api/conversations/sync-optimized"
STREAM = "/api/conversations/sync-stream"
COUNTERS = {
    "total",
    "inserted",
    "updated",
    "fetched",
    "skipped",
    "failedBatches",
    "eventsCreated",
    "speed",
}
STATUSES = {
    "starting",
    "fetching",
    "processing",
    "retrying",
    "batch_failed",
    "syncing",
    "waiting",
    "timeout_warning",
    "complete",
    "complete_with_errors",
    "error",
}


def events_of(answer: httpx2.Response) -> list[Json]:
    """What a stream sent: each event's data, with its id under `_id`."""
    events = []
    for block in answer.text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if "data" in fields:
            events.append(json.loads(fields["data"]) | {"_id": fields.get("id")})
    return events


def test_sync_answers_in_its_fixed_shape(live: Live) -> None:
    page = live.page()
    first = live.api.post(SYNC, json=live.asked(page)).json()
    assert set(first) == {
        *("success", "synced", "inserted", "updated", "skipped", "total", "eventsCreated", "syncMode"),
        *("duration", "speed", "message", "runId", "complete", "next"),
    }
    assert (first["success"], first["complete"], first["next"]) == (True, True, None)
    assert (first["synced"], first["inserted"], first["updated"], first["syncMode"]) == (120, 120, 0, "full")
    assert first["duration"].endswith("s")
    assert first["speed"].endswith(" conversations/sec")
    assert first["message"] == f"Full sync: 120 conversation(s) with {first['eventsCreated']} events"
    again = live.api.post(SYNC, json=live.asked(page)).json()
    assert (again["success"], again["synced"], again["syncMode"]) == (True, 0, "incremental")
    assert again["message"] == "Incremental sync: 0 conversation(s) with 0 events"
    assert again["runId"] != first["runId"]


def test_force_full_reads_everything_again(live: Live) -> None:
    page = live.page()
    live.api.post(SYNC, json=live.asked(page))
    forced = live.api.post(SYNC, json=live.asked(page, forceFull=True)).json()
    assert (forced["syncMode"], forced["complete"], forced["inserted"]) == ("full", True, 0)
    assert forced["skipped"] >= 120


def test_sync_optimized_answers_in_its_fixed_shape_and_the_next_call_continues(live: Live) -> None:
    page = live.page()
    some = live.api.post(OPTIMIZED, json=live.asked(page, maxConversations=50)).json()
    assert set(some) == {"success", "stats", "message", "runId", "complete", "next"}
    assert set(some["stats"]) == {
        *("fetched", "inserted", "updated", "events", "batches", "duration", "speed", "errors")
    }
    assert (some["success"], some["complete"]) == (False, False)
    assert some["next"]
    assert some["stats"]["inserted"] < 120
    rest = live.api.post(OPTIMIZED, json=live.asked(page)).json()
    assert (rest["success"], rest["complete"], rest["stats"]["errors"]) == (True, True, [])
    assert rest["message"].startswith(f"Successfully synced {rest['stats']['fetched']} conversations in ")
    assert some["stats"]["inserted"] + rest["stats"]["inserted"] == 120


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_sync_stream_sends_every_event_to_the_last(live: Live, method: str) -> None:
    asked = live.asked(live.page())
    is_get = method == "GET"
    answer = live.api.client.request(
        method, STREAM, params=asked if is_get else None, json=None if is_get else asked
    )
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    events = events_of(answer)
    assert {each["status"] for each in events} <= STATUSES
    assert events[0]["status"] == "starting"
    assert all(set(each) >= COUNTERS for each in events)
    assert all(each["_id"].startswith(each["runId"]) for each in events)
    last = events[-1]
    assert (last["status"], last["complete"], last["next"], last["inserted"]) == ("complete", True, None, 120)
    assert not any(each["complete"] for each in events[:-1])


def test_two_calls_at_once_are_one_run_and_both_get_its_result(live: Live) -> None:
    asked = live.asked(live.page())
    answers: list[Json] = []

    def call() -> None:
        answers.append(httpx2.post(live.api.url + SYNC, json=asked, timeout=PATIENCE_SECONDS).json())

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({each["runId"] for each in answers}) == 1
    assert all(each["complete"] and each["inserted"] == 120 for each in answers)


def test_a_caller_who_does_not_wait_gets_the_address_of_the_run(live: Live) -> None:
    answer = live.api.post(
        SYNC, json=live.asked(live.page()), headers={"Prefer": "handling=lenient, respond-async; x=1"}
    )
    told = answer.json()
    assert (answer.status_code, told["complete"]) == (202, False)
    assert answer.headers["Location"] == told["location"] == f"/api/v1/runs/{told['runId']}"
    assert answer.headers["Preference-Applied"] == "respond-async"
    assert live.api.get(answer.headers["Location"]).json()["id"] == told["runId"]


def test_a_client_that_leaves_stops_nothing(live: Live) -> None:
    page = live.page()
    with live.api.client.stream("GET", STREAM, params=live.asked(page)) as answer:
        first = next(answer.iter_lines())
    run_id = json.loads(first.removeprefix("data: "))["runId"]
    for _ in range(200):
        if live.api.get(f"/api/v1/runs/{run_id}").json()["status"] not in ("queued", "running"):
            break
        time.sleep(0.05)
    run = live.api.get(f"/api/v1/runs/{run_id}").json()
    assert (run["status"], run["complete"], run["inserted"]) == ("complete", True, 120)


def test_a_browser_that_reconnects_starts_nothing_new(live: Live) -> None:
    asked = live.asked(live.page())
    events = events_of(live.api.get(STREAM, params=asked))
    middle = live.api.get(STREAM, params=asked, headers={"Last-Event-ID": events[1]["_id"]})
    assert [each["_id"] for each in events_of(middle)] == [each["_id"] for each in events[2:]]
    over = live.api.get(STREAM, params=asked, headers={"Last-Event-ID": events[-1]["_id"]})
    assert (over.status_code, over.text) == (204, "")
    forgotten = live.api.get(STREAM, params=asked, headers={"Last-Event-ID": "0190.7"})
    assert forgotten.status_code == 204
    runs = live.api.get("/api/v1/runs", params={"page": asked["pageId"]}).json()["items"]
    assert len(runs) == 1


@pytest.mark.parametrize("path", [SYNC, OPTIMIZED, STREAM])
def test_ids_that_name_different_pages_are_refused(live: Live, path: str) -> None:
    page = live.pages[0]
    other = live.api.post(path, json=live.asked(page, facebookPageId="999"))
    assert (other.status_code, other.json()["code"]) == (409, "page_mismatch")
    unknown = live.api.post(path, json=live.asked(page, pageId="0190"))
    assert (unknown.status_code, unknown.json()["code"]) == (404, "page_unknown")
    swapped = {"pageId": page.facebook_page_id, "facebookPageId": page.id}
    assert live.api.post(path, json=swapped).json()["code"] == "request_invalid"
    of_another = {"pageId": live.pages[1].facebook_page_id, "facebookPageId": page.facebook_page_id}
    assert live.api.post(path, json=of_another).json()["code"] == "page_mismatch"


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"pageId": "0190"},
        {"pageId": 1, "facebookPageId": "1"},
        {"pageId": "a", "facebookPageId": "x"},
        {"pageId": "a", "facebookPageId": "1", "forceFull": "yes"},
        {"pageId": "a", "facebookPageId": "1", "forceFull": 1},
        [],
    ],
)
def test_types_are_strict(live: Live, wrong: Json) -> None:
    answer = live.api.post(SYNC, json=wrong)
    assert (answer.status_code, answer.json()["code"]) == (422, "request_invalid")
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_a_dead_token_is_a_problem_and_success_is_false(live: Live) -> None:
    page = live.page()
    (world,) = (each for each in live.served.world.pages if each.page_id == page.facebook_page_id)
    live.served.tokens.kill(world.token, 463)
    answer = live.api.post(SYNC, json=live.asked(page))
    told = answer.json()
    assert (answer.status_code, told["code"], told["success"]) == (409, "token_invalid", False)
    assert (told["complete"], told["synced"]) == (False, 0)
    assert told["hint"]
    assert told["next"]
    events = events_of(live.api.get(STREAM, params=live.asked(page)))
    assert (events[-1]["status"], events[-1]["complete"]) == ("error", False)
