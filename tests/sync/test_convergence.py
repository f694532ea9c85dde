"""Answers in any order and number lead to the same rows, and what is not stored is in the backlog."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inboxsync.model import (
    BacklogItem,
    BacklogKind,
    Batch,
    Conversation,
    Message,
    MessageBatch,
    Mode,
    Platform,
    Run,
    RunStatus,
)
from inboxsync.store import Store
from inboxsync.store.state.backlog import get_backlog_item
from inboxsync.store.state.leases import acquire_lease
from inboxsync.store.state.pages import upsert_page
from inboxsync.store.state.runs import start_run
from inboxsync.sync.ingest import Ingest
from inboxsync.sync.plan import begin_scan, plan_backlog_item, plan_next
from tests.fixtures import FakeClock, Row, examples

NOW = datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC)
MESSAGES = "SELECT message_id, text FROM messages ORDER BY 1"
ALL = settings(max_examples=examples(60))


def at(number: int) -> datetime:
    return NOW + timedelta(minutes=number)


def message(number: int) -> Message:
    return Message(message_id=f"m_{number:03}", sent_at=at(number), text=str(number), sender_id="7")


def answer(newest: int, window: int) -> Conversation:
    """One conversation as it was when `newest` messages had been sent, with so many of them."""
    numbers = range(newest, max(0, newest - window), -1)
    return Conversation(
        conversation_id="t_1",
        source_updated_at=at(newest),
        messages=tuple(message(number) for number in numbers),
        has_older_messages=newest > window,
    )


class Archive:
    """One Page's store, written to as a run would."""

    def __init__(self, path: Path) -> None:
        self.store = Store.open(f"sqlite:///{path}")
        with self.store.write() as connection:
            self.page, _ = upsert_page(
                connection,
                facebook_page_id="104",
                platform=Platform.MESSENGER,
                account_id="104",
                name="A Page",
                access_token_encrypted="x",
                now=NOW,
            )
            acquire_lease(connection, self.page.id, "me", now=NOW, seconds=10**9)
            self.run = Run(
                id="run",
                page_id=self.page.id,
                facebook_page_id="104",
                platform="messenger",
                mode=Mode.FULL,
                status=RunStatus.RUNNING,
                started_at=NOW,
            )
            start_run(connection, self.run)
        self.ingest = Ingest(store=self.store, clock=FakeClock(), page=self.page, owner="me")

    def empty(self) -> None:
        with self.store.write() as connection:
            for table in ("messenger_conversations", "backlog", "list_positions"):
                connection.exec_driver_sql(f"DELETE FROM {table}")

    def take(self, served: Conversation, *, watermark: datetime | None = None) -> None:
        batch = Batch(conversations=(served,), answered_at=at(1000), after=None, has_next=False)
        scanning = begin_scan(lower_bound=watermark, watermark=watermark)
        self.run = self.ingest.store_list_batch(
            self.run,
            batch,
            folder="inbox",
            scanning=scanning,
            state=plan_next(scanning, [], batch),
            synced_at=None,
            counts_unchanged=True,
            new_settings=None,
        )

    def backlog(self, kind: BacklogKind = BacklogKind.GAP) -> BacklogItem | None:
        with self.store.read() as connection:
            return get_backlog_item(connection, self.page, kind, "t_1")

    def read_gap(self, newest: int, *, size: int, batches: int = 1000) -> None:
        """Fetch the gap in the backlog, with so many answers of messages at most."""
        item = self.backlog()
        while item is not None and batches > 0:
            batches -= 1
            top = int(item.cursor) if item.cursor else newest
            numbers = range(top, max(0, top - size), -1)
            batch = MessageBatch(
                messages=tuple(message(number) for number in numbers),
                after=str(top - size),
                has_next=top > size,
            )
            rest = plan_backlog_item(item, batch)
            self.run = self.ingest.store_messages(self.run, item, batch, rest=rest)
            item = self.backlog()

    def rows(self, sql: str) -> list[Row]:
        with self.store.read() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(sql)]

    @property
    def numbers(self) -> list[int]:
        return [int(each.removeprefix("m_")) for each, _ in self.rows(MESSAGES)]

    @property
    def has_older(self) -> bool:
        return self.rows("SELECT has_older_messages FROM messenger_conversations") == [(1,)]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    opened = Archive(tmp_path_factory.mktemp("archive") / "inboxsync.db")
    yield opened
    opened.store.close()


answers = st.lists(st.tuples(st.integers(1, 30), st.integers(1, 12)), min_size=1, max_size=7)


@ALL
@given(served=answers, data=st.data())
def test_any_order_and_repetition_of_answers_stores_the_same(
    archive: Archive, served: list[tuple[int, int]], data: st.DataObject
) -> None:
    archive.empty()
    for newest, window in served:
        archive.take(answer(newest, window))
    once = archive.rows(MESSAGES)
    newest_texts = "SELECT last_message, last_message_time, source_updated_at FROM messenger_conversations"
    expected = archive.rows(newest_texts)
    archive.empty()
    repeated = served + data.draw(st.lists(st.sampled_from(served), max_size=4))
    for newest, window in data.draw(st.permutations(repeated)):
        archive.take(answer(newest, window))
    assert archive.rows(MESSAGES) == once
    # Two answers of the same second hold the same; else the newest one counts.
    assert archive.rows(newest_texts) == expected


steps = st.lists(
    st.tuples(
        st.integers(0, 15),  # so many more were sent
        st.integers(1, 6),  # so many came with the list
        st.integers(0, 3),  # so many answers of the gap's messages, before the run was cut off
        st.integers(0, 20),  # how late the list answer was: some messages came after it was written
    ),
    min_size=1,
    max_size=7,
)


@ALL
@given(begins=st.integers(1, 30), steps=steps, size=st.integers(1, 7))
def test_what_is_stored_and_the_backlog_cover_all_that_was_served(
    archive: Archive, begins: int, steps: list[tuple[int, int, int, int]], size: int
) -> None:
    archive.empty()
    archive.take(answer(begins, 2))
    bottom, newest, shown = min(archive.numbers), begins, begins
    for grown, window, batches, late in steps:
        newest += grown
        seen = max(1, newest - late)
        archive.take(answer(seen, window), watermark=at(shown))
        shown = max(shown, seen)
        archive.read_gap(newest, size=size, batches=batches)
    archive.read_gap(newest, size=size)
    assert archive.backlog() is None
    numbers = archive.numbers
    assert all(after - before == 1 for before, after in pairwise(numbers)), numbers
    assert numbers[-1] >= shown
    assert numbers[0] <= bottom
    assert archive.has_older or numbers[0] == 1


@ALL
@given(begins=st.integers(1, 40), known=st.integers(0, 40), window=st.integers(1, 12), size=st.integers(1, 9))
def test_a_new_conversation_is_in_the_backlog_down_to_the_last_sync(
    archive: Archive, begins: int, known: int, window: int, size: int
) -> None:
    archive.empty()
    archive.take(answer(begins, window), watermark=at(known))
    archive.read_gap(begins, size=size)
    assert archive.backlog() is None
    numbers = set(archive.numbers)
    assert numbers >= set(range(known, begins + 1)) - {0}
    assert archive.has_older == (1 not in numbers)
