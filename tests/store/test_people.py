"""Contacts and conversations by name, in every order, counted: what a plain look at all of them gives."""

import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any, TypeVar

import pytest
from sqlalchemy import Connection, insert, select

from inboxsync.clock import SystemClock
from inboxsync.model import Conversation, Message, Page, Participant
from inboxsync.store import Store
from inboxsync.store.reading import (
    MOST_COUNTED,
    MOST_PEOPLE,
    ContactFilter,
    ContactOrder,
    ContactRecord,
    ConversationFilter,
    ConversationOrder,
    ConversationRecord,
    Key,
    Listed,
    count_listed_contacts,
    count_listed_conversations,
    find_people,
    list_contacts,
    list_conversations,
    names,
)
from inboxsync.store.reading import (
    contacts as contacts_module,
)
from inboxsync.store.search import folded_words, terms_of
from inboxsync.store.tables import contact_words, facebook_pages
from inboxsync.store.writing.upsert import upsert_batch
from inboxsync.sync import Derive
from tests.store.test_many_pages import add_page
from tests.store.test_no_scan import analyze, explained, fill

R = TypeVar("R")
NOW = datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC)
NAMES = (
    "Ann Müller",
    "Anna Muller",
    "Bo",
    "山田 太郎",
    "Özlem Şahin",
    "ann",
    "Nguyễn Văn Anh",
    None,
    "ليلى حسن",
    "!",
)
ASKED = ("ann", "ANN MUL", "mul an", "太郎", "ozlem", "van anh", "b", "ليلى", "x", "!", "  ", "n%", "_")


@pytest.fixture
def pages(store: Store) -> list[Page]:
    """Three Pages, the third without anyone; some people have two conversations, some times are equal."""
    dice = random.Random(7)  # noqa: S311 - the same world every time
    made = [add_page(store, number, f"Page {number}") for number in range(3)]
    for place, page in enumerate(made[:2]):
        put(store, page, [talk(number, dice, place) for number in range(60)])
    derive(store)
    return made


def talk(number: int, dice: random.Random, place: int) -> Conversation:
    at = None if number % 17 == 5 else NOW - timedelta(minutes=dice.randrange(20))
    name = NAMES[number % len(NAMES)]
    sender = Participant(id=f"{place}s{number % 50}", name=name)
    said = [
        Message(
            message_id=f"m{number}_{second}",
            sent_at=(at or NOW) - timedelta(seconds=second),
            sender_id=sender.id,
            is_from_page=dice.random() < 0.4,
            text=dice.choice(["hello", "ann@example.com", "+12125552368", "hm"]),
        )
        for second in range(dice.randrange(4))
    ]
    return Conversation(
        conversation_id=f"t_{number}",
        source_updated_at=at,
        contact=sender,
        participants=(sender,),
        messages=tuple(said),
        unread_count=number % 3,
    )


def put(store: Store, page: Page, conversations: Sequence[Conversation]) -> None:
    with store.write() as connection:
        upsert_batch(connection, page, conversations, folder="inbox", source="initial_sync", now=NOW)


def derive(store: Store) -> None:
    assert Derive(store=store, clock=SystemClock(), region="US").run().is_current


def has_name(name: str | None, asked: str) -> bool:
    words = folded_words(asked)
    return bool(words) and all(f" {word}" in terms_of(name) for word in words)


def whole(read: Callable[[Key | None], Listed[R]]) -> list[R]:
    """A list from its first page to its last."""
    found: list[R] = []
    after: Key | None = None
    while True:
        part = read(after)
        found += part.records
        if (after := part.next) is None:
            return found


def partial_list(
    connection: Connection, wanted: ConversationFilter, order: ConversationOrder, limit: int
) -> Callable[[Key | None], Listed[ConversationRecord]]:
    return lambda after: list_conversations(connection, wanted, after=after, limit=limit, order=order)


def partial_contacts(
    connection: Connection, wanted: ContactFilter, order: ContactOrder
) -> Callable[[Key | None], Listed[ContactRecord]]:
    return lambda after: list_contacts(connection, wanted, after=after, limit=7, order=order)


FLAGS = ("is_unanswered", "has_phone", "has_email")


@pytest.mark.parametrize("most", [0, 1000], ids=["by the index of the order", "by sorting a few"])
@pytest.mark.parametrize("order", ContactOrder)
def test_contacts_are_listed_in_every_order_with_every_filter(
    store: Store, pages: list[Page], order: ContactOrder, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contacts_module, "_MOST_SORTED", most)
    with store.read() as connection:
        everyone = [
            each
            for page in pages
            for each in list_contacts(connection, ContactFilter(page_id=page.id), limit=1000).records
        ]
        assert len(everyone) == 100
        for page_id, named, flags in product((None, pages[0].id), (None, "ann", "mul an"), ((), *FLAGS)):
            flag: dict[str, Any] = {str(flags): True} if flags else {}
            wanted = ContactFilter(page_id=page_id, named=named, **flag)
            expected = [
                each
                for each in everyone
                if page_id in (None, each.page_id)
                and (named is None or has_name(each.name, named))
                and all(_flag(each, name) for name in flag)
            ]
            expected.sort(key=_PLACES[order], reverse=order in FALLING)
            found = whole(partial_contacts(connection, wanted, order))
            assert [each.sender_id for each in found] == [each.sender_id for each in expected], wanted
            assert count_listed_contacts(connection, wanted) == len(expected), wanted


