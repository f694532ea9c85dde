"""A source that is away for a while, by itself: every kind, its end, and the way back."""

import time
from concurrent.futures import ThreadPoolExecutor
from http.client import RemoteDisconnected

import pytest

from inboxsync.sandbox import Faults
from tests.fixtures import FakeClock, Serve
from tests.sandbox.fixtures import Graph, StartGraph, StartProcess


def away(graph: StartGraph, **faults: object) -> Graph:
    served = graph(conversations=30)
    served.control("faults", **faults)
    return served


def status(served: Graph) -> int | None:
    """None: the connection was cut."""
    try:
        return served.inbox().status
    except (RemoteDisconnected, ConnectionError):
        return None


@pytest.mark.parametrize(
    ("kind", "met"),
    [("reset", None), ("refused", None), ("429", 429), ("502", 502), ("503", 503), ("504", 504)],
)
def test_an_outage_ends_by_itself(graph: StartGraph, clock: FakeClock, kind: str, met: int | None) -> None:
    served = away(graph, outage_seconds=20, outage_kind=kind)
    statuses = [status(served)]
    clock.pass_seconds(19.9)
    statuses.append(status(served))
    clock.pass_seconds(0.1)
    assert [*statuses, status(served)] == [met, met, 200]


def test_one_that_begins_later_begins_with_the_call_after_so_many(
    graph: StartGraph, clock: FakeClock
) -> None:
    served = away(graph, outage_seconds=20, outage_kind="503", outage_after=2)
    clock.pass_seconds(60)
    statuses = [status(served) for _ in range(4)]
    clock.pass_seconds(20)
    assert [*statuses, status(served)] == [200, 200, 503, 503, 200]


def test_one_given_at_the_start_begins_with_the_first_call(graph: StartGraph, clock: FakeClock) -> None:
    served = graph(conversations=30, faults=Faults(outage_seconds=20, outage_kind="503"))
    clock.pass_seconds(60)
    statuses = [status(served)]
    clock.pass_seconds(20)
    assert [*statuses, status(served)] == [503, 200]


def test_it_comes_again_after_so_many_calls(graph: StartGraph, clock: FakeClock) -> None:
    served = away(graph, outage_seconds=20, outage_kind="503", outage_every=2)
    statuses = []
    for _ in range(3):
        statuses.append(status(served))
        clock.pass_seconds(20)
        statuses += [status(served) for _ in range(3)]
    assert statuses == [503, 200, 200, 200, 503, 200, 200, 200, 503, 200, 200, 200]


def test_naming_it_again_begins_another_and_0_ends_it(graph: StartGraph, clock: FakeClock) -> None:
    served = away(graph, outage_seconds=20, outage_kind="503")
    clock.pass_seconds(30)
    statuses = [status(served)]
    served.control("faults", outage_seconds=20)
    statuses.append(status(served))
    served.control("faults", html=1.0)
    statuses.append(status(served))
    served.control("faults", html=0.0, outage_seconds=0)
    assert [*statuses, status(served)] == [200, 503, 503, 200]


@pytest.mark.parametrize(
    ("body", "kind", "text"),
    [
        ("html", "text/html", "<html><body><h1>429 Too Many Requests</h1></body></html>"),
        ("json", "application/json", '{"error":{"message":"Too Many Requests"}}'),
        ("empty", "text/plain", ""),
    ],
)
def test_its_answers_say_when_to_come_again(
    graph: StartGraph, clock: FakeClock, body: str, kind: str, text: str
) -> None:
    served = away(graph, outage_seconds=25, outage_kind="429", outage_body=body, retry_after="30")
    answer = served.inbox()
    assert (answer.headers["Retry-After"], answer.headers.get_content_type(), answer.text) == (
        "30",
        kind,
        text,
    )
    clock.pass_seconds(3.5)
    served.control("faults", retry_after="left")
    assert served.inbox().headers["Retry-After"] == "22"
    served.control("faults", retry_after=None)
    assert served.inbox().headers["Retry-After"] is None


def test_a_silent_source_answers_nothing_before_the_end(graph: StartGraph, clock: FakeClock) -> None:
    served = away(graph, outage_seconds=20, outage_kind="silent")
    with ThreadPoolExecutor(1) as elsewhere:
        asked = elsewhere.submit(status, served)
        while served.open("/sandbox/stats").json.get("fault:outage") is None:
            time.sleep(0.01)
        assert not asked.done()
        clock.pass_seconds(20)
        assert asked.result() is None
    assert status(served) == 200


def test_calls_of_an_outage_spend_nothing(graph: StartGraph) -> None:
    served = graph(conversations=30, limits=True)
    served.control("faults", outage_seconds=20, outage_kind="503")
    statuses = [status(served) for _ in range(5)]
    served.control("faults", outage_seconds=0)
    assert [*statuses, *(status(served) for _ in range(3))] == [503] * 5 + [200, 200, 400]


def test_nobody_listens_while_connections_are_refused(process: StartProcess) -> None:
    served = process("--conversations", "30").graph
    assert served.inbox().status == 200
    served.control("faults", outage_seconds=0.5, outage_kind="refused")
    with pytest.raises(ConnectionRefusedError):
        served.inbox()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            assert served.inbox().status == 200
            break
        except ConnectionRefusedError:
            time.sleep(0.02)
    assert served.control("faults", outage_seconds=0.5).status == 200
    with pytest.raises(ConnectionRefusedError):
        served.inbox()


def test_a_call_that_begins_it_is_cut_and_the_next_are_refused(process: StartProcess) -> None:
    served = process(
        *("--conversations", "30", "--fault", "outage_kind=refused"),
        *("--fault", "outage_seconds=3600", "--fault", "outage_after=1"),
    ).graph
    assert served.inbox().status == 200
    with pytest.raises((RemoteDisconnected, ConnectionResetError)):
        served.inbox()
    with pytest.raises(ConnectionRefusedError):
        served.inbox()


def counting(serve: Serve, **switches: object) -> tuple[Graph, list[float]]:
    """A sandbox, and when it looked at its clock: at each call's arrival, and when the call was counted."""
    served = serve(conversations=30, **switches)
    looked: list[float] = []

    def now() -> float:
        looked.append(time.monotonic())
        return looked[-1]

    served.sandbox.graph.now = now
    return Graph(served.sandbox.ready(url=served.url, port=0)), looked


def test_jitter_delays_each_call_by_another_time_before_it_is_counted(serve: Serve) -> None:
    served, looked = counting(serve, faults=Faults(jitter_seconds=0.2))
    delays = []
    for _ in range(6):
        looked.clear()
        served.inbox()
        delays.append(looked[1] - looked[0])
    assert max(delays) - min(delays) > 0.02


def test_a_call_is_counted_when_it_arrives_however_long_its_answer_takes(serve: Serve) -> None:
    served, looked = counting(serve, latency_seconds=0.2)
    served.inbox()
    assert time.monotonic() - looked[1] >= 0.2
