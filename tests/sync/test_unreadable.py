"""Unreadable conversations go to the backlog alone, and are fetched once they can be read."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inboxsync.errors import AnswerFailed
from inboxsync.model import Batch, Conversation, Problem, RunStatus, Segment
from inboxsync.sandbox import Faults
from inboxsync.sync.bisect import Bisection
from tests.fixtures import Row, SandboxServer
from tests.sync.fixtures import Ready, Stored, Sync, graph_id_of

IDS = "SELECT conversation_id FROM messenger_conversations"
BACKLOG = "SELECT conversation_id FROM backlog WHERE kind = 'conversation' ORDER BY conversation_id"
LAST_SYNCED = "SELECT last_synced_at FROM facebook_pages"
WATERMARK = "SELECT watermark_at FROM list_positions WHERE folder = 'inbox'"


def ids_of(served: SandboxServer, *slots: int) -> set[str]:
    return {graph_id_of(served, slot) for slot in slots}


def column(rows: list[Row]) -> set[str]:
    return {value for (value,) in rows}


def set_faults(served: SandboxServer, faults: Faults) -> None:
    served.sandbox.http.faults = served.sandbox.conversations.faults = faults


def heal(served: SandboxServer) -> None:
    set_faults(served, Faults())


@pytest.mark.parametrize(
    "slots",
    [(0,), (150,), (99,), (100,), (150, 151), (3, 57, 140), (349,), (0, 349), tuple(range(100, 118))],
    ids=lambda slots: "-".join(map(str, slots[:3])),
)
def test_only_unreadable_conversations_go_to_the_backlog(
    ready: Ready, sync: Sync, stored: Stored, slots: tuple[int, ...]
) -> None:
    served, engine = ready(faults=Faults(poison_slots=slots))
    bad = ids_of(served, *slots)
    run = sync(engine)
    assert run.status is RunStatus.PARTIAL
    assert column(stored(engine, BACKLOG)) == bad
    assert column(stored(engine, IDS)) == set(served.threads()) - bad
    (problem,) = [each for each in run.problems if each.code == "backlog_open"]
    assert f"{len(bad)} " in problem.message
    assert stored(engine, LAST_SYNCED) != [(None,)]

    heal(served)
    healed = sync(engine)
    assert healed.status is RunStatus.COMPLETE
    assert column(stored(engine, IDS)) == set(served.threads())
    assert stored(engine, BACKLOG) == []


def test_a_whole_unreadable_batch_goes_to_the_backlog_and_the_rest_is_stored(
    ready: Ready, sync: Sync, stored: Stored
) -> None:
    served, engine = ready(conversations=60, faults=Faults(poison_slots=tuple(range(60))))
    run = sync(engine)
    assert run.status is RunStatus.PARTIAL
    assert len(stored(engine, BACKLOG)) == 60
    assert stored(engine, IDS) == []
    # Each is asked for alone once by the list, or by the backlog, with its three attempts.
    assert run.calls < 240
    heal(served)
    healed = sync(engine)
    assert healed.status is RunStatus.COMPLETE
    assert column(stored(engine, IDS)) == set(served.threads())


@pytest.mark.parametrize("slot", [0, 37, 63, 98, 99])
def test_one_unreadable_among_a_hundred_costs_at_most_twenty_calls(
    ready: Ready, sync: Sync, slot: int
) -> None:
    served, engine = ready(conversations=100)
    plain = sync(engine).calls
    with engine.store.write() as connection:
        connection.exec_driver_sql("UPDATE facebook_pages SET last_synced_at = NULL")
    set_faults(served, Faults(poison_slots=(slot,)))
    run = sync(engine)
    assert run.status is RunStatus.PARTIAL
    assert run.calls - plain <= 20


def test_a_head_that_stays_unreadable_costs_few_calls(ready: Ready, sync: Sync, stored: Stored) -> None:
    served, engine = ready(faults=Faults(poison_slots=(3, 4, 40)))
    sync(engine)
    ((before,),) = stored(engine, WATERMARK)
    served.page.write(200, "someone else")
    calls = []
    for _ in range(5):
        run = sync(engine)
        assert run.status is RunStatus.PARTIAL
        calls.append(run.calls)
    assert calls[0] <= 10 + 3 * 3
    assert calls[-1] <= 10  # by then the backlog tries them less often
    ((after,),) = stored(engine, WATERMARK)
    assert after > before
    assert stored(engine, "SELECT COUNT(*) FROM messages WHERE text = 'someone else'") == [(1,)]


def test_one_that_stays_unreadable_in_the_head_costs_at_most_ten_calls(ready: Ready, sync: Sync) -> None:
    served, engine = ready(faults=Faults(poison_slots=(0,)))
    sync(engine)
    served.page.write(0, "a message to the unreadable one")
    run = sync(engine)
    assert run.status is RunStatus.PARTIAL
    assert run.calls <= 10


def test_messages_to_an_unreadable_conversation_are_stored_once_it_is_readable(
    ready: Ready, sync: Sync, stored: Stored
) -> None:
    served, engine = ready()
    sync(engine)
    set_faults(served, Faults(poison_slots=(120,)))
    for number in range(25):
        served.page.write(120, f"unread {number}")
    assert sync(engine).status is RunStatus.PARTIAL
    assert sync(engine).status is RunStatus.PARTIAL
    heal(served)
    assert sync(engine).status is RunStatus.COMPLETE
    texts = column(stored(engine, "SELECT text FROM messages WHERE text LIKE 'unread %'"))
    assert texts == {f"unread {number}" for number in range(25)}


def test_unreadable_conversations_in_another_folder_go_to_the_backlog(
    ready: Ready, sync: Sync, stored: Stored
) -> None:
    served, engine = ready(conversations=30, folders={"spam": 130})
    spam = served.page.messenger.folders["spam"]
    set_faults(served, Faults(poison_slots=(spam.first_slot + 120,)))
    assert sync(engine).status is RunStatus.PARTIAL
    assert stored(engine, "SELECT folder FROM backlog WHERE kind = 'conversation'") == [("spam",)]
    assert stored(engine, "SELECT COUNT(*) FROM messenger_conversations") == [(159,)]
    heal(served)
    assert sync(engine).status is RunStatus.COMPLETE
    assert stored(engine, "SELECT COUNT(*) FROM messenger_conversations WHERE folder = 'spam'") == [(130,)]


@pytest.mark.parametrize("most", [1000, 260, 40])
def test_unreadable_conversations_are_found_where_the_source_wants_less_too(
    ready: Ready, sync: Sync, stored: Stored, most: int
) -> None:
    served, engine = ready(faults=Faults(weight_limit=most, poison_slots=(5, 222)))
    bad = ids_of(served, 5, 222)
    run = sync(engine)
    assert run.status is RunStatus.PARTIAL
    assert column(stored(engine, BACKLOG)) == bad
    assert column(stored(engine, IDS)) == set(served.threads()) - bad


@pytest.mark.parametrize("cursors", ["opaque", "index"])
def test_unreadable_conversations_are_found_while_people_write(
    ready: Ready, sync: Sync, stored: Stored, cursors: str
) -> None:
    served, engine = ready(
        conversations=700, cursors=cursors, write_every=4, faults=Faults(poison_slots=(50, 333, 334))
    )
    run = sync(engine)
    assert run.status is RunStatus.PARTIAL
    assert column(stored(engine, BACKLOG)) <= ids_of(served, 50, 333, 334)
    assert column(stored(engine, IDS)) | column(stored(engine, BACKLOG)) == set(served.threads())
    heal(served)
    again = sync(engine)
    assert again.status is RunStatus.COMPLETE, again.problems
    assert column(stored(engine, IDS)) == set(served.threads())


def test_a_limit_that_is_reached_while_bisecting_loses_nothing(
    ready: Ready, sync: Sync, stored: Stored
) -> None:
    served, engine = ready(faults=Faults(poison_slots=(7, 130)))
    runs = [sync(engine, max_conversations=60)]
    while len(runs) < 12 and len(stored(engine, IDS)) < 348:
        runs.append(sync(engine, max_conversations=60))
    heal(served)
    assert sync(engine).status is RunStatus.COMPLETE
    assert column(stored(engine, IDS)) == set(served.threads())
    assert all(run.counts.fetched <= 61 for run in runs)


TOP = datetime(2026, 6, 1, tzinfo=UTC)


def part(*names: str, after: str = "c") -> Batch:
    conversations = tuple(
        Conversation(conversation_id=name, source_updated_at=TOP - timedelta(minutes=minute))
        for minute, name in enumerate(names)
    )
    return Batch(conversations=conversations, answered_at=TOP, after=after, has_next=True)


def bisection(summary: Batch, *, unreadable: dict[str, Problem] | None = None) -> Bisection:
    return Bisection(Segment(), summary, unreadable=unreadable or {}, most=100)


def test_a_conversation_in_no_part_goes_to_the_backlog() -> None:
    summary = part("t_0", "t_1", "t_2", "t_3", after="end")
    parts = bisection(summary)
    first = parts.take(part("t_0", "t_1"))
    assert (first.is_part, first.unread) == (True, ())
    last = parts.take(part("t_below", "t_far_below"))
    assert [each.conversation_id for each in last.unread] == ["t_2", "t_3"]
    assert (last.is_part, last.is_whole, last.covers_head) == (False, False, False)
    assert (last.after, last.has_next, last.reached_at) == ("end", True, summary.reached_at)


def test_an_empty_part_is_no_end() -> None:
    parts = bisection(part("t_0", "t_1"))
    assert all(parts.take(part()).is_part for _ in range(10))
    assert parts.is_incomplete


def test_a_part_never_reaches_below_the_lower_bound_while_more_is_wanted() -> None:
    summary = part("t_0", "t_1", "t_2", "t_3")
    summary = replace(summary, depth=TOP - timedelta(minutes=3))
    lower_bound = TOP - timedelta(minutes=2, seconds=30)
    parts = Bisection(Segment(lower_bound=lower_bound), summary, unreadable={}, most=100)
    out_of_order = replace(part("t_0", "t_1"), depth=TOP - timedelta(days=1))
    assert parts.take(out_of_order).reached_at == lower_bound
    last = parts.take(part("t_2"))
    assert (last.is_part, last.covers_head, last.reached_at) == (False, True, summary.reached_at)


def test_known_unreadable_ones_are_not_asked_for() -> None:
    summary = part(*(f"t_{number}" for number in range(10)))
    problem = Problem(code="x", message="x", hint="x")
    parts = bisection(summary, unreadable={"t_4": problem, "t_5": problem})
    assert (parts.skippable, parts.next_size) == (0, 4)
    parts.take(part("t_0", "t_1", "t_2", "t_3"))
    assert parts.skippable == 2
    skipped = parts.skip(part("t_4", "t_5"))
    assert [each.conversation_id for each in skipped.unread] == ["t_4", "t_5"]
    assert (parts.skippable, parts.next_size) == (0, 4)


@given(st.integers(1, 100), st.data())
def test_any_unreadable_ones_among_a_hundred_are_found(count: int, data: st.DataObject) -> None:
    bad = data.draw(st.sets(st.integers(0, count - 1), max_size=4))
    names = [f"t_{number}" for number in range(count)]
    parts = bisection(part(*names))
    came: list[Batch] = []
    at = calls = 0
    while parts.is_incomplete:
        calls += 1
        if skippable := parts.skippable:
            came.append(parts.skip(part(*names[at : at + skippable])))
            at += skippable
        elif bad.isdisjoint(range(at, at + (asked := parts.next_size))):
            came.append(parts.take(part(*names[at : at + asked])))
            at += asked
        elif asked > 1:
            parts.failed(Segment(), asked, is_too_large=False)
        else:
            came.append(parts.blame(part(names[at]), AnswerFailed("It failed.")))
            at += 1
    unread = {each.conversation_id for batch in came for each in batch.unread}
    assert unread == {f"t_{number}" for number in bad}
    assert [each.conversation_id for batch in came for each in batch.conversations] == [
        name for number, name in enumerate(names) if number not in bad
    ]
    assert [batch.is_part for batch in came] == [True] * (len(came) - 1) + [False]
    assert came[-1].is_whole
    assert calls <= 2 + 16 * max(1, len(bad))


@pytest.mark.parametrize("cursors", ["index", "opaque"])
@pytest.mark.parametrize("seed", range(3))
def test_unreadable_conversations_in_several_segments_at_once_lose_no_other(
    ready: Ready, sync: Sync, stored: Stored, cursors: str, seed: int
) -> None:
    # Slow answers, so that several readers are under way, each with cursors that look alike.
    slots = tuple(range(130, 1200, 97))
    served, engine = ready(
        conversations=1200,
        cursors=cursors,
        time_windows=True,
        latency_seconds=0.1,
        seed=seed,
        engine={"calls_per_second": 40.0},
        faults=Faults(poison_slots=slots, reset=0.03),
    )
    run = sync(engine)
    bad = ids_of(served, *slots)
    assert run.status is RunStatus.PARTIAL
    assert column(stored(engine, IDS)) == set(served.threads()) - bad
    assert column(stored(engine, BACKLOG)) == bad


@pytest.mark.parametrize("seed", [1, 2])
def test_twenty_close_together_among_passing_faults_leave_no_readable_one_out(
    ready: Ready, sync: Sync, stored: Stored, seed: int
) -> None:
    bad = tuple(range(0, 100, 5))
    served, engine = ready(conversations=300, seed=seed, faults=Faults(poison_slots=bad))
    set_faults(served, Faults(poison_slots=bad, html=0.1, reset=0.1))
    sync(engine)
    assert column(stored(engine, IDS)) == set(served.threads()) - ids_of(served, *bad)
