"""What LIKE over the folded text finds, the search finds, and nothing else; on both databases."""

import gzip
import json
import random
import string
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypedDict, Unpack

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlalchemy import ColumnElement, not_, or_, select

from inboxsync.clock import SystemClock
from inboxsync.errors import SearchInvalid
from inboxsync.model import Conversation, Message, Page, Participant
from inboxsync.store import Store
from inboxsync.store.search import (
    FoundMessage,
    Order,
    Pattern,
    SearchKey,
    find,
    folded_words,
    parse_query,
    placed_words,
    search_messages,
    terms_of,
)
from inboxsync.store.state.conversations import mark_gone
from inboxsync.store.tables import message_index
from inboxsync.store.writing.upsert import upsert_batch
from inboxsync.sync import Derive
from tests.fixtures import examples

NOW = datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC)
DATA = Path(__file__).parents[3] / "shared" / "data" / "conversations.ndjson.gz"
SCRIPTS = (
    string.ascii_letters + string.digits,
    "àÁâÃÄåèéêîöûüçñýßđĐøłŁæŒı\u0301\u0300\u0323",
    "สวัสดีครับขอบคุณมากกี่บาท",
    "こんにちはカタカナガ漢字日本語か\u3099ｶﾞ",
    "你好謝謝价格多少钱𠀀",
    "안녕하세요가격\u1112\u1161\u11ab",
    "приветЦена", "γειάΣς", "שָׁלוֹם", "مَرْحَبًا", "नमस्तेकितना",
    "😀👍🏽❤\ufe0f",
)  # fmt: skip
SEPARATORS = (" ", "  ", "\n", "-", "'", "@", "_", ".", '"', "*", "%", "\\", "\u00a0", "\u200b", "\x00", "½")
words = st.sampled_from(SCRIPTS).flatmap(lambda letters: st.text(letters, min_size=1, max_size=5))
texts = st.lists(st.one_of(words, st.sampled_from(SEPARATORS)), max_size=12).map("".join)


def put_texts(store: Store, page: Page, some: list[str], *, conversation: str = "t_1") -> None:
    """Each a message, a minute apart, then the pass."""
    messages = tuple(
        Message(message_id=f"m_{conversation}_{n}", sent_at=NOW - timedelta(minutes=n), text=each)
        for n, each in enumerate(some)
    )
    contact = Participant(id="7", name="Ann")
    one = Conversation(
        conversation_id=conversation, source_updated_at=NOW, contact=contact, messages=messages
    )
    with store.write() as connection:
        upsert_batch(connection, page, [one], folder="inbox", source="initial_sync", now=NOW)
    Derive(store=store, clock=SystemClock()).run()


class How(TypedDict, total=False):
    """Further parameters of a search."""

    limit: int
    page_id: str | list[str] | None
    since: datetime | None
    order: Order


def found(store: Store, typed: str, **how: Unpack[How]) -> list[FoundMessage]:
    """Everything that is found, some at a time."""
    how.setdefault("limit", 7)

    def parts() -> Iterator[FoundMessage]:
        after: SearchKey | None = None
        while True:
            with store.read() as connection:
                some = search_messages(connection, parse_query(typed), after=after, **how)
            yield from some.messages
            after = some.next
            if after is None:
                return

    return list(parts())


def texts_found(store: Store, typed: str, **how: Unpack[How]) -> list[str]:
    return [each.text for each in found(store, typed, **how)]


@pytest.mark.parametrize("page_id", ['"', "'", 'x" OR "y', "') | ('", "@", "", "\u00e9", "*"])
def test_what_is_no_id_of_a_page_finds_nothing(store: Store, page: Page, page_id: str) -> None:
    put_texts(store, page, ["hello"])
    assert texts_found(store, "hello", page_id=page.id) == ["hello"]
    for asked in (page_id, [page_id]):
        assert texts_found(store, "hello", page_id=asked) == []
    assert texts_found(store, "hello", page_id=[page_id, page.id]) == ["hello"]


