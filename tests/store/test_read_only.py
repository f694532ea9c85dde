"""A copy that cannot be written can be read: a read-only file, folder or mount, with what a writer left."""

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from sqlalchemy import make_url, text

from inboxsync.engine import Engine
from inboxsync.errors import StoreUnavailable
from inboxsync.settings import Settings
from inboxsync.store import Store
from inboxsync.store.state.pages import list_pages
from tests.store.conftest import add_page


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A database with one Page, and a second one in the files that a writer leaves beside it."""
    path = tmp_path / "source" / "inboxsync.db"
    with closing(Store.open(path)) as store:
        add_page(store, "104")
    folder = tmp_path / "copy?%"
    folder.mkdir()
    with closing(Store.open(path)) as store:
        add_page(store, "105")
        for each in path.parent.iterdir():
            shutil.copy(each, folder)
    return folder / "inboxsync.db"


def settle(copy: Path) -> None:
    """Have the database in one file, as a writer that ended leaves it."""
    with closing(sqlite3.connect(copy)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for ending in ("-wal", "-shm"):
        Path(f"{copy}{ending}").unlink(missing_ok=True)


def count_pages(path: Path) -> int:
    with closing(Store.open(path)) as store, store.read() as connection:
        return int(connection.execute(text("SELECT count(*) FROM facebook_pages")).scalar_one())


@pytest.fixture
def forbidden(monkeypatch: pytest.MonkeyPatch) -> set[Path]:
    """What this user may not write; for the administrator nothing is forbidden but by a mount."""
    paths: set[Path] = set()
    allowed = os.access
    monkeypatch.setattr(
        os,
        "access",
        lambda path, mode: not (mode == os.W_OK and Path(path) in paths) and allowed(path, mode),
    )
    return paths


def test_in_a_read_only_folder_everything_is_read(copy: Path, forbidden: set[Path]) -> None:
    settle(copy)
    forbidden.add(copy.parent)
    before = {each.name: each.stat().st_mtime_ns for each in copy.parent.iterdir()}
    assert count_pages(copy) == 2
    assert {each.name: each.stat().st_mtime_ns for each in copy.parent.iterdir()} == before


def test_what_a_writer_left_is_read_too(copy: Path, forbidden: set[Path]) -> None:
    forbidden.add(copy.parent)
    assert count_pages(copy) == 2


def test_a_read_only_file_in_a_folder_of_ones_own_is_read(copy: Path, forbidden: set[Path]) -> None:
    settle(copy)
    forbidden.add(copy)
    assert count_pages(copy) == 2


def test_nothing_is_left_out_silently_where_only_a_part_is_there(copy: Path, forbidden: set[Path]) -> None:
    forbidden.add(copy.parent)
    Path(f"{copy}-shm").unlink()
    with pytest.raises(StoreUnavailable) as refused:
        Store.open(copy)
    assert "its newest changes are in inboxsync.db-wal" in refused.value.message
    assert "INBOXSYNC_DATA_DIR" in refused.value.hint


def test_a_change_meanwhile_is_noticed(copy: Path, forbidden: set[Path]) -> None:
    settle(copy)
    forbidden.add(copy.parent)
    with closing(Store.open(copy)) as store, ExitStack() as reading:
        reading.enter_context(store.read())
        forbidden.clear()
        with closing(Store.open(copy)) as writer:
            add_page(writer, "106")
        with pytest.raises(StoreUnavailable, match="changed while it was read"):
            reading.close()
    assert count_pages(copy) == 3


def test_to_write_there_is_refused_in_one_sentence(copy: Path, forbidden: set[Path]) -> None:
    settle(copy)
    forbidden.add(copy.parent)
    with closing(Store.open(copy)) as store, pytest.raises(StoreUnavailable) as refused:
        add_page(store, "106")
    assert refused.value.message.endswith("cannot be written: it is read-only.")


@pytest.fixture
def mounted(copy: Path, tmp_path: Path) -> Iterator[Path]:
    """The copy on a mount that is read-only for everybody."""
    mount = tmp_path / "mount"
    mount.mkdir()
    try:
        subprocess.run(["mount", "--bind", str(copy.parent), str(mount)], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("only an administrator may mount")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", str(mount)], check=True, capture_output=True)
        yield mount
    finally:
        subprocess.run(["umount", str(mount)], check=False)


@pytest.mark.parametrize("is_settled", [True, False])
def test_on_a_read_only_mount_everything_is_read(copy: Path, mounted: Path, is_settled: bool) -> None:
    if is_settled:
        settle(copy)
    assert count_pages(mounted / "inboxsync.db") == 2
    engine = Engine(Settings(data_dir=mounted))
    with closing(engine), pytest.raises(StoreUnavailable, match="it is read-only"):
        add_page(engine.store, "106")


@pytest.mark.parametrize("database", ["postgresql"])
def test_a_replica_of_postgresql_is_read(store: Store, url: str) -> None:
    page = add_page(store, "104")
    asked = make_url(url).update_query_dict({"options": "-c default_transaction_read_only=on"})
    with closing(Store.open(asked.render_as_string(hide_password=False))) as replica:
        with replica.read() as connection:
            assert [each.id for each in list_pages(connection)] == [page.id]
        with pytest.raises(StoreUnavailable, match="it is read-only"):
            add_page(replica, "105")
