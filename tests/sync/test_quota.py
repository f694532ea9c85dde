"""Every quota of Meta's is read, the call rate kept, a block waited for and remembered."""

import re
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

from starlette.types import Receive, Scope, Send

from inboxsync.engine import Engine
from inboxsync.model import RunStatus
from inboxsync.sandbox import Faults
from inboxsync.sync import Outcome
from tests.fixtures import EngineFor, SandboxServer, Serve
from tests.sync.fixtures import Add, Stored, Sync

IDS = "SELECT COUNT(*) FROM messenger_conversations"
QUOTAS = "SELECT type, used_percent, blocked_until_at FROM quotas"


def limited(
    serve: Serve, engine_for: EngineFor, add: Add, **switches: object
) -> tuple[SandboxServer, Engine]:
    """A source with limits, and an engine that keeps them."""
    served = serve(**({"conversations": 1200, "limits": True} | switches))
    engine = engine_for(served, calls_per_second=2.0)
    add(engine, served)
    return served, engine


def test_at_two_calls_a_second_no_call_is_refused_though_answers_take_a_second(
    serve: Serve, engine_for: EngineFor, add: Add, sync: Sync
) -> None:
    served, engine = limited(
        serve,
        engine_for,
        add,
        penalty_seconds=30.0,
        latency_seconds=1.0,
        time_windows=True,
        conversations=1800,
    )
    run = sync(engine)
    assert (run.status, run.refused_calls) == (RunStatus.COMPLETE, 0)
    assert run.counts.fetched == 1800
    # The first three calls are made one after the other, then the allowed rate is reached.
    assert run.calls / run.duration_seconds > 1.2
    assert served.sandbox.http.counts["refused"] == 0


def test_a_run_that_could_only_wait_ends_at_once_and_says_until_when(
    serve: Serve, engine_for: EngineFor, add: Add, sync: Sync, *, stored: Stored, outcomes: list[Outcome]
) -> None:
    served, engine = limited(serve, engine_for, add, calls_a_day=12, regain_minutes=40)
    hasty = engine_for(served, calls_per_second=20.0)
    run = sync(hasty, max_seconds=30)
    assert run.status is RunStatus.PARTIAL
    assert run.duration_seconds < 20
    assert outcomes[-1].reason is not None
    assert re.search(r"waiting for Meta until \d\d:\d\d \(messenger (9[5-9]|100) %\)", outcomes[-1].reason)
    quotas = {type_: (used, until) for type_, used, until in stored(engine, QUOTAS)}
    used, until = quotas["messenger"]
    assert used >= 95
    wait = datetime.fromisoformat(until) - engine.clock.now()
    assert timedelta(minutes=38) < wait <= timedelta(minutes=40)


def test_a_restart_makes_no_call_during_a_block(
    serve: Serve, engine_for: EngineFor, add: Add, sync: Sync, outcomes: list[Outcome]
) -> None:
    served, _ = limited(serve, engine_for, add, calls_a_day=12, regain_minutes=40)
    sync(engine_for(served, calls_per_second=20.0), max_seconds=30)
    before = served.sandbox.http.counts["answered"], served.sandbox.http.counts["refused"]
    run = sync(engine_for(served, calls_per_second=20.0), max_seconds=30)
    assert (run.status, run.calls) == (RunStatus.PARTIAL, 0)
    assert run.duration_seconds < 10
    assert "waiting for Meta" in str(outcomes[-1].reason)
    assert (served.sandbox.http.counts["answered"], served.sandbox.http.counts["refused"]) == before


def test_the_call_rate_falls_from_three_quarters_on(
    serve: Serve, engine_for: EngineFor, add: Add, sync: Sync
) -> None:
    served, _ = limited(serve, engine_for, add, conversations=1900, calls_a_day=16)
    arrived: list[float] = []
    clock = engine_for(served).clock
    take = served.sandbox.app._graph

    async def noting(scope: Scope, receive: Receive, send: Send) -> None:
        arrived.append(clock.monotonic())
        await take(scope, receive, send)

    served.sandbox.app._graph = noting
    sync(engine_for(served, calls_per_second=2.0), max_seconds=20)
    apart = [later - earlier for earlier, later in pairwise(arrived)]
    fast = sum(apart[2:8]) / 6
    assert len(arrived) == 15  # the sixteenth was made when the Page was added
    assert apart[-1] > 1.5 * fast


def test_the_quota_of_the_app_delays_calls_too(
    serve: Serve, engine_for: EngineFor, add: Add, sync: Sync, outcomes: list[Outcome]
) -> None:
    served, engine = limited(serve, engine_for, add)
    graph = served.sandbox.http._graph
    graph._config = replace(graph._config, app_usage_percent=96)
    run = sync(engine, max_seconds=20)
    assert run.status is RunStatus.PARTIAL
    assert run.calls <= 2
    assert "(app 96 %)" in str(outcomes[-1].reason)


def test_refused_calls_do_not_count_as_a_stall(
    serve: Serve, engine_for: EngineFor, add: Add, sync: Sync, stored: Stored
) -> None:
    served, engine = limited(serve, engine_for, add, conversations=900)
    run = sync(engine_for(served), stall_calls=3)
    assert run.status is RunStatus.COMPLETE, run.problems
    assert run.refused_calls > 0
    assert stored(engine, IDS) == [(900,)]


def test_a_refused_call_while_bisecting_is_waited_for(
    serve: Serve, engine_for: EngineFor, add: Add, sync: Sync, stored: Stored
) -> None:
    served, engine = limited(serve, engine_for, add, conversations=120, faults=Faults(poison_slots=(60,)))
    run = sync(engine_for(served))
    assert run.status is RunStatus.PARTIAL
    assert stored(engine, IDS) == [(119,)]
