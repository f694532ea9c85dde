"""What is derived follows from what is stored, however that came to be."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection, event, select

from inboxsync.clock import SystemClock
from inboxsync.model import Conversation, Message, Page, Participant, Platform
from inboxsync.store import Store
from inboxsync.store.derived import is_current
from inboxsync.store.reading import (
    ContactFilter,
    ConversationFilter,
    get_contact,
    list_contact_details,
    list_contacts,
    list_conversations,
    list_overviews,
    messages_by_day,
    messages_by_weekday_and_hour,
)
from inboxsync.store.state.conversations import mark_gone
from inboxsync.store.state.pages import remove_page, upsert_page
from inboxsync.store.tables import (
    contact_details,
    contact_words,
    contacts,
    conversation_facts,
    derive_queue,
    message_index,
    page_activity,
    page_totals,
)
from inboxsync.store.writing.upsert import upsert_batch, upsert_message_batch
from inboxsync.sync import Derive
from tests.fixtures import Row
from tests.sync.fixtures import Passed

NOON = datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC)  # a Monday
TABLES = (
    *(message_index, conversation_facts, contacts, contact_words, contact_details),
    *(page_activity, page_totals),
)


@pytest.fixture
def page(store: Store) -> Page:
    return add_page(store, "104")


def add_page(store: Store, facebook_page_id: str) -> Page:
    with store.write() as connection:
        added, _ = upsert_page(
            connection,
            facebook_page_id=facebook_page_id,
            platform=Platform.MESSENGER,
            account_id=facebook_page_id,
            name="A Page",
            access_token_encrypted="x",
            now=NOON,
        )
    return added


def said(minutes: float | None, text: str | None, *, page: bool = False, **values: Passed) -> Message:
    """A message so many minutes after noon."""
    at = None if minutes is None else NOON + timedelta(minutes=minutes)
    return Message(message_id=f"m_{minutes}_{text}", sent_at=at, is_from_page=page, text=text, **values)


def talk(number: int, *messages: Message, sender: str | None = None, **values: Passed) -> Conversation:
    contact = Participant(id=sender or f"7{number}", name=f"Ann {number}")
    newest_first = tuple(reversed(messages))
    at = max((each.sent_at for each in messages if each.sent_at), default=None)
    given: dict[str, Passed] = {
        "contact": contact,
        "participants": (contact,),
        "source_updated_at": at,
    } | values
    return Conversation(conversation_id=f"t_{number}", messages=newest_first, **given)


def put(store: Store, page: Page, *conversations: Conversation) -> None:
    with store.write() as connection:
        upsert_batch(connection, page, conversations, folder="inbox", source="initial_sync", now=NOON)


def derive(store: Store, **values: Passed) -> None:
    done = Derive(store=store, clock=SystemClock(), region="US", **values).run()
    assert done.is_current


def everything(store: Store) -> dict[str, list[Row]]:
    """What is derived; the index by what it says, not by how its ids come out."""
    with store.read() as connection:
        assert connection.execute(select(derive_queue)).all() == []
        return {
            table.name: sorted(
                (tuple(row)[table is message_index :] for row in connection.execute(select(table))), key=repr
            )
            for table in TABLES
        }


def searchable(connection: Connection, word: str) -> int:
    """How many rows the search's own index has for a word."""
    if connection.dialect.name == "postgresql":
        vector = "array_to_tsvector(string_to_array('@' || page_id || rtrim(terms), ' '))"
        query = f"SELECT count(*) FROM message_index WHERE {vector} @@ '{word}'::tsquery"
    else:
        query = f"SELECT count(*) FROM message_search WHERE message_search MATCH '\"{word}\"'"
    return int(connection.exec_driver_sql(query).scalar_one())


def assert_made_anew_is_the_same(store: Store) -> None:
    """What came about step by step is what a pass over everything makes of it."""
    derive(store)
    before = everything(store)
    with store.write() as connection:
        for table in TABLES:
            connection.execute(table.delete())
        connection.exec_driver_sql(
            "INSERT INTO derive_queue (conversation_id) SELECT id FROM messenger_conversations"
        )
    derive(store)
    assert everything(store) == before


