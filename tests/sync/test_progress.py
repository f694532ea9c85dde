"""The progress of a run is a share of the whole where that is known, and none where it is not."""

import asyncio
import random
from datetime import UTC, datetime, timedelta, tzinfo

import pytest

from inboxsync.engine import Engine
from inboxsync.model import Following, History, Mode, RunStatus, Scanning, Segment
from inboxsync.sandbox import Faults
from inboxsync.store.state.pages import list_pages
from inboxsync.store.state.runs import list_run_events, list_runs
from inboxsync.sync import (
    BatchStored,
    Compared,
    Event,
    Outcome,
    SourceAway,
    Speed,
    Stage,
    SyncOptions,
    expected_listed,
)
from inboxsync.sync.progress import RunProgress, age_share
from tests.sync.fixtures import Ready, Sync, Verify

NOW = datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC)
DAY = timedelta(days=1)


class FixedClock:
    """A clock that stands still until it is set."""

    zone: tzinfo = UTC

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.seconds += seconds


def full(position: datetime | None = None) -> Scanning:
    return Scanning(segments=(Segment(position=position),), snapshot_at=NOW)


def catch_up(position: datetime | None, *, bottom: datetime = NOW - DAY) -> Scanning:
    return Scanning(
        segments=(Segment(position=position, lower_bound=bottom),), snapshot_at=NOW, lower_bound=bottom
    )


def run_with_events(engine: Engine, **options: object) -> tuple[Outcome, list[Event]]:
    events: list[Event] = []

    async def go() -> Outcome:
        with engine.store.read() as connection:
            (page,) = list_pages(connection)
        chosen = engine.sync_options()
        made = SyncOptions(
            source_away_seconds=chosen.source_away_seconds,
            **options,  # type: ignore[arg-type]
        )
        async with engine.source() as source, engine.stop() as stop:
            return await engine.page_sync(source, page, options=made, stop=stop, listener=events.append).run()

    return asyncio.run(go()), events


def shares_of(events: list[Event]) -> list[float | None]:
    return [event.progress.share for event in events if isinstance(event, BatchStored)]


def assert_progress(shares: list[float | None]) -> None:
    """Known throughout, never smaller than before, and never everything."""
    known = [share for share in shares if share is not None]
    assert len(known) == len(shares) > 0
    assert known == sorted(known)
    assert known[0] > 0
    assert known[-1] < 1


def test_of_a_first_full_scan_nothing_is_claimed(ready: Ready) -> None:
    _, engine = ready(conversations=500, engine={"calls_per_second": 0})
    _, events = run_with_events(engine)
    scanned = [
        event.progress
        for event in events
        if isinstance(event, BatchStored) and event.stage is Stage.FULL_SCAN and event.folder == "inbox"
    ]
    assert [each.share for each in scanned[:-1]] == [None] * (len(scanned) - 1)
    assert all(each.expected is None for each in scanned)


def test_what_an_earlier_sync_has_counted_is_the_whole(ready: Ready, sync: Sync, verify: Verify) -> None:
    _, engine = ready(conversations=700)
    sync(engine)
    for knows in ("stored", "listed"):
        if knows == "listed":
            verify(engine)
        with engine.store.read() as connection:
            (page,) = list_pages(connection)
            assert expected_listed(connection, page) == 700
        outcome, events = run_with_events(engine, mode=Mode.FULL)
        assert outcome.run.status is RunStatus.COMPLETE
        assert_progress(shares_of(events))


@pytest.mark.parametrize("limit", [120, 5000])
def test_a_limit_of_conversations_is_the_whole_where_it_is_less(ready: Ready, sync: Sync, limit: int) -> None:
    _, engine = ready(conversations=400)
    sync(engine)
    _, events = run_with_events(engine, mode=Mode.FULL, max_conversations=limit)
    expected = {event.progress.expected for event in events if isinstance(event, BatchStored)}
    assert expected <= {min(limit, 400), None}
    assert min(limit, 400) in expected


def test_older_messages_are_a_known_number_of_calls(ready: Ready, sync: Sync) -> None:
    _, engine = ready(conversations=40, messages=(15, 260))
    sync(engine)
    outcome, events = run_with_events(engine, history=History.ALL)
    assert outcome.run.status is RunStatus.COMPLETE
    assert_progress(shares_of(events))


@pytest.mark.parametrize("seed", range(3))
def test_in_any_mix_of_faults_a_share_never_goes_back(ready: Ready, sync: Sync, seed: int) -> None:
    served, engine = ready(
        conversations=500, seed=seed, write_every=6, write_new_every=9, messages=(5, 60), folders={"spam": 30}
    )
    sync(engine)
    served.sandbox.http.faults = served.sandbox.conversations.faults = Faults(
        reset=0.05, html=0.05, short_batch=0.2, empty_batch=0.1, poison_slots=(7, 8, 301), weight_limit=800
    )
    _, events = run_with_events(engine, mode=Mode.FULL, history=History.ALL)
    known = [share for share in shares_of(events) if share is not None]
    assert known == sorted(known)
    assert known[-1] < 1


