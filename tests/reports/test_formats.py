"""What is written is what is stored, in every format, on both databases."""

import csv
import io
import json
import random
import re
import zipfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree as ET
from zoneinfo import ZoneInfo

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inboxsync.clock import SystemClock
from inboxsync.model import Page
from inboxsync.reports import Format, What
from inboxsync.reports.as_xlsx import XlsxWriter
from inboxsync.reports.cells import DELIMITERS, escape_cells, maybe_formulas, without_surrogates
from inboxsync.reports.columns import Column, Found, Kind, Layout, Record
from inboxsync.reports.formats import format_of, writer_of
from inboxsync.reports.tables import TABLES
from inboxsync.store import Store
from inboxsync.sync import Derive
from tests.fixtures import examples
from tests.reports.fixtures import Exported, Inbox

# A record of these columns.
Row = tuple[str | None, int | None, datetime | None, bool, str | None, tuple[Found, ...]]
COLUMNS = (
    Column("name", "The name", Kind.TEXT, "a text", rank=3),
    Column("count", "How many", Kind.INTEGER, "a number"),
    Column("at", "Said at", Kind.TIME, "a time", rank=1),
    Column("is_true", "Is it true", Kind.BOOLEAN, "a truth"),
    Column("raw", "As JSON", Kind.JSON, "JSON"),
    Column("phones", "Phone numbers", Kind.FOUND, "phone numbers"),
)
NOON = datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC)
MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
found = st.builds(Found, st.sampled_from(["+4791234567", "=a@b.no"]), st.sampled_from(["m_1", "m_2"]))
records = st.tuples(
    st.none()
    | st.text(st.characters(), max_size=12)
    | st.sampled_from(["=1+1", "\0", "_x0041_", "a\r\nb", '"', ","]),
    st.none() | st.integers(-(2**31), 2**31),
    st.none()
    | st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)).map(  # noqa: DTZ001
        lambda at: at.replace(microsecond=at.microsecond // 1000 * 1000)
    ),
    st.booleans(),
    st.none() | st.sampled_from(['{"a": [1, "x"]}', "[]", '"\\ud83d"']),
    st.lists(found, max_size=3).map(tuple),
)


RAW = Layout(COLUMNS)
IN_BERLIN = Layout(COLUMNS, raw=False, zone=ZoneInfo("Europe/Berlin"))


def written(
    chosen: Format, rows: Sequence[Record], *, byte_order_mark: bool = False, layout: Layout = RAW
) -> bytes:
    writer = writer_of(chosen, layout, title="things", byte_order_mark=byte_order_mark)
    made = writer.begin()
    for start in range(0, len(rows), 2):
        made += writer.write(rows[start : start + 2])
    made += b"".join(writer.end())
    writer.close()
    return made


def sheets(book: bytes) -> list[list[list[tuple[str, str]]]]:
    """Every sheet's rows of (style, text), unescaped as Excel does."""
    archive = zipfile.ZipFile(io.BytesIO(book))
    names = sorted(
        (name for name in archive.namelist() if name.startswith("xl/worksheets/sheet")),
        key=lambda name: int(re.findall(r"\d+", name)[0]),
    )
    return [
        [
            _cells(row)
            for row in ET.fromstring(archive.read(name)).iter(f"{MAIN}row")  # noqa: S314 - our own
        ]
        for name in names
    ]


def _cells(row: ET.Element) -> list[tuple[str, str]]:
    return [(cell.get("s", "0"), "".join(cell.itertext())) for cell in row]


def encodable(text: str | None) -> str | None:
    """Half a surrogate pair cannot be encoded: a replacement stands for it."""
    return None if text is None else without_surrogates(text)


def unescaped(text: str) -> str:
    return re.sub(r"_x([0-9a-fA-F]{4})_", lambda code: chr(int(code[1], 16)), text)


@settings(max_examples=examples(50))
@given(st.lists(records, max_size=5))
def test_csv_reads_back_as_it_was(rows: list[Row]) -> None:
    heading, *read = csv.reader(io.StringIO(written(Format.CSV, rows).decode(), newline=""))
    assert heading == ["name", "count", "at", "is_true", "raw", "phones", "phones_message_ids"]
    for (name, count, at, is_true, raw, phones), cells in zip(rows, read, strict=True):
        clean = (encodable(name) or "").replace("\0", "\ufffd")
        assert cells[0].replace("'", "") == clean.replace("'", "")
        assert cells[0] in {clean, f"'{clean}"} or re.search(
            r"[;\t|\r\n].*[=+@\uff1d\uff0b\uff0d\uff20-]", clean, re.DOTALL
        )
        assert cells[1] == ("" if count is None else str(count))
        assert (datetime.fromisoformat(cells[2]) if cells[2] else None) == at
        assert cells[3] == ("true" if is_true else "false")
        assert cells[4] == (raw or "")
        assert cells[5].replace("'", "") == "; ".join(each.value for each in phones)
        assert cells[6] == "; ".join(each.message_id for each in phones)


