"""Pages are synced when they are due, and left alone when they are not."""

import asyncio
from datetime import timedelta
from typing import TypeAlias

import pytest

from inboxsync.engine import Engine
from inboxsync.model import Page, RunKind, RunRequest, RunStatus, Schedule, TokenState
from inboxsync.store.state.pages import set_last_synced_at, set_token_state, upsert_page
from inboxsync.store.state.runs import list_runs
from inboxsync.store.state.schedules import get_schedule, list_due_for_sync, list_due_for_verify, put_schedule
from inboxsync.workers import RunQueue, set_schedule
from inboxsync.workers.schedules import next_night, start_due
from tests.workers.fixtures import Ready, Work

# The fixture `three`: an engine and three Pages.
Three: TypeAlias = tuple[Engine, list[Page]]


@pytest.fixture
def three(ready: Ready) -> Three:
    _, engine, pages = ready(conversations=2, pages=3)
    return engine, pages


def due(engine: Engine, *, after: timedelta = timedelta(0)) -> list[str]:
    with engine.store.read() as connection:
        found = list_due_for_sync(connection, now=engine.clock.now() + after, limit=9)
    return [page.id for page in found]


def plan(engine: Engine, schedule: Schedule) -> None:
    with engine.store.write() as connection:
        put_schedule(connection, schedule)


def test_new_pages_are_due_and_then_those_that_wait_longest(three: Three) -> None:
    engine, (first, second, third) = three
    now = engine.clock.now()
    plan(engine, Schedule(page_id=first.id, next_sync_at=now - timedelta(seconds=1)))
    plan(engine, Schedule(page_id=second.id, next_sync_at=now - timedelta(hours=1)))
    assert due(engine) == [third.id, second.id, first.id]


def test_what_was_started_is_due_again_after_its_interval_more_or_less(three: Three) -> None:
    engine, pages = three
    plan(engine, Schedule(page_id=pages[0].id, every_seconds=60))
    assert start_due(engine) == 3
    assert start_due(engine) == 0
    assert due(engine, after=timedelta(seconds=50)) == []
    assert due(engine, after=timedelta(seconds=70)) == [pages[0].id]
    assert len(due(engine, after=timedelta(seconds=335))) == 3
    with engine.store.read() as connection:
        times = {get_schedule(connection, page.id).next_sync_at for page in pages}
    assert len(times) == 3  # no two together


def test_a_paused_page_and_one_with_a_dead_token_are_left_alone(three: Three) -> None:
    engine, (paused, dead, third) = three
    now = engine.clock.now()
    with engine.store.write() as connection:
        set_schedule(connection, paused, every_seconds=None, is_paused=True, now=now)
        set_token_state(connection, dead, TokenState.INVALID, problem="It expired.", now=now)
    assert due(engine) == [third.id]
    with engine.store.write() as connection:
        set_schedule(connection, paused, every_seconds=None, is_paused=False, now=now)
        upsert_page(  # as `pages add` does with a new token
            connection,
            facebook_page_id=dead.facebook_page_id,
            platform=dead.platform,
            account_id=dead.account_id,
            name=None,
            access_token_encrypted="y",
            now=now,
        )
    assert sorted(due(engine)) == sorted([paused.id, dead.id, third.id])


def test_a_shorter_interval_counts_from_now(three: Three) -> None:
    engine, (page, *_) = three
    now = engine.clock.now()
    plan(engine, Schedule(page_id=page.id, next_sync_at=now + timedelta(hours=1)))
    with engine.store.write() as connection:
        told = set_schedule(connection, page, every_seconds=60, is_paused=None, now=now)
    assert told.next_sync_at == now + timedelta(seconds=60)


def test_a_synced_page_is_verified_at_night_when_nothing_else_is_at_it(three: Three) -> None:
    engine, (page, other, third) = three
    now = engine.clock.now()
    for each in (page, other, third):
        plan(
            engine,
            Schedule(
                page_id=each.id,
                next_sync_at=now + timedelta(hours=1),
                next_verify_at=now - timedelta(seconds=1),
            ),
        )
    with engine.store.write() as connection:
        for each in (page, other):
            set_last_synced_at(connection, each, now, now=now)
    with engine.store.read() as connection:
        found = list_due_for_verify(connection, now=now, limit=9)
    assert {each.id for each in found} == {page.id, other.id}
    assert start_due(engine) == 2
    with engine.store.read() as connection:
        runs = list_runs(connection, limit=9)
        next_at = get_schedule(connection, page.id).next_verify_at
        assert next_at is not None
        assert next_at > now
        assert list_due_for_verify(connection, now=now, limit=9) == []
    assert {(run.kind, run.status) for run in runs} == {(RunKind.VERIFY, RunStatus.QUEUED)}


def test_the_next_night_is_ahead_and_between_one_and_five(three: Three) -> None:
    engine, _ = three
    for hour in range(24):
        now = engine.clock.now().replace(hour=hour)
        night = next_night(now)
        assert now < night < now + timedelta(hours=29)
        assert 1 <= night.hour < 5


def test_a_page_with_a_new_token_is_due_at_once(ready: Ready) -> None:
    served, engine, (page,) = ready(conversations=2)
    now = engine.clock.now()
    plan(engine, Schedule(page_id=page.id, every_seconds=86_400, next_sync_at=now + timedelta(days=1)))
    with engine.store.write() as connection:
        set_token_state(connection, page, TokenState.INVALID, problem="It expired.", now=now)
    token = served.page.token
    asyncio.run(engine.add_page(page.facebook_page_id, platform=page.platform, token=token, name=None))
    assert due(engine) == [page.id]


def test_a_sync_that_is_asked_for_during_a_verification_follows_it(three: Three) -> None:
    engine, (page, *_) = three
    start_due(engine)
    queue = RunQueue(engine)
    with engine.store.read() as connection:
        (scheduled,) = list_runs(connection, limit=9, page_id=page.id)
    queue.cancel(scheduled.id)
    verify = queue.enqueue(page, RunRequest(kind=RunKind.VERIFY))
    assert queue.enqueue(page, RunRequest()).id == verify.id
    assert start_due(engine) == 0  # it is being verified, and stays due
    queue.cancel(verify.id)
    assert due(engine) == [page.id]


def test_a_dead_token_pauses_its_page_alone(ready: Ready, work: Work) -> None:
    served, engine, pages = ready(conversations=12, pages=3)
    served.sandbox.tokens.kill(served.sandbox.world.pages[1].token, 463)

    async def all_ended() -> None:
        while True:
            with engine.store.read() as connection:
                runs = list_runs(connection, limit=9)
            if len(runs) == 3 and not any(run.status.is_open for run in runs):
                return
            await asyncio.sleep(0.1)

    work(engine, until=all_ended, schedules=True)
    with engine.store.read() as connection:
        states = {run.page_id: run.status for run in list_runs(connection, limit=9)}
    assert [states[page.id] for page in pages] == [
        RunStatus.COMPLETE,
        RunStatus.FAILED,
        RunStatus.COMPLETE,
    ]
    assert sorted(due(engine, after=timedelta(minutes=10))) == sorted([pages[0].id, pages[2].id])
