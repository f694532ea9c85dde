"""The events of a run are written by the owner of the Page's lease, and none after its end."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import TypeAlias

import pytest

from inboxsync.clock import SystemClock
from inboxsync.model import Mode, Page, Platform, Run, RunStatus
from inboxsync.store import Store
from inboxsync.store.connection.types import new_id
from inboxsync.store.state.leases import acquire_lease, release_lease
from inboxsync.store.state.pages import upsert_page
from inboxsync.store.state.runs import list_run_events, start_run, update_run
from inboxsync.sync import EventLog, WaitEnded

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


@pytest.fixture
def page(store: Store) -> Page:
    with store.write() as connection:
        page, _ = upsert_page(
            connection,
            facebook_page_id="104",
            platform=Platform.MESSENGER,
            account_id="104",
            name=None,
            access_token_encrypted="sealed",
            now=NOW,
        )
    return page


# What has happened to the run before; then the words that are written.
Written: TypeAlias = Callable[[Callable[[Run], None]], list[str]]


@pytest.fixture
def written(store: Store, page: Page) -> Written:
    """The words of a run's events after `before` has happened to it, written by the owner `mine`."""
    run = Run(
        id=new_id(),
        page_id=page.id,
        facebook_page_id="104",
        platform="messenger",
        mode=Mode.FULL,
        status=RunStatus.RUNNING,
        started_at=NOW,
    )
    with store.write() as connection:
        start_run(connection, run)

    async def emit() -> None:
        event_log = EventLog(store, SystemClock(), run, owner="mine")
        event_log.on_event(WaitEnded())
        await event_log.close()

    def after(before: Callable[[Run], None]) -> list[str]:
        before(run)
        asyncio.run(emit())
        with store.read() as connection:
            return [event.status for event in list_run_events(connection, run.id)]

    return after


def test_the_owner_of_the_lease_writes_events(written: Written, store: Store, page: Page) -> None:
    def mine(_: Run) -> None:
        with store.write() as connection:
            acquire_lease(connection, page.id, "mine", now=NOW, seconds=20)

    assert written(mine) == ["fetching"]


def test_one_who_has_lost_the_lease_writes_no_event(written: Written, store: Store, page: Page) -> None:
    def taken(_: Run) -> None:
        with store.write() as connection:
            acquire_lease(connection, page.id, "mine", now=NOW, seconds=20)
            release_lease(connection, page.id, "mine")
            acquire_lease(connection, page.id, "other", now=NOW, seconds=20)

    assert written(taken) == []


def test_no_event_is_written_after_the_end(written: Written, store: Store) -> None:
    def ended(run: Run) -> None:
        with store.write() as connection:
            update_run(connection, replace(run, status=RunStatus.COMPLETE, finished_at=NOW))

    assert written(ended) == []