# What is typed, and a text.
FOUND = [
    ("order", "My ORDER, please"),
    ("hellø wörld", "Hello World"),
    ("da lat", "Đà Lạt"),
    ("strasse", "Straße 1"),
    ("oeuvre", "Œuvre"),
    ('"thank you"', "thank\nyou!"),
    ("refu*", "refunded?"),
    ('"how much i*"', "how much is it"),
    ("สดี", "สวัสดีครับ"),
    ("本語", "日本語です"),
    ("ガ", "ガス"),
    ("謝", "謝謝"),
    ("가격*", "가격은"),
    ("e-mail", "E-Mail me"),
    ("don't", "I don\u2019t know"),
    ("👍", "ok👍🏽"),
    ("x" * 150, "x" * 150),
    ("x" * 120 + "*", "x" * 150),
]
NOT_FOUND = [
    ("ord", "My order"),
    ('"you thank"', "thank you"),
    ("thank gold", "thank you"),
    ("rder*", "order"),
    ("語本", "日本語"),
    ("x" * 149, "x" * 150),
]


def test_texts_are_found_by_words_phrases_beginnings_and_parts(store: Store, page: Page) -> None:
    put_texts(store, page, [text for _, text in FOUND])
    missed = [typed for typed, text in FOUND if text not in texts_found(store, typed)]
    assert missed == []


def test_texts_are_not_found_by_what_they_do_not_say(store: Store, page: Page) -> None:
    put_texts(store, page, [text for _, text in NOT_FOUND])
    wrong = [typed for typed, text in NOT_FOUND if text in texts_found(store, typed)]
    assert wrong == []


@pytest.mark.parametrize("typed", ["", "  ", "!?", '""', "*", "a " * 300, " ".join(map(str, range(21)))])
def test_what_holds_no_word_or_too_many_is_refused(typed: str) -> None:
    with pytest.raises(SearchInvalid):
        parse_query(typed)


def a_query(data: st.DataObject, corpus: list[str]) -> str:
    """Made from pieces of what is there, mostly, and of anything."""
    draw = data.draw

    def element() -> str:
        words = folded_words(draw(st.one_of(st.sampled_from(corpus), texts)))
        if not words:
            return ""
        start = draw(st.integers(0, len(words) - 1))
        some = words[start : start + draw(st.integers(1, 3))]
        if draw(st.booleans()):
            some[-1] = some[-1][: draw(st.integers(1, 4))] + draw(st.sampled_from(["", "*"]))
        opening, closing = draw(st.sampled_from([("", ""), ('"', '"'), ("“", "”"), ("«", "»"), ("「", "」")]))
        return f"{opening}{' '.join(some)}{closing}"

    signs = st.sampled_from([" ", " ", " OR ", "|", " -", " －"])
    return "".join(draw(signs) + element() for _ in range(draw(st.integers(1, 4))))


def has(pattern: Pattern) -> ColumnElement[bool]:
    escaped = pattern.text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return message_index.c.terms.like(f"%{escaped}%", escape="\\")


