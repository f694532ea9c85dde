from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inboxsync.model import (
    BacklogItem,
    BacklogKind,
    Batch,
    Conversation,
    Following,
    ListState,
    Message,
    MessageBatch,
    Mode,
    Scanning,
    Segment,
    Unserved,
    Window,
)
from inboxsync.sync.plan import (
    FOLDERS,
    INBOX,
    OVERLAP,
    begin_scan,
    is_new,
    one_chain,
    plan_backlog_item,
    plan_cut,
    plan_lists,
    plan_next,
    plan_readers,
    plan_segment,
    respects,
    starts_over,
    wanted_from,
)

NOW = datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC)
EARLIER = NOW - timedelta(days=1)
LONG_AGO = NOW - timedelta(days=400)
MINUTES = timedelta(minutes=15)


def batch(*ages: timedelta, after: str | None = "c1", has_next: bool = True, is_whole: bool = True) -> Batch:
    conversations = tuple(
        Conversation(conversation_id=f"t_{number}", source_updated_at=NOW - age)
        for number, age in enumerate(ages)
    )
    return Batch(
        conversations=conversations, answered_at=NOW, after=after, has_next=has_next, is_whole=is_whole
    )


def after(scanning: Scanning, answer: Batch) -> Scanning | Following:
    """What follows an answer to the first segment of a scan."""
    rest = plan_segment(scanning.segments[0], answer)
    return plan_next(scanning, ([rest] if rest else []) + list(scanning.segments[1:]), answer)


def lists(
    states: Mapping[str, ListState], *, mode: Mode = Mode.AUTO, asked: bool = False
) -> dict[str, Scanning]:
    return plan_lists(states, mode=mode, resync_asked=asked, now=NOW, interval=MINUTES)


DAYS = [timedelta(days=number) for number in range(5)]
COMPLETE: dict[str, ListState] = {folder: Following(watermark=EARLIER) for folder in FOLDERS}


def test_a_new_page_is_scanned_whole_in_every_folder() -> None:
    for mode in Mode:
        assert lists({}, mode=mode, asked=True) == {folder: begin_scan() for folder in FOLDERS}


def test_a_list_that_follows_gets_a_catch_up_scan_down_to_its_watermark() -> None:
    assert lists(COMPLETE)[INBOX] == begin_scan(lower_bound=EARLIER, watermark=EARLIER)


def test_other_folders_are_read_only_when_they_are_due() -> None:
    fresh = Following(watermark=NOW - timedelta(minutes=5))
    states: dict[str, ListState] = {**COMPLETE, INBOX: fresh, "spam": fresh, "other": Unserved()}
    assert list(lists(states)) == [INBOX, "page_done"]


@pytest.mark.parametrize(("mode", "asked"), [(Mode.FULL, False), (Mode.FULL, True), (Mode.AUTO, True)])
def test_a_full_sync_of_a_complete_page_starts_over(mode: Mode, asked: bool) -> None:
    catching_up = begin_scan(lower_bound=EARLIER, watermark=EARLIER)
    for states in (COMPLETE, {**COMPLETE, INBOX: catching_up}, {**COMPLETE, "spam": Unserved()}):
        assert starts_over(states, mode=mode, resync_asked=asked)
        assert lists(states, mode=mode, asked=asked) == {folder: begin_scan() for folder in FOLDERS}


@pytest.mark.parametrize("mode", list(Mode))
def test_an_unfinished_full_scan_is_never_started_over(mode: Mode) -> None:
    unfinished = Scanning(snapshot_at=NOW, segments=(Segment(position=EARLIER, cursor="c"),))
    assert lists({INBOX: unfinished}, mode=mode, asked=True)[INBOX] == unfinished


def test_folders_that_an_unfinished_full_sync_has_finished_stay_so() -> None:
    states: dict[str, ListState] = {**COMPLETE, "spam": begin_scan()}
    assert lists(states, asked=True)[INBOX] == begin_scan(lower_bound=EARLIER, watermark=EARLIER)
    assert lists(states, asked=True)["spam"] == begin_scan()