def test_a_conversation_tells_who_wrote_last_and_since_when_an_answer_is_backlog(
    store: Store, page: Page
) -> None:
    put(
        store,
        page,
        talk(1, said(0, "hi"), said(3, "yes?", page=True), said(5, "how much"), said(6, "hello?")),
        talk(2, said(0, "hi"), said(1, "anyone?"), said(9, "yes", page=True)),
        talk(3),
        talk(4, said(0, "hello", page=True)),
    )
    derive(store)
    with store.read() as connection:
        found = {
            each.conversation_id: each
            for each in list_conversations(connection, ConversationFilter()).records
        }
        unanswered = list_conversations(connection, ConversationFilter(is_unanswered=True)).records
    one, two, three, four = (found[f"t_{number}"] for number in (1, 2, 3, 4))
    assert (one.last_sender, one.unanswered_since_at) == ("contact", NOON + timedelta(minutes=5))
    assert (one.first_response_seconds, one.messages_from_contact, one.messages_from_page) == (180, 3, 1)
    assert (two.last_sender, two.unanswered_since_at, two.first_response_seconds) == ("page", None, 540)
    assert (three.last_sender, three.unanswered_since_at, three.messages_from_contact) == (None, None, 0)
    assert (four.last_sender, four.first_response_seconds) == ("page", None)
    assert [each.conversation_id for each in unanswered] == ["t_1"]


def test_a_contact_is_the_sum_of_its_conversations(store: Store, page: Page) -> None:
    put(
        store,
        page,
        talk(1, said(0, "hi"), sender="77"),
        talk(2, said(10, "again"), said(12, "yes", page=True), sender="77"),
        talk(3, said(1, "x"), contact=None, participants=()),
    )
    derive(store)
    with store.read() as connection:
        (contact,) = list_contacts(connection, ContactFilter(is_unanswered=True)).records
        assert get_contact(connection, page.id, "77") == contact
    assert (contact.name, contact.name_source, contact.conversations) == ("Ann 2", "participants", 2)
    assert (contact.first_message_at, contact.last_message_at) == (NOON, NOON + timedelta(minutes=12))
    assert contact.unanswered_since_at == NOON
    assert contact.reply_window_closes_at == NOON + timedelta(minutes=10, hours=24)


def test_a_name_that_is_withheld_is_none_and_never_a_placeholder(store: Store, page: Page) -> None:
    put(store, page, talk(1, said(0, "hi"), contact=Participant(id="7")))
    derive(store)
    with store.read() as connection:
        (contact,) = list_contacts(connection, ContactFilter()).records
    assert (contact.name, contact.name_source) == (None, "none")


def test_details_are_the_contacts_own_with_their_evidence(store: Store, page: Page) -> None:
    put(
        store,
        page,
        talk(
            1,
            said(0, "call me at (212) 555-2368 or +84 24 3825 5555"),
            said(1, "write to Ann@Example.com"),
            said(2, "ours is +1 212 555 9999 and shop@example.com", page=True),
            said(3, "as I said: ann@example.com"),
        ),
        talk(2, said(0, "order 12345678901234567890, 10:30-11:45, 2026-06-01")),
    )
    derive(store)
    with store.read() as connection:
        details = list_contact_details(connection, page.id, "71")
        assert list_contact_details(connection, page.id, "72") == []
        with_phone = list_conversations(connection, ConversationFilter(has_phone=True)).records
        with_email = list_contacts(connection, ContactFilter(has_email=True)).records
    assert {(each.kind, each.value, each.message_id) for each in details} == {
        ("phone", "+12125552368", "m_0_call me at (212) 555-2368 or +84 24 3825 5555"),
        ("phone", "+842438255555", "m_0_call me at (212) 555-2368 or +84 24 3825 5555"),
        ("email", "ann@example.com", "m_3_as I said: ann@example.com"),
    }
    assert [each.conversation_id for each in with_phone] == ["t_1"]
    assert [each.sender_id for each in with_email] == ["71"]


