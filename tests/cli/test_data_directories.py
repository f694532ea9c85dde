"""A data directory is a path: whatever legal name it has, all files of inboxsync lie in it."""

import os
import shutil
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from inboxsync.engine import Engine
from inboxsync.settings import Settings
from inboxsync.store import Store, open_queue_database
from tests.cli.fixtures import Run, StartSandbox

NAMES = [
    *("Shop%201", "why?", "a?b", "x?y=z", "x?uri=true&mode=memory", "a#b", "%", "%00", "100%25", "50%zz"),
    *(" ", "two  spaces ", "B\u00fccher", "\u5546\u5e97", "it's", 'say "hi"', "back\\slash", "line\nend"),
    *("-rf", "--help", "file:x", "file:x?mode=ro", ":memory:", "sqlite:", "a;b", "a&b=c", "$HOME", "`x`"),
    *("~nobody-is-called-so", "[1]", "*", "a:b@c", "\u202eabc", os.fsdecode(b"not-utf8-\xff")),
]


def files_below(folder: Path) -> set[Path]:
    return {each.relative_to(folder) for each in folder.rglob("*") if each.is_file()}


@pytest.mark.parametrize("name", NAMES)
def test_store_and_queue_lie_in_the_folder_that_was_named(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    engine = Engine(Settings(data_dir=Path(name)))
    with closing(engine), engine.store.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM facebook_pages")).scalar_one() == 0
        queue, _ = engine.queue_database()
        assert queue.url.render_as_string()  # DBOS does so
        with queue.begin() as writing:
            writing.execute(text("CREATE TABLE t (x)"))
        queue.dispose()
        assert engine.store.where.isprintable()
    written = files_below(tmp_path)
    assert {each.parent for each in written} == {Path(name)}
    assert {"inboxsync.db", "inboxsync-queue.db"} <= {each.name for each in written}


def test_a_way_back_out_of_a_linked_folder_is_the_systems_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "deep" / "folder").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "deep" / "folder")
    monkeypatch.chdir(tmp_path)
    path = Path("link/../data/inboxsync.db")
    Store.open(path).close()
    queue, _ = open_queue_database(path, schema_name=None)
    queue.dispose()
    assert {each.parent for each in files_below(tmp_path)} == {Path("deep/data")}


@pytest.mark.system
def test_every_command_works_in_a_folder_of_any_name(
    run: Run, sandbox: StartSandbox, environment: dict[str, str], tmp_path: Path
) -> None:
    ready = sandbox("--conversations", "20")
    page = ready["page_id"]
    for name in ("Shop%201", "why?x=y#z", 'it\'s "B\u00fccher"\n;', "-file:~%00"):
        folder = tmp_path / "shops" / name
        folder.mkdir(parents=True)
        environment["INBOXSYNC_DATA_DIR"] = str(folder)
        for arguments in (
            ("pages", "add", page, "--token-stdin"),
            ("sync",),
            ("pages", "list"),
            ("search", "the"),
            ("report", "activity"),
            ("export", "contacts", "-o", str(folder / "contacts.xlsx")),
            ("export", "check", str(folder / "contacts.xlsx")),
            ("export", "html", page, "-o", str(folder / "archive")),
            ("verify",),
            ("runs",),
            ("db", "upgrade"),
        ):
            ended = run(*arguments, stdin=ready["token"])
            assert ended.returncode == 0, (name, arguments, ended.stderr)
        assert {each.parts[1] for each in files_below(tmp_path) if each.parts[0] == "shops"} == {name}
        assert (folder / "inboxsync.db").is_file()
        shutil.rmtree(folder)
