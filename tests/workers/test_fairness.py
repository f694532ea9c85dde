"""Which Page comes first if there are more Pages than slots."""

import pytest

from inboxsync.model import History, RunRequest, RunStatus
from inboxsync.store.state.runs import list_runs
from inboxsync.workers import RunQueue
from inboxsync.workers.schedules import start_due
from tests.workers.fixtures import Ready, Work, find_run, query

# The order is the workers' own, whatever the database; PostgreSQL's clock is fine enough to see it.
pytestmark = pytest.mark.parametrize("database", ["postgresql"], indirect=True)


def test_every_page_has_its_newest_conversations_before_others_have_all(ready: Ready, work: Work) -> None:
    _, engine, pages = ready(conversations=500, pages=6, latency_seconds=0.1)
    work(engine, *(RunQueue(engine).enqueue(page, RunRequest()) for page in pages), concurrency=1)
    firsts = query(engine, "SELECT MIN(created_at) FROM messenger_conversations GROUP BY page_id")
    ends = query(engine, "SELECT finished_at FROM sync_runs ORDER BY 1")
    assert len(firsts) == 6
    assert max(firsts) < ends[2]  # one after the other, the last Page would begin when five have ended
    assert query(engine, "SELECT COUNT(*) FROM messenger_conversations") == [(6 * 500,)]


def test_catching_up_does_not_wait_for_another_pages_history(ready: Ready, work: Work) -> None:
    _, engine, (deep, *others) = ready(conversations=60, messages=(150, 200), pages=4, latency_seconds=0.05)
    history = RunQueue(engine).enqueue(deep, RunRequest(history=History.ALL))
    later = [RunQueue(engine).enqueue(page, RunRequest()) for page in others]
    work(engine, history, *later, concurrency=1)
    ends = [find_run(engine, run.id).finished_at for run in (*later, history)]
    assert max(end for end in ends if end) == ends[-1]


def test_many_tiny_pages_are_synced_in_the_order_in_which_they_wait(ready: Ready, work: Work) -> None:
    _, engine, pages = ready(conversations=4, pages=40)
    while start_due(engine):
        pass
    with engine.store.read() as connection:
        runs = list_runs(connection, limit=99)
    work(engine, *runs)
    assert query(engine, "SELECT status, COUNT(*) FROM sync_runs GROUP BY 1") == [
        (RunStatus.COMPLETE.value, len(pages))
    ]
    waits = query(
        engine,
        "SELECT t.place, MIN(c.created_at) FROM messenger_conversations c JOIN "
        "(SELECT page_id, ROW_NUMBER() OVER (ORDER BY queued_at, id) AS place FROM sync_runs) t "
        "ON c.page_id = t.page_id GROUP BY 1 ORDER BY 2",
    )
    assert len(waits) == len(pages)
    # A Page is overtaken only by those that begin at the same time: one for each slot.
    assert max(abs(place - wanted) for wanted, (place, _) in enumerate(waits, start=1)) <= 4
