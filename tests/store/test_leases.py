import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import pytest

from inboxsync.model import Conversation, Lease, Page
from inboxsync.store import Store
from inboxsync.store.state.leases import acquire_lease, break_lease, get_lease, release_lease, renew_lease
from inboxsync.store.writing.upsert import upsert_batch
from tests.store.fixtures import Rows

T = TypeVar("T")
NOW = datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def acquire(store: Store, page: Page, owner: str, *, now: datetime = NOW) -> Lease | None:
    with store.write() as connection:
        return acquire_lease(connection, page.id, owner, now=now, seconds=30)


def held(store: Store, page: Page) -> Lease | None:
    with store.read() as connection:
        return get_lease(connection, page.id)


def lease(owner: str, *, acquired: float, heartbeat: float) -> Lease:
    return Lease(
        owner=owner, acquired_at=at(acquired), heartbeat_at=at(heartbeat), expires_at=at(heartbeat + 30)
    )


def test_one_owner_has_a_page(store: Store, page: Page, other_page: Page) -> None:
    assert acquire(store, page, "a") is None
    assert acquire(store, page, "b", now=at(29.999)) == lease("a", acquired=0, heartbeat=0)
    assert acquire(store, other_page, "b") is None
    assert held(store, page) == lease("a", acquired=0, heartbeat=0)


def test_an_expired_lease_is_anybodys(store: Store, page: Page) -> None:
    acquire(store, page, "a")
    assert acquire(store, page, "b", now=at(30)) is None
    assert held(store, page) == lease("b", acquired=30, heartbeat=30)


def test_an_owner_may_take_its_own_lease_again(store: Store, page: Page) -> None:
    acquire(store, page, "a")
    assert acquire(store, page, "a", now=at(40)) is None
    assert held(store, page) == lease("a", acquired=0, heartbeat=40)


def test_a_renewed_lease_does_not_expire(store: Store, page: Page) -> None:
    acquire(store, page, "a")
    with store.write() as connection:
        assert renew_lease(connection, page.id, "a", now=at(20), seconds=30)
    assert acquire(store, page, "b", now=at(40)) == lease("a", acquired=0, heartbeat=20)


def test_a_lost_lease_is_not_renewed(store: Store, page: Page) -> None:
    acquire(store, page, "a")
    acquire(store, page, "b", now=at(30))
    with store.write() as connection:
        assert not renew_lease(connection, page.id, "a", now=at(31), seconds=30)
        assert not renew_lease(connection, "nowhere", "a", now=at(31), seconds=30)
    assert held(store, page) == lease("b", acquired=30, heartbeat=30)


def test_only_the_owner_gives_a_lease_back(store: Store, page: Page) -> None:
    acquire(store, page, "a")
    with store.write() as connection:
        release_lease(connection, page.id, "b")
        assert get_lease(connection, page.id) is not None
        release_lease(connection, page.id, "a")
        assert get_lease(connection, page.id) is None


def test_a_lease_is_broken_only_while_its_dead_owner_has_it(store: Store, page: Page) -> None:
    acquire(store, page, "dead")
    with store.write() as connection:
        assert break_lease(connection, page.id, "dead")
        assert not break_lease(connection, page.id, "dead")
    assert acquire(store, page, "b") is None
    with store.write() as connection:
        assert not break_lease(connection, page.id, "dead")
    assert held(store, page) is not None


def test_a_removed_page_takes_its_lease_along(store: Store, page: Page) -> None:
    acquire(store, page, "a")
    with store.write() as connection:
        connection.exec_driver_sql("DELETE FROM facebook_pages")
    assert held(store, page) is None


def race(contenders: int, act: Callable[[Store, str], T], url: str) -> list[T]:
    """What each of so many threads got, each with a database connection of its own, all let go at once."""
    gate = threading.Barrier(contenders)

    def run(number: int) -> T:
        opened = Store.open(url)
        try:
            gate.wait()
            return act(opened, f"owner-{number}")
        finally:
            opened.close()

    with ThreadPoolExecutor(contenders) as pool:
        return list(pool.map(run, range(contenders)))


@pytest.mark.parametrize("expired", [False, True])
def test_of_many_that_take_a_lease_at_once_one_has_it(
    store: Store, page: Page, url: str, expired: bool
) -> None:
    if expired:
        acquire(store, page, "dead", now=at(-31))
    results = race(8, lambda opened, owner: acquire(opened, page, owner), url)
    winner = held(store, page)
    assert results.count(None) == 1
    assert set(results) == {None, winner}


def test_of_many_that_break_a_lease_at_once_one_did(store: Store, page: Page, url: str) -> None:
    acquire(store, page, "dead")

    def take(opened: Store, owner: str) -> bool:
        with opened.write() as connection:
            return (
                break_lease(connection, page.id, "dead")
                and acquire_lease(connection, page.id, owner, now=NOW, seconds=30) is None
            )

    assert race(8, take, url).count(True) == 1


COUNT_UP = """
import sys
from datetime import UTC, datetime
from inboxsync.store import Store
from inboxsync.store.state.leases import acquire_lease, release_lease

# Raises a counter ten times under the lease: read in one transaction, written in another.
url, page_id, owner = sys.argv[1:]
store, done = Store.open(url), 0
sys.stdin.readline()
while done < 10:
    with store.write() as connection:
        now = datetime.now(UTC)
        if acquire_lease(connection, page_id, owner, now=now, seconds=60) is not None:
            continue
    with store.read() as connection:
        value = connection.exec_driver_sql("SELECT unread_count FROM messenger_conversations").scalar_one()
    with store.write() as connection:
        connection.exec_driver_sql(f"UPDATE messenger_conversations SET unread_count = {value + 1}")
        release_lease(connection, page_id, owner)
    done += 1
"""


@pytest.mark.system
def test_processes_with_a_lease_never_work_at_once(store: Store, page: Page, url: str, rows: Rows) -> None:
    with store.write() as connection:
        counter = Conversation(conversation_id="t_1", unread_count=0)
        upsert_batch(connection, page, [counter], folder="inbox", source="initial_sync", now=NOW)
    command = [sys.executable, "-c", COUNT_UP, url, page.id]
    workers = [subprocess.Popen([*command, f"p{number}"], stdin=subprocess.PIPE) for number in range(3)]
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write(b"go\n")
        worker.stdin.close()
    assert [worker.wait() for worker in workers] == [0, 0, 0]
    assert rows("SELECT unread_count FROM messenger_conversations") == [(30,)]