def test_a_page_that_has_grown_is_no_longer_of_a_known_size(ready: Ready, sync: Sync) -> None:
    served, engine = ready(conversations=100)
    sync(engine)
    for _ in range(150):
        served.page.messenger.write(served.page.messenger.begin("inbox"), "new")
    _, events = run_with_events(engine, mode=Mode.FULL)
    known = [share for share in shares_of(events) if share is not None]
    assert known == sorted(known)
    assert all(share < 1 for share in known)


def test_a_source_that_is_away_is_reported_with_since_when_and_until_when(ready: Ready) -> None:
    served, engine = ready(conversations=600, engine={"source_away_seconds": 60.0, "retry_attempts": 1})
    served.sandbox.http.faults = served.sandbox.conversations.faults = Faults(
        outage_seconds=1.5, outage_after=3, outage_kind="503"
    )
    outcome, events = run_with_events(engine)
    assert outcome.run.status is RunStatus.COMPLETE
    away = [event for event in events if isinstance(event, SourceAway)]
    assert away
    assert [each.failures for each in away] == list(range(1, len(away) + 1))
    assert all(each.since <= each.until and each.why for each in away)
    with engine.store.read() as connection:
        (run,) = list_runs(connection, limit=1)
        written = list_run_events(connection, run.id, limit=500)
    (waiting, *_) = [event for event in written if event.status == "waiting"]
    assert "no answer from Meta since" in str(waiting.data["message"])
    assert (waiting.data["source_away"], waiting.data["seconds_left"]) == (True, None)
    assert waiting.data["waiting_until"]
    assert written[-1].data["progress"] == 1.0


def test_a_verification_tells_how_many_of_how_many_and_how_many_differ(ready: Ready, sync: Sync) -> None:
    served, engine = ready(conversations=450)
    sync(engine)
    for slot in (3, 300):
        served.page.write(slot, "new")
    compared: list[Compared] = []

    async def go() -> None:
        with engine.store.read() as connection:
            (page,) = list_pages(connection)
        async with engine.source() as source, engine.stop() as stop:
            one = engine.page_verify(source, page, stop=stop, is_deep=True, on_batch=compared.append)
            await one.run(wait=False)

    asyncio.run(go())
    assert (compared[-1].listed, compared[-1].differences) == (450, 2)
    assert {each.expected for each in compared} == {450}
    shares = [each.share for each in compared]
    assert_progress(shares)
    assert [each.calls for each in compared] == sorted(each.calls for each in compared)
    assert compared[-1].calls > 0


@pytest.mark.parametrize(
    ("position", "share"),
    [(None, 0.0), (NOW, 0.0), (NOW - DAY / 2, 0.5), (NOW - DAY, 1.0), (NOW - 2 * DAY, 1.0)],
)
def test_a_catch_up_scan_is_as_far_as_the_age_that_it_has_reached(
    position: datetime | None, share: float
) -> None:
    assert age_share(catch_up(position)) == share
    assert age_share(full(position)) is None


def test_the_whole_are_all_calls_that_are_left() -> None:
    progress = RunProgress(
        FixedClock(), expected=1000, lists={"inbox": full(), "spam": full()}, calls_to_come=10
    )
    progress.list_read("inbox", full(NOW - DAY))
    # One call made; nine for the other conversations, one catch-up scan for each list, ten of the backlog.
    assert progress.now(fetched=100, calls=1).share == 1 / 22
    progress.list_read("inbox", Following(watermark=NOW))
    progress.end_list("spam")
    assert progress.now(fetched=1000, calls=10).share == 0.5
    for _ in range(10):
        progress.call_made()
    assert progress.now(fetched=1000, calls=20).share == 0.99


@pytest.mark.parametrize("seed", range(50))
def test_no_order_of_events_makes_a_share_smaller_or_whole(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - a test's own
    expected, shares = chance.choice([None, 300, 5000]), []
    progress = RunProgress(FixedClock(), expected=expected, lists={"inbox": full(), "spam": catch_up(None)})
    fetched = calls = 0
    for _ in range(60):
        step = chance.randrange(5)
        at = NOW - DAY * chance.random()
        if step == 0:
            states: list[Scanning | Following] = [full(at), catch_up(at), Following(watermark=NOW)]
            progress.list_read("inbox", chance.choice(states))
        elif step == 1:
            progress.list_read("spam", catch_up(at))
        elif step == 2:
            progress.set_calls_to_come(chance.randrange(100))
        else:
            progress.call_made()
        fetched, calls = fetched + chance.randrange(100), calls + 1
        share = progress.now(fetched=fetched, calls=calls).share
        shares += [share] if share is not None else []
    assert shares == sorted(shares)
    assert all(0 < share < 1 for share in shares)


def test_the_time_left_follows_from_how_fast_the_share_grows() -> None:
    clock = FixedClock()
    speed = Speed(clock)
    assert speed.seconds_left(0.0) is None
    clock.seconds = 10
    assert speed.seconds_left(0.1) == pytest.approx(90)
    clock.seconds = 20
    assert speed.seconds_left(0.3) == pytest.approx(0.7 / 0.3 * 20)
    assert speed.seconds_left(None) is None
    assert speed.seconds_left(0.3) is None
