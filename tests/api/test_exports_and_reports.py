"""Exports and reports over HTTP: what the commands write, for whoever may read."""

import csv
import io
import json
import tracemalloc
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from inboxsync.model import Conversation, Message, Page, Participant, Platform, Scope
from inboxsync.reports import Export, ExportRequest, Format, What, activity, response_times
from inboxsync.reports.manifest import TRAILER_KEY, check_file
from inboxsync.store.reading import Scope as Part
from inboxsync.store.state.pages import list_pages, upsert_page
from inboxsync.store.writing.upsert import upsert_batch
from tests.api.fixtures import Api

EXPORTS = "/api/v1/exports"
REPORTS = "/api/v1/reports"


def fill(api: Api, page: Page, count: int, *, at: datetime) -> None:
    """So many conversations; every second contact, who all wrote at `at`, got an answer after a minute."""
    conversations = []
    for number in range(count):
        person = Participant(id=f"{page.facebook_page_id}{number}", name=f"Ann {number}")
        asked = Message(
            message_id=f"m_{page.facebook_page_id}_{number}", sent_at=at, sender_id=person.id, text="hello"
        )
        answer = Message(
            message_id=f"a_{page.facebook_page_id}_{number}",
            sent_at=at + timedelta(minutes=1),
            sender_id=page.facebook_page_id,
            text=f"=answer {number}",
            is_from_page=True,
        )
        conversations.append(
            Conversation(
                conversation_id=f"t_{page.facebook_page_id}_{number}",
                contact=person,
                participants=(person,),
                messages=(answer, asked) if number % 2 else (asked,),
                source_updated_at=at,
            )
        )
    with api.engine.store.write() as connection:
        upsert_batch(connection, page, conversations, folder="inbox", source="initial_sync", now=at)
    api.engine.derive()


@pytest.fixture
def filled(api: Api) -> Api:
    now = api.engine.clock.now().replace(microsecond=0)
    fill(api, api.page("104"), 4, at=now - timedelta(days=40))
    fill(api, api.page("105"), 3, at=now - timedelta(hours=2))
    return api


@pytest.mark.parametrize("what", list(What))
@pytest.mark.parametrize("chosen", [Format.CSV, Format.NDJSON])
def test_an_export_has_the_bytes_that_the_command_writes(filled: Api, what: What, chosen: Format) -> None:
    answer = filled.get(f"{EXPORTS}/{what}", params={"format": chosen, "trailer": "false"})
    request = ExportRequest(what=what, format=chosen, zone=filled.engine.settings.zone)
    export = Export(filled.engine.store, request, now=datetime(2026, 6, 1, tzinfo=UTC))
    assert answer.content == b"".join(export.chunks())
    assert answer.headers["X-Inboxsync-Rows"] == str(export.rows)
    assert answer.headers["Content-Type"] == export.media_type
    assert f"{what}-" in answer.headers["Content-Disposition"]


@pytest.mark.parametrize("chosen", [Format.XLSX, Format.PARQUET])
def test_a_workbook_and_a_parquet_file_are_whole(filled: Api, chosen: Format) -> None:
    content = filled.get(f"{EXPORTS}/messages?format={chosen}").content
    assert content.startswith(b"PK" if chosen is Format.XLSX else b"PAR1")
    assert content.endswith(b"PAR1") or chosen is Format.XLSX


def test_ndjson_ends_with_a_line_that_proves_it_whole(filled: Api, tmp_path: Path) -> None:
    path = tmp_path / "messages.ndjson"
    path.write_bytes(filled.get(f"{EXPORTS}/messages?format=ndjson").content)
    assert check_file(path).rows == 10
    assert TRAILER_KEY in json.loads(path.read_text(encoding="utf-8").splitlines()[-1])


def rows(answer: Any, delimiter: str = ",") -> list[list[str]]:  # noqa: ANN401 - an answer
    assert answer.status_code == 200, answer.text
    return list(csv.reader(io.StringIO(answer.text.removeprefix("\ufeff"), newline=""), delimiter=delimiter))[
        1:
    ]


def test_an_export_is_of_the_pages_and_the_time_that_were_asked_for(filled: Api) -> None:
    one, other = (filled.get("/api/v1/pages").json()["items"][number]["id"] for number in (0, 1))
    for query, count in (
        ("", 7),
        (f"page={one}", 4),
        (f"pageId={one.upper()}", 4),
        ("page_id=104", 4),
        ("page=Page+105", 3),
        (f"page={one}&page={other}", 7),
        ("page=104&pageId=104", 4),
        ("since=24h", 3),
        ("since=8w&page=104", 4),
        ("since=1d&page=104", 0),
        ("since=2030-01-01T00:00:00+07:00", 0),
        ("since=2020-01-01&zone=Asia/Ho_Chi_Minh", 7),
    ):
        assert len(rows(filled.get(f"{EXPORTS}/contacts?{query}"))) == count, query


def test_a_meta_id_on_two_platforms_exports_both_as_the_command_does(filled: Api) -> None:
    with filled.engine.store.write() as connection:
        twin, _ = upsert_page(
            connection,
            facebook_page_id="104",
            platform=Platform.INSTAGRAM,
            account_id="9",
            name="Page 104",
            access_token_encrypted="x",
            now=filled.engine.clock.now(),
        )
    fill(filled, twin, 2, at=filled.engine.clock.now())
    assert len(rows(filled.get(f"{EXPORTS}/contacts?page=104"))) == 6


