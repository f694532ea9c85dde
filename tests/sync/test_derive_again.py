"""Texts are read before a pass takes the lock, and words of older rules are folded again, once."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from sqlalchemy import Connection, insert, select, update

from inboxsync.clock import SystemClock
from inboxsync.model import Page
from inboxsync.store import Store
from inboxsync.store.derived import is_current
from inboxsync.store.search import parse_query, search_messages, terms_of
from inboxsync.store.search.letters import VERSION
from inboxsync.store.tables import contact_words, contacts, message_index, search_folding
from inboxsync.sync import Derive
from inboxsync.sync.details import details_in
from tests.sync.test_derive import (
    Killed,
    add_page,
    assert_made_anew_is_the_same,
    counted,
    derive,
    put,
    said,
    searchable,
    talk,
)

__all__ = ["add_page"]


@pytest.fixture
def page(store: Store) -> Page:
    return add_page(store, "104")


def found(store: Store, typed: str) -> list[str]:
    with store.read() as connection:
        return [each.text for each in search_messages(connection, parse_query(typed)).messages]


def fold_as_before(store: Store) -> None:
    """As an older version has left it: other rules, and words that they made."""
    with store.write() as connection:
        rows = connection.execute(select(message_index)).mappings().all()
        connection.execute(message_index.delete())
        older = [dict(row) | {"terms": row["terms"].replace("refund", "rfnd")} for row in rows]
        connection.execute(insert(message_index), older)
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql(
                "INSERT INTO message_search (rowid, terms) SELECT id, '@' || page_id || rtrim(terms) "
                "FROM message_index WHERE terms <> '' ORDER BY id"
            )
        connection.execute(contact_words.delete())
        connection.execute(update(contacts).values(name_terms=None))
        connection.execute(update(search_folding).values(version=VERSION - 1))


def test_words_of_older_rules_are_folded_again_once(store: Store, page: Page) -> None:
    put(store, page, *(talk(number, said(number, f"refund {number}")) for number in range(5)))
    put(store, page, talk(9, said(0, None), said(1, "no words of it")))
    derive(store)
    fold_as_before(store)
    assert found(store, "refund") == []
    with store.read() as connection:
        assert not is_current(connection, "US")
    derive(store)
    assert len(found(store, "refund")) == 5
    with store.read() as connection:
        assert is_current(connection, "US")
        assert (searchable(connection, "refund"), searchable(connection, "rfnd")) == (5, 0)
    assert_made_anew_is_the_same(store)


def test_to_fold_again_goes_on_where_it_was_killed(
    store: Store, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, page, *(talk(number, said(number, f"refund {number}")) for number in range(5)))
    derive(store)
    fold_as_before(store)
    monkeypatch.setattr("inboxsync.sync.derive._AGAIN_A_BATCH", 2)
    for last in range(2, 60, 5):
        with counted(store, last=last), suppress(Killed):
            derive(store)
    put(store, page, talk(9, said(9, "refund 9")))
    derive(store)
    assert len(found(store, "refund")) == 6
    assert_made_anew_is_the_same(store)


def test_a_new_database_has_nothing_to_fold_again(store: Store, page: Page) -> None:
    with store.read() as connection:
        assert is_current(connection)
    put(store, page, talk(1, said(0, "refund")))
    derive(store)
    with store.read() as connection:
        row = connection.execute(select(search_folding)).one()
    assert (row.version, row.again_after) == (VERSION, None)


@contextmanager
def texts_read_under_the_lock(store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The texts that are read while a transaction is open that may write."""
    read: list[str] = []
    is_writing = False
    write = store.write

    @contextmanager
    def writing() -> Iterator[Connection]:
        nonlocal is_writing
        with write() as connection:
            is_writing = True
            try:
                yield connection
            finally:
                is_writing = False

    def seen(function: Any) -> Any:  # noqa: ANN401 - stands for either function
        def call(text: str, **how: Any) -> Any:  # noqa: ANN401
            if is_writing:
                read.append(text)
            return function(text, **how)

        return call

    with monkeypatch.context() as patch:
        patch.setattr(store, "write", writing)
        patch.setattr("inboxsync.sync.texts.terms_of", seen(terms_of))
        patch.setattr("inboxsync.sync.texts.details_in", seen(details_in))
        yield read


def test_no_text_is_read_while_others_wait_for_the_lock(
    store: Store, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    conversations = [
        talk(number, *(said(n, f"{number} {n} 212 555 01{number:02}") for n in range(7)))
        for number in range(9)
    ]
    with texts_read_under_the_lock(store, monkeypatch) as read:
        put(store, page, *conversations)
        derive(store, notes_a_batch=4, messages_a_batch=10)
        with store.write() as connection:
            connection.exec_driver_sql("UPDATE messages SET text = 'refund ' || text WHERE text > '5'")
        derive(store, notes_a_batch=4, messages_a_batch=10)
        fold_as_before(store)
        derive(store)
        Derive(store=store, clock=SystemClock(), region="VN").run()
    assert read == []
    derive(store)
    assert_made_anew_is_the_same(store)


def test_what_changes_between_is_what_is_indexed(
    store: Store, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process writes while texts are being read, before the pass takes the lock."""
    put(store, page, talk(1, said(0, "before"), said(1, "stays")))
    changes = iter(range(1))

    def changing(text: str | None) -> str:
        for _ in changes:
            with store.write() as connection:
                connection.exec_driver_sql("UPDATE messages SET text = 'after' WHERE text = 'before'")
                connection.exec_driver_sql("DELETE FROM messages WHERE text = 'stays'")
            put(store, page, talk(1, said(2, "new")), talk(2, said(3, "new too")))
        return terms_of(text)

    monkeypatch.setattr("inboxsync.sync.texts.terms_of", changing)
    derive(store)
    assert [bool(found(store, each)) for each in ("before", "stays", "after", "new")] == [
        False,
        False,
        True,
        True,
    ]
    assert_made_anew_is_the_same(store)
