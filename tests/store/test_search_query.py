"""What is typed into the search: words, phrases in the quotation marks of any language, minus and OR."""

import json
from pathlib import Path

import pytest

from inboxsync.errors import SearchInvalid
from inboxsync.model import Page
from inboxsync.store import Store
from inboxsync.store.search import Pattern, find, parse_query
from tests.store.test_search import put_texts, texts_found

CASES = Path(__file__).parents[3] / "shared" / "cases" / "use"
THANK_YOU = Pattern(("thank", "you"), is_prefix=False)


def said(typed: str) -> str:
    """A query in one form: groups of patterns, then what is excluded."""
    query = parse_query(typed)

    def shown(pattern: Pattern) -> str:
        return "_".join(pattern.words) + ("*" if pattern.is_prefix else "")

    groups = [" or ".join(map(shown, group)) for group in query.groups]
    return " and ".join(groups) + "".join(f" not {shown(pattern)}" for pattern in query.excluded)


PAIRS = [
    '""', "“”", "„“", "„”", "””", "»«", "»»", "«»", "‹›", "›‹", "「」", "『』",
    "｢｣", "﹁﹂", "＂＂", "〝〟", "〝〞", "❝❞", "‘’", "‚‘", "’’", "''", "＇＇", '“"',
    '"”', "《》",
]  # fmt: skip


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("beside", ["{}", "x {} y", "x {}, y", "{}?", "x {}"])
def test_every_pair_of_quotation_marks_makes_a_phrase(pair: str, beside: str) -> None:
    typed = beside.format(f"{pair[0]}Thank you{pair[1]}")
    others = [Pattern((each,), is_prefix=False) for each in "xy" if each in beside]
    assert sorted(parse_query(typed).patterns, key=str) == sorted([THANK_YOU, *others], key=str)


@pytest.mark.parametrize("pair", [pair for pair in PAIRS if pair[0] not in "'‘’‚＇"])
def test_blanks_inside_quotation_marks_make_no_difference(pair: str) -> None:
    for blank in (" ", "\u00a0", "\u202f", "\u3000"):
        assert parse_query(f"{pair[0]}{blank}thank you{blank}{pair[1]}").patterns == (THANK_YOU,)


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("don’t", "don_t"),
        ("don't stop", "don_t and stop"),
        ("'tis the season", "tis and the and season"),
        ("rock ’n’ roll", "rock and n and roll"),
        ("the boys’ bikes", "the and boys and bikes"),
        ("o‘zbek tili", "o_zbek and tili"),
        ('צה"ל', "צה_ל"),
        ('"צה"ל שלום"', "צה_ל_שלום"),
        ("返品「ありがとう」した", "返_品 and あ_り_が_と_う and し_た"),
        ("「a『b』c」 d", "a_b_c and d"),
        ("« a ‹b› c » d", "a_b_c and d"),
        ("“a” “b c”", "a and b_c"),
        ("„a“ „b c“", "a and b_c"),
        ('"a"b "c d', "a and b and c_d"),
        ("refu＊", "refu*"),
        ("refu﹡", "refu*"),
        ("“how much i”*", "how_much_i*"),
        ("“how much i*”", "how_much_i*"),
        ("«how much i»＊", "how_much_i*"),
        ("refund -paid", "refund not paid"),
        ("refund －paid", "refund not paid"),
        ("-paid refund", "refund not paid"),
        ('refund -"thank you" -paid*', "refund not thank_you not paid*"),
        ("refund -“thank you”", "refund not thank_you"),
        ("e-mail", "e_mail"),
        ("a - b", "a and b"),
        ("- a", "a"),
        ("a -", "a"),
        ("a --b", "a and b"),
        ("a – b", "a and b"),
        ("refund OR return now", "refund or return and now"),
        ("refund ＯＲ return", "refund or return"),
        ("refund | return", "refund or return"),
        ("refund|return", "refund or return"),
        ("refund｜return", "refund or return"),
        ('"thank you" OR thanks OR thx*', "thank_you or thanks or thx*"),
        ("refund or return", "refund and or and return"),
        ("OR", "or"),
        ("OR gate", "or and gate"),
        ("nand OR", "nand and or"),
        ("a||b", "a or b"),
        ("| a |", "a"),
        ("a -b OR c", "a and or and c not b"),
        ("a|-b", "a not b"),
        ("a a", "a"),
    ],
)
def test_signs_are_read_as_people_mean_them(typed: str, expected: str) -> None:
    assert said(typed) == expected


@pytest.mark.parametrize("typed", ["-a", '-"a b" -c', "“”", "« »", "*", "＊", "|", "-", "'"])
def test_a_search_needs_a_word_that_is_there(typed: str) -> None:
    with pytest.raises(SearchInvalid):
        parse_query(typed)


@pytest.mark.parametrize("sign", ["“", "”", "'", '"', "«", "「", "-", "|", "OR ", "*", "’"])
def test_any_number_of_signs_is_read(sign: str) -> None:
    for typed in (sign * (400 // len(sign)) + "a", "a" + sign * (400 // len(sign)), f"{sign}a " * 8):
        parse_query(f"word {typed}")


@pytest.mark.parametrize("newest", [0, 20_000])
def test_minus_and_or_find_the_same_by_the_index_and_without(
    store: Store, page: Page, newest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(find, "_NEWEST", newest)
    texts = [
        "refund please",
        "return please",
        "refund paid",
        "return paid, thank you",
        "thank all of you",
        "re",
    ]
    put_texts(store, page, texts)
    for typed, places in [
        ("refund OR return", [0, 1, 2, 3]),
        ("refund OR return -paid", [0, 1]),
        ("refund|thank please|you -“thank you”", [0, 4]),
        ("re* -paid", [0, 1, 5]),
        ("re* OR thank", [0, 1, 2, 3, 4, 5]),
        ("r*|t* -please", [2, 3, 4, 5]),
        ('"thank you" OR "all of y"*', [3, 4]),
        ("please -re*", []),
    ]:
        for page_id in (None, page.id):
            assert texts_found(store, typed, page_id=page_id) == [texts[place] for place in places], typed


def test_the_shared_queries_find_what_they_say(store: Store, page: Page) -> None:
    file = CASES / "search-quotes.ndjson"
    if not file.exists():
        pytest.skip("shared/cases/use/search-quotes.ndjson is not there")
    texts = [json.loads(line)["messages"][0]["text"] for line in file.read_text().splitlines()]
    put_texts(store, page, texts)
    assert texts_found(store, "“thank you”") == ["thank you so much"]
    assert texts_found(store, "refu＊") == ["a refund, please"]