def test_messages_are_counted_by_day_and_by_weekday_and_hour(store: Store, page: Page) -> None:
    put(
        store,
        page,
        talk(1, said(0, "a"), said(30, "b", page=True), said(60, "c"), said(24 * 60, "d"), said(None, "e")),
    )
    derive(store)
    with store.read() as connection:
        days = messages_by_day(connection, page.id)
        hours = messages_by_weekday_and_hour(connection, None)
        (overview,) = list_overviews(connection)
    counted = [(each.day.isoformat(), each.from_contacts, each.from_page) for each in days]
    assert counted == [("2026-06-01", 2, 1), ("2026-06-02", 1, 0)]
    assert len(hours) == 7 * 24
    busy = {
        (each.weekday, each.hour): (each.from_contacts, each.from_page)
        for each in hours
        if each.from_contacts
    }
    assert busy == {(0, 12): (1, 1), (0, 13): (1, 0), (1, 12): (1, 0)}
    assert (overview.messages, overview.contacts, overview.unanswered) == (5, 1, 1)


def edited(connection: Connection, _page: Page) -> None:
    connection.exec_driver_sql(
        "UPDATE messages SET text = 'mail b@example.com' WHERE text = 'mail a@example.com'"
    )


def dated(connection: Connection, _page: Page) -> None:
    connection.exec_driver_sql(
        "UPDATE messages SET sent_at = '2026-07-01T00:00:00.000Z' WHERE text = 'first'"
    )


def deleted(connection: Connection, _page: Page) -> None:
    connection.exec_driver_sql("DELETE FROM messages WHERE text = 'mail a@example.com'")


def conversation_deleted(connection: Connection, _page: Page) -> None:
    connection.exec_driver_sql("DELETE FROM messenger_conversations WHERE conversation_id = 't_1'")


def given_to_another(connection: Connection, _page: Page) -> None:
    connection.exec_driver_sql("UPDATE messenger_conversations SET sender_id = '9', sender_name = NULL")


def added(connection: Connection, page: Page) -> None:
    upsert_message_batch(connection, page, "t_1", [said(50, "older")], source="history_sync", now=NOON)


def gone(connection: Connection, page: Page) -> None:
    mark_gone(connection, page, ["t_2"], now=NOON)


def forgotten(connection: Connection, page: Page) -> None:
    remove_page(connection, page)


@pytest.mark.parametrize(
    "change",
    [edited, dated, deleted, conversation_deleted, given_to_another, added, gone, forgotten],
    ids=lambda change: change.__name__,
)
def test_every_change_is_followed(
    store: Store, page: Page, change: Callable[[Connection, Page], None]
) -> None:
    other = add_page(store, "105")
    first = talk(1, said(0, "first"), said(1, "mail a@example.com"), said(2, "ok", page=True), sender="7")
    put(store, page, first, talk(2, said(3, "second"), sender="7"))
    put(store, other, talk(1, said(3, "third")))
    derive(store)
    before = everything(store)
    with store.write() as connection:
        change(connection, page)
    derive(store)
    assert everything(store) != before
    assert_made_anew_is_the_same(store)
    with store.read() as connection:
        indexed = {row.terms for row in connection.execute(select(message_index))}
        for word in ("first", "mail", "second", "third", "older"):
            expected = sum(f" {word} " in terms for terms in indexed)
            assert searchable(connection, word) == expected, word


def test_a_removed_page_leaves_no_word_behind_even_before_the_next_pass(store: Store, page: Page) -> None:
    put(store, page, talk(1, said(0, "secret 212 555 2368")))
    derive(store)
    with store.write() as connection:
        remove_page(connection, page)
    with store.read() as connection:
        assert [connection.execute(select(table)).all() for table in TABLES] == [[]] * len(TABLES)
        assert searchable(connection, "secret") == 0


def test_nothing_new_is_no_work(store: Store, page: Page) -> None:
    conversations = [talk(1, said(0, "hi")), talk(2, said(1, "ho"))]
    put(store, page, *conversations)
    derive(store)
    put(store, page, *conversations)
    with store.read() as connection:
        assert connection.execute(select(derive_queue)).all() == []


def batches_of(notes: int, messages: int) -> dict[str, int]:
    return {"notes_a_batch": notes, "messages_a_batch": messages}


@pytest.mark.parametrize("batch", [batches_of(1, 2), batches_of(3, 4), batches_of(500, 3)], ids=repr)
def test_batches_of_any_size_come_to_the_same(store: Store, page: Page, batch: dict[str, int]) -> None:
    put(
        store,
        page,
        *(talk(number, *(said(at, f"word{at}") for at in range(number * 3))) for number in range(6)),
    )
    derive(store, **batch)
    assert_made_anew_is_the_same(store)


class Killed(Exception):
    pass