def _flag(each: ContactRecord, name: str) -> bool:
    return each.unanswered_since_at is not None if name == "is_unanswered" else bool(getattr(each, name))


FALLING = (ContactOrder.NEWEST, ContactOrder.MESSAGES)
_PLACES: dict[ContactOrder, Callable[[ContactRecord], tuple[object, ...]]] = {
    ContactOrder.NEWEST: lambda each: (each.listed_at, each.sender_id),
    ContactOrder.OLDEST: lambda each: (each.listed_at, each.sender_id),
    ContactOrder.NAME: lambda each: (not terms_of(each.name), terms_of(each.name), each.sender_id),
    ContactOrder.MESSAGES: lambda each: (
        each.messages_from_contact + each.messages_from_page,
        each.sender_id,
    ),
}


@pytest.mark.parametrize("asked", ASKED)
def test_people_are_found_by_the_beginning_of_any_word_of_their_names(
    store: Store, pages: list[Page], asked: str
) -> None:
    ids = [page.id for page in pages]
    with store.read() as connection:
        everyone = list_contacts(connection, ContactFilter(), limit=1000).records
        expected = {(each.page_id, each.sender_id) for each in everyone if has_name(each.name, asked)}
        assert find_people(connection, asked, ids).found == expected
        assert not find_people(connection, asked, ids).is_cut
        for order in ConversationOrder:
            wanted = ConversationFilter(named=asked, is_unread=True)
            found = whole(partial_list(connection, wanted, order, 3))
            assert count_listed_conversations(connection, wanted) == len(found) == len(set(found))
            assert {(each.page_id, each.sender_id) for each in found} <= expected
            assert all(each.unread_count for each in found)


def test_conversations_are_listed_from_the_oldest_as_from_the_newest(store: Store, pages: list[Page]) -> None:
    with store.read() as connection:
        asked: list[dict[str, Any]] = [{}, {"is_unread": True}, {"has_phone": True}, {"folder": "inbox"}]
        for flags in asked:
            for page_id in (None, pages[1].id):
                wanted = ConversationFilter(page_id=page_id, **flags)
                newest, oldest = (
                    whole(partial_list(connection, wanted, order, 7)) for order in ConversationOrder
                )
                timed = [each for each in newest if each.listed_at is not None]
                timeless = [each for each in newest if each.listed_at is None]
                assert oldest == timed[::-1] + timeless[::-1]
                assert count_listed_conversations(connection, wanted) == len(newest)


def test_a_new_name_replaces_the_old_one(store: Store, pages: list[Page]) -> None:
    page = pages[2]
    for name in ("Ann Old", "Ann New"):
        sender = Participant(id="x", name=name)
        made = Conversation(
            conversation_id="t_x", source_updated_at=NOW, contact=sender, participants=(sender,)
        )
        put(store, page, [made])
        derive(store)
    with store.read() as connection:
        found = {word: len(find_people(connection, word, [page.id]).found) for word in ("ann", "old", "new")}
    assert found == {"ann": 1, "old": 0, "new": 1}


def test_more_people_than_anybody_reads_are_cut_and_that_is_known(store: Store, pages: list[Page]) -> None:
    page = pages[2]

    def fill_words(connection: Connection, count: int) -> None:
        rows = [
            {"page_id": page.id, "word": f"smith{place % 7}", "sender_id": f"{place:05}"}
            for place in range(count)
        ]
        connection.execute(insert(contact_words), rows)

    with store.write() as connection:
        fill_words(connection, MOST_PEOPLE)
    with store.read() as connection:
        found = find_people(connection, "smi", [page.id])
        assert (len(found.found), found.is_cut) == (MOST_PEOPLE, False)
    with store.write() as connection:
        connection.execute(
            insert(contact_words), {"page_id": page.id, "word": "smith", "sender_id": "one more"}
        )
    with store.read() as connection:
        found = find_people(connection, "smi", [page.id])
        assert (len(found.found), found.is_cut) == (MOST_PEOPLE, True)
        assert names.MOST_PEOPLE < MOST_COUNTED


@pytest.mark.usefixtures("pages")
def test_lists_of_people_scan_nothing(store: Store) -> None:
    fill(store)
    derive(store)
    analyze(store)
    with store.read() as connection, explained(store, at_least=20):
        ids = list(connection.execute(select(facebook_pages.c.id)).scalars())
        for named in ("ann", "ann mul", "van anh"):
            find_people(connection, named, ids)
        flags: list[dict[str, Any]] = [{}, {"has_phone": True}, {"is_unanswered": True}, {"has_email": True}]
        for flag in flags:
            count_listed_contacts(connection, ContactFilter(**flag))
        for flag in (*flags, {"is_unread": True}):
            count_listed_conversations(connection, ConversationFilter(**flag))
        # All rows are one Page's here, so PostgreSQL is right to read them all.
        if connection.dialect.name == "sqlite":
            for flag, named, order in product(flags, (None, "ann mul"), ContactOrder):
                list_contacts(connection, ContactFilter(named=named, **flag), order=order)


def test_a_name_as_it_was_typed_is_found_among_very_many_with_its_words(
    store: Store, pages: list[Page], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(names, "_MOST_ENTRIES", 2)
    with store.read() as connection:
        found = find_people(connection, "nguyễn văn", [page.id for page in pages])
        assert (len(found.found), found.is_cut) == (10, True)
