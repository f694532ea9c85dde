"""Who comes first where there are more Pages than places."""

from typing import Any

import pytest
from sqlalchemy import text

from inboxsync.model import History, RunRequest, RunStatus
from inboxsync.workers import RunQueue
from inboxsync.workers.schedules import start_due

# Order is the workers' own, whatever the database; PostgreSQL has a clock fine enough to tell it.
pytestmark = pytest.mark.parametrize("database", ["postgresql"], indirect=True)


def query(engine: Any, sql: str) -> list[tuple[Any, ...]]:
    with engine.store.read() as connection:
        return [tuple(row) for row in connection.execute(text(sql))]


def test_every_page_has_its_newest_conversations_before_others_have_all(ready: Any, work: Any) -> None:
    _, engine, pages = ready(conversations=900, pages=8, latency_seconds=0.1)
    runs = [RunQueue(engine).submit(page, RunRequest()) for page in pages]
    work(engine, *(run.id for run in runs), concurrency=1)
    firsts = query(engine, "SELECT MIN(created_at) FROM messenger_conversations GROUP BY page_id")
    ends = query(engine, "SELECT finished_at FROM sync_runs ORDER BY 1")
    assert len(firsts) == 8
    assert max(firsts) < ends[3]  # one after the other, the last Page would begin when seven have ended
    assert query(engine, "SELECT COUNT(*) FROM messenger_conversations") == [(8 * 900,)]


def test_catching_up_does_not_wait_for_another_pages_history(ready: Any, work: Any, run_of: Any) -> None:
    _, engine, (deep, *others) = ready(conversations=60, messages=(150, 200), pages=4, latency_seconds=0.05)
    history = RunQueue(engine).submit(deep, RunRequest(history=History.ALL))
    later = [RunQueue(engine).submit(page, RunRequest()) for page in others]
    work(engine, history.id, *(run.id for run in later), concurrency=1)
    ends = [run_of(engine, run.id).finished_at for run in later]
    assert max(ends) < run_of(engine, history.id).finished_at


def test_many_tiny_pages_are_all_served_in_the_order_in_which_they_wait(ready: Any, work: Any) -> None:
    _, engine, pages = ready(conversations=4, pages=40)
    while start_due(engine):
        pass
    runs = query(engine, "SELECT id FROM sync_runs")
    work(engine, *(run_id for (run_id,) in runs))
    assert query(engine, "SELECT status, COUNT(*) FROM sync_runs GROUP BY 1") == [
        (RunStatus.COMPLETE.value, len(pages))
    ]
    waits = query(
        engine,
        "SELECT r.id, MIN(c.created_at) FROM sync_runs r "
        "JOIN messenger_conversations c ON c.page_id = r.page_id GROUP BY r.id ORDER BY 2",
    )
    assert len(waits) == len(pages)
    # Three slices a slot are put into the queue at once, and taken in no order: nobody is overtaken by more
    # than came with the next time, and by those at work.
    places = [place for place, _ in sorted(enumerate(waits), key=lambda each: each[1][0])]
    assert max(abs(place - wanted) for wanted, place in enumerate(places)) <= 4 * 3 * 2 + 4 * 2
