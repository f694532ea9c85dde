"""Whether a Page is complete follows what is true now, and what is new is never called unreadable."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

import pytest

from inboxsync.engine import Engine
from inboxsync.model import (
    BacklogCounts,
    Completeness,
    CompletenessState,
    Following,
    Mode,
    RunStatus,
    Scanning,
    Segment,
    Unserved,
    Verification,
)
from inboxsync.sandbox import Faults
from inboxsync.sandbox.conversations import Conversations
from inboxsync.store.state.pages import list_pages
from inboxsync.sync import completeness_of, describe_completeness
from inboxsync.sync.completeness import FolderReport, Report, assess
from tests.sync.fixtures import Passed, Ready, Sync, Verify, WriteMessages, graph_id_of

NOW = datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC)
Now: TypeAlias = Callable[[Engine], Completeness]
COMPLETE, NEW, INCOMPLETE = CompletenessState.COMPLETE, CompletenessState.NEW, CompletenessState.INCOMPLETE


@pytest.fixture
def complete_now() -> Now:
    def read(engine: Engine) -> Completeness:
        with engine.store.read() as connection:
            (page,) = list_pages(connection)
            return completeness_of(connection, [page])[page.id]

    return read


def delete_stored(engine: Engine, *graph_ids: str) -> None:
    with engine.store.write() as connection:
        for graph_id in graph_ids:
            connection.exec_driver_sql(
                f"DELETE FROM messenger_conversations WHERE conversation_id = '{graph_id}'"
            )


@pytest.mark.parametrize("seed", range(3))
def test_a_page_that_people_write_to_all_day_is_complete(
    ready: Ready, sync: Sync, verify: Verify, complete_now: Now, seed: int
) -> None:
    _, engine = ready(conversations=450, write_every=2, write_new_every=3, write_burst=15, seed=seed)
    assert sync(engine, folder_interval=timedelta(0)).status is RunStatus.COMPLETE
    for _ in range(2):
        verification, findings = verify(engine)
        found = complete_now(engine)
        assert findings.missing == found.new > 0
        assert (found.missing, found.refused, found.gaps) == (0, 0, 0)
        assert not any("could not be read" in line for line in describe_completeness(found))
        assert found.state is (COMPLETE if verification.is_complete else NEW)
        assert sync(engine).status is RunStatus.COMPLETE
        assert (complete_now(engine).state, complete_now(engine).new) == (COMPLETE, 0)


def test_what_comes_only_during_the_check_does_not_count_against_it(
    ready: Ready, sync: Sync, verify: Verify, complete_now: Now
) -> None:
    served, engine = ready(conversations=450)
    assert sync(engine, folder_interval=timedelta(0)).status is RunStatus.COMPLETE
    answer, written = Conversations.answer, iter(range(100, 200))

    def answer_then_write(self: Conversations, *arguments: Passed, **named: Passed) -> Passed:
        answered = answer(self, *arguments, **named)
        served.page.write(next(written), "during the check")
        return answered

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Conversations, "answer", answer_then_write)
        verification, findings = verify(engine)
    assert findings.missing > 0
    assert verification.is_complete
    assert complete_now(engine).state is COMPLETE
    assert "since the check" in describe_completeness(complete_now(engine))[0]


def test_what_came_before_the_check_is_new_until_the_next_sync(
    ready: Ready, sync: Sync, verify: Verify, write: WriteMessages, complete_now: Now
) -> None:
    served, engine = ready()
    assert complete_now(engine).state is CompletenessState.UNVERIFIED
    sync(engine)
    write(served, None, 3)
    write(served, 20)
    verification, findings = verify(engine)
    found = complete_now(engine)
    assert (verification.is_complete, found.state, found.new) == (False, NEW, 2)
    assert describe_completeness(found) == [
        "2 conversations new or with new messages since the last sync. The next sync brings them."
    ]
    assert findings.folders[0].lost == set()
    sync(engine)
    assert complete_now(engine).state is COMPLETE


def test_what_was_lost_is_missing_and_not_new(
    ready: Ready, sync: Sync, verify: Verify, complete_now: Now
) -> None:
    served, engine = ready(conversations=60)
    sync(engine)
    lost = graph_id_of(served, 40)
    delete_stored(engine, lost)
    served.page.write(3, "new")
    _, findings = verify(engine)
    found = complete_now(engine)
    assert findings.folders[0].lost == {lost}
    assert (found.state, found.missing, found.new) == (INCOMPLETE, 1, 1)
    assert sync(engine).status is RunStatus.COMPLETE
    assert complete_now(engine).state is COMPLETE


def test_what_meta_refuses_is_told_with_its_reason_until_it_is_read(
    ready: Ready, sync: Sync, verify: Verify, complete_now: Now
) -> None:
    served, engine = ready(faults=Faults(poison_slots=(7,)))
    sync(engine)
    served.page.write(3, "new")
    _, findings = verify(engine)
    found = complete_now(engine)
    assert (found.state, found.refused, found.new, found.missing) == (INCOMPLETE, 1, 1, 0)
    (problem,) = findings.refused.values()
    assert problem.message
    sync(engine)
    assert (complete_now(engine).state, complete_now(engine).new) == (INCOMPLETE, 0)
    served.sandbox.conversations.heal(served.sandbox.world.pages)
    sync(engine)
    assert complete_now(engine).state is COMPLETE


@pytest.mark.parametrize("what", ["new", "lost"])
def test_more_than_the_backlog_takes_is_complete_once_the_lists_are_read(
    ready: Ready,
    sync: Sync,
    verify: Verify,
    complete_now: Now,
    monkeypatch: pytest.MonkeyPatch,
    what: str,
) -> None:
    monkeypatch.setattr("inboxsync.sync.verify._MOST_BACKLOG", 5)
    served, engine = ready(conversations=150)
    sync(engine)
    if what == "new":
        for slot in range(20):
            served.page.write(slot, "new")
    else:
        delete_stored(engine, *(graph_id_of(served, slot) for slot in range(100, 140)))
    _, findings = verify(engine)
    found = complete_now(engine)
    assert not findings.is_in_backlog
    assert (found.new, found.missing) == ((20, 0) if what == "new" else (0, 40))
    assert found.state is (NEW if what == "new" else INCOMPLETE)
    assert sync(engine).mode is (Mode.INCREMENTAL if what == "new" else Mode.FULL)
    found = complete_now(engine)
    assert (found.state, found.new, found.missing) == (COMPLETE, 0, 0)


@pytest.mark.parametrize("seed", range(4))
def test_every_kind_together_is_told_apart(
    ready: Ready, sync: Sync, verify: Verify, complete_now: Now, seed: int
) -> None:
    """Unreadable, lost, new, begun, moved to a folder, and deleted."""
    served, engine = ready(
        conversations=300, seed=seed, faults=Faults(poison_slots=(5, 6)), folders={"spam": 4, "page_done": 4}
    )
    sync(engine)
    delete_stored(engine, *(graph_id_of(served, slot) for slot in (200 + seed, 250)))
    mailbox = served.page.messenger
    mailbox.write(20, "new")
    mailbox.write(mailbox.begin("spam"), "begun")
    mailbox.move(30, "page_done")
    mailbox.delete(31)
    _, findings = verify(engine)
    found = complete_now(engine)
    assert (found.refused, found.missing, found.new, len(findings.marked_gone)) == (2, 2, 2, 1)
    served.sandbox.conversations.heal(served.sandbox.world.pages)
    assert sync(engine).status is RunStatus.COMPLETE
    assert complete_now(engine).state is COMPLETE


def report(**changes: object) -> Verification:
    values = {"id": "v", "page_id": "p", "checked_at": NOW, "is_complete": False, "summary": "{}"}
    return Verification(**(values | changes))  # type: ignore[arg-type]


MUCH = Report(
    folders=(
        FolderReport("inbox", listed=9, missing=frozenset("abc"), lost=frozenset({"a"}), watermark_at=NOW),
    ),
    is_in_backlog=False,
)


@pytest.mark.parametrize(
    ("state", "is_read"),
    [
        (None, False),
        (Following(watermark=NOW), False),
        (Following(watermark=NOW + timedelta(microseconds=1)), True),
        (Unserved(), True),
        (Scanning(segments=(Segment(),), watermark=NOW + timedelta(hours=1)), False),
    ],
)
def test_a_list_counts_as_read_once_a_sync_has_moved_its_watermark(
    state: Following | Unserved | Scanning | None, is_read: bool
) -> None:
    states = {"inbox": state} if state is not None else {}
    found = assess(report(), MUCH, BacklogCounts(), states)
    assert (found.new, found.missing) == ((0, 0) if is_read else (2, 1))
    assert (found.state is COMPLETE) == is_read


@pytest.mark.parametrize("dropped", [0, 2])
@pytest.mark.parametrize("only_stored", [(), ("t_1",)])
def test_what_no_sync_can_mend_stays_open(dropped: int, only_stored: tuple[str, ...]) -> None:
    listed = 0 if only_stored else 5
    made = Report(folders=(FolderReport("inbox", listed=listed, dropped=dropped),), only_stored=only_stored)
    found = assess(report(), made, BacklogCounts(), {})
    is_open = bool(dropped or only_stored)
    assert (found.state is INCOMPLETE) == is_open
    assert bool(describe_completeness(found)) == is_open


def test_nothing_is_claimed_of_a_page_that_was_never_compared() -> None:
    found = assess(None, Report(), BacklogCounts(refused=2), {})
    assert (found.state, found.refused) == (CompletenessState.UNVERIFIED, 2)
