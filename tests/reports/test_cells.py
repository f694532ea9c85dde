"""Cells are safe to open, and lose nothing."""

import csv
import io
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inboxsync.errors import SettingsInvalid
from inboxsync.reports.cells import (
    DELIMITERS,
    cut_to,
    encoded,
    escape_cells,
    escape_formula,
    is_formula,
    without_surrogates,
)
from inboxsync.reports.delimiters import delimiter_of, delimiter_of_excel
from tests.fixtures import examples

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


def cells_read_with(delimiter: str, written: str) -> list[str]:
    return [cell for row in csv.reader(io.StringIO(written, newline=""), delimiter=delimiter) for cell in row]


def is_a_formula(cell: str) -> bool:
    rest = cell.lstrip("".join(map(chr, (*range(9), 11, 12, *range(14, 33)))) + NO_WIDTH + "\u00a0\u3000")
    is_number = re.fullmatch(r"[+-][0-9][0-9 .]*", rest) is not None
    return rest[:1] in set("=+-@\uff1d\uff0b\uff0d\uff20") and not is_number


parts = st.lists(
    st.sampled_from(
        [*"=+-@;,|\t\r\n '\"1a", "\ufeff", "\uff1d", "\u3000", "cmd", "\u200b", ";=1+1", "\n+84901234567"]
    ),
    max_size=9,
).map("".join)


@settings(max_examples=examples(300))
@given(st.lists(parts, min_size=1, max_size=4), st.sampled_from(DELIMITERS))
def test_read_with_any_delimiter_no_cell_begins_a_formula(texts: list[str], delimiter: str) -> None:
    out = io.StringIO()
    row = ["1", *(escape_cells(text, delimiter) for text in texts)]
    csv.writer(out, delimiter=delimiter, lineterminator="\r\n").writerow(row)
    for other in DELIMITERS:
        assert [cell for cell in cells_read_with(other, out.getvalue()) if is_a_formula(cell)] == []


@settings(max_examples=examples(300))
@given(parts, st.sampled_from(DELIMITERS))
def test_a_reader_with_the_files_delimiter_gets_the_text_back_up_to_apostrophes(
    text: str, delimiter: str
) -> None:
    cell = escape_cells(text, delimiter)
    signs = "".join(other for other in DELIMITERS if other != delimiter) + "\r\n"
    skipped = "(?:[^\\S\t\r\n]|[" + NO_WIDTH + "'\"])*"
    inner = re.compile(rf"(?<=[{re.escape(signs)}])'(?={skipped}[=+\-@\uff1d\uff0b\uff0d\uff20])")
    assert cell == text or as_read_back(inner.sub("", cell)) == text or inner.sub("", cell) == text


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("hello;=1+1;=cmd|' /C calc'!A0;", "hello;'=1+1;'=cmd|' /C calc'!A0;"),
        ("hello\n=1+1", "hello\n'=1+1"),
        ("hello\t=1+1", "hello\t'=1+1"),
        ("'=1+1;=1+2", "''=1+1;'=1+2"),
        ("Ann;=2+2;", "Ann;'=2+2;"),
        ("x|=1+1", "x|'=1+1"),
        ('x; "=1+1', "x;' \"=1+1"),
        ("x;\u200b\uff1d1", "x;'\u200b\uff1d1"),
    ],
)
def test_a_formula_behind_another_delimiter_is_marked_as_text(text: str, cell: str) -> None:
    assert escape_cells(text, ",") == cell


@pytest.mark.parametrize(
    "text", ["a; b, c | d", "a,=b", "x\n-5\ny", "\ta;b".strip(), "1;2;-3;4", "a;b=c", "don't; can't"]
)
def test_texts_without_a_formula_stay_as_they_are(text: str) -> None:
    assert escape_cells(text, ",") == text


@pytest.mark.parametrize(
    ("locale", "delimiter"),
    [
        ("de", ";"),
        ("vi-VN", ";"),
        ("pt_BR.UTF-8", ";"),
        ("de-CH", ","),
        ("es-MX", ","),
        ("en", ","),
        ("en-ZA", ";"),
        ("ja", ","),
    ],
)
def test_excel_gets_the_delimiter_of_its_locale(locale: str, delimiter: str) -> None:
    assert delimiter_of_excel(locale) == delimiter


def test_a_delimiter_is_named_or_written_and_others_are_refused() -> None:
    assert [delimiter_of(each) for each in ("comma", "semicolon", "tab", "pipe", ";", "\t")] == [*",;\t|;\t"]
    for wrong in ("x", "", ":", ",,"):
        with pytest.raises(SettingsInvalid):
            delimiter_of(wrong)
    with pytest.raises(SettingsInvalid):
        delimiter_of_excel("not a locale")
