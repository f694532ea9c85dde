"""`/api/v1/runs`: runs for callers that poll and for clients that follow."""

import asyncio
import json
import threading
import time

import httpx2
import pytest
from sqlalchemy import update

from inboxsync.api.event_stream import EventStreams
from inboxsync.errors import StoreUnreachable
from inboxsync.model import Run, RunRequest
from inboxsync.store.state.leases import acquire_lease
from inboxsync.store.state.runs import append_run_events, get_run
from inboxsync.store.tables import facebook_pages
from inboxsync.workers import RunQueue
from inboxsync.workers.queue import end_cancelled
from tests.api.fixtures import Api, Live, PlainEngine, ServeApi
from tests.fixtures import PATIENCE_SECONDS

SANDBOX = {"pages": 4, "conversations": 60}


def queued(api: Api) -> Run:
    """A run that no worker executes."""
    return RunQueue(api.engine).enqueue(api.page(), RunRequest())


def emit(api: Api, run: Run, count: int) -> None:
    now = api.engine.clock.now()
    with api.engine.store.write() as connection:
        append_run_events(connection, run.id, [(now, "processing", {"total": n}) for n in range(count)])


def cancel(api: Api, run: Run) -> None:
    with api.engine.store.write() as connection:
        found = get_run(connection, run.id)
        assert found is not None
        end_cancelled(connection, found, now=api.engine.clock.now())


async def followed_by(event_streams: EventStreams, clients: int) -> None:
    while event_streams.clients < clients:
        await asyncio.sleep(0.02)


def test_a_run_is_started_listed_shown_and_followed(live: Live) -> None:
    page = live.page()
    started = live.api.post(f"/api/v1/pages/{page.id}/runs", json={"mode": "full", "messages": 5})
    assert started.status_code == 202
    address = started.headers["Location"]
    told = [json.loads(line[6:]) for line in lines(live.api, f"{address}/stream") if line[:6] == "data: "]
    assert (told[0]["status"], told[-1]["status"], told[-1]["complete"]) == ("starting", "complete", True)
    shown = live.api.get(address).json()
    assert (shown["status"], shown["complete"], shown["inserted"], shown["next"]) == (
        *("complete", True, 60),
        None,
    )
    events = live.api.get(f"{address}/events", params={"limit": 200}).json()["items"]
    assert [each["status"] for each in events] == [each["status"] for each in told]
    listed = live.api.get("/api/v1/runs", params={"page": page.id}).json()["items"]
    assert [each["id"] for each in listed] == [shown["id"]]


def test_a_verification_leaves_a_report(live: Live) -> None:
    page = live.page()
    address = f"/api/v1/pages/{page.id}"
    assert live.api.get(f"{address}/verification").json()["code"] == "verification_unknown"
    for what in ("runs", "verify"):
        run = live.api.post(f"{address}/{what}").json()
        assert run["kind"] == {"runs": "sync"}.get(what, what)
        list(lines(live.api, f"/api/v1/runs/{run['id']}/stream"))
    verification = live.api.get(f"{address}/verification").json()
    assert verification["isComplete"] is verification["wasComplete"] is True
    assert verification["summary"]
    assert verification["completeness"]["state"] == "complete"
    listed = {each["id"]: each for each in live.api.get("/api/v1/pages").json()["items"]}
    for shown in (live.api.get(address).json(), listed[page.id]):
        assert shown["completeness"] == verification["completeness"]
    told = live.api.get("/metrics").text
    assert 'state="complete"} 1.0' in told
    assert 'inboxsync_backlog_items{kind="new"} 0.0' in told


