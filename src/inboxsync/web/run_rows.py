"""Runs as the templates show them: in a table, on their own page, and while they are in progress."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from inboxsync.model import Problem, Run, RunEvent, RunKind, RunStatus
from inboxsync.web import wording
from inboxsync.web.charts import SpeedLine, speed_line, thinned
from inboxsync.web.explained import plain

_WINDOW_SECONDS = 4.0
_MOST_POINTS = 120
_STAGES = {
    "full_scan": "Full scan of {folder}, newest first",
    "catch_up": "Catch-up scan of {folder}",
    "conversation": "Fetching conversations from the backlog",
    "gap": "Fetching missing messages between stored ones",
    "history": "Fetching older messages",
    "compare": "Comparing {folder} with what is stored",
}


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
    """A run in progress: its figures and a sentence, as of now."""

    id: str
    status: str
    title: str
    line: str
    total: int | None
    shown: int
    fetched: int
    messages: int
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
        del values["chart"], values["id"], values["title"]
        return values


def live_run(run: Run, events: Sequence[RunEvent], *, total: int | None) -> LiveRun:
    """`events` since the run began; `total` is the expected number of conversations, if known."""
    newest = events[-1] if events else None
    data = newest.data if newest else {}
    fetched = _int(data.get("fetched"), run.counts.fetched)
    speeds = speeds_of(events)
    second, rate = speeds[-1] if speeds else (0.0, 0.0)
    expected = total if total and total >= fetched else None
    return LiveRun(
        id=run.id,
        status=newest.status if newest else "starting",
        title="Verifying now" if run.kind is RunKind.VERIFY else "Syncing now",
        line=describe(newest) if newest else "Waiting for a worker",
        total=expected,
        shown=min(fetched, expected or 0),
        fetched=fetched,
        messages=_int(data.get("eventsCreated"), run.counts.events),
        second=second,
        rate=round(rate, 1),
        speed=_rate(rate),
        calls=_calls(data, events, run),
        until=_until(data),
        left=wording.duration((expected - fetched) / rate) if expected and rate > 0 else "unknown",
        chart=speed_line(thinned(speeds, most=_MOST_POINTS)),
    )


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


def describe(event: RunEvent) -> str:
    """An event as one sentence without a full stop."""
    data = event.data
    if isinstance(message := data.get("message"), str) and message:
        said = plain(message)
        return said[:1].upper() + said[1:]
    if isinstance(stage := data.get("stage"), str):
        folder = str(data.get("folder") or "the inbox").replace("_", " ")
        line = _STAGES.get(stage, stage).format(
            folder=f"the folder {folder}" if folder != "inbox" else "the inbox"
        )
        if isinstance(reached := data.get("reached"), str):
            line += f": reached {datetime.fromisoformat(reached):%-d %b %Y}"
        return line
    return {
        "starting": "Starting",
        "fetching": "Waiting for Meta's answer",
        "complete": "Complete",
        "complete_with_errors": "Ended, and something is still missing",
        "error": "Failed",
    }.get(event.status, event.status.replace("_", " ").capitalize())


def _calls(data: Mapping[str, object], events: Sequence[RunEvent], run: Run) -> str:
    made = _int(data.get("calls"), run.calls)
    used_percents = (event.data.get("quota_used_percent") for event in reversed(events))
    used = next((percent for percent in used_percents if isinstance(percent, int)), None)
    return f"{made:,}, {used} %" if used is not None else f"{made:,}"


def _until(data: Mapping[str, object]) -> str:
    until = data.get("waiting_until")
    return f"{datetime.fromisoformat(until):%H:%M} UTC" if isinstance(until, str) else "not waiting"


def _rate(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 10 else f"{rate:.1f}"  # noqa: PLR2004 - two digits are enough


def _int(value: object, otherwise: int) -> int:
    return value if isinstance(value, int) else otherwise