@contextmanager
def counted(store: Store, *, last: int | None = None) -> Iterator[list[str]]:
    """The statements that are sent while it is open; the one behind the `last` is the end."""
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if last is not None and len(seen) == last:
            raise Killed
        seen.append(statement)

    event.listen(store.engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(store.engine, "before_cursor_execute", note)


def test_a_pass_that_dies_anywhere_loses_nothing(store: Store, page: Page) -> None:
    def fill(number: int) -> None:
        put(store, page, talk(number, said(0, "call 212 555 2368"), said(1, "b"), said(2, "c", page=True)))

    fill(0)
    with counted(store) as seen:
        derive(store, **batches_of(2, 2))
    for last in range(0, len(seen), 3):
        fill(last + 1)
        with counted(store, last=last), pytest.raises(Killed):
            derive(store, **batches_of(2, 2))
    assert_made_anew_is_the_same(store)


def test_a_message_that_changes_twice_between_passes_is_taken_out_of_the_counts_once(
    store: Store, page: Page
) -> None:
    put(store, page, talk(1, said(0, "first"), said(1, "second")))
    derive(store)
    with store.write() as connection:
        for text in ("edited", "edited again"):
            connection.exec_driver_sql(f"UPDATE messages SET text = '{text}' WHERE message_id = 'm_0_first'")
    derive(store)
    with store.read() as connection:
        (day,) = messages_by_day(connection, page.id)
    assert (day.from_contacts, day.from_page) == (2, 0)
    assert_made_anew_is_the_same(store)


def numbers(store: Store) -> dict[str, str]:
    """The phone numbers that were found, by their messages; who has one is marked as who has one."""
    with store.read() as connection:
        found = connection.execute(select(contact_details).where(contact_details.c.kind == "phone")).all()
        marked = connection.execute(
            select(conversation_facts.c.conversation_id).where(conversation_facts.c.has_phone)
        )
        assert {row.conversation_id for row in found} == set(marked.scalars())
    return {row.message_id: row.value for row in found}


def in_region(store: Store, region: str | None) -> None:
    assert Derive(store=store, clock=SystemClock(), region=region).run().is_current


def test_another_region_has_what_was_looked_through_looked_through_anew(store: Store, page: Page) -> None:
    put(
        store,
        page,
        talk(1, said(0, "090 123 45 67"), said(1, "a@example.com")),
        talk(2, said(0, "+1 212 555 2368")),
    )
    in_region(store, None)
    abroad = {"m_0_+1 212 555 2368": "+12125552368"}
    assert numbers(store) == abroad
    for region, found in (("VN", {"m_0_090 123 45 67": "+84901234567"}), ("US", {})):
        in_region(store, region)
        assert numbers(store) == abroad | found
    with store.read() as connection:
        assert [each.value for each in list_contact_details(connection, page.id, "71")] == ["a@example.com"]


def test_who_names_no_region_goes_by_the_last_one(store: Store, page: Page) -> None:
    put(store, page, talk(1, said(0, "090 123 45 67")))
    in_region(store, "VN")
    put(store, page, talk(2, said(0, "091 234 56 78")))
    in_region(store, None)
    assert sorted(numbers(store).values()) == ["+84901234567", "+84912345678"]


def test_to_look_through_anew_goes_on_where_it_was_killed(
    store: Store, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, page, *(talk(number, said(number, "090 123 45 67")) for number in range(5)))
    in_region(store, None)
    monkeypatch.setattr("inboxsync.sync.derive._AGAIN_A_BATCH", 2)
    for last in range(2, 40, 4):
        with counted(store, last=last), suppress(Killed):
            in_region(store, "VN")
    put(store, page, talk(9, said(9, "091 234 56 78")))
    in_region(store, "VN")
    assert len(numbers(store)) == 6
    with store.read() as connection:
        assert is_current(connection)


def test_passes_at_the_same_time_do_it_once_between_them(store: Store, page: Page) -> None:
    put(store, page, *(talk(number, said(number, "hi")) for number in range(20)))

    def run(_number: int) -> bool:
        return Derive(store=store, clock=SystemClock(), region="US", notes_a_batch=3).run().is_current

    with ThreadPoolExecutor(4) as quota:
        assert all(quota.map(run, range(8)))
    assert_made_anew_is_the_same(store)
