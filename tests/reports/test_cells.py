"""Cells are safe to open, and lose nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inboxsync.reports.cells import cut_to, encoded, escape_formula, is_formula, without_surrogates

starts = st.sampled_from([*"=+-@\t\r ' 1a", "\ufeff=", "\uff1d", "\u3000+", "''="])
texts = st.builds("".join, st.tuples(starts, st.text(max_size=8)))
NO_WIDTH = "\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"


def as_read_back(cell: str) -> str:
    """What the docs tell a reader to do."""
    rest = cell
    while rest and rest[0] not in "\t\r" and (rest[0].isspace() or rest[0] in NO_WIDTH + "'"):
        rest = rest[1:]
    is_ours = cell.startswith("'") and rest[:1] in set("=+-@\t\r\uff1d\uff0b\uff0d\uff20")
    return cell[1:] if is_ours else cell


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+1+1",
        "-1+1",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        " =1",
        "\n=1",
        "\ufeff=1",
        "=cmd|' /C calc'!A0",
        "+a",
        "\u2003=1",
        "\x0b=1",
        "\x1f=1",
        "\u2028\u200b=1",
    ],
)
def test_what_a_spreadsheet_would_run_is_marked_as_text(text: str) -> None:
    assert escape_formula(text) == f"'{text}"


@pytest.mark.parametrize(
    "text",
    ["-5", "+84901234567", "+84 90 123 45 67", "-1.5", "+4791234567; +84901234567", "a=b", "1-2", "", "'tis"],
)
def test_numbers_phone_numbers_and_words_stay_as_they_are(text: str) -> None:
    assert escape_formula(text) == text
    assert not is_formula(text)


@given(texts)
def test_a_reader_gets_the_text_back(text: str) -> None:
    cell = escape_formula(text)
    if cell == text and not text.startswith("'"):
        return
    assert as_read_back(cell) == text


@given(texts)
def test_no_cell_begins_like_a_formula(text: str) -> None:
    assert escape_formula(text)[:1] not in set("=@\t\r\uff1d\uff0b\uff0d\uff20")


@given(st.text(max_size=20), st.integers(2, 12))
def test_a_cut_text_fits_and_says_that_it_was_cut(text: str, units: int) -> None:
    cut = cut_to(text, units)
    length = len(text.encode("utf-16-le")) // 2
    assert len(cut.encode("utf-16-le")) // 2 <= units
    assert cut == text if length <= units else cut.endswith("\u2026") and text.startswith(cut[:-1])


def test_half_a_surrogate_pair_becomes_a_replacement() -> None:
    assert without_surrogates("a\ud83d") == "a\ufffd"
    assert encoded("a\ud83d") == "a\ufffd".encode()
