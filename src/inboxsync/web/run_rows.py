"""Runs as the templates show them: in a table, on their own page, and while they are in progress."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, tzinfo

from inboxsync.model import Problem, Run, RunEvent, RunKind, RunStatus
from inboxsync.sync.events import RETRYING, WAITING, describe_stage
from inboxsync.web import wording
from inboxsync.web.charts import SpeedLine, speed_line, thinned
from inboxsync.web.explained import plain

_WINDOW_SECONDS = 4.0
_MOST_POINTS = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """One run, ended or not."""

    id: str
    page_id: str
    page_label: str
    what: str
    is_verification: bool
    status: str
    started_at: datetime
    fetched: int
    inserted: int
    updated: int
    messages: int
    calls_made: int
    took: str
    speed: str
    problems: tuple[Problem, ...]
    next: str | None


def run_row(run: Run, labels: Mapping[str, str], *, now: datetime) -> RunRow:
    """`labels` has the name of each Page."""
    seconds = run.duration_seconds or ((run.finished_at or now) - run.started_at).total_seconds()
    speed = run.counts.fetched / seconds if seconds > 0 else 0.0
    return RunRow(
        id=run.id,
        page_id=run.page_id,
        page_label=labels.get(run.page_id, run.facebook_page_id),
        what="verification" if run.kind is RunKind.VERIFY else f"{run.mode.value} sync",
        is_verification=run.kind is RunKind.VERIFY,
        status=run.status.value,
        started_at=run.started_at,
        fetched=run.counts.fetched,
        inserted=run.counts.inserted,
        updated=run.counts.updated,
        messages=run.counts.events,
        calls_made=run.calls,
        took=wording.duration(seconds) if run.status is not RunStatus.QUEUED else "",
        speed=_rate(speed),
        problems=run.problems,
        next=run.next,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveRun:
    """A run in progress: its figures and a sentence, all of one moment.

    `share` is in percent; None, and `expected` empty, where it is not known. `differences` counts only in a
    verification.
    """

    id: str
    status: str
    title: str
    line: str
    is_verification: bool
    is_waiting: bool
    share: float | None
    expected: str
    fetched: int
    messages: int
    differences: int
    second: float
    rate: float
    speed: str
    calls: str
    until: str
    left: str
    chart: SpeedLine

    def as_event(self) -> dict[str, object]:
        """What the browser receives: everything but the chart, whose points it collects itself."""
        values = asdict(self)
        for name in ("chart", "id", "title", "is_verification"):
            del values[name]
        return values


def live_run(run: Run, events: Sequence[RunEvent], zone: tzinfo) -> LiveRun:
    """`events` since the run began; times are in `zone`."""
    newest = events[-1] if events else None
    data = newest.data if newest else {}
    speeds = speeds_of(events)
    second, rate = speeds[-1] if speeds else (0.0, 0.0)
    share, left = data.get("progress"), data.get("seconds_left")
    return LiveRun(
        id=run.id,
        status=newest.status if newest else "starting",
        title="Verifying now" if run.kind is RunKind.VERIFY else "Syncing now",
        line=describe(newest, zone) if newest else "Waiting for a worker",
        is_verification=run.kind is RunKind.VERIFY,
        is_waiting=newest is None or newest.status in (WAITING, RETRYING),
        share=round(share * 100, 1) if isinstance(share, int | float) else None,
        expected=f"of about {expected:,}" if isinstance(expected := data.get("expected"), int) else "",
        fetched=_int(data.get("fetched"), run.counts.fetched),
        messages=_int(data.get("eventsCreated"), run.counts.events),
        differences=differences_of(events),
        second=second,
        rate=round(rate, 1),
        speed=_rate(rate),
        calls=_calls(data, events, run),
        until=_until(data, zone),
        left=wording.duration(left) if isinstance(left, int | float) else "not known yet",
        chart=speed_line(thinned(speeds, most=_MOST_POINTS)),
    )


def differences_of(events: Sequence[RunEvent]) -> int:
    """Of a verification: how many conversations are not stored as they are listed, as last told."""
    told = (event.data.get("differences") for event in reversed(events))
    return next((count for count in told if isinstance(count, int)), 0)


def speeds_of(events: Sequence[RunEvent]) -> list[tuple[float, float]]:
    """(second of the run, conversations per second over the last seconds) at each event that has both."""
    seen: list[tuple[float, int]] = []
    speeds: list[tuple[float, float]] = []
    for event in events:
        second, fetched = event.data.get("seconds"), event.data.get("fetched")
        if not isinstance(second, int | float) or not isinstance(fetched, int):
            continue
        if seen and second <= seen[-1][0]:
            continue
        seen.append((float(second), fetched))
        while len(seen) > 2 and seen[-1][0] - seen[1][0] >= _WINDOW_SECONDS:  # noqa: PLR2004 - a pair stays
            seen.pop(0)
        (began, before), (ends, after) = seen[0], seen[-1]
        if ends > began:
            speeds.append((ends, (after - before) / (ends - began)))
    return speeds


def describe(event: RunEvent, zone: tzinfo) -> str:
    """An event as one sentence without a full stop. Days are those of `zone`."""
    data = event.data
    if isinstance(message := data.get("message"), str) and message:
        said = plain(message)
        return said[:1].upper() + said[1:]
    if line := describe_stage(data, zone) or plain(_why_not(data)):
        return line
    return {
        "starting": "Starting",
        "fetching": "Waiting for Meta's answer",
        "complete": "Complete",
        "complete_with_errors": "Ended, and something is still missing",
        "error": "Failed",
    }.get(event.status, event.status.replace("_", " ").capitalize())


def _why_not(data: Mapping[str, object]) -> str:
    """Of the end of a run that is not complete: the first thing that is in the way."""
    errors = data.get("errors")
    first = errors[0] if isinstance(errors, list) and errors else None
    return str(first.get("message") or "").rstrip(".") if isinstance(first, dict) else ""


def _calls(data: Mapping[str, object], events: Sequence[RunEvent], run: Run) -> str:
    made = _int(data.get("calls"), run.calls)
    used_percents = (event.data.get("quota_used_percent") for event in reversed(events))
    used = next((percent for percent in used_percents if isinstance(percent, int)), None)
    return f"{made:,}, {used} %" if used is not None else f"{made:,}"


def _until(data: Mapping[str, object], zone: tzinfo) -> str:
    until = data.get("waiting_until")
    return wording.clock(datetime.fromisoformat(until), zone) if isinstance(until, str) else "not waiting"


def _rate(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 10 else f"{rate:.1f}"  # noqa: PLR2004 - two digits are enough


def _int(value: object, otherwise: int) -> int:
    return value if isinstance(value, int) else otherwise
