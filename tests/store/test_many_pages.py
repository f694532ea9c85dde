"""Lists and figures where there are many Pages: right, and without a statement for each."""

from datetime import UTC, datetime, timedelta

import pytest

from inboxsync.model import Conversation, Mode, Page, Participant, Platform, Run, RunStatus, Schedule
from inboxsync.store import Store
from inboxsync.store.reading import ConversationFilter, Key, get_overview, list_conversations, list_overviews
from inboxsync.store.state.pages import list_pages_named, upsert_page
from inboxsync.store.state.runs import list_open_runs, start_run
from inboxsync.store.state.schedules import get_schedule, list_schedules, put_schedule
from inboxsync.store.writing.upsert import upsert_batch
from tests.store.fixtures import Statements, recorded

NOW = datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC)
MANY = 40


def add_page(store: Store, number: int, name: str | None = None) -> Page:
    with store.write() as connection:
        page, _ = upsert_page(
            connection,
            facebook_page_id=f"9{number:02}",
            platform=Platform.MESSENGER,
            account_id="1",
            name=name,
            access_token_encrypted="x",
            now=NOW,
        )
    return page


def put(store: Store, page: Page, number: int, at: datetime | None) -> None:
    contact = Participant(id=f"{number}", name="Ann")
    made = Conversation(
        conversation_id=f"t_{page.facebook_page_id}_{number}",
        source_updated_at=at,
        contact=contact,
        participants=(contact,),
    )
    with store.write() as connection:
        upsert_batch(connection, page, [made], folder="inbox", source="initial_sync", now=NOW)


@pytest.fixture
def pages(store: Store) -> list[Page]:
    """Each with two conversations and one without a time; two Pages share each minute."""
    made = [add_page(store, number) for number in range(MANY)]
    for number, page in enumerate(made):
        put(store, page, 1, NOW - timedelta(minutes=number // 2))
        put(store, page, 2, NOW - timedelta(minutes=100 + number % 7))
        if number % 3 == 0:
            put(store, page, 3, None)
    return made


@pytest.mark.parametrize("limit", [1, 3, 200])
def test_the_list_of_all_pages_is_that_of_each_put_together(
    store: Store, pages: list[Page], limit: int
) -> None:
    found: list[Key] = []
    after: Key | None = None
    with store.read() as connection:
        each = [
            record.key
            for page in pages
            for record in list_conversations(connection, ConversationFilter(page_id=page.id)).records
        ]
        while True:
            listed = list_conversations(connection, ConversationFilter(), after=after, limit=limit)
            found += [record.key for record in listed.records]
            if (after := listed.next) is None:
                break
    none = datetime.min.replace(tzinfo=UTC)
    assert found == sorted(each, key=lambda key: (key[0] or none, key[1]), reverse=True)


def test_of_many_pages_those_alone_are_read_that_are_shown(
    store: Store, pages: list[Page], statements: Statements
) -> None:
    with store.read() as connection, statements() as sent:
        assert len(list_conversations(connection, ConversationFilter(), limit=5).records) == 5
    assert len(sent) < len(pages) / 2


def test_figures_are_counted_for_the_pages_that_are_asked_for(store: Store, pages: list[Page]) -> None:
    with store.read() as connection:
        everything = list_overviews(connection)
        assert [each.page for each in everything] == pages
        assert {each.conversations for each in everything} == {2, 3}
        assert list_overviews(connection, [pages[7], pages[3]]) == [everything[7], everything[3]]
        assert get_overview(connection, pages[6]) == everything[6]
        assert list_overviews(connection, []) == []


def test_figures_of_a_page_are_read_by_its_key(store: Store, pages: list[Page]) -> None:
    with store.read() as connection:
        with recorded(connection) as asked:
            get_overview(connection, pages[0])
        assert len(asked) == 6
        if connection.dialect.name == "sqlite":
            plans = [
                str(row[-1])
                for statement, values in asked
                for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
            ]
            assert not [plan for plan in plans if plan.startswith("SCAN")]


def test_pages_are_found_by_their_name_and_id(store: Store) -> None:
    named = {
        add_page(store, number, name).facebook_page_id: name
        for number, name in enumerate(["Café Zürich", "Corner Bakery", None, "100 %", "!?", "corner shop"])
    }

    def found(words: str, *, after: str = "", limit: int = 10) -> list[str]:
        with store.read() as connection:
            return [
                page.facebook_page_id
                for page in list_pages_named(connection, words, after=after, limit=limit)
            ]

    assert found("CORNER") == ["901", "905"]
    assert found("corner", limit=1) == ["901"]
    assert found("cafe zurich") == ["900"]
    assert found("902") == ["902"]
    assert found("%") == ["903"]
    assert found("!?") == ["904"]
    assert found("9") == list(named)
    assert found("nobody") == []


def test_schedules_are_read_together(store: Store, pages: list[Page]) -> None:
    one, other = pages[:2]
    kept = Schedule(page_id=one.id, every_seconds=60, is_paused=True, next_sync_at=NOW)
    with store.write() as connection:
        put_schedule(connection, kept)
    with store.read() as connection:
        found = list_schedules(connection, [other.id, one.id])
        assert found == {one.id: kept, other.id: get_schedule(connection, other.id)}


def test_the_open_run_of_each_page_is_found_behind_those_that_ended(store: Store, pages: list[Page]) -> None:
    busy, idle, queued = pages[:3]
    states = {
        busy: [RunStatus.COMPLETE, RunStatus.RUNNING, RunStatus.FAILED],
        idle: [RunStatus.COMPLETE],
        queued: [RunStatus.RUNNING, RunStatus.QUEUED],
    }
    with store.write() as connection:
        for page, each in states.items():
            for nth, status in enumerate(each):
                start_run(connection, run(page, nth, status))
    with store.read() as connection:
        found = list_open_runs(connection, [page.id for page in pages])
        assert {page_id: each.id for page_id, each in found.items()} == {
            busy.id: f"{busy.id}-1",
            queued.id: f"{queued.id}-1",
        }
        assert list_open_runs(connection, []) == {}


def run(page: Page, nth: int, status: RunStatus) -> Run:
    return Run(
        id=f"{page.id}-{nth}",
        page_id=page.id,
        facebook_page_id=page.facebook_page_id,
        platform=page.platform.value,
        mode=Mode.INCREMENTAL,
        status=status,
        started_at=NOW + timedelta(minutes=nth),
    )
