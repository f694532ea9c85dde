"""What readers take for the same finds each other; other words do not; and no text takes long to fold."""

import json
import unicodedata
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inboxsync.model import Page
from inboxsync.store import Store
from inboxsync.store.search import folded_words, parse_query, placed_words, terms_of
from inboxsync.store.search.letters import LONGEST_RUN
from inboxsync.store.search.words import LONGEST, MOST_LETTERS
from inboxsync.sync.folding import folded
from tests.fixtures import examples
from tests.store.test_search import put_texts, texts_found

CASES = Path(__file__).parents[3] / "shared" / "cases" / "use"

# Each line: forms of one word.
SAME = [
    ["علي", "علی", "على", "عَلِيّ", "عـلـي", "ﻋﻠﻲ"],
    ["كريم", "کریم"],
    ["مدرسة", "مدرسه", "مدرسہ", "مَدْرَسَة"],
    ["خانۀ", "خانه", "خانهٔ", "خان\u06d5\u0654"],
    ["ٱلله", "الله"],
    ["٠١٠١٢٣٤", "0101234", "۰۱۰۱۲۳۴", "०१०१२३४", "০১০১২৩৪", "０１０１２３４", "𝟎𝟏𝟎𝟏𝟐𝟑𝟒", "𞥐𞥑𞥐𞥑𞥒𞥓𞥔"],
    ["๐๘๑", "081", "០៨១", "໐໘໑", "၀၈၁", "༠༨༡"],
    ["น้ำ", "นํ้า", "น้ํา"],
    ["ที่", "ท\u0e48\u0e35"],
    ["แมว", "เเมว", "เ\u200bเมว"],
    ["ແມວ", "ເເມວ"],
    ["တို့", "တ\u102f\u102d\u1037"],
    ["oʻzbek", "o'zbek", "o‘zbek", "o’zbek", "oʼzbek", "o`zbek"],
    ["п'ять", "пʼять", "п’ять"],
    ["क़लम", "कलम", "क\u093cलम"],
    ["ガソリン", "がそりん", "ｶﾞｿﾘﾝ", "か\u3099そりん"],
    ["ｔｈａｎｋ", "thank", "THANK", "ｔhanK"],
    ["ﾊﾟﾝ", "パン", "ぱん"],
    ["葛󠄀", "葛"],
    ["שָׁלוֹם", "שלום"],
    ["don't", "don’t", "DON＇T"],
]
# Words of a line are different words.
OTHER = [
    ["کی", "کے"],  # Urdu: of (feminine), of (plural)
    ["کہانا", "کھانا"],  # Urdu: to be called, food
    ["ก่า", "ก้า"],  # Thai tones
    ["แกม", "เกม"],  # Thai: mixed with, game
    ["กิ", "กี"],
    ["कल", "काल"],  # Hindi: tomorrow, time
    ["かき", "がき"],  # Japanese: oyster, brat
    ["はん", "ぱん"],
    ["とる", "とおる"],
    ["كلب", "قلب"],  # Arabic: dog, heart
    ["گل", "كل"],  # Persian: flower; Arabic: all
    ["123", "132"],
    ["가격", "기격"],
]


def test_forms_of_one_word_find_each_other(store: Store, page: Page) -> None:
    texts = [[f"abc {form} xyz" for form in forms] for forms in SAME]
    put_texts(store, page, [text for forms in texts for text in forms])
    for forms, with_forms in zip(SAME, texts, strict=True):
        for typed in forms:
            assert texts_found(store, typed, limit=50) == with_forms, typed


def test_highlights_are_the_other_form_in_its_own_letters() -> None:
    for typed, form in [pair for forms in SAME for pair in product(forms, forms)]:
        text = f"abc {form} xyz"
        ranges = parse_query(typed).highlights(text)
        # What separates the parts of a word, such as an apostrophe, is between two highlights.
        highlighted = " ".join(text[start:end] for start, end in ranges)
        assert folded_words(highlighted) == folded_words(form)


def test_other_words_do_not_find_each_other(store: Store, page: Page) -> None:
    put_texts(store, page, [word for words in OTHER for word in words])
    for typed in [word for words in OTHER for word in words]:
        assert texts_found(store, typed) == [typed]


def test_every_letter_of_one_text_is_folded_as_it_is_alone() -> None:
    """In pairs of lines and signs between them, so that no fold depends on what stands beside."""
    words = [form for forms in SAME for form in forms]
    for first, second in product(words, words):
        assert folded_words(f"{first} {second}") == folded_words(first) + folded_words(second)


def test_digits_of_every_script_are_digits() -> None:
    digits = [chr(code) for code in range(0x80, 0x20000) if unicodedata.category(chr(code)) == "Nd"]
    assert len(digits) > 600
    assert [each for each in digits if folded_words(f"7{each}7") != [f"7{unicodedata.decimal(each)}7"]] == []