def test_every_surface_follows_what_is_stored_since_a_verification(live: Live) -> None:
    page = live.page()
    address = f"/api/v1/pages/{page.id}"

    def execute(what: str) -> str:
        run = live.api.post(f"{address}/{what}").json()
        list(lines(live.api, f"/api/v1/runs/{run['id']}/stream"))
        return str(live.api.get(f"/api/v1/runs/{run['id']}").json()["status"])

    execute("runs")
    (world,) = (each for each in live.served.world.pages if each.page_id == page.facebook_page_id)
    world.write(3, "new")
    assert execute("verify") == "partial"
    verification = live.api.get(f"{address}/verification").json()
    assert (verification["isComplete"], verification["wasComplete"]) == (False, False)
    assert (verification["completeness"]["state"], verification["completeness"]["new"]) == ("new", 1)
    assert 'inboxsync_backlog_items{kind="new"} 1.0' in live.api.get("/metrics").text
    assert 'state="new"} 1.0' in live.api.get("/metrics").text
    assert execute("runs") == "complete"
    verification = live.api.get(f"{address}/verification").json()
    assert (verification["isComplete"], verification["wasComplete"]) == (True, False)
    assert (verification["completeness"]["state"], verification["completeness"]["new"]) == ("complete", 0)
    assert 'state="complete"} 1.0' in live.api.get("/metrics").text


def test_metrics_count_what_runs_did(live: Live) -> None:
    before = live.api.get("/metrics").text
    page = live.page()
    live.api.post(
        "/api/conversations/sync", json={"pageId": page.id, "facebookPageId": page.facebook_page_id}
    )
    told = live.api.get("/metrics").text
    rows = 'inboxsync_rows_written_total{kind="conversation_inserted"}'
    assert figure(told, rows) - figure(before, rows) == 60
    ended = 'inboxsync_runs_total{outcome="complete"}'
    assert figure(told, ended) - figure(before, ended) == 1
    assert f'inboxsync_page_lag_seconds{{page_id="{page.facebook_page_id}",platform="messenger"}}' in told
    assert 'route="/api/conversations/sync",status="200"' in told
    assert live.api.get("/readyz").json()["source"] == "ok"


def test_a_queued_run_is_cancelled_at_once_and_stays_so(api: Api) -> None:
    run = queued(api)
    cancelled = api.post(f"/api/v1/runs/{run.id}/cancel").json()
    assert (cancelled["status"], cancelled["complete"]) == ("cancelled", False)
    again = api.post(f"/api/v1/runs/{run.id}/cancel").json()
    assert again["finishedAt"] == cancelled["finishedAt"]
    assert api.post("/api/v1/runs/0190/cancel").json()["code"] == "run_unknown"


def test_a_call_that_waits_too_long_says_so_and_the_run_continues(
    plain_engine: PlainEngine, serve_api: ServeApi
) -> None:
    api = serve_api(plain_engine(request_stop_seconds=0.3))
    page = api.page()
    asked = {"pageId": page.id, "facebookPageId": page.facebook_page_id}
    first = api.post("/api/conversations/sync", json=asked)
    told = first.json()
    assert (first.status_code, told["success"], told["complete"]) == (200, False, False)
    assert "not complete" in told["message"]
    assert told["runId"] in told["next"]
    assert api.post("/api/conversations/sync-optimized", json=asked).json()["runId"] == told["runId"]
    streamed = [json.loads(line[6:]) for line in lines(api, "/api/conversations/sync-stream", asked=asked)]
    assert [each["status"] for each in streamed] == ["waiting", "timeout_warning"]
    assert (streamed[1]["complete"], streamed[1]["runId"]) == (False, told["runId"])
    assert all("No worker is running" in each["message"] for each in (told, *streamed))
    assert api.get(f"/api/v1/runs/{told['runId']}").json()["status"] == "queued"


def test_an_open_sync_is_no_verification_and_the_other_way_round(
    plain_engine: PlainEngine, serve_api: ServeApi
) -> None:
    api = serve_api(plain_engine(request_stop_seconds=0.3))
    syncing, verifying = api.page("104"), api.page("105")
    api.post(f"/api/v1/pages/{syncing.id}/runs")
    api.post(f"/api/v1/pages/{verifying.id}/verify")
    asked = {"pageId": verifying.id, "facebookPageId": "105"}
    for busy in (
        api.post(f"/api/v1/pages/{syncing.id}/verify"),
        api.post(f"/api/v1/pages/{verifying.id}/runs"),
        api.post("/api/conversations/sync", json=asked),
    ):
        assert (busy.status_code, busy.json()["code"]) == (409, "page_busy")