def test_an_interrupted_catch_up_scan_continues_at_its_position() -> None:
    catch_up = Scanning(
        snapshot_at=NOW,
        lower_bound=LONG_AGO,
        segments=(Segment(position=EARLIER, lower_bound=LONG_AGO),),
        watermark=LONG_AGO,
    )
    assert lists({**COMPLETE, INBOX: catch_up})[INBOX] == catch_up


def test_the_snapshot_time_is_the_time_of_the_first_answer() -> None:
    first = after(begin_scan(), batch(*DAYS))
    assert isinstance(first, Scanning)
    assert first.snapshot_at == NOW
    second = after(first, replace(batch(*DAYS), answered_at=NOW + timedelta(hours=1)))
    assert isinstance(second, Scanning)
    assert second.snapshot_at == NOW


def test_the_bottom_is_where_nothing_follows_not_where_a_cursor_is_missing() -> None:
    started = Scanning(snapshot_at=NOW, segments=(Segment(position=NOW, cursor="c0"),))
    assert after(started, batch(*DAYS, has_next=True)) == replace(
        started, segments=(Segment(position=NOW - DAYS[2], cursor="c1"),)
    )
    assert after(started, batch(*DAYS, has_next=False)) == begin_scan(lower_bound=NOW)


def test_an_empty_batch_with_a_next_one_is_not_the_end() -> None:
    assert after(begin_scan(), batch(has_next=True)) == Scanning(
        snapshot_at=NOW, segments=(Segment(cursor="c1"),)
    )


def test_a_list_that_one_answer_covers_needs_no_catch_up_scan() -> None:
    assert after(begin_scan(), batch(*DAYS, has_next=False)) == Following(watermark=NOW)


def test_a_catch_up_scan_that_one_answer_covers_moves_the_watermark_to_its_snapshot_time() -> None:
    assert after(begin_scan(lower_bound=EARLIER, watermark=LONG_AGO), batch(*DAYS)) == Following(
        watermark=NOW
    )


def test_a_bisected_answer_is_no_snapshot_where_a_conversation_has_moved_meanwhile() -> None:
    catch_up = begin_scan(lower_bound=EARLIER, watermark=LONG_AGO)
    assert after(catch_up, batch(*DAYS, is_whole=False)) == begin_scan(lower_bound=NOW, watermark=LONG_AGO)


def test_a_catch_up_scan_of_several_answers_is_followed_by_another_down_to_its_snapshot_time() -> None:
    catch_up = Scanning(
        snapshot_at=NOW,
        lower_bound=EARLIER,
        segments=(Segment(position=NOW, lower_bound=EARLIER - OVERLAP, cursor="c0"),),
        watermark=LONG_AGO,
    )
    assert after(catch_up, batch(*DAYS)) == begin_scan(lower_bound=NOW, watermark=LONG_AGO)


def test_a_catch_up_scan_reaches_below_its_lower_bound_by_the_overlap() -> None:
    catch_up = begin_scan(lower_bound=EARLIER, watermark=EARLIER)
    at_lower_bound = NOW - EARLIER + OVERLAP
    assert isinstance(after(catch_up, batch(at_lower_bound)), Scanning)
    assert isinstance(after(catch_up, batch(at_lower_bound + timedelta(seconds=1))), Following)


def test_one_stray_old_time_is_not_taken_for_the_depth_of_the_list() -> None:
    catch_up = begin_scan(lower_bound=EARLIER, watermark=EARLIER)
    new = [timedelta(minutes=minute) for minute in range(5)]
    stray = timedelta(days=6000)
    for place in range(6):
        going_on = after(catch_up, batch(*new[:place], stray, *new[place:]))
        assert isinstance(going_on, Scanning)
        assert going_on.position is not None
        assert going_on.position > EARLIER