def test_the_search_finds_what_like_over_the_folded_text_finds_and_nothing_else(
    store: Store, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    dice = random.Random(3)  # noqa: S311 - the same texts every time
    corpus = [
        "".join(
            "".join(dice.choices(dice.choice(SCRIPTS), k=dice.randrange(1, 4))) + dice.choice(SEPARATORS)
            for _ in range(dice.randrange(8))
        )
        for _ in range(150)
    ]
    corpus += real_texts(150)
    put_texts(store, page, corpus)

    @settings(max_examples=examples(80))
    @given(st.data())
    def check(data: st.DataObject) -> None:
        typed = a_query(data, corpus)
        try:
            query = parse_query(typed)
        except SearchInvalid:
            return
        condition = [or_(*map(has, group)) for group in query.groups]
        condition += [not_(has(each)) for each in query.excluded]
        with store.read() as connection:
            rows = connection.execute(
                select(message_index.c.message_id).where(*condition).order_by(message_index.c.id.desc())
            )
            expected = list(rows.scalars())
        for newest in (0, 20, 20_000):  # by the index, by both, by reading through
            monkeypatch.setattr(find, "_NEWEST", newest)
            got = found(store, typed, limit=dice.choice([1, 5, 1000]))
            assert [each.message_id for each in got] == expected
            for each in got:
                assert each.highlights
                assert all(0 <= start < end <= len(each.text) for start, end in each.highlights)

    check()


def real_texts(count: int) -> list[str]:
    """What people wrote, where it is at hand."""
    if not DATA.exists():
        return []
    with gzip.open(DATA, "rt", encoding="utf-8") as lines:
        some = [json.loads(line)["messages"][0]["text"] for line, _ in zip(lines, range(count), strict=False)]
    return [each for each in some if each]


@given(texts)
@example("\uffa8\u200c\uffcd\u029d\u0311")
@settings(max_examples=examples(300))
def test_words_and_their_places_are_the_same_words(text: str) -> None:
    placed = placed_words(text)
    assert [each.text for each in placed] == folded_words(text)
    assert all(0 <= each.start < each.end <= len(text) for each in placed)


@given(texts)
@settings(max_examples=examples(200))
def test_to_fold_what_is_folded_changes_nothing(text: str) -> None:
    terms = terms_of(text)
    assert terms_of(terms) == terms


@given(st.text("สวัสดีครับกี่日本語こんにちはガ你好", min_size=1, max_size=8), st.data())
@settings(max_examples=examples(100))
def test_scripts_without_spaces_are_found_by_any_part(text: str, data: st.DataObject) -> None:
    folded = "".join(folded_words(text))
    start = data.draw(st.integers(0, len(folded) - 1))
    part = folded[start : data.draw(st.integers(start + 1, len(folded)))]
    (pattern,) = parse_query(part).patterns
    assert pattern.text in terms_of(f"abc{text}xyz")


def test_highlights_are_ranges_of_the_original_text() -> None:
    text = "Crème  BRÛLÉE und Crème; ขอบคุณครับ"
    query = parse_query('"creme brulee" und* คุณ')
    assert [text[start:end] for start, end in query.highlights(text)] == ["Crème", "BRÛLÉE", "und", "คุณ"]


def test_newest_come_first_and_the_best_by_rank(store: Store, page: Page) -> None:
    said = ["a long text that has refund once", "nothing", "refund", "refund my refund please"]
    put_texts(store, page, said)
    assert texts_found(store, "refund", limit=1) == [said[0], said[2], said[3]]
    assert texts_found(store, "refund", limit=1, order=Order.RANK) == [said[3], said[2], said[0]]


@pytest.mark.parametrize("newest", [0, 20_000])
def test_a_search_may_be_for_some_pages_and_for_what_is_new(
    store: Store, page: Page, other_page: Page, newest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(find, "_NEWEST", newest)
    put_texts(store, page, ["refund one", "refund two"])
    put_texts(store, other_page, ["refund three"])
    assert texts_found(store, "refund", page_id=other_page.id) == ["refund three"]
    assert texts_found(store, "refund", page_id=page.id, since=NOW) == ["refund one"]
    assert len(texts_found(store, "refund", page_id=[page.id, other_page.id])) == 3
    assert texts_found(store, "refund", page_id=[]) == []


@pytest.mark.parametrize("newest", [0, 20_000])
def test_what_is_gone_or_deleted_is_not_found_even_before_the_next_pass(
    store: Store, page: Page, newest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(find, "_NEWEST", newest)
    put_texts(store, page, ["refund one"], conversation="t_1")
    put_texts(store, page, ["refund two", "refund three"], conversation="t_2")
    with store.write() as connection:
        mark_gone(connection, page, ["t_1"], now=NOW)
        connection.exec_driver_sql("DELETE FROM messages WHERE text = 'refund two'")
    assert texts_found(store, "refund") == ["refund three"]
