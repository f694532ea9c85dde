"""What is written to disk is its owner's alone."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from inboxsync.reports.folders import FolderManifest, atomic_folder, check_folder
from tests.attacks.fixtures import OpenSite
from tests.cli.fixtures import Run


@pytest.fixture
def _everybody() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("_everybody")
def test_every_file_of_a_folder_is_its_owners_alone_whatever_the_umask(tmp_path: Path) -> None:
    target = tmp_path / "archive"
    with atomic_folder(target) as folder:
        with folder.opened("index.html") as file:
            file.write(b"hello")
        folder.close(
            FolderManifest(
                what="html",
                page_id="104",
                platform="messenger",
                conversations=1,
                exported_at=datetime(2026, 3, 1, tzinfo=UTC),
                files=folder.written,
            )
        )
    check_folder(target)
    assert {each.name: each.stat().st_mode & 0o777 for each in target.iterdir()} == {
        "index.html": 0o600,
        "manifest.json": 0o600,
    }
    assert target.stat().st_mode & 0o777 == 0o700


def test_every_file_that_a_command_writes_is_its_owners_alone(
    site: OpenSite, run: Run, tmp_path: Path
) -> None:
    opened = site()
    opened.write(opened.page(), "hello")
    opened.engine.token_cipher(may_make_key=True)
    for format_ in ("csv", "ndjson", "xlsx", "parquet"):
        assert run("export", "messages", "-o", str(tmp_path / "data" / f"m.{format_}")).returncode == 0
    archived = run("export", "html", "104", "-o", str(tmp_path / "data" / "archive"))
    assert archived.returncode == 0, archived.stderr
    written = [each for each in (tmp_path / "data").rglob("*") if each.is_file()]
    assert len(written) > 10
    # SQLite's own files take the mode of the database.
    assert {
        str(each): oct(each.stat().st_mode & 0o777) for each in written if each.stat().st_mode & 0o077
    } == {}


def test_an_export_through_a_link_is_found_by_its_check(site: OpenSite, run: Run, tmp_path: Path) -> None:
    opened = site()
    opened.write(opened.page(), "hello")
    (tmp_path / "real").mkdir()
    link = tmp_path / "link.csv"
    link.symlink_to(tmp_path / "real" / "messages.csv")
    assert run("export", "messages", "-o", str(link)).returncode == 0
    for path in (link, tmp_path / "real" / "messages.csv"):
        checked = run("export", "check", str(path))
        assert checked.returncode == 0, checked.stderr
    assert link.is_symlink()