@settings(max_examples=examples(50))
@given(st.lists(records, max_size=5))
def test_ndjson_reads_back_exactly(rows: list[Row]) -> None:
    read = [json.loads(line) for line in written(Format.NDJSON, rows).splitlines()]
    assert len(read) == len(rows)
    for (name, count, at, is_true, raw, phones), line in zip(rows, read, strict=True):
        assert (line["name"], line["count"], line["is_true"]) == (encodable(name), count, is_true)
        assert (datetime.fromisoformat(line["at"]) if line["at"] else None) == at
        assert line["raw"] == (json.loads(raw) if raw else None)
        assert line["phones"] == [each._asdict() for each in phones]


@settings(max_examples=examples(30))
@given(st.lists(records, max_size=5))
def test_parquet_reads_back_exactly(rows: list[Row]) -> None:
    read = pq.read_table(pa.BufferReader(written(Format.PARQUET, rows))).to_pylist()
    expected = [
        dict(
            zip(
                [each.name for each in COLUMNS],
                (encodable(row[0]), *row[1:5], [each._asdict() for each in row[5]]),
                strict=True,
            )
        )
        for row in rows
    ]
    assert read == expected


@settings(max_examples=examples(20))
@given(st.lists(records, max_size=4))
def test_xlsx_reads_back_as_it_was(rows: list[Row]) -> None:
    ((heading, *read),) = sheets(written(Format.XLSX, rows))
    assert [text for _, text in heading][:2] == ["name", "count"]
    for (name, count, *_), cells in zip(rows, read, strict=True):
        expected = [(encodable(name) or "").replace("\0", "\ufffd"), "" if count is None else str(count)]
        # XML itself makes a line break of a lone carriage return that is not escaped.
        assert [unescaped(text) for _, text in cells][: 2 - (not name) - (count is None)] == [
            text for text in expected if text
        ]


def test_formulas_are_text_in_a_workbook_and_marked_so() -> None:
    book = written(
        Format.XLSX, [("=1+1", None, None, True, None, ()), ("+4791234567", None, None, True, None, ())]
    )
    ((_, (first, *_), (second, *_)),) = sheets(book)
    assert (first[1], second[1]) == ("=1+1", "+4791234567")
    assert first[0] != second[0] == "0"
    archive = zipfile.ZipFile(io.BytesIO(book))
    assert b'quotePrefix="1"' in archive.read("xl/styles.xml")
    assert b"<f>" not in archive.read("xl/worksheets/sheet1.xml")


