"""Numbers, times and verifications in words; charts as geometry; threads as entries. No I/O."""

from datetime import UTC, date, datetime, timedelta
from functools import partial
from random import Random
from zoneinfo import ZoneInfo

import msgspec
import pytest

from inboxsync.model import (
    BacklogItem,
    BacklogKind,
    Completeness,
    CompletenessState,
    Mode,
    Problem,
    Run,
    RunEvent,
    RunKind,
    RunStatus,
    Verification,
)
from inboxsync.store.reading import Gap, MessageRecord
from inboxsync.store.state.backlog import Older
from inboxsync.sync import Stage, describe_stage
from inboxsync.web import wording
from inboxsync.web.charts import day_bars, heat_map, speed_line, thinned
from inboxsync.web.entries import Entry, Quote, address_at_meta, anchor_of, entries_of
from inboxsync.web.run_rows import live_run, speeds_of
from inboxsync.web.verification import verification_view

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
NOTHING_OLDER = Older(conversations=0, messages=0)
view_at_noon = partial(verification_view, older=NOTHING_OLDER, now=NOW, zone=UTC)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "just now"),
        (30, "just now"),
        (-30, "any moment"),
        (61, "1 min ago"),
        (3599, "60 min ago"),
        (7200, "2 h ago"),
        (-300, "in 5 min"),
        (86_400 * 3, "3 days ago"),
        (86_400 * 40, "17 Oct 2026"),
    ],
)
def test_times_are_in_words(seconds: int, words: str) -> None:
    assert wording.ago(NOW - timedelta(seconds=seconds), NOW, UTC) == words


def test_what_never_was_is_never() -> None:
    assert (wording.ago(None, NOW, UTC), wording.moment(None, UTC)) == ("never", "never")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (60, "1 min"),
        (125, "2 min 5 s"),
        (11_400, "3 h 10 min"),
        (864_000, "10 days"),
    ],
)
def test_durations_have_two_parts_at_most(seconds: float, words: str) -> None:
    assert wording.duration(seconds) == words


@pytest.mark.parametrize(
    ("name", "letters"),
    [("Anna Müller", "AM"), ("Siân", "S"), (None, "?"), ("🌸", "?"), ("山田 太郎", "山太"), ("a b c", "AC")],
)
def test_initials_represent_a_person(name: str | None, letters: str) -> None:
    assert wording.initials(name) == letters


def test_a_bar_is_as_high_as_its_day_and_gaps_are_empty_days() -> None:
    chart = day_bars(
        {date(2026, 11, 26): (30, 10), date(2026, 11, 24): (1, 0)}, until=date(2026, 11, 26), days=3
    )
    assert [row[1:] for row in chart.rows] == [(1, 0), (0, 0), (30, 10)]
    assert chart.total == 41
    first, middle, last = chart.bars
    assert (middle.in_height, middle.out_height) == (0, 0)
    assert last.in_height == pytest.approx(3 * last.out_height, abs=0.2)
    assert last.in_y + last.in_height == pytest.approx(last.out_y, abs=0.2)
    assert first.x < middle.x < last.x


def test_the_busiest_hour_is_the_darkest_and_none_is_none() -> None:
    assert {cell.level for cell in heat_map({(2, 3): 1}).cells} == {0, 5}
    chart = heat_map({(0, 9): 100, (6, 23): 1})
    levels = {cell.label.partition(": ")[0]: cell.level for cell in chart.cells}
    assert (levels["Monday 09:00"], levels["Sunday 23:00"], levels["Tuesday 00:00"]) == (5, 1, 0)
    assert chart.busiest == "Monday 09:00-10:00"
    assert heat_map({}).busiest == ""


def test_charts_of_nothing_can_be_drawn() -> None:
    assert day_bars({}, until=NOW.date(), days=60).total == 0
    assert speed_line([]).points == ""


def test_a_long_run_keeps_its_last_point() -> None:
    speeds = [(float(second), 1.0) for second in range(1000)]
    assert len(thinned(speeds, most=120)) == 120
    assert thinned(speeds, most=120)[-1] == speeds[-1]


def test_speed_is_what_the_last_seconds_brought() -> None:
    def event(seq: int, seconds: float, fetched: int) -> RunEvent:
        data: dict[str, object] = {"seconds": seconds, "fetched": fetched}
        return RunEvent(run_id="r", seq=seq, at=NOW, status="processing", data=data)

    events = [event(at, at * 1.0, 100 * at) for at in range(1, 10)] + [event(10, 10.0, 900)]
    speeds = speeds_of(events)
    assert speeds[0] == (2.0, 100.0)
    assert speeds[-1][1] < 100.0


