from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inboxsync.model import Batch, Conversation, Following, Mode, NotStarted, Walking
from inboxsync.sync.plan import OVERLAP, plan_next, plan_start

NOW = datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC)
EARLIER = NOW - timedelta(days=1)
LONG_AGO = NOW - timedelta(days=400)


def batch(*ages: timedelta, after: str | None = "c1", has_next: bool = True) -> Batch:
    conversations = tuple(
        Conversation(conversation_id=f"t_{number}", source_updated_at=NOW - age)
        for number, age in enumerate(ages)
    )
    return Batch(conversations=conversations, answered_at=NOW, after=after, has_next=has_next)


DAYS = [timedelta(days=number) for number in range(5)]


def test_a_new_list_is_walked_from_the_top_to_the_bottom() -> None:
    assert plan_start(NotStarted(), mode=Mode.AUTO, resync_asked=True) == Walking()


def test_a_followed_list_is_swept_down_to_its_watermark() -> None:
    assert plan_start(Following(watermark=EARLIER), mode=Mode.AUTO, resync_asked=False) == Walking(
        floor=EARLIER, watermark=EARLIER
    )


@pytest.mark.parametrize(("mode", "resync_asked"), [(Mode.FULL, False), (Mode.FULL, True), (Mode.AUTO, True)])
def test_a_full_sync_of_a_complete_list_starts_over(mode: Mode, resync_asked: bool) -> None:
    complete = [Following(watermark=EARLIER), Walking(floor=EARLIER, watermark=EARLIER, cursor="c")]
    for progress in complete:
        assert plan_start(progress, mode=mode, resync_asked=resync_asked) == Walking()


@pytest.mark.parametrize("mode", list(Mode))
def test_an_unfinished_full_walk_is_never_started_over(mode: Mode) -> None:
    unfinished = Walking(pin=NOW, frontier=EARLIER, cursor="c")
    assert plan_start(unfinished, mode=mode, resync_asked=True) == unfinished


def test_an_interrupted_sweep_goes_on_where_it_stood() -> None:
    sweep = Walking(pin=NOW, floor=LONG_AGO, frontier=EARLIER, cursor="c", watermark=LONG_AGO)
    assert plan_start(sweep, mode=Mode.AUTO, resync_asked=False) == sweep


def test_the_pin_is_the_time_of_the_first_answer() -> None:
    first = plan_next(Walking(), batch(*DAYS))
    assert isinstance(first, Walking)
    assert first.pin == NOW
    second = plan_next(first, replace(batch(*DAYS), answered_at=NOW + timedelta(hours=1)))
    assert isinstance(second, Walking)
    assert second.pin == NOW


def test_the_bottom_is_where_nothing_follows_not_where_a_cursor_is_missing() -> None:
    started = Walking(pin=NOW, frontier=NOW, cursor="c0")
    assert plan_next(started, batch(*DAYS, has_next=True)) == replace(
        started, frontier=NOW - DAYS[2], cursor="c1"
    )
    assert plan_next(started, batch(*DAYS, has_next=False)) == Walking(floor=NOW)


def test_an_empty_batch_with_a_next_one_is_not_the_end() -> None:
    going_on = plan_next(Walking(), batch(has_next=True))
    assert going_on == Walking(pin=NOW, cursor="c1")


def test_a_list_that_one_answer_covers_needs_no_sweep() -> None:
    assert plan_next(Walking(), batch(*DAYS, has_next=False)) == Following(watermark=NOW)


def test_a_sweep_that_one_answer_covers_moves_the_watermark_to_its_pin() -> None:
    sweep = Walking(floor=EARLIER, watermark=LONG_AGO)
    assert plan_next(sweep, batch(*DAYS)) == Following(watermark=NOW)


def test_a_sweep_of_several_answers_is_followed_by_another_from_its_pin() -> None:
    sweep = Walking(pin=NOW, floor=EARLIER, frontier=NOW, cursor="c0", watermark=LONG_AGO)
    assert plan_next(sweep, batch(*DAYS)) == Walking(floor=NOW, watermark=LONG_AGO)


def test_a_sweep_reaches_below_its_floor_by_the_overlap() -> None:
    sweep = Walking(floor=EARLIER, watermark=EARLIER)
    at_floor = NOW - EARLIER + OVERLAP
    assert isinstance(plan_next(sweep, batch(at_floor)), Walking)
    assert isinstance(plan_next(sweep, batch(at_floor + timedelta(seconds=1))), Following)


def test_one_stray_old_time_is_not_taken_for_the_depth_of_the_list() -> None:
    sweep = Walking(floor=EARLIER, watermark=EARLIER)
    new = [timedelta(minutes=minute) for minute in range(5)]
    stray = timedelta(days=6000)
    for place in range(6):
        going_on = plan_next(sweep, batch(*new[:place], stray, *new[place:]))
        assert isinstance(going_on, Walking)
        assert going_on.frontier is not None
        assert going_on.frontier > EARLIER


@given(
    st.lists(st.tuples(st.lists(st.integers(0, 1000), max_size=4), st.booleans()), max_size=20),
    st.none() | st.integers(0, 1000),
)
def test_the_frontier_never_rises_and_the_watermark_never_moves_while_walking(
    answers: list[tuple[list[int], bool]], floor_age: int | None
) -> None:
    floor = None if floor_age is None else NOW - timedelta(minutes=floor_age)
    walking = Walking(floor=floor, watermark=floor)
    for ages, has_next in answers:
        following = plan_next(walking, batch(*(timedelta(minutes=age) for age in ages), has_next=has_next))
        if isinstance(following, Following) or following.at_top:
            return
        assert following.watermark == walking.watermark
        assert walking.frontier is None or (following.frontier or NOW) <= walking.frontier
        walking = following
