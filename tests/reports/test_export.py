"""An export is complete, or says that it is not."""

import asyncio
import hashlib
import json
import threading
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import QueuePool

from inboxsync.errors import FileIncomplete, OutputFailed, PageUnknown, SettingsInvalid, StoreError
from inboxsync.model import Page
from inboxsync.reports import Export, ExportRequest, Format, What
from inboxsync.reports.files import write_export
from inboxsync.reports.manifest import check_file, manifest_path
from inboxsync.store import Store
from tests.reports.fixtures import Inbox, StartExport

# What is claimed of files is the same whatever they were read from.
FILES_ALONE = pytest.mark.parametrize("database", ["sqlite"])
MESSAGES = ExportRequest(what=What.MESSAGES, format=Format.NDJSON)


class Stopped(Exception):
    pass


def checked_out(store: Store) -> int:
    assert isinstance(store.engine.pool, QueuePool)
    return store.engine.pool.checkedout()


@pytest.fixture
def filled(inbox: Inbox, page: Page) -> Page:
    inbox.put(
        page,
        *(
            inbox.conversation(f"{contact}", *(inbox.said(minute) for minute in range(30)))
            for contact in range(100)
        ),
    )
    return page


@pytest.fixture
def export(store: Store, inbox: Inbox, filled: Page) -> StartExport:  # noqa: ARG001 - it fills the store
    def start(request: ExportRequest = MESSAGES) -> Export:
        return Export(store, request, now=inbox.at(0))

    return start


def test_how_many_rows_is_known_before_the_first_and_the_manifest_after_the_last(export: StartExport) -> None:
    made = export()
    assert (made.rows, made.manifest) == (3000, None)
    assert (made.media_type, made.filename) == ("application/x-ndjson", "messages-2026-06-01.ndjson")
    whole = b"".join(made.chunks())
    assert made.manifest is not None
    assert (made.manifest.rows, made.manifest.bytes) == (3000, len(whole))
    assert made.manifest.sha256 == hashlib.sha256(whole).hexdigest()


def test_it_shows_one_state_of_the_database(export: StartExport, inbox: Inbox, filled: Page) -> None:
    with closing(export()) as made:
        chunks = made.chunks()
        first = next(chunks)
        inbox.put(filled, inbox.conversation("999", inbox.said(0)))
        assert len((first + b"".join(chunks)).splitlines()) == 3000
    assert export().rows == 3001


@FILES_ALONE
def test_a_trailer_says_that_streamed_ndjson_is_whole(export: StartExport, tmp_path: Path) -> None:
    made = export(ExportRequest(what=What.MESSAGES, format=Format.NDJSON, trailer=True))
    whole = b"".join(made.chunks())
    assert set(json.loads(whole.splitlines()[-1])) == {"inboxsync_export"}
    path = tmp_path / "messages.ndjson"
    path.write_bytes(whole)
    assert check_file(path) == made.manifest
    lines = whole.splitlines(keepends=True)
    for cut in (lines[:-1], lines[1:], [*lines[:-1], lines[-1][:-5]], []):
        path.write_bytes(b"".join(cut))
        with pytest.raises(FileIncomplete):
            check_file(path)


@FILES_ALONE
@pytest.mark.parametrize("chosen", list(Format))
def test_a_cut_or_changed_file_is_told_by_its_manifest(
    export: StartExport, tmp_path: Path, chosen: Format
) -> None:
    path = tmp_path / f"contacts.{chosen}"
    told = write_export(export(ExportRequest(what=What.CONTACTS, format=chosen)), path)
    assert check_file(path) == told
    assert told.rows == 100
    assert path.stat().st_mode & 0o777 == 0o600
    whole = path.read_bytes()
    for broken in (whole[:-1], whole[:1000], whole + b"x", whole[:-1] + b"\x01", b""):
        path.write_bytes(broken)
        with pytest.raises(FileIncomplete):
            check_file(path)
    path.write_bytes(whole)
    manifest_path(path).write_text("{")
    with pytest.raises(FileIncomplete):
        check_file(path)
    with pytest.raises(OutputFailed):
        check_file(tmp_path / "nothing.csv")