def run_of(kind: RunKind) -> Run:
    return Run(
        id="r",
        page_id="p",
        facebook_page_id="104",
        platform="messenger",
        mode=Mode.FULL,
        status=RunStatus.RUNNING,
        started_at=NOW,
        kind=kind,
    )


def event_with(**data: object) -> RunEvent:
    status = str(data.pop("status", "processing"))
    return RunEvent(run_id="r", seq=1, at=NOW, status=status, data=data)


def test_the_figures_of_a_run_in_progress_are_those_of_its_newest_event() -> None:
    newest = event_with(
        fetched=1250,
        eventsCreated=9000,
        calls=13,
        progress=0.25,
        expected=5000,
        seconds_left=75.0,
        seconds=9.0,
    )
    live = live_run(
        run_of(RunKind.SYNC), [event_with(fetched=100, eventsCreated=5, seconds=1.0), newest], UTC
    )
    assert (live.fetched, live.messages, live.calls) == (1250, 9000, "13")
    assert (live.share, live.expected, live.left) == (25.0, "of about 5,000", "1 min 15 s")


@pytest.mark.parametrize("data", [{}, {"progress": None, "expected": None, "seconds_left": None}])
def test_where_no_share_is_known_none_is_shown(data: dict[str, object]) -> None:
    live = live_run(run_of(RunKind.SYNC), [event_with(fetched=1250, **data)], UTC)
    assert (live.share, live.expected, live.left) == (None, "", "not known yet")


def test_a_verification_has_figures_of_its_own() -> None:
    events = [
        event_with(fetched=900, progress=0.9, expected=1000, differences=3, stage="compare", folder="inbox"),
        event_with(status="waiting", fetched=900, message="no answer from Meta since 14:32", progress=0.9),
    ]
    live = live_run(run_of(RunKind.VERIFY), events, UTC)
    assert (live.is_verification, live.fetched, live.differences, live.share) == (True, 900, 3, 90.0)
    assert (live.is_waiting, live.line) == (True, "No answer from Meta since 14:32")
    assert live_run(run_of(RunKind.VERIFY), events[:1], UTC).line == "Comparing the inbox with what is stored"


@pytest.mark.parametrize("stage", list(Stage))
def test_every_stage_is_told_in_words(stage: Stage) -> None:
    told = describe_stage(
        {"stage": stage.value, "folder": "page_done", "reached": "2026-05-01T10:00:00+00:00"}, UTC
    )
    assert told.endswith("reached 1 May 2026")
    assert "_" not in told
    assert told.partition(":")[0] != stage.value


def verification(*, is_complete: bool, missing: list[str]) -> Verification:
    summary = {
        "folders": [{"folder": "inbox", "listed": 12_431, "missing": missing, "behind": []}],
        "missing_messages": {},
        "marked_gone": ["t_1"],
        "only_stored": [],
        "unreadable_messages": 0,
    }
    return Verification(
        id="c",
        page_id="p",
        checked_at=NOW,
        is_complete=is_complete,
        summary=msgspec.json.encode(summary).decode(),
    )


def complete(state: str, **counts: int) -> Completeness:
    return Completeness(state=CompletenessState(state), checked_at=NOW, **counts)  # type: ignore[arg-type]


def test_a_verification_says_what_was_found() -> None:
    report = verification(is_complete=True, missing=[])
    view = view_at_noon(report, complete("complete"), failed=[])
    assert (view.badge, view.kind) == ("complete", "good")
    assert view.text == "12,431 of 12,431 conversations that Meta lists were stored as listed."
    assert view.more == ("1 conversation no longer at Meta: kept here, and marked as gone.",)


def test_the_backlog_is_shown_with_why_and_when() -> None:
    item = BacklogItem(
        conversation_id="t_9",
        kind=BacklogKind.CONVERSATION,
        folder="inbox",
        problem=Problem(code="answer_failed", message="Every answer failed.", hint=""),
        attempts=3,
        next_attempt_at=NOW + timedelta(minutes=12),
    )
    report = verification(is_complete=False, missing=["t_9"])
    view = view_at_noon(report, complete("incomplete", refused=2), failed=[item])
    assert view.badge == "not complete"
    assert view.text.startswith("12,430 of 12,431 conversations")
    assert view.more[0] == "2 conversations could not be read. They are tried again."
    assert view.more[1] == "t_9: Every answer failed. Next attempt in 12 min."


