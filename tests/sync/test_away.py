"""A source that is away for a while ends no run. One that stays away does, and the run says how often."""

from typing import Literal

import pytest

from inboxsync.model import RunStatus
from inboxsync.sandbox import Faults
from tests.fixtures import Row, SandboxServer
from tests.sync.fixtures import Ready, Stored, Sync, Verify, graph_id_of

# As long as a user's; the fixtures' engines wait for less.
PATIENT = {"source_away_seconds": 60.0}
IDS = "SELECT conversation_id FROM messenger_conversations"


def ids(rows: list[Row]) -> set[str]:
    return {graph_id for (graph_id,) in rows}


def set_faults(served: SandboxServer, faults: Faults) -> None:
    served.sandbox.http.faults = served.sandbox.conversations.faults = faults


@pytest.mark.parametrize("kind", ["reset", "502", "503", "504", "429"])
@pytest.mark.parametrize("after", [0, 3])
def test_a_source_that_is_away_is_waited_for(
    ready: Ready, sync: Sync, stored: Stored, kind: Literal["reset", "502", "503", "504", "429"], after: int
) -> None:
    served, engine = ready(conversations=600, engine=PATIENT)
    faults = Faults(outage_seconds=1.5, outage_after=after, outage_kind=kind, retry_after="1")
    set_faults(served, faults)
    run = sync(engine)
    assert run.status is RunStatus.COMPLETE, run.problems
    assert ids(stored(engine, IDS)) == set(served.threads())


@pytest.mark.parametrize("seed", range(4))
def test_an_outage_among_other_faults_loses_nothing(
    ready: Ready, sync: Sync, stored: Stored, seed: int
) -> None:
    served, engine = ready(conversations=600, engine=PATIENT, seed=seed, write_every=40)
    bad = {graph_id_of(served, slot) for slot in (7, 8, 301)}
    set_faults(
        served,
        Faults(
            poison_slots=(7, 8, 301),
            weight_limit=600,
            reset=0.05,
            html=0.05,
            outage_seconds=1.0,
            outage_after=6,
            outage_every=25,
        ),
    )
    run = sync(engine)
    assert run.status is RunStatus.PARTIAL, run.problems
    assert {problem.code for problem in run.problems} <= {"backlog_open"}, run.problems
    assert ids(stored(engine, IDS)) == set(served.threads()) - bad


def test_a_source_that_stays_away_ends_the_run_as_partial_and_the_next_continues(
    ready: Ready, sync: Sync, stored: Stored
) -> None:
    served, engine = ready(conversations=600, engine={"source_away_seconds": 0.5, "retry_attempts": 1})
    set_faults(served, Faults(outage_seconds=3600, outage_after=3))
    run = sync(engine)
    assert run.status is RunStatus.PARTIAL
    (problem,) = [each for each in run.problems if each.code != "backlog_open"]
    assert "no usable answer for" in problem.message
    assert "times in a row" in problem.message
    before = ids(stored(engine, IDS))
    assert 0 < len(before) < 600
    set_faults(served, Faults())
    assert sync(engine).status is RunStatus.COMPLETE
    assert ids(stored(engine, IDS)) == set(served.threads())


def test_a_run_that_may_take_no_longer_stops_waiting(ready: Ready, sync: Sync) -> None:
    served, engine = ready(conversations=600, engine={"retry_attempts": 1})
    set_faults(served, Faults(outage_seconds=3600, outage_after=3))
    run = sync(engine, max_seconds=1.0)
    assert run.status is RunStatus.PARTIAL


def test_an_outage_in_the_backlog_marks_nothing_as_unreadable(
    ready: Ready, sync: Sync, stored: Stored
) -> None:
    served, engine = ready(
        engine=PATIENT, conversations=120, faults=Faults(poison_slots=tuple(range(10, 20)))
    )
    sync(engine)
    set_faults(served, Faults(outage_seconds=1.5, outage_after=1))
    run = sync(engine)
    assert run.status is RunStatus.COMPLETE, run.problems
    assert ids(stored(engine, IDS)) == set(served.threads())


def test_a_verification_waits_for_a_source_that_is_away_too(ready: Ready, sync: Sync, verify: Verify) -> None:
    served, engine = ready(conversations=300, engine=PATIENT)
    sync(engine)
    set_faults(served, Faults(outage_seconds=1.5, outage_after=1))
    verification, _ = verify(engine)
    assert verification.is_complete


@pytest.mark.parametrize("size", [1, 9])
@pytest.mark.parametrize("written", [10, 150])
def test_a_small_batch_size_and_a_busy_head_are_caught_up_with(
    ready: Ready, sync: Sync, verify: Verify, stored: Stored, size: int, written: int
) -> None:
    served, engine = ready(conversations=300)
    sync(engine)
    with engine.store.write() as connection:
        connection.exec_driver_sql(f"UPDATE facebook_pages SET batch_size = {size}")
    for slot in range(written):
        served.page.write(slot, f"new {slot}")
    run = sync(engine)
    assert run.status is RunStatus.COMPLETE, run.problems
    assert stored(engine, "SELECT COUNT(*) FROM messages WHERE text LIKE 'new %'") == [(written,)]
    assert run.calls < 40
    assert verify(engine, is_deep=True)[0].is_complete


def test_a_page_that_is_written_to_faster_than_answers_come_is_caught_up_with(
    ready: Ready, sync: Sync, stored: Stored
) -> None:
    served, engine = ready(conversations=400, write_every=4, faults=Faults(weight_limit=60))
    run = sync(engine)
    assert run.status is RunStatus.COMPLETE, run.problems
    assert ids(stored(engine, IDS)) == set(served.threads())
