"""How a run ends: partial where the next one continues, failed where it would fail again."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from inboxsync.engine import Engine
from inboxsync.errors import (
    InboxsyncError,
    LeaseLost,
    OutputFailed,
    SourceRefused,
    Stalled,
    StoreFull,
    StoreReplaced,
    StoreUnavailable,
    TokenInvalid,
)
from inboxsync.model import Mode, Page, Platform, Run, RunStatus, TokenState
from inboxsync.sandbox import Faults
from inboxsync.sync.conclude import Unfinished, WorkEnd, conclude
from tests.fixtures import FakeClock
from tests.sync.fixtures import Ready, Stored, Sync


def page(clock: FakeClock) -> Page:
    return Page(
        id="p",
        facebook_page_id="104",
        platform=Platform.MESSENGER,
        account_id="104",
        name=None,
        token_state=TokenState.VALID,
        last_synced_at=clock.now(),
    )


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Stalled("x"), RunStatus.PARTIAL),
        (LeaseLost("x"), RunStatus.PARTIAL),
        (StoreFull("x"), RunStatus.PARTIAL),
        (StoreUnavailable("x"), RunStatus.PARTIAL),
        (OutputFailed("x"), RunStatus.PARTIAL),
        (TokenInvalid("x"), RunStatus.FAILED),
        (SourceRefused("x"), RunStatus.FAILED),
        (StoreReplaced("x"), RunStatus.FAILED),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("batches", [0, 3])
def test_it_is_partial_where_something_is_stored_and_no_person_is_needed(
    clock: FakeClock, error: InboxsyncError, status: RunStatus, batches: int
) -> None:
    run = Run(
        id="r",
        page_id="p",
        facebook_page_id="104",
        platform=Platform.MESSENGER,
        mode=Mode.FULL,
        status=RunStatus.RUNNING,
        started_at=clock.now(),
        batches=batches,
    )
    ended = conclude(run, page(clock), WorkEnd(error=error), Unfinished())
    assert ended.status is (status if batches else RunStatus.FAILED)


def remove(database: Path) -> None:
    database.unlink()


def move(database: Path) -> None:
    database.rename(database.with_name("moved.db"))


def replace_it(database: Path) -> None:
    copy = database.with_name("copy.db")
    shutil.copyfile(database, copy)
    copy.rename(database)


def rename_folder(database: Path) -> None:
    database.parent.rename(database.parent.with_name("renamed"))


def database_of(engine: Engine) -> Path:
    return Path(engine.settings.data_dir) / "inboxsync.db"


@pytest.mark.parametrize("change", [remove, move, replace_it, rename_folder])
@pytest.mark.parametrize("has_faults", [False, True])
def test_a_database_that_is_no_longer_there_is_never_called_complete(
    ready: Ready, sync: Sync, change: Callable[[Path], None], *, has_faults: bool
) -> None:
    faults = Faults(poison_slots=(3,), reset=0.1) if has_faults else Faults()
    _, engine = ready(conversations=600, faults=faults)
    database = database_of(engine)
    if not database.exists():
        pytest.skip("not on PostgreSQL: its files are the server's")
    run = sync(engine, on_batch=lambda number: change(database) if number == 2 else None)
    assert run.status is RunStatus.FAILED
    assert "store_replaced" in {problem.code for problem in run.problems}
    assert not database.exists() or change is replace_it
    for folder in (database.parent, database.parent.with_name("renamed")):
        assert all(each.stat().st_size for each in folder.glob("*.db"))


def test_a_list_that_leads_in_circles_ends_and_says_so(ready: Ready, sync: Sync, stored: Stored) -> None:
    _, engine = ready(conversations=350, faults=Faults(cursor_cycle=150))
    run = sync(engine)
    assert run.status is RunStatus.COMPLETE
    assert [problem.code for problem in run.problems] == ["list_in_circles"]
    assert stored(engine, "SELECT COUNT(*) FROM messenger_conversations") == [(350,)]
    assert run.calls < 20