def test_what_has_come_since_the_check_is_no_failure() -> None:
    report = verification(is_complete=True, missing=["t_8", "t_9"])
    view = view_at_noon(report, complete("complete", new=2), failed=[])
    assert (view.badge, view.kind) == ("complete", "good")
    assert view.text.startswith("12,429 of 12,431 conversations")
    assert view.more[0] == (
        "2 conversations new or with new messages since the check. The next sync brings them."
    )
    view = view_at_noon(report, complete("complete"), failed=[])
    assert view.text.endswith("The 2 others are stored since.")
    assert not any("could not" in line or "since" in line for line in view.more)


def test_what_had_come_since_the_last_sync_is_called_new() -> None:
    report = verification(is_complete=False, missing=["t_9"])
    view = view_at_noon(report, complete("new", new=1), failed=[])
    assert view.badge == "new since the last sync"
    assert view.more[0] == (
        "1 conversation new or with new messages since the last sync. The next sync brings it."
    )


def test_without_a_verification_nothing_is_claimed() -> None:
    nothing = Completeness(state=CompletenessState.UNVERIFIED)
    view = view_at_noon(None, nothing, failed=[])
    assert (view.badge, view.kind) == ("not verified yet", "")


def message(number: int, text: str | None = "hello", **more: object) -> MessageRecord:
    values: dict[str, object] = {
        "conversation_id": "c",
        "message_id": f"m_{number}",
        "sent_at": NOW + timedelta(hours=number),
        "is_from_page": False,
        "sender_id": "1",
        "sender_name": None,
        "text": text,
        "attachments": None,
        "shares": None,
        "sticker": None,
        "reactions": None,
        "story": None,
        "reply_to_message_id": None,
        "source": "initial_sync",
        "is_readable": True,
    }
    return MessageRecord(**(values | more))  # type: ignore[arg-type]


def entries(*messages: MessageRecord, gaps: tuple[Gap, ...] = ()) -> list[Entry]:
    return list(entries_of(messages, gaps, names=("Anna", "Bakery"), zone=UTC))


def test_a_thread_reads_from_old_to_new_with_its_days() -> None:
    shown = entries(message(13, "new"), message(1, "old"))
    assert [entry.kind for entry in shown] == ["day", "message", "day", "message"]
    assert [entry.text for entry in shown if entry.kind == "message"] == ["old", "new"]


ZONES = (
    "UTC Asia/Ho_Chi_Minh Asia/Kathmandu Europe/Berlin America/St_Johns Australia/Lord_Howe Pacific/Chatham "
    "Africa/Cairo America/Havana Pacific/Apia Asia/Beirut"
)


@pytest.mark.parametrize("name", ZONES.split())
def test_a_message_stands_under_the_day_of_its_own_clock(name: str) -> None:
    zone, dice = ZoneInfo(name), Random(name)  # noqa: S311 - a test's values
    # Around the days that do not exist, and nights that are longer and shorter.
    days = ("2011-12-29", "2026-03-08", "2026-03-29", "2026-04-05", "2026-04-24", "2026-10-25", "2026-11-01")
    begins = [datetime.fromisoformat(f"{day}T00:00Z") for day in days]
    for at in begins:
        minutes = sorted(dice.sample(range(-720, 2880), 80))
        messages = [message(each, sent_at=at + timedelta(minutes=each)) for each in minutes]
        heading = ""
        for entry in entries_of(messages[::-1], (), names=("Anna", "Bakery"), zone=zone):
            heading = entry.text if entry.kind == "day" else heading
            if entry.at is not None:
                local = entry.at.astimezone(zone)
                assert heading == f"{local:%A, %-d %B %Y}"
                assert wording.clock(entry.at, zone)[:5] == f"{local:%H:%M}"
                assert wording.date_in_words(entry.at, zone) == f"{local:%-d %b %Y}"
                assert wording.moment(entry.at, zone).startswith(f"{local:%-d %b %Y, %H:%M}")


def test_an_hour_that_comes_twice_says_which_it_is() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    first, second = datetime(2026, 10, 25, 0, 30, tzinfo=UTC), datetime(2026, 10, 25, 1, 30, tzinfo=UTC)
    assert wording.clock(first, berlin) == "02:30 (UTC+02:00)"
    assert wording.clock(second, berlin) == "02:30 (UTC+01:00)"
    assert wording.clock(second + timedelta(hours=1), berlin) == "03:30"
    assert wording.clock(datetime(2026, 3, 29, 1, 30, tzinfo=UTC), berlin) == "03:30"