def test_the_forms_of_the_shared_cases_find_each_other(store: Store, page: Page) -> None:
    file = CASES / "search-letters-digits.ndjson"
    if not file.exists():
        pytest.skip("shared/cases/use/search-letters-digits.ndjson is not there")
    lines = file.read_text(encoding="utf-8").splitlines()
    put_texts(store, page, [json.loads(line)["messages"][0]["text"] for line in lines])
    for typed, other in [
        ("علی", "علي كريم"), ("علي", "علی کریم"), ("کریم", "علي كريم"), ("كريم", "علی کریم"),
        ("مدرسه", "مدرسة كتاب"), ("مدرسة", "مدرسه کتاب"), ("كتاب", "مدرسه کتاب"), ("0101234", "رقم ٠١٠١٢٣٤"),
        ("٠١٠١٢٣٤", "رقم 0101234"), ("081", "เบอร์ ๐๘๑"), ("น้ำ", "ขอนํ้า"), ("นํ้า", "ขอน้ำ"),
        ("o'zbek", "oʻzbek"), ("がそりん", "ガソリン"),
    ]:  # fmt: skip
        assert other in texts_found(store, typed), typed


MARKS = (
    "\u0301\u0323\u05b0\u0e48\u0e38\u0e33\uff9e\u0f73\u0344\u3099\u094d\u093c\u102d"
    "\u102f\u1037\U0001e944\u200d"
)


@given(st.text(MARKS + "a\u0e01\u304b ", max_size=200))
@settings(max_examples=examples(200))
def test_marks_in_any_order_are_the_same_words_in_their_places(text: str) -> None:
    assert [each.text for each in placed_words(text)] == folded_words(text)
    assert terms_of(terms_of(text)) == terms_of(text)


def runs_of_marks(length: int) -> Iterator[str]:
    """Texts of so many characters that are nothing but marks, in orders that take long to sort."""
    for first, second in [
        ("\u0301", "\u0323"),  # left out
        ("\u0e48", "\u0e38"),  # Thai
        ("\u05b0", "\u05b1"),  # Hebrew
        ("\uff9e", "\u0f73"),  # marks only when taken apart
        ("\u0f74", "\u0f72"),  # Tibetan
        ("\U0001d165", "\U0001d16d"),  # beyond U+FFFF
        ("\u094d", "\u093c"),
        ("\u0344", "\u1037"),
        ("\u0302\u0f74", "\u0327\u0f72"),  # left out, and not
    ]:
        yield "a" + (first + second) * (length // 2)


def test_normalizing_meets_no_long_run_of_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    """`unicodedata.normalize` takes time by the square of a run's length: it is counted, not timed."""
    normalize, longest = unicodedata.normalize, 0

    def counting(form: Literal["NFC", "NFD", "NFKC", "NFKD"], text: str) -> str:
        nonlocal longest
        run = 0
        for each in text:
            for part in normalize("NFKD", each):
                run = run + 1 if unicodedata.combining(part) else 0
                longest = max(longest, run)
        return normalize(form, text)

    monkeypatch.setattr(unicodedata, "normalize", counting)
    for text in runs_of_marks(2_000):
        folded_words(f"before {text} after")
        placed_words(f"before {text} after")
        folded(f"before {text} after")
    # What is cut to thirty characters may become some more when they are taken apart.
    assert 2 <= longest <= 4 * LONGEST_RUN


def test_texts_of_a_megabyte_of_marks_are_found_by_their_words(store: Store, page: Page) -> None:
    texts = [f"findme {marks} and{number}" for number, marks in enumerate(runs_of_marks(200_000))]
    texts.append("findme " + "\u0301\u0323" * 500_000 + " andlast")
    put_texts(store, page, texts)
    assert len(texts_found(store, "findme")) == len(texts)
    for typed in ("and0", "and1", "and8", "andlast"):
        assert len(texts_found(store, f"findme {typed}")) == 1


def test_words_of_a_very_long_text_are_found_up_to_a_bound(store: Store, page: Page) -> None:
    """PostgreSQL cannot index a text with a megabyte of different words: one such would stop every pass."""
    texts = []
    for word in ("word ", "я", "ก", "x" * LONGEST, "😀"):
        text = "first " + "".join(f"{word}{n} " for n in range(2 * MOST_LETTERS // len(word)))
        assert MOST_LETTERS - LONGEST <= sum(map(len, folded_words(text))) <= MOST_LETTERS
        assert [each.text for each in placed_words(text)] == folded_words(text)
        texts.append(text)
    put_texts(store, page, texts)
    assert len(texts_found(store, "first")) == len(texts)