def test_csv_has_the_delimiter_that_was_asked_for(filled: Api) -> None:
    for query, delimiter, has_mark in (
        ("delimiter=semicolon", ";", False),
        ("delimiter=;", ";", False),
        ("excel=de", ";", True),
        ("excel=de&bom=false", ";", False),
        ("excel=en-US", ",", True),
        ("bom=true", ",", True),
    ):
        answer = filled.get(f"{EXPORTS}/messages?{query}")
        assert len(rows(answer, delimiter)[0]) > 5
        assert answer.text.startswith("\ufeff") == has_mark


def test_headings_are_for_people_and_with_raw_the_names_of_columns(filled: Api) -> None:
    asked = f"{EXPORTS}/messages?zone=Asia/Tokyo"
    assert filled.get(asked).text.startswith("Contact,Sent at (Asia/Tokyo),Direction,")
    raw = filled.get(f"{asked}&raw=true").text
    assert raw.startswith("page_id,page_name,platform,conversation_id,")
    assert rows(filled.get(asked))[0][1] != rows(filled.get(f"{asked}&raw=true"))[0][7]
    assert filled.get(f"{asked}&raw=perhaps").status_code == 422


@pytest.mark.parametrize(
    ("query", "at"),
    [
        ("format=xls", "query.format"),
        ("format=csv&format=csv", "query.format"),
        ("pages=104", "query.pages"),
        ("since=yesterday", "query.since"),
        ("since=2026-13-01", "query.since"),
        ("since=", "query.since"),
        ("zone=Nowhere/Town", "query.zone"),
        ("zone=../../etc/passwd", "query.zone"),
        ("delimiter=x", "query.delimiter"),
        ("delimiter=tab&format=ndjson", "query.delimiter"),
        ("delimiter=tab&excel=de", "query.excel"),
        ("excel=%3F", "query.excel"),
        ("bom=perhaps", "query.bom"),
        ("has_phone=true", "query.has_phone"),
        ("limit=5", "query.limit"),
    ],
)
def test_what_cannot_be_used_is_refused_by_its_name(filled: Api, query: str, at: str) -> None:
    answer = filled.get(f"{EXPORTS}/messages?{query}")
    assert answer.status_code == 422, answer.text
    assert [each["at"] for each in answer.json()["errors"]] == [at]


@pytest.mark.parametrize("path", [f"{EXPORTS}/contacts", f"{REPORTS}/activity", f"{REPORTS}/response-times"])
def test_an_unknown_page_is_refused(filled: Api, path: str) -> None:
    answer = filled.get(f"{path}?page=104&page=nosuch")
    assert (answer.status_code, answer.json()["code"]) == (404, "page_unknown")
    for query, at in (("zone=x", "query.zone"), ("since=x", "query.since"), ("days=3", "query.days")):
        told = filled.get(f"{path}?{query}").json()
        assert [each["at"] for each in told["errors"]] == [at]


def test_an_unknown_table_or_report_is_refused(filled: Api) -> None:
    assert filled.get(f"{EXPORTS}/people").json()["errors"][0]["at"] == "path.what"
    assert filled.get(f"{REPORTS}/speed").status_code == 404
    assert filled.client.head(f"{EXPORTS}/messages").status_code == 405


def test_a_key_that_may_read_may_export_and_no_key_may_not(filled: Api) -> None:
    header = filled.key(Scope.READ)
    for path in (f"{EXPORTS}/messages", f"{REPORTS}/activity", f"{REPORTS}/response-times"):
        assert filled.get(path).status_code == 401
        assert filled.get(path, headers=header).status_code == 200


def test_a_report_says_what_the_command_says(filled: Api) -> None:
    zone = filled.engine.settings.zone
    with filled.engine.store.read() as connection:
        scope = Part(pages=tuple(list_pages(connection)))
        speeds = response_times(connection, scope, zone, now=filled.engine.clock.now())
        busy = activity(connection, scope, zone)
    told = filled.get(f"{REPORTS}/response-times").json()
    assert told["overall"] == {"responses": 3, "medianSeconds": 60.0, "p90Seconds": 60.0}
    assert told["unanswered"]["conversations"] == speeds.unanswered.conversations == 4
    assert [each["day"] for each in told["byDay"]] == [str(each.day) for each in speeds.by_day]
    assert len(told["byHour"]) == 24
    assert (told["zone"], told["automaticCounted"]) == (str(zone), False)
    told = filled.get(f"{REPORTS}/activity").json()
    assert (told["messagesIn"], told["messagesOut"]) == (busy.messages_in, busy.messages_out) == (7, 3)
    assert told["weekIn"] == [list(row) for row in busy.week_in]
    assert filled.get(f"{REPORTS}/activity?page=105&since=1d").json()["messagesIn"] == 3
    assert filled.get(f"{REPORTS}/activity?zone=Asia/Tokyo").json()["zone"] == "Asia/Tokyo"
    assert filled.get(f"{REPORTS}/response-times?count_automatic=true").json()["automaticCounted"] is True


def test_an_export_is_never_in_memory_as_a_whole(filled: Api) -> None:
    page, now = filled.page("106"), filled.engine.clock.now()
    person = Participant(id="7", name="Ann")
    conversations = [
        Conversation(
            conversation_id=f"t_big{number}",
            contact=person,
            participants=(person,),
            messages=tuple(
                Message(message_id=f"m_{number}_{each}", sent_at=now, sender_id="7", text="x" * 2_000)
                for each in range(5)
            ),
        )
        for number in range(4_000)
    ]
    with filled.engine.store.write() as connection:
        upsert_batch(connection, page, conversations, folder="inbox", source="initial_sync", now=now)
    size = 0
    tracemalloc.start()
    try:
        with filled.client.stream("GET", f"{EXPORTS}/messages?page=106") as answer:
            for chunk in answer.iter_bytes():
                size += len(chunk)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size > 40_000_000
    assert most < size / 2