def test_an_answer_that_goes_down_evenly_reaches_its_last_conversation() -> None:
    even = [timedelta(minutes=minute) for minute in range(20)]
    assert batch(*even).reached_at == NOW - even[-1]
    # Out of order, with a step longer than all before, or too few to judge: the newest of the last few.
    assert batch(*even[:-2], even[-1], even[-2]).reached_at == NOW - even[-3]
    for strays in ([9000], [9000, 9001], [9000, 9001, 9002]):
        old = [timedelta(minutes=minute) for minute in strays]
        assert batch(*even, *old).reached_at == NOW - [*even, *old][-3]
    assert batch(*even[1:]).reached_at == NOW - even[-3]


def test_a_scan_in_segments_ends_with_the_last_of_them() -> None:
    newer, older = Segment(position=NOW, lower_bound=EARLIER), Segment(position=EARLIER)
    scanning = Scanning(snapshot_at=NOW, segments=(newer, older))
    assert plan_next(scanning, [older], batch(*DAYS)) == replace(scanning, segments=(older,))
    assert plan_next(replace(scanning, segments=(older,)), [], batch(*DAYS)) == begin_scan(lower_bound=NOW)


def test_readers_fill_the_call_rate_and_no_more() -> None:
    assert plan_readers(latency_seconds=0.1, calls_per_second=2.0) == 1
    assert plan_readers(latency_seconds=1.1, calls_per_second=2.0) == 3
    assert plan_readers(latency_seconds=60.0, calls_per_second=2.0) == 6
    assert plan_readers(latency_seconds=9.0, calls_per_second=None) == 1
    assert plan_readers(latency_seconds=None, calls_per_second=2.0) == 1


@given(st.integers(0, 10**9), st.none() | st.integers(1, 10**8), st.floats(1e-9, 10), st.integers(1, 100))
def test_a_cut_segment_is_covered_by_its_parts(
    age: int, length: int | None, per_second: float, batch_size: int
) -> None:
    position = NOW - timedelta(seconds=age % (86_400 * 365 * 15))
    lower_bound = None if length is None else position - timedelta(seconds=length)
    whole = Segment(position=position, lower_bound=lower_bound, cursor="c")
    cut = plan_cut(whole, per_second=per_second, batch_size=batch_size)
    if cut is None:
        return
    newer, older = cut
    assert newer.position == position
    assert older.lower_bound == lower_bound
    assert newer.lower_bound is not None
    assert older.position is not None
    assert newer.lower_bound < older.position <= position  # they overlap, and neither is empty
    assert lower_bound is None or lower_bound < newer.lower_bound
    assert (newer.cursor, older.cursor) == (None, None)  # a cursor belongs to the window it was made for


def test_a_segment_that_is_about_to_end_is_not_cut() -> None:
    segment = Segment(position=NOW, lower_bound=EARLIER)
    assert plan_cut(segment, per_second=150 / 86_400, batch_size=100) is None
    assert plan_cut(segment, per_second=260 / 86_400, batch_size=100) is not None
    assert plan_cut(Segment(), per_second=1.0, batch_size=100) is None


def test_where_the_bottom_is_not_known_a_cut_goes_as_far_down_as_the_scan_has_come() -> None:
    segment, per_second = Segment(position=NOW), 1000 / 86_400
    batch_seconds = 99 / per_second
    for come, expected in ((timedelta(0), 20 * batch_seconds), (timedelta(days=9), 9 * 86_400)):
        cut = plan_cut(segment, per_second=per_second, batch_size=100, top=NOW + come)
        assert cut is not None
        assert cut[0].lower_bound is not None
        assert abs((NOW - cut[0].lower_bound).total_seconds() - expected) <= 1
        assert cut[1].lower_bound is None


def test_where_it_is_known_the_newer_half_ends_with_a_full_batch() -> None:
    for conversations, batches in ((260, 2), (350, 2), (2_000, 10)):
        cut = plan_cut(
            Segment(position=NOW, lower_bound=EARLIER), per_second=conversations / 86_400, batch_size=100
        )
        assert cut is not None
        assert cut[0].lower_bound is not None
        held = (NOW - cut[0].lower_bound).total_seconds() * conversations / 86_400
        assert batches * 97 - 11 <= held < batches * 99