def test_a_gap_is_shown_after_the_message_where_it_begins() -> None:
    gap = Gap(above_message_id="m_1", since=NOW, problem="Every answer failed.")
    shown = entries(message(2), message(1), gaps=(gap,))
    assert [entry.kind for entry in shown] == ["day", "message", "gap", "message"]
    assert shown[2].text == "Messages are missing here. The next sync fetches them. Every answer failed."


def test_only_web_addresses_become_links() -> None:
    served = [
        {"mime_type": "image/jpeg", "image_data": {"url": "https://cdn.example.com/a.jpg"}},
        {"name": "x.pdf", "file_url": "javascript:alert(1)"},
        {"name": "y.pdf", "file_url": "data:text/html,<script>alert(1)</script>"},
        {"name": "z.pdf", "file_url": "https://"},
        "not an object",
    ]
    shown = entries(message(1, None, attachments=msgspec.json.encode(served).decode(), sticker="//evil"))
    (words,) = (entry for entry in shown if entry.kind == "message")
    assert [each.href for each in words.attachments] == ["https://cdn.example.com/a.jpg", "", "", "", ""]
    assert words.attachments[0].label == "Image"


def test_an_unreadable_message_says_so() -> None:
    (_, words) = entries(message(1, None, is_readable=False))
    assert words.remark == "The platform gives only the time of this message."


def test_a_reply_links_only_to_messages_on_the_page() -> None:
    shown = entries(message(3, reply_to_message_id="m_1"), message(2, reply_to_message_id="m_0"), message(1))
    replies = [entry.reply_to for entry in shown if entry.kind == "message"]
    assert replies == ["", "", anchor_of("m_1")]


def test_a_reply_quotes_what_it_answers_wherever_that_is() -> None:
    long = "word " * 60
    messages = [
        message(6, reply_to_message_id="m_5"),
        message(5, None, sticker="https://x.example/s.png", reply_to_message_id="m_4"),
        message(4, long, is_from_page=True, reply_to_message_id="m_0"),
        message(3, reply_to_message_id="m_9"),
        message(2),
    ]
    elsewhere = {"m_0": message(0, "the\n first   one", sender_name="Berta")}
    shown = entries_of(
        messages,
        (),
        names=("Anna", "Bakery"),
        zone=UTC,
        answered=elsewhere,
        link=lambda each: f"/at/{each.message_id}",
    )
    quotes = [entry.quote for entry in shown if entry.kind == "message"]
    assert quotes[0] is None
    assert quotes[1] == Quote(who="", text="A message that is not stored", href="")
    assert quotes[2] == Quote(who="Berta", text="the first one", href="/at/m_0")
    assert quotes[3] is not None
    assert (quotes[3].who, quotes[3].href) == ("Bakery", f"#{anchor_of('m_4')}")
    assert len(quotes[3].text) < 130
    assert quotes[3].text.endswith("word …")
    assert quotes[4] == Quote(who="Anna", text="Sticker", href=f"#{anchor_of('m_5')}")


@pytest.mark.parametrize(
    ("served", "address"),
    [
        ("/104/inbox/12345/", "https://www.facebook.com/104/inbox/12345/"),
        ("/104/inbox/1/?section=messages&x=1", "https://www.facebook.com/104/inbox/1/?section=messages&x=1"),
        ("https://www.facebook.com/104/inbox/1/", "https://www.facebook.com/104/inbox/1/"),
        ("https://business.facebook.com/latest/inbox?x=1", "https://business.facebook.com/latest/inbox?x=1"),
        ("https://www.instagram.com/direct/t/1/", "https://www.instagram.com/direct/t/1/"),
        *(
            (each, "")
            for each in (None, "", "/", "//evil.example/x", "/\\evil.example", "x/y", "javascript:alert(1)")
        ),
        *(
            (each, "")
            for each in ("http://facebook.com/x", "https://facebook.com.evil.example/", "https://[")
        ),
        *((each, "") for each in ("https://evil.example/facebook.com", "/104/ü", "/a b", "/a\nb", "/a\tb")),
        ("https://facebook.com@evil.example/", ""),
        ("https://evilfacebook.com/", ""),
    ],
)
def test_only_metas_own_addresses_open_a_conversation_there(served: str | None, address: str) -> None:
    assert address_at_meta(served) == address


@pytest.mark.parametrize("served", ["null", "{}", '"x"', "[1]", "[[]]", "not json", '[{"file_url": 5}]'])
def test_attachments_of_any_shape_are_shown_without_an_error(served: str) -> None:
    assert entries(message(1, "text", attachments=served, reactions=served, shares=served, story=served))