def test_a_waiting_call_says_what_its_run_waits_for(plain_engine: PlainEngine, serve_api: ServeApi) -> None:
    api = serve_api(plain_engine(request_stop_seconds=0.3))
    page = api.page()
    asked = {"pageId": page.id, "facebookPageId": page.facebook_page_id}
    run = RunQueue(api.engine).enqueue(page, RunRequest())
    now = api.engine.clock.now()
    with api.engine.store.write() as connection:
        acquire_lease(connection, page.id, "w.1", now=now, seconds=60)
        until: dict[str, object] = {"message": "waiting for Meta until 14:32 (messenger 96 %)"}
        append_run_events(connection, run.id, [(now, "processing", {}), (now, "waiting", until)])
    told = api.post("/api/conversations/sync", json=asked).json()
    assert told["complete"] is False
    assert told["message"].endswith("so far. Waiting for Meta until 14:32 (messenger 96 %).")


def test_if_the_database_fails_while_a_call_waits_the_answer_has_what_was_read_last(
    plain_engine: PlainEngine, serve_api: ServeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> None:
        raise StoreUnreachable("The database is away.")

    api = serve_api(plain_engine(request_stop_seconds=0.3))
    page = api.page()
    for name in ("event_stream.list_run_events", "compatible.get_lease"):
        monkeypatch.setattr(f"inboxsync.api.{name}", away)
    answer = api.post(
        "/api/conversations/sync", json={"pageId": page.id, "facebookPageId": page.facebook_page_id}
    )
    assert (answer.status_code, answer.json()["complete"]) == (200, False)
    assert answer.json()["message"].endswith("The database is away.")


def test_a_sync_that_reads_what_is_new_does_not_count_as_a_full_one(
    plain_engine: PlainEngine, serve_api: ServeApi
) -> None:
    api = serve_api(plain_engine(request_stop_seconds=0.3))
    page = api.page()
    with api.engine.store.write() as connection:
        connection.execute(update(facebook_pages).values(last_synced_at=api.engine.clock.now()))
    asked = {"pageId": page.id, "facebookPageId": page.facebook_page_id}
    for body in (asked, asked | {"forceFull": False}):
        assert api.post("/api/conversations/sync", json=body).json()["syncMode"] == "incremental"
    forced = api.post("/api/conversations/sync", json=asked | {"forceFull": True})
    assert (forced.status_code, forced.json()["code"]) == (409, "page_busy")
    (run,) = api.get("/api/v1/runs").json()["items"]
    api.post(f"/api/v1/runs/{run['id']}/cancel")
    full = api.post("/api/conversations/sync", json=asked | {"forceFull": True}).json()
    assert (full["syncMode"], full["runId"] == run["id"]) == ("full", False)
    # One that reads everything reads what is new, too.
    assert api.post("/api/conversations/sync", json=asked).json()["runId"] == full["runId"]


def test_a_call_that_does_not_wait_is_refused_at_once_while_the_page_is_busy(api: Api) -> None:
    page = api.page()
    api.post(f"/api/v1/pages/{page.id}/verify")
    asked = {"pageId": page.id, "facebookPageId": page.facebook_page_id}
    busy = api.post("/api/conversations/sync", json=asked, headers={"Prefer": "respond-async"})
    assert (busy.status_code, busy.json()["code"]) == (409, "page_busy")


def test_waiting_for_a_busy_page_takes_from_the_time_of_the_call(
    plain_engine: PlainEngine, serve_api: ServeApi
) -> None:
    api = serve_api(plain_engine(request_stop_seconds=2.5, request_limit_seconds=4.0))
    page = api.page()
    verifying = api.post(f"/api/v1/pages/{page.id}/verify").json()
    asked = {"pageId": page.id, "facebookPageId": page.facebook_page_id}
    later = threading.Timer(0.5, lambda: httpx2.post(f"{api.url}/api/v1/runs/{verifying['id']}/cancel"))
    later.start()
    answer = api.post("/api/conversations/sync", json=asked)
    assert (answer.status_code, answer.json()["complete"]) == (200, False)
    later.join()


def test_a_call_that_waits_for_a_removed_page_is_told_so(api: Api) -> None:
    page = api.page()
    asked = {"pageId": page.id, "facebookPageId": page.facebook_page_id}
    event_streams = api.service.event_streams

    async def go() -> tuple[httpx2.Response, httpx2.Response]:
        async with httpx2.AsyncClient(base_url=api.url, timeout=PATIENCE_SECONDS) as client:
            waiting = asyncio.create_task(client.post("/api/conversations/sync", json=asked))
            listening = asyncio.create_task(client.get("/api/conversations/sync-stream", params=asked))
            await followed_by(event_streams, 2)
            assert (await client.delete(f"/api/v1/pages/{page.id}")).status_code == 204
            return await waiting, await listening

    waited, heard = asyncio.run(go())
    told = waited.json()
    assert (waited.status_code, told["code"], told["success"]) == (404, "page_unknown", False)
    last = json.loads([line for line in heard.text.splitlines() if line.startswith("data: ")][-1][6:])
    assert (last["status"], last["complete"]) == ("error", False)
    assert [each["code"] for each in last["errors"]] == ["page_unknown"]


def test_the_last_event_of_another_pages_run_is_refused(api: Api) -> None:
    run, other = queued(api), api.page("105")
    answer = api.get(
        "/api/conversations/sync-stream",
        params={"pageId": other.id, "facebookPageId": "105"},
        headers={"Last-Event-ID": f"{run.id}.1"},
    )
    assert (answer.status_code, answer.json()["code"]) == (409, "page_mismatch")


def test_reads_are_answered_while_many_wait_for_a_locked_database(api: Api) -> None:
    page = api.page()
    asked = {"pageId": page.id, "facebookPageId": page.facebook_page_id}
    no_wait = {"Prefer": "respond-async"}

    async def go() -> list[int]:
        limits = httpx2.Limits(max_connections=None)
        async with httpx2.AsyncClient(base_url=api.url, timeout=PATIENCE_SECONDS, limits=limits) as client:
            with api.engine.store.write():
                calls = [
                    asyncio.create_task(client.post("/api/conversations/sync", json=asked, headers=no_wait))
                    for _ in range(60)  # more than there are threads
                ]
                await asyncio.sleep(0.5)
                reads = [await client.get(path) for path in ("/readyz", "/metrics", "/api/v1/conversations")]
                assert not any(each.done() for each in calls)
            return [each.status_code for each in reads + await asyncio.gather(*calls)]

    assert asyncio.run(go()) == [200] * 3 + [202] * 60


def test_a_client_continues_after_any_event(api: Api) -> None:
    run = queued(api)
    emit(api, run, 1200)  # more than are kept, and more than one poll takes
    cancel(api, run)
    for after in (0, 1, 700, 1199):
        header = {"Last-Event-ID": f"{run.id}.{after}"}
        ids = [line[4:] for line in lines(api, f"/api/v1/runs/{run.id}/stream", header) if line[:4] == "id: "]
        assert ids == [f"{run.id}.{seq}" for seq in range(after + 1, 1202)], after
    over = api.get(f"/api/v1/runs/{run.id}/stream", headers={"Last-Event-ID": f"{run.id}.1201"})
    assert over.status_code == 204


@pytest.mark.parametrize(
    "wrong",
    ["", "x", "1", ".1", "0190.", "0190.-1", "0190.1e3", "0190.99999999999", "a.b.c", "é.1", "0190.1;"],
)
def test_an_invalid_last_event_id_is_refused(api: Api, wrong: str) -> None:
    run = queued(api)
    answer = api.get(
        f"/api/v1/runs/{run.id}/stream", headers=httpx2.Headers([(b"Last-Event-ID", wrong.encode())])
    )
    assert answer.status_code in (204, 422)
    cancel(api, run)


def test_a_number_that_does_not_exist_yet_hides_no_event_from_others(api: Api) -> None:
    run = queued(api)
    emit(api, run, 2)
    event_streams = api.service.event_streams

    async def go() -> tuple[list[str], list[str]]:
        async with httpx2.AsyncClient(base_url=api.url, timeout=PATIENCE_SECONDS) as client:

            async def listen(after: str) -> list[str]:
                header = {"Last-Event-ID": f"{run.id}.{after}"}
                async with client.stream("GET", f"/api/v1/runs/{run.id}/stream", headers=header) as answer:
                    sent = [line async for line in answer.aiter_lines()]
                return [line.rpartition(".")[2] for line in sent if line.startswith("id: ")]

            liar = asyncio.create_task(listen("999999999"))
            await followed_by(event_streams, 1)
            honest = asyncio.create_task(listen("0"))
            await followed_by(event_streams, 2)
            await asyncio.to_thread(emit, api, run, 2)
            await asyncio.to_thread(cancel, api, run)
            return await liar, await honest

    liar, honest = asyncio.run(go())
    assert honest == ["1", "2", "3", "4", "5"]
    assert liar == ["3", "4", "5"]


def test_a_client_that_joins_others_costs_no_query_and_gets_all_events(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = queued(api)
    event_streams = api.service.event_streams
    assert event_streams.running(run.id) is None, "no client follows it"
    queried: list[str] = []

    async def go() -> tuple[str, str]:
        async with httpx2.AsyncClient(base_url=api.url, timeout=PATIENCE_SECONDS) as client:

            async def listen() -> str:
                return (await client.get(f"/api/v1/runs/{run.id}/stream")).text

            first = asyncio.create_task(listen())
            await followed_by(event_streams, 1)
            assert event_streams.running(run.id) is not None
            service = api.service
            find_run = service.find_run

            async def find_and_note(run_id: str) -> Run:
                queried.append(run_id)
                return await find_run(run_id)

            monkeypatch.setattr(service, "find_run", find_and_note)
            second = asyncio.create_task(listen())
            await followed_by(event_streams, 2)
            await asyncio.to_thread(emit, api, run, 3)
            await asyncio.to_thread(cancel, api, run)
            return await first, await second

    first, second = asyncio.run(go())
    assert not queried
    assert first.count("id: ") == second.count("id: ") == 4
    assert event_streams.running(run.id) is None, "it has ended"


def test_many_clients_of_one_run_cost_as_much_as_one(api: Api) -> None:
    run = queued(api)
    event_streams = api.service.event_streams

    async def go() -> tuple[list[int], int]:
        limits = httpx2.Limits(max_connections=None)
        async with httpx2.AsyncClient(base_url=api.url, timeout=PATIENCE_SECONDS, limits=limits) as client:

            async def listen() -> int:
                answer = await client.get(f"/api/v1/runs/{run.id}/stream")
                return answer.text.count("id: ")

            listening = [asyncio.create_task(listen()) for _ in range(30)]
            await followed_by(event_streams, len(listening))
            before, began = event_streams.polls, time.monotonic()
            await asyncio.sleep(1.2)
            polls = (event_streams.polls - before) / (time.monotonic() - began)
            await asyncio.to_thread(emit, api, run, 3)
            await asyncio.to_thread(cancel, api, run)
            return await asyncio.gather(*listening), round(polls)

    counts, polls_a_second = asyncio.run(go())
    assert counts == [4] * 30
    assert polls_a_second <= 3
    assert event_streams.clients == 0


def test_an_idle_stream_has_a_heartbeat(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastapi.routing._PING_INTERVAL", 0.1)
    run = queued(api)
    with api.client.stream("GET", f"/api/v1/runs/{run.id}/stream") as answer:
        assert answer.headers["Cache-Control"] == "no-cache"
        assert next(answer.iter_lines()) == ": ping"
    cancel(api, run)


def test_a_stream_ends_when_the_service_does_and_its_run_does_not(api: Api) -> None:
    run = queued(api)
    with api.client.stream("GET", f"/api/v1/runs/{run.id}/stream") as answer:
        api.service.drain()  # as SIGTERM has it
        assert list(answer.iter_lines()) == []
    assert api.get(f"/api/v1/runs/{run.id}").json()["status"] == "queued"
    assert api.get("/readyz").status_code == 503


def test_runs_are_counted_from_the_start_of_the_service_not_from_the_first_scrape(api: Api) -> None:
    cancel(api, queued(api))
    assert figure(api.get("/metrics").text, 'inboxsync_runs_total{outcome="cancelled"}') == 1


def figure(told: str, name: str) -> float:
    """One of the figures of `/metrics`; 0 where there is none yet."""
    found = (line for line in told.splitlines() if line.startswith(name))
    return float(next(found, "0").rpartition(" ")[2])


def lines(
    api: Api, path: str, headers: dict[str, str] | None = None, asked: dict[str, str] | None = None
) -> list[str]:
    """What a stream sent, line by line, without what is empty."""
    with api.client.stream("GET", path, headers=headers, params=asked) as answer:
        return [line for line in answer.iter_lines() if line]