def test_without_time_windows_a_cut_scan_continues_from_its_newest_gap() -> None:
    scanning = Scanning(
        snapshot_at=NOW,
        segments=(
            Segment(position=NOW, lower_bound=EARLIER),
            Segment(position=EARLIER, lower_bound=LONG_AGO, cursor="c"),
        ),
    )
    assert one_chain(scanning) == replace(scanning, segments=(Segment(position=NOW, lower_bound=LONG_AGO),))


def test_an_answer_that_begins_above_its_window_ignores_it() -> None:
    window = Window(before=EARLIER)
    assert not respects(window, batch(timedelta(0), timedelta(days=2)))
    assert respects(window, batch(timedelta(days=2)))
    assert respects(window, batch())
    assert respects(None, batch(timedelta(0)))


def test_of_a_summary_only_what_lies_above_the_lower_bound_is_wanted() -> None:
    answer = batch(*DAYS)
    assert wanted_from(Segment(lower_bound=NOW - timedelta(days=2)), answer) == answer.conversations[:3]
    assert wanted_from(Segment(), answer) == answer.conversations
    assert wanted_from(Segment(lower_bound=NOW + timedelta(days=1)), answer) == ()


def messages(*names: str, has_next: bool = True, ages: tuple[int, ...] = ()) -> MessageBatch:
    times: list[datetime | None] = [NOW - timedelta(minutes=age) for age in ages]
    times = times or [None] * len(names)
    found = tuple(Message(message_id=name, sent_at=at) for name, at in zip(names, times, strict=True))
    return MessageBatch(messages=found, after="c1", has_next=has_next)


GAP = BacklogItem(conversation_id="t_1", kind=BacklogKind.GAP, folder=INBOX, anchors=("m_3", "m_2"))


def test_a_gap_is_closed_by_a_message_that_was_stored_before_it() -> None:
    assert plan_backlog_item(GAP, messages("m_9", "m_8")) == replace(GAP, cursor="c1")
    assert plan_backlog_item(GAP, messages("m_4", "m_3")) is None
    assert plan_backlog_item(GAP, messages("m_9", has_next=False)) is None


def test_a_gap_without_anchors_is_closed_below_its_time() -> None:
    gap = replace(GAP, anchors=(), until_at=NOW - timedelta(minutes=30))
    assert plan_backlog_item(gap, messages("m_9", "m_8", ages=(1, 20))) == replace(gap, cursor="c1")
    deep = messages("m_9", "m_8", "m_7", "m_6", ages=(20, 31, 32, 33))
    assert plan_backlog_item(gap, deep) is None
    # One stray old time is not the depth of a conversation.
    stray = messages("m_9", "m_8", "m_7", ages=(20, 21, 9999))
    assert plan_backlog_item(gap, stray) == replace(gap, cursor="c1")


def test_history_ends_at_the_bottom_alone() -> None:
    history = replace(GAP, kind=BacklogKind.HISTORY)
    assert plan_backlog_item(history, messages("m_3", "m_2")) == replace(history, cursor="c1")
    assert plan_backlog_item(history, messages("m_3", has_next=False)) is None


@given(
    st.lists(st.tuples(st.lists(st.integers(0, 1000), max_size=4), st.booleans()), max_size=20),
    st.none() | st.integers(0, 1000),
)
def test_the_position_never_rises_and_the_watermark_never_moves_while_scanning(
    answers: list[tuple[list[int], bool]], lower_bound_age: int | None
) -> None:
    lower_bound = None if lower_bound_age is None else NOW - timedelta(minutes=lower_bound_age)
    scanning = begin_scan(lower_bound=lower_bound, watermark=lower_bound)
    for ages, has_next in answers:
        following = after(scanning, batch(*(timedelta(minutes=age) for age in ages), has_next=has_next))
        if isinstance(following, Following) or is_new(following):
            return
        assert following.watermark == scanning.watermark
        assert scanning.position is None or (following.position or NOW) <= scanning.position
        scanning = following