@FILES_ALONE
@pytest.mark.parametrize("chosen", list(Format))
def test_one_that_is_stopped_leaves_no_file_and_the_older_one_as_it_was(
    export: StartExport, tmp_path: Path, chosen: Format
) -> None:
    path = tmp_path / f"messages.{chosen}"
    request = ExportRequest(what=What.MESSAGES, format=chosen)
    before = write_export(export(request), path)

    def stop(rows: int) -> None:
        if rows:
            raise Stopped

    with pytest.raises(Stopped):
        write_export(export(request), path, stop)
    assert sorted(tmp_path.glob("*")) == sorted(
        {path, manifest_path(path)} | set(tmp_path.glob("inboxsync.db*"))
    )
    assert check_file(path) == before


@FILES_ALONE
def test_a_second_export_replaces_the_first_with_its_manifest(
    export: StartExport, tmp_path: Path, inbox: Inbox, filled: Page
) -> None:
    path = tmp_path / "contacts.csv"
    request = ExportRequest(what=What.CONTACTS, format=Format.CSV)
    write_export(export(request), path)
    inbox.put(filled, inbox.conversation("999", inbox.said(0)))
    assert write_export(export(request), path).rows == check_file(path).rows == 101


@FILES_ALONE
def test_what_cannot_be_written_is_said(export: StartExport, tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere" / "a.csv", tmp_path, Path("/dev/null")):
        with closing(export()) as made, pytest.raises(OutputFailed):
            write_export(made, path)


def test_a_page_that_is_not_there_is_said_at_once(store: Store, inbox: Inbox) -> None:
    with pytest.raises(PageUnknown):
        Export(store, ExportRequest(what=What.CONTACTS, format=Format.CSV, pages=("9",)), now=inbox.at(0))


@FILES_ALONE
def test_nothing_stored_is_an_empty_table(store: Store, inbox: Inbox) -> None:
    for chosen in Format:
        made = Export(store, ExportRequest(what=What.CONTACTS, format=chosen), now=inbox.at(0))
        whole = b"".join(made.chunks())
        assert made.manifest is not None
        assert (made.manifest.rows, bool(whole)) == (0, chosen is not Format.NDJSON)


def test_an_event_loop_gets_the_same_bytes(export: StartExport) -> None:
    async def collect() -> bytes:
        return b"".join([chunk async for chunk in export().async_chunks()])

    assert asyncio.run(collect()) == b"".join(export().chunks())


def test_a_client_that_goes_away_frees_the_connection(store: Store, export: StartExport) -> None:
    began = threading.Event()

    async def abandon() -> None:
        async for _ in export().async_chunks():
            began.set()
            await asyncio.sleep(60)

    async def run() -> None:
        task = asyncio.create_task(abandon())
        await asyncio.to_thread(began.wait)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        for _ in range(100):
            if checked_out(store) == 0:
                return
            await asyncio.sleep(0.02)

    asyncio.run(run())
    assert checked_out(store) == 0


@pytest.mark.parametrize("database", ["postgresql"])
def test_a_database_that_goes_away_is_no_end(
    export: StartExport, url: str, request: pytest.FixtureRequest
) -> None:
    made = export()
    chunks = made.chunks()
    next(chunks)
    request.getfixturevalue("server").execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
        "AND pid <> pg_backend_pid()",
        url=url,
    )
    with pytest.raises(StoreError):
        b"".join(chunks)
    assert made.manifest is None


@FILES_ALONE
def test_without_pyarrow_parquet_says_how_to_get_it(
    export: StartExport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(SettingsInvalid) as refused:
        export(ExportRequest(what=What.CONTACTS, format=Format.PARQUET))
    assert "inboxsync[parquet]" in refused.value.hint
