"""What is served as it was stored is skipped: no message of it is looked up, nothing of it is written."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import event

from inboxsync.model import History, Mode, Platform, RunStatus
from inboxsync.store import Store
from tests.sync.fixtures import OfDriver, Ready, Stored, Sync, WriteMessages

SANDBOX = {"conversations": 150, "messages": (1, 70), "folders": {"page_done": 20}}
_INBOX = ("messages", "messenger_conversations")


@pytest.fixture
def engine_url(url: str) -> str:
    return url


class Seen:
    """Our ids of the conversations whose messages a store looked up, and what it wrote of the inbox."""

    def __init__(self) -> None:
        self.looked_up: set[str] = set()
        self.written: list[str] = []

    def note(
        self,
        _connection: OfDriver,
        _cursor: OfDriver,
        statement: str,
        values: OfDriver,
        _context: OfDriver,
        _many: bool,
    ) -> None:
        if "messages AS h" in statement and statement.lstrip().startswith("SELECT"):
            keys = values["a"] if isinstance(values, dict) else [a for a, _ in json.loads(values[1])]
            self.looked_up |= set(keys)
        if any(f"{verb} {table}" in statement for verb in ("INTO", "UPDATE") for table in _INBOX):
            self.written.append(statement)


@contextmanager
def seen_in(store: Store) -> Iterator[Seen]:
    seen = Seen()
    event.listen(store.engine, "before_cursor_execute", seen.note)
    yield seen
    event.remove(store.engine, "before_cursor_execute", seen.note)


@pytest.mark.parametrize("platform", [Platform.MESSENGER, Platform.INSTAGRAM])
@pytest.mark.parametrize("history", [History.NEWEST, History.ALL])
def test_a_sync_that_finds_nothing_new_looks_up_no_message(
    ready: Ready, sync: Sync, platform: Platform, history: History
) -> None:
    _, engine = ready(platform=platform)
    assert sync(engine, history=history).status is RunStatus.COMPLETE
    for _ in range(2):
        with seen_in(engine.store) as seen:
            run = sync(engine)
        assert run.counts.unchanged == run.counts.fetched > 50
        assert (seen.looked_up, seen.written) == (set(), [])


@pytest.mark.parametrize("history", [History.NEWEST, History.ALL])
def test_a_sync_looks_up_the_messages_of_changed_conversations_alone(
    ready: Ready, sync: Sync, write: WriteMessages, stored: Stored, history: History
) -> None:
    served, engine = ready()
    assert sync(engine, history=history).status is RunStatus.COMPLETE
    changed = {write(served, slot) for slot in (3, 40, 77)}
    with seen_in(engine.store) as seen:
        assert sync(engine).counts.events == 3
    ids: dict[str, str] = dict(stored(engine, "SELECT id, conversation_id FROM messenger_conversations"))
    assert {ids[row_id] for row_id in seen.looked_up} == changed


def test_a_full_sync_of_what_is_stored_looks_up_no_message(ready: Ready, sync: Sync) -> None:
    _, engine = ready()
    sync(engine, history=History.ALL)
    sync(engine)
    with seen_in(engine.store) as seen:
        run = sync(engine, mode=Mode.FULL)
    assert run.counts.unchanged == run.counts.fetched == 170
    assert (seen.looked_up, seen.written) == (set(), [])
