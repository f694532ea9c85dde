"""Reports say the same from both databases, in whatever zone."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inboxsync.model import Page
from inboxsync.reports import activity, response_times
from inboxsync.reports.response_times import speed_of
from inboxsync.store import Store
from inboxsync.store.reading import Scope
from tests.reports.fixtures import Inbox

NOON = datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC)  # a Monday
HANOI, KOLKATA = ZoneInfo("Asia/Ho_Chi_Minh"), ZoneInfo("Asia/Kolkata")


@pytest.fixture
def scope(inbox: Inbox, page: Page) -> Scope:
    ask, answer = inbox.said, inbox.answered
    inbox.put(
        page,
        inbox.conversation("7", ask(0), answer(3), ask(5), ask(6)),
        inbox.conversation("8", ask(-60), answer(-50), ask(720), answer(730), has_older_messages=True),
        inbox.conversation("9", ask(2), ask(1, message_id="m_x", is_readable=False), answer(4)),
        inbox.conversation("10", ask(-3000), ask(0, message_id="m_undated", sent_at=None)),
    )
    return Scope(pages=(page,))


def test_responses_are_counted_where_they_were_asked(store: Store, scope: Scope) -> None:
    with store.read() as connection:
        told = response_times(connection, scope, HANOI, now=NOON + timedelta(hours=1))
    assert told.zone == "Asia/Ho_Chi_Minh"
    assert (told.overall.responses, told.overall.median_seconds, told.overall.p90_seconds) == (3, 180, 600)
    # Noon is 19:00 in Hanoi, twelve hours later it is the next morning.
    assert [(each.day, each.speed.responses) for each in told.by_day] == [
        (date(2026, 6, 1), 2),
        (date(2026, 6, 2), 1),
    ]
    assert (told.by_hour[19].responses, told.by_hour[7].p90_seconds) == (2, 600)
    assert sum(each.responses for each in told.by_hour) == 3
    assert told.incomplete == 1


def test_who_waits_now_is_told_whatever_since_says(store: Store, scope: Scope) -> None:
    late = Scope(pages=scope.pages, since=NOON + timedelta(days=9))
    with store.read() as connection:
        told = response_times(connection, late, HANOI, now=NOON + timedelta(hours=1))
    assert told.overall.responses == 0
    assert told.overall.median_seconds is None
    assert (told.unanswered.conversations, told.unanswered.in_window) == (2, 1)
    assert told.unanswered.oldest_since == NOON - timedelta(minutes=3000)


def test_what_the_source_no_longer_has_waits_for_nobody(store: Store, scope: Scope) -> None:
    with store.write() as connection:
        connection.exec_driver_sql("UPDATE messenger_conversations SET conversation_status = 'gone'")
    with store.read() as connection:
        told = response_times(connection, scope, HANOI, now=NOON)
    assert (told.unanswered.conversations, told.unanswered.oldest_since, told.overall.responses) == (
        0,
        None,
        3,
    )


def test_messages_are_counted_by_day_and_hour_of_the_zone(store: Store, scope: Scope) -> None:
    with store.read() as connection:
        told = activity(connection, scope, KOLKATA)
    assert (told.messages_in, told.messages_out, told.undated) == (7, 4, 1)
    days = {each.day: (each.messages_in, each.messages_out) for each in told.by_day}
    assert days == {date(2026, 5, 30): (1, 0), date(2026, 6, 1): (5, 3), date(2026, 6, 2): (1, 1)}
    # Noon is 17:30 in Kolkata: half an hour's difference loses nothing.
    assert (told.week_in[0][17], told.week_in[0][16], told.week_out[0][17]) == (4, 1, 2)
    assert (told.busiest[0].weekday, told.busiest[0].hour, told.busiest[0].messages_in) == (0, 17, 4)
    assert sum(map(sum, told.week_in)) == told.messages_in


def test_since_and_other_pages_are_left_out(store: Store, inbox: Inbox, scope: Scope) -> None:
    inbox.put(inbox.page("105"), inbox.conversation("7", inbox.said(0)))
    late = Scope(pages=scope.pages, since=NOON + timedelta(minutes=5))
    with store.read() as connection:
        assert activity(connection, late, KOLKATA).messages_in == 3
        assert response_times(connection, late, KOLKATA, now=NOON).overall.responses == 1
        assert activity(connection, Scope(pages=()), KOLKATA).by_day == ()


def test_a_report_is_json(store: Store, scope: Scope) -> None:
    with store.read() as connection:
        told = response_times(connection, scope, HANOI, now=NOON)
        week = activity(connection, scope, HANOI)
    read = msgspec.json.decode(msgspec.json.encode(told))
    assert read["by_day"][0] == {
        "day": "2026-06-01",
        "speed": {"responses": 2, "median_seconds": 150.0, "p90_seconds": 180.0},
    }
    assert len(msgspec.json.decode(msgspec.json.encode(week))["week_in"]) == 7


@given(st.lists(st.floats(0, 1e9), min_size=1))
def test_nine_in_ten_are_not_slower(seconds: list[float]) -> None:
    told = speed_of(seconds)
    assert told.p90_seconds is not None
    assert told.median_seconds is not None
    assert sum(each <= told.p90_seconds for each in seconds) >= 0.9 * len(seconds)
    assert sum(each < told.p90_seconds for each in seconds) < 0.9 * len(seconds)
    assert sum(each <= told.median_seconds for each in seconds) >= len(seconds) / 2
