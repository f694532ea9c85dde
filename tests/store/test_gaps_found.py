"""What a batch leaves out of a conversation is told, never guessed away."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from inboxsync.model import Conversation, Message, Page
from inboxsync.store import Store
from inboxsync.store.state.conversations import set_has_older_messages
from inboxsync.store.writing.upsert import FoundGap, Written, upsert_batch, upsert_message_batch
from tests.fixtures import examples
from tests.store.fixtures import Fields, Rows

NOW = datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC)
BACKLOG = "SELECT has_older_messages FROM messenger_conversations ORDER BY conversation_id"


def message(number: int) -> Message:
    return Message(message_id=f"m_{number}", sent_at=NOW + timedelta(minutes=number), text=str(number))


def conversation(
    *numbers: int, has_older: bool = False, graph_id: str = "t_1", **changes: Fields
) -> Conversation:
    """With these messages, newest first; as new as the newest of them."""
    newest = max(numbers, default=1000)
    usual = Conversation(
        conversation_id=graph_id,
        source_updated_at=NOW + timedelta(minutes=newest),
        messages=tuple(message(number) for number in sorted(numbers, reverse=True)),
        has_older_messages=has_older,
    )
    return msgspec.structs.replace(usual, **changes)


def upsert(store: Store, page: Page, *conversations: Conversation, source: str = "initial_sync") -> Written:
    with store.write() as connection:
        return upsert_batch(connection, page, conversations, folder="inbox", source=source, now=NOW)


def add_messages(
    store: Store, page: Page, *numbers: int, source: str = "history_sync", graph_id: str = "t_1"
) -> int | None:
    with store.write() as connection:
        found = [message(number) for number in numbers]
        return upsert_message_batch(connection, page, graph_id, found, source=source, now=NOW)


def gap(*anchors: int, is_new: bool = False, graph_id: str = "t_1") -> FoundGap:
    return FoundGap(conversation_id=graph_id, anchors=tuple(f"m_{each}" for each in anchors), is_new=is_new)


def test_a_new_conversation_with_older_messages_is_a_hole_down_to_its_bottom(
    store: Store, page: Page
) -> None:
    written = upsert(store, page, conversation(5, 4, has_older=True), conversation(7, graph_id="t_2"))
    assert written.found_gaps == (gap(is_new=True),)
    assert written.whole == ("t_2",)


def test_messages_that_meet_stored_ones_leave_no_hole(store: Store, page: Page, rows: Rows) -> None:
    upsert(store, page, conversation(1, 2))
    written = upsert(store, page, conversation(2, 3, has_older=True))
    assert (written.found_gaps, written.whole) == ((), ())
    assert rows(BACKLOG) == [(0,)]


def test_messages_that_meet_none_leave_a_hole_down_to_the_newest_stored(
    store: Store, page: Page, rows: Rows
) -> None:
    upsert(store, page, conversation(*range(30)), conversation(1, graph_id="t_2"))
    written = upsert(store, page, conversation(99, 98, has_older=True), conversation(1, graph_id="t_2"))
    assert written.found_gaps == (gap(*range(29, 9, -1)),)
    assert written.whole == ("t_2",)
    # Below its anchors nothing has changed: the gap is in the backlog.
    assert rows(BACKLOG) == [(0,), (0,)]


def test_what_lies_below_a_hole_stays_backlog(store: Store, page: Page, rows: Rows) -> None:
    upsert(store, page, conversation(1, 2, has_older=True))
    assert upsert(store, page, conversation(9, 8, has_older=True)).found_gaps == (gap(2, 1),)
    assert rows(BACKLOG) == [(1,)]


def test_a_hole_above_nothing_stored_has_no_anchors(store: Store, page: Page, rows: Rows) -> None:
    upsert(store, page, conversation(source_updated_at=NOW))
    assert upsert(store, page, conversation(9, 8, has_older=True)).found_gaps == (gap(),)
    assert rows(BACKLOG) == [(1,)]


def test_a_list_that_has_more_and_shows_nothing_is_a_hole(store: Store, page: Page) -> None:
    upsert(store, page, conversation(1, 2))
    assert upsert(store, page, conversation(has_older=True)).found_gaps == (gap(2, 1),)


def test_what_a_webhook_brought_neither_meets_nor_anchors(store: Store, page: Page) -> None:
    upsert(store, page, conversation(1, 2))
    add_messages(store, page, 9, source="webhook")
    assert upsert(store, page, conversation(9, 8, has_older=True)).found_gaps == (gap(2, 1),)


def test_an_older_answer_tells_of_its_hole_and_nothing_of_the_bottom(
    store: Store, page: Page, rows: Rows
) -> None:
    upsert(store, page, conversation(9, 8, has_older=True))
    late = upsert(store, page, conversation(5, 4, has_older=True))
    # The hole is above the older answer's messages, which the store has from now on.
    assert late.found_gaps == (replace(gap(5, 4), is_older=True),)
    written = upsert(store, page, conversation(2, 1))
    assert (written.found_gaps, written.whole) == ((replace(gap(2, 1), is_older=True),), ())
    assert rows(BACKLOG) == [(1,)]


def test_a_conversation_served_to_its_bottom_is_whole_even_where_it_meets(
    store: Store, page: Page, rows: Rows
) -> None:
    upsert(store, page, conversation(5, 4, has_older=True))
    written = upsert(store, page, conversation(5, 4, 3))
    assert (written.whole, written.found_gaps, written.counts.updated) == (("t_1",), (), 1)
    assert rows(BACKLOG) == [(0,)]


def test_a_conversation_served_without_messages_tells_nothing_of_them(
    store: Store, page: Page, rows: Rows
) -> None:
    upsert(store, page, conversation(5, has_older=True))
    written = upsert(store, page, conversation(), conversation(graph_id="t_2"))
    assert (written.whole, written.found_gaps) == ((), ())
    assert rows(BACKLOG) == [(1,), (0,)]


def test_without_a_hole_no_anchors_are_read(store: Store, page: Page, statements: Callable[[], Any]) -> None:
    upsert(store, page, conversation(1, 2))
    with statements() as sent:
        upsert(
            store, page, conversation(2, 3, has_older=True), conversation(1, has_older=True, graph_id="t_2")
        )
    assert not [sql for sql in sent if "row_number" in sql]


def test_messages_alone_are_stored_with_how_they_came(store: Store, page: Page, rows: Rows) -> None:
    upsert(store, page, conversation(5, has_older=True))
    assert add_messages(store, page, 5, 4, 3) == 2
    assert add_messages(store, page, 5, 4, 3) == 0
    assert rows("SELECT message_id, source FROM messages ORDER BY 1") == [
        ("m_3", "history_sync"),
        ("m_4", "history_sync"),
        ("m_5", "initial_sync"),
    ]
    assert rows(BACKLOG) == [(1,)]


def test_messages_of_an_unknown_conversation_are_not_stored(
    store: Store, page: Page, other_page: Page, rows: Rows
) -> None:
    upsert(store, other_page, conversation(5))
    assert add_messages(store, page, 5, 4) is None
    assert rows("SELECT count(*) FROM messages") == [(1,)]


def test_the_bottom_is_noted_once(store: Store, page: Page, rows: Rows) -> None:
    upsert(store, page, conversation(5, has_older=True), conversation(5, has_older=True, graph_id="t_2"))
    for minutes in (1, 2):
        with store.write() as connection:
            set_has_older_messages(connection, page, "t_1", False, now=NOW + timedelta(minutes=minutes))
    assert rows(BACKLOG) == [(0,), (1,)]
    assert rows("SELECT updated_at FROM messenger_conversations WHERE conversation_id = 't_1'") == [
        ("2026-06-01T12:01:00.000Z",)
    ]


def missing(store: Store, backlog: list[FoundGap], served: int) -> set[int]:
    """Which of the messages 1..served are neither stored nor in the backlog."""
    with store.read() as connection:
        ids = connection.exec_driver_sql("SELECT message_id FROM messages").scalars()
        stored = {int(each.removeprefix("m_")) for each in ids}
        (has_older,) = connection.exec_driver_sql(
            "SELECT has_older_messages FROM messenger_conversations"
        ).one()
    gone_from = set(range(1, served + 1)) - stored
    if has_older:
        bottom = min(stored, default=served)
        gone_from = {each for each in gone_from if each > bottom}
    for each in backlog:
        # Reading from the top until an anchor is met brings everything above it.
        anchor = max((int(name.removeprefix("m_")) for name in each.anchors), default=0)
        gone_from = {number for number in gone_from if number <= anchor}
    return gone_from


answers = st.lists(
    st.tuples(st.integers(0, 8), st.integers(1, 4), st.sampled_from(["sync", "webhook"])),
    min_size=1,
    max_size=8,
)


@settings(max_examples=examples(60))
@given(steps=answers)
def test_every_message_is_stored_or_known_to_be_missing(
    store: Store, page: Page, steps: list[tuple[int, int, str]]
) -> None:
    """A conversation grows; now and then its newest few are read, or a webhook brings the newest one."""
    with store.write() as connection:
        connection.exec_driver_sql("DELETE FROM messenger_conversations")
    backlog: list[FoundGap] = []
    newest = 1
    upsert(store, page, conversation(1))
    for grown, window, how in steps:
        newest += grown
        if how == "webhook":
            add_messages(store, page, newest, source="webhook")
            continue
        numbers = range(max(1, newest - window + 1), newest + 1)
        written = upsert(store, page, conversation(*numbers, has_older=numbers[0] > 1))
        backlog = [] if written.whole else [*backlog, *written.found_gaps]
        assert missing(store, backlog, newest) == set()
