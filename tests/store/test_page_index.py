"""Lists of many Pages: the states and orders, and that nothing of the inbox is counted for them."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import insert

from inboxsync.model import Mode, Page, Platform, Run, RunStatus, Schedule, TokenReason, TokenState
from inboxsync.store import Store
from inboxsync.store.connection.types import new_id
from inboxsync.store.reading import (
    PROBLEMS,
    PageOrder,
    PageState,
    count_states,
    entries_in,
    list_page_entries,
    sorted_entries,
)
from inboxsync.store.state.pages import set_last_synced_at, set_token_state, upsert_page
from inboxsync.store.state.runs import start_run
from inboxsync.store.state.schedules import put_schedule
from inboxsync.store.tables import backlog, page_totals
from tests.store.fixtures import Statements
from tests.store.test_no_scan import explained, fill

NOW = datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC)


def add(store: Store, number: int, name: str | None, *, ends_at: datetime | None = None) -> Page:
    with store.write() as connection:
        page, _ = upsert_page(
            connection,
            facebook_page_id=f"9{number:02}",
            platform=Platform.MESSENGER,
            account_id="1",
            name=name,
            access_token_encrypted="x",
            now=NOW,
            token_expires_at=ends_at,
        )
        set_last_synced_at(connection, page, NOW - timedelta(hours=number), now=NOW)
    return page


def put_run(store: Store, page: Page, status: RunStatus, *, minutes: int = 0) -> None:
    run = Run(
        id=new_id(),
        page_id=page.id,
        facebook_page_id=page.facebook_page_id,
        platform="messenger",
        mode=Mode.INCREMENTAL,
        status=status,
        started_at=NOW + timedelta(minutes=minutes),
    )
    with store.write() as connection:
        start_run(connection, run)


def refuse(store: Store, page: Page, state: TokenState = TokenState.INVALID) -> None:
    with store.write() as connection:
        set_token_state(connection, page, state, reason=TokenReason.EXPIRED, problem="It ended.", now=NOW)


def states_of(store: Store) -> dict[str, set[str]]:
    with store.read() as connection:
        return {
            entry.page.facebook_page_id: {state.value for state in entry.states}
            for entry in list_page_entries(connection, now=NOW)
        }


def test_a_page_is_in_each_state_that_applies_and_fine_where_none_does(store: Store) -> None:
    fine, refused, ending, ended, failed, many = (add(store, number, None) for number in range(6))
    for page, days in ((ending, 7), (ended, -1), (many, 6)):
        add(store, int(page.facebook_page_id[1:]), None, ends_at=NOW + timedelta(days=days))
    refuse(store, refused)
    put_run(store, refused, RunStatus.FAILED)
    put_run(store, failed, RunStatus.COMPLETE)
    put_run(store, failed, RunStatus.FAILED, minutes=1)
    put_run(store, failed, RunStatus.RUNNING, minutes=2)
    put_run(store, fine, RunStatus.FAILED)
    put_run(store, fine, RunStatus.PARTIAL, minutes=1)
    with store.write() as connection:
        put_schedule(connection, Schedule(page_id=many.id, is_paused=True))
        set_last_synced_at(connection, many, None, now=NOW)
        connection.execute(
            insert(backlog),
            {
                "page_id": many.id,
                "kind": "gap",
                "conversation_id": "t",
                "folder": "inbox",
                "created_at": NOW,
                "updated_at": NOW,
            },
        )
    assert states_of(store) == {
        "900": {"fine"},
        "901": {"person"},
        "902": {"fine"},
        "903": {"person"},
        "904": {"failed", "running"},
        "905": {"person", "paused", "new", "backlog"},
    }
    with store.read() as connection:
        entries = list_page_entries(connection, now=NOW)
    assert count_states(entries)[PageState.PERSON] == 3
    assert [entry.page.facebook_page_id for entry in entries_in(entries, states=PROBLEMS)] == [
        "901",
        "903",
        "904",
        "905",
    ]


@pytest.fixture
def named(store: Store) -> Store:
    """Pages whose columns all sort differently."""
    for number, name in enumerate(["cobbler", "Ärzte", "Bäcker", None]):
        page = add(store, number, name, ends_at=NOW + timedelta(days=90 - number) if number < 2 else None)
        with store.write() as connection:
            totals = {"conversations": number % 2, "contacts": 5 - number, "messages": number * number}
            connection.execute(insert(page_totals), {"page_id": page.id} | totals)
        if number == 3:
            refuse(store, page, TokenState.NOT_PERMITTED)
    return store


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (PageOrder.NAME, "3 1 2 0"),  # the one without a name by its id; accents and case do not matter
        (PageOrder.TOKEN, "3 1 0 2"),
        (PageOrder.SYNCED, "3 2 1 0"),
        (PageOrder.CONVERSATIONS, "3 1 2 0"),
        (PageOrder.CONTACTS, "0 1 2 3"),
        (PageOrder.MESSAGES, "3 2 1 0"),
    ],
)
def test_every_column_sorts_and_the_other_way_round(named: Store, order: PageOrder, expected: str) -> None:
    with named.read() as connection:
        entries = list_page_entries(connection, now=NOW)
    ids = [entry.page.facebook_page_id[-1] for entry in sorted_entries(entries, order)]
    assert " ".join(ids) == expected
    turned = [entry.page.facebook_page_id[-1] for entry in sorted_entries(entries, order, is_reversed=True)]
    if order is PageOrder.CONVERSATIONS:
        assert turned == ["2", "0", "3", "1"], "equal ones stay in the order of their names"
    else:
        assert turned == ids[::-1]


def test_a_part_of_the_name_or_the_id_finds_a_page(named: Store) -> None:
    with named.read() as connection:
        entries = list_page_entries(connection, now=NOW)
    for text, count in (("ARZTE", 1), ("b", 2), ("902", 1), ("9", 4), ("&", 0)):
        assert len(entries_in(entries, named=text)) == count, text


def test_pages_are_listed_in_the_same_few_statements_and_without_a_scan(
    store: Store, statements: Statements
) -> None:
    fill(store)
    for number in range(30):
        put_run(store, add(store, number, f"Shop {number}"), RunStatus.COMPLETE)
    with store.read() as connection, statements() as sent, explained(store, at_least=5):
        assert len(list_page_entries(connection, now=NOW)) == 31
    assert len(sent) < 10