def test_what_excel_does_not_hold_is_cut_and_counted_or_goes_to_a_further_sheet(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(XlsxWriter, "rows_a_sheet", 3)
    writer = writer_of(Format.XLSX, RAW, title="things")
    made = sheets(
        writer.begin()
        + writer.write([("x" * 32_768, number, None, True, None, ()) for number in range(5)])
        + b"".join(writer.end())
    )
    assert [len(sheet) for sheet in made] == [3, 3, 2]
    assert writer.cut_cells == 5
    assert made[0][1][0][1] == "x" * 32_766 + "\u2026"
    writer.close()


def test_a_workbook_that_is_given_up_leaves_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    writer = writer_of(Format.XLSX, RAW, title="things")
    writer.begin()
    writer.write([("x", 1, None, True, None, ())])
    writer.close()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("chosen", [Format.CSV, Format.NDJSON, Format.XLSX, Format.PARQUET])
def test_halves_of_surrogate_pairs_stop_no_format(chosen: Format) -> None:
    made = written(chosen, [("a\ud83db", 1, NOON, True, None, ())])
    if chosen in {Format.CSV, Format.NDJSON}:
        assert "a\ufffdb" in made.decode()


def test_json_that_is_none_is_a_text_in_ndjson() -> None:
    made = written(Format.NDJSON, [(None, None, None, True, "{oops", ())])
    assert json.loads(made)["raw"] == "{oops"


def test_ndjson_has_no_sign_at_which_a_reader_may_end_a_line() -> None:
    row = ("a\u2028b\u2029c\u0085d", 1, NOON, True, '{"x": "\u2028"}', ())
    lines = written(Format.NDJSON, [row]).decode()
    assert len(lines.splitlines()) == 1
    assert json.loads(lines)["name"] == row[0]
    assert json.loads(lines)["raw"] == {"x": "\u2028"}


def test_people_read_headings_in_their_own_order_and_times_of_their_zone() -> None:
    rows: list[Record] = [
        ("Ann", 3, NOON, True, '{"a": 1}', (Found("+4791234567", "m_1"), Found("+4791234568", "m_2"))),
        (None, None, None, False, None, ()),
    ]
    heading, first, second = csv.reader(
        io.StringIO(written(Format.CSV, rows, layout=IN_BERLIN).decode(), newline="")
    )
    assert heading == [
        "Said at (Europe/Berlin)",
        "The name",
        "How many",
        "Is it true",
        "As JSON",
        "Phone numbers",
        "Messages with phone numbers",
    ]
    assert first == [
        *("2026-06-01 14:00:00", "Ann", "3", "yes", '{"a": 1}'),
        *("+4791234567; +4791234568", "m_1; m_2"),
    ]
    assert second == ["", "", "", "no", "", "", ""]
    ((head, cells, _),) = sheets(written(Format.XLSX, rows, layout=IN_BERLIN))
    assert [text for _, text in head] == heading
    assert float(cells[0][1]) == pytest.approx(46174 + 14 / 24)  # days since Excel's day 0
    assert [text for _, text in cells[1:]] == ["Ann", "3", "1", *first[4:]]


@pytest.mark.parametrize("layout", [RAW, IN_BERLIN])
def test_programs_find_the_same_names_in_ndjson_and_parquet_whatever_people_read(layout: Layout) -> None:
    row: Record = ("Ann", 3, NOON, True, None, ())
    assert json.loads(written(Format.NDJSON, [row], layout=layout))["at"] == "2026-06-01T12:00:00Z"
    table = pq.read_table(pa.BufferReader(written(Format.PARQUET, [row], layout=layout)))
    assert table.column_names == [each.name for each in COLUMNS]
    assert table.to_pylist()[0]["at"] == NOON


@pytest.mark.parametrize("what", list(What))
def test_every_table_has_a_heading_of_its_own_for_each_column_and_ids_last(what: What) -> None:
    columns = TABLES[what].columns
    raw, people = Layout(columns), Layout(columns, raw=False, zone=ZoneInfo("Asia/Ho_Chi_Minh"))
    assert len(set(people.headings)) == len(people.headings) == len(raw.headings)
    assert not [each for each in people.headings if "_" in each and "Ho_Chi" not in each]
    assert people.headings[0] == "Contact"
    ids = [" ID" in each or each.startswith("Messages with") for each in people.headings]
    assert ids == sorted(ids)
    assert raw.headings[:2] == ["page_id", "page_name"]
    times = [cell.kind is Kind.TIME for cell in people.cells]
    assert [each.endswith(" (Asia/Ho_Chi_Minh)") for each in people.headings] == times


def test_a_sheet_has_a_filter_on_every_column_and_its_first_row_stays_in_view() -> None:
    rows: list[Record] = [("Ann", 3, NOON, True, None, ())] * 2
    archive = zipfile.ZipFile(io.BytesIO(written(Format.XLSX, rows, layout=IN_BERLIN)))
    sheet = archive.read("xl/worksheets/sheet1.xml").decode()
    assert '<autoFilter ref="A1:G3"/>' in sheet
    assert '<pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/>' in sheet
    assert len(re.findall(r'<col min="(\d)" max="\1" width="\d+" customWidth="1"/>', sheet)) == 7
    assert "'things'!$A$1:$G$3" in archive.read("xl/workbook.xml").decode()
    assert archive.testzip() is None
    assert {each.date_time for each in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_the_same_rows_make_the_same_workbook_whenever_it_is_made() -> None:
    rows: list[Record] = [("Ann", 3, NOON, True, None, ())]
    assert written(Format.XLSX, rows) == written(Format.XLSX, rows)


def test_a_workbook_comes_while_its_rows_do() -> None:
    writer = writer_of(Format.XLSX, RAW, title="things")
    writer.begin()
    texts = random.Random(1).sample(range(10**9), 60_000)  # noqa: S311 - the same each time
    came = sum(
        len(writer.write([(f"{text}", text, NOON, True, None, ()) for text in texts[start : start + 1000]]))
        for start in range(0, len(texts), 1000)
    )
    assert came > 10 * len(b"".join(writer.end()))
    writer.close()


@settings(max_examples=examples(100))
@given(st.lists(st.text(st.characters(), max_size=6) | st.text("=+-@;|\t\r\n ,'\"a1\u200b\0", max_size=6)))
def test_a_column_that_is_looked_at_as_a_whole_is_escaped_as_its_texts_are(texts: list[str]) -> None:
    for delimiter in DELIMITERS:
        if not maybe_formulas("\0".join(texts), delimiter):
            assert [escape_cells(text, delimiter) for text in texts] == texts


def test_csv_for_excel_begins_with_a_byte_order_mark() -> None:
    assert written(Format.CSV, [], byte_order_mark=True).startswith(b"\xef\xbb\xbfname,")
    assert written(Format.CSV, []).startswith(b"name,")


@pytest.mark.parametrize(
    ("name", "chosen"), [("a.csv", Format.CSV), ("a.b.JSONL", Format.NDJSON), ("x.parquet", Format.PARQUET)]
)
def test_a_name_tells_the_format(name: str, chosen: Format) -> None:
    assert format_of(name) is chosen


@pytest.fixture
def filled(inbox: Inbox, page: Page) -> Page:
    ask, answer = inbox.said, inbox.answered
    inbox.put(
        page,
        inbox.conversation("7", ask(0, "=1+1"), answer(3), ask(5), ask(6), name="Ann"),
        inbox.conversation(
            "8", ask(1, "caf\u00e9 \U0001f600"), name=None, has_older_messages=True, unread_count=2
        ),
        inbox.conversation(
            "9", ask(2), ask(2, "?", message_id="m_x", is_readable=False), answer(4), name="Bo"
        ),
    )
    inbox.put(page, inbox.conversation("7", ask(-60), conversation_id="t_old"), folder="spam")
    return page


def test_contacts_say_who_waits(filled: Page, exported: Exported) -> None:
    ann, nobody, bo = [json.loads(line) for line in exported(What.CONTACTS, Format.NDJSON).splitlines()]
    assert (ann["contact_name"], ann["name_source"]) == ("Ann", "participants")
    assert (nobody["contact_name"], nobody["name_source"]) == (None, "none")
    assert (ann["conversations"], ann["messages_in"], ann["messages_out"]) == (2, 4, 1)
    assert ann["first_message_at"] == ann["unanswered_since"] == "2026-06-01T11:00:00Z"
    assert ann["reply_window_closes_at"] == "2026-06-02T12:06:00Z"
    assert (bo["unanswered_since"], bo["messages_in"]) == (None, 1)
    assert (nobody["has_older_messages"], ann["page_id"]) == (True, filled.facebook_page_id)


def test_contacts_have_what_they_wrote_of_themselves_with_the_evidence(
    inbox: Inbox, page: Page, store: Store, exported: Exported
) -> None:
    inbox.put(
        page,
        inbox.conversation(
            "7",
            inbox.said(0, "call +47 912 34 567"),
            inbox.said(1, "or =a@example.com"),
            inbox.answered(2, "b@example.com"),
        ),
        inbox.conversation("8", inbox.said(0, "hello")),
    )
    inbox.put(
        page, inbox.conversation("7", inbox.said(9, "+4791234567", message_id="m_new"), conversation_id="t_2")
    )
    before = exported(What.CONTACTS, Format.NDJSON, trailer=True).splitlines()
    assert json.loads(before[0])["phones"] == []
    assert json.loads(before[-1])["inboxsync_export"]["details_current"] is False
    Derive(store=store, clock=SystemClock()).run()
    ann, nobody, trailer = map(json.loads, exported(What.CONTACTS, Format.NDJSON, trailer=True).splitlines())
    assert trailer["inboxsync_export"]["details_current"] is True
    assert ann["phones"] == [{"value": "+4791234567", "message_id": "m_new"}]
    assert [each["message_id"] for each in ann["emails"]] == ["m_in_1"]
    assert (nobody["phones"], nobody["emails"]) == ([], [])
    row, _ = csv.DictReader(io.StringIO(exported(What.CONTACTS, Format.CSV, raw=True).decode(), newline=""))
    assert (row["phones"], row["phones_message_ids"]) == ("+4791234567", "m_new")


def test_nobody_waits_in_what_the_source_no_longer_has(
    filled: Page, store: Store, exported: Exported
) -> None:
    with store.write() as connection:
        connection.exec_driver_sql("UPDATE messenger_conversations SET conversation_status = 'gone'")
    for what in (What.CONTACTS, What.CONVERSATIONS):
        rows = [json.loads(line) for line in exported(what, Format.NDJSON).splitlines()]
        assert {row["unanswered_since"] for row in rows} == {None}, filled


def test_conversations_say_how_soon_they_were_answered(filled: Page, exported: Exported) -> None:
    rows = {
        row["conversation_id"]: row
        for row in map(json.loads, exported(What.CONVERSATIONS, Format.NDJSON).splitlines())
    }
    ann, nobody, bo = rows["t_7"], rows["t_8"], rows["t_9"]
    assert (ann["first_response_seconds"], ann["last_sender"]) == (180, "contact")
    assert (nobody["first_response_seconds"], nobody["unread_count"]) == (None, 2)
    assert (bo["first_response_seconds"], bo["last_sender"]) == (120, "page")
    assert ann["unanswered_since"] == "2026-06-01T12:05:00Z"
    assert (rows["t_old"]["folder"], ann["link"]) == ("spam", "https://www.facebook.com/104/inbox/7/")
    assert all(row["page_name"] == filled.name for row in rows.values())


def test_messages_come_conversation_by_conversation_in_time(filled: Page, exported: Exported) -> None:
    rows = [json.loads(line) for line in exported(What.MESSAGES, Format.NDJSON).splitlines()]
    order = [(row["conversation_id"], row["message_id"]) for row in rows]
    assert order == [
        ("t_7", "m_in_0"),
        ("t_7", "m_out_3"),
        ("t_7", "m_in_5"),
        ("t_7", "m_in_6"),
        ("t_8", "m_in_1"),
        ("t_9", "m_in_2"),
        ("t_9", "m_out_4"),
        ("t_old", "m_in_-60"),
    ]
    assert [row["direction"] for row in rows[:2]] == ["in", "out"]
    assert (rows[4]["text"], rows[4]["contact_name"]) == ("caf\u00e9 \U0001f600", None)
    assert {row["page_id"] for row in rows} == {filled.facebook_page_id}


@pytest.mark.parametrize(("what", "ids"), [(What.CONTACTS, 2), (What.CONVERSATIONS, 2), (What.MESSAGES, 3)])
def test_since_leaves_out_what_is_older(
    filled: Page, inbox: Inbox, exported: Exported, what: What, ids: int
) -> None:
    made = exported(what, Format.NDJSON, since=inbox.at(4), pages=(filled.facebook_page_id,))
    assert len(made.splitlines()) == ids


def test_other_pages_are_left_out(filled: Page, inbox: Inbox, exported: Exported) -> None:
    other = inbox.page("105", "Another")
    inbox.put(other, inbox.conversation("7", inbox.said(0)))
    assert len(exported(What.CONTACTS, Format.NDJSON).splitlines()) == 4
    (row,) = map(json.loads, exported(What.CONTACTS, Format.NDJSON, pages=("105",)).splitlines())
    assert (row["page_id"], row["messages_in"]) == ("105", 1)
    assert b"105" not in exported(What.MESSAGES, Format.CSV, pages=(filled.id,))


def test_more_conversations_than_are_read_at_once(inbox: Inbox, page: Page, exported: Exported) -> None:
    inbox.put(
        page,
        *(
            inbox.conversation(f"{number:04}", inbox.said(0, message_id=f"m_{number}"))
            for number in range(450)
        ),
    )
    for what in What:
        rows = [json.loads(line) for line in exported(what, Format.NDJSON).splitlines()]
        assert [row["contact_id"] for row in rows] == [f"{number:04}" for number in range(450)]


def test_a_conversation_of_many_messages_is_whole(inbox: Inbox, page: Page, exported: Exported) -> None:
    many = [inbox.said(number, message_id=f"m_{number}") for number in range(2500)]
    inbox.put(page, inbox.conversation("7", *many))
    rows = [json.loads(line) for line in exported(What.MESSAGES, Format.NDJSON).splitlines()]
    assert [row["message_id"] for row in rows] == [each.message_id for each in many]
    (contact,) = map(json.loads, exported(What.CONTACTS, Format.NDJSON).splitlines())
    assert contact["messages_in"] == 2500
    assert timedelta(0) == datetime.fromisoformat(contact["unanswered_since"]) - NOON
