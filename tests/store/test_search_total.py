"""How many messages a search has found: exactly up to a bound, and never a wrong number beyond."""

import random
from itertools import product

import pytest

from inboxsync.model import Page
from inboxsync.store import Store
from inboxsync.store.search import Total, find, parse_query, search_messages
from inboxsync.store.state.conversations import mark_gone
from tests.store.test_search import NOW, How, put_texts, texts_found

QUERIES = [
    *("a", "b", "rare", '"a b"', "a b", "a OR rare", "a -b", "ra*", "r* -a", "nothing", '"b b b b"'),
    "rare -a -b",
]


def total(store: Store, typed: str, **how: object) -> Total:
    with store.read() as connection:
        found = search_messages(connection, parse_query(typed), limit=2, with_total=True, **how)  # type: ignore[arg-type]
    assert found.total is not None
    return found.total


def put_some(store: Store, page: Page) -> None:
    dice = random.Random(7)  # noqa: S311 - the same texts every time
    some = [" ".join(dice.choices(["a", "b", "c", "rare"], [8, 6, 3, 1], k=4)) for _ in range(120)]
    put_texts(store, page, some)


def test_the_number_is_exact_or_less_than_there_are(
    store: Store, page: Page, other_page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_some(store, page)
    put_texts(store, other_page, ["a", "rare a b"], conversation="t_2")
    some_pages: tuple[How, ...] = (
        {},
        {"page_id": page.id},
        {"page_id": [page.id, other_page.id], "since": NOW},
    )
    really = {
        (typed, str(where)): len(texts_found(store, typed, **(How(limit=1_000) | where)))
        for typed, where in product(QUERIES, some_pages)
    }
    for bounds in product([5, 1_000], [1, 20, 10_000], [0, 20, 20_000]):
        counted, looked_up, newest = bounds
        for name, value in {"COUNTED": counted, "_LOOKED_UP": looked_up, "_NEWEST": newest}.items():
            monkeypatch.setattr(find, name, value)
        for typed, where in product(QUERIES, some_pages):
            told, expected = total(store, typed, **where), really[typed, str(where)]
            case = (bounds, typed, where, told, expected)
            assert told.count <= counted or told.is_exact, case
            assert (told.count == expected) if told.is_exact else (told.count < expected), case


def test_with_the_bounds_of_every_day_numbers_up_to_a_thousand_are_exact(store: Store, page: Page) -> None:
    put_some(store, page)
    put_texts(store, page, ["often"] * 1_000, conversation="t_2")
    assert total(store, "often") == Total(1_000, is_exact=True)
    assert total(store, "often").text == "1,000 messages"
    put_texts(store, page, ["often"], conversation="t_3")
    assert total(store, "often") == Total(1_000, is_exact=False)
    assert total(store, "often").text == "more than 1,000 messages"


@pytest.mark.parametrize("newest", [0, 20_000])
def test_what_is_gone_is_not_counted(
    store: Store, page: Page, newest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(find, "_NEWEST", newest)
    put_texts(store, page, ["refund"] * 4, conversation="t_1")
    put_texts(store, page, ["refund"] * 3, conversation="t_2")
    with store.write() as connection:
        mark_gone(connection, page, ["t_1"], now=NOW)
    assert total(store, "refund") == Total(3, is_exact=True)
    assert total(store, "refund", page_id=[]) == Total(0, is_exact=True)
    assert Total(1, is_exact=True).text == "1 message"
