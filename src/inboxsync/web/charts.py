"""Charts as plain geometry: the place of each shape, and the numbers for the table beside it.

Pure. The templates draw them as SVG with the colours of the stylesheet, so a chart needs no script and no
inline style, and follows light and dark mode.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

# Horizontal places in percent of the width, so that labels have the same size on a phone; vertical ones in
# pixels.
_LEFT, _RIGHT = 7.0, 100.0
_TOP, _BOTTOM = 10, 22
_HEIGHT, _LINE_HEIGHT = 180, 150
_LABELS = 6
_LEVELS = 5
_HEAT_LEFT, _HEAT_TOP, _CELL_HEIGHT, _CELL_GAP = 7.0, 18, 23, 3
# The coordinate system of the line; the browser stretches it to the chart.
_BOX = 1000
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_HOURS = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """A line of the grid or a label of an axis."""

    at: float
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One day: messages from contacts stacked on messages from the Page."""

    x: float
    width: float
    in_y: float
    in_height: float
    out_y: float
    out_height: float
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DayBars:
    """Messages per day. `rows` is (day, from contacts, from the Page)."""

    height: int
    left: float
    right: float
    bars: tuple[Bar, ...]
    across: tuple[Tick, ...]
    below: tuple[Tick, ...]
    rows: tuple[tuple[str, int, int], ...]
    total: int


def day_bars(counts: Mapping[date, tuple[int, int]], *, until: date, days: int) -> DayBars:
    """The last `days` days, with `until`. `counts` is (from contacts, from the Page); missing days are 0."""
    span = [until - timedelta(days=days - 1 - place) for place in range(days)]
    rows = [(day, *counts.get(day, (0, 0))) for day in span]
    top = _ceiling(max((received + sent for _, received, sent in rows), default=0))
    base, scale = _HEIGHT - _BOTTOM, (_HEIGHT - _BOTTOM - _TOP) / top
    step = (_RIGHT - _LEFT) / days
    bars = []
    for place, (day, received, sent) in enumerate(rows):
        out_height, in_height = sent * scale, received * scale
        bars.append(
            Bar(
                x=round(_LEFT + place * step + step * 0.15, 2),
                width=round(step * 0.7, 2),
                out_y=round(base - out_height, 1),
                out_height=round(out_height, 1),
                in_y=round(base - out_height - in_height, 1),
                in_height=round(in_height, 1),
                label=f"{day:%-d %b}: {received:,} received, {sent:,} sent",
            )
        )
    every = max(1, days // _LABELS)
    return DayBars(
        height=_HEIGHT,
        left=_LEFT,
        right=_RIGHT,
        bars=tuple(bars),
        across=_across(top, _TOP, base),
        below=tuple(
            Tick(at=round(_LEFT + (place + 0.5) * step, 2), label=f"{span[place]:%-d %b}")
            for place in range(every // 2, days, every)
        ),
        rows=tuple((f"{day:%-d %b %Y}", received, sent) for day, received, sent in rows),
        total=sum(received + sent for _, received, sent in rows),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One hour of one weekday; `level` is from 0 (none) to 5 (most)."""

    x: float
    y: float
    level: int
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatMap:
    """Messages by weekday and hour. `rows` is (weekday, one number an hour)."""

    cell_width: float
    cell_height: int
    left: float
    cells: tuple[Cell, ...]
    hours: tuple[Tick, ...]
    weekdays: tuple[Tick, ...]
    rows: tuple[tuple[str, tuple[int, ...]], ...]
    busiest: str


def heat_map(counts: Mapping[tuple[int, int], int]) -> HeatMap:
    """`counts` is by (weekday, hour): Monday is 0."""
    most = max(counts.values(), default=0)
    across, down = (100 - _HEAT_LEFT) / _HOURS, _CELL_HEIGHT + _CELL_GAP
    cells = [
        Cell(
            x=round(_HEAT_LEFT + hour * across, 2),
            y=_HEAT_TOP + weekday * down,
            level=_level(counts.get((weekday, hour), 0), most),
            label=f"{WEEKDAYS[weekday]} {hour:02}:00: {counts.get((weekday, hour), 0):,}",
        )
        for weekday in range(len(WEEKDAYS))
        for hour in range(_HOURS)
    ]
    peak = max(counts, key=lambda key: counts[key], default=None)
    return HeatMap(
        cell_width=round(across * 0.86, 2),
        cell_height=_CELL_HEIGHT,
        left=_HEAT_LEFT,
        cells=tuple(cells),
        hours=tuple(
            Tick(at=round(_HEAT_LEFT + (hour + 0.43) * across, 2), label=f"{hour:02}")
            for hour in range(0, _HOURS, 3)
        ),
        weekdays=tuple(
            Tick(at=_HEAT_TOP + place * down + _CELL_HEIGHT / 2 + 4, label=name[:3])
            for place, name in enumerate(WEEKDAYS)
        ),
        rows=tuple(
            (name, tuple(counts.get((place, hour), 0) for hour in range(_HOURS)))
            for place, name in enumerate(WEEKDAYS)
        ),
        busiest=f"{WEEKDAYS[peak[0]]} {peak[1]:02}:00-{peak[1] + 1:02}:00" if peak and most else "",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeedLine:
    """Conversations per second during a run. `rows` is (second, speed)."""

    height: int
    left: float
    right: float
    top: float
    base: float
    box: int
    points: str
    area: str
    most: str
    last: str
    across: tuple[Tick, ...]
    rows: tuple[tuple[str, str], ...]


def speed_line(speeds: Sequence[tuple[float, float]]) -> SpeedLine:
    """`speeds` is (seconds since the run began, conversations a second), in order."""
    last = max((second for second, _ in speeds), default=0) or 1
    top = _ceiling(max((rate for _, rate in speeds), default=0))
    base = _LINE_HEIGHT - _BOTTOM
    points = [
        (
            round(_BOX * second / last, 1),
            round(_BOX - _BOX * rate / top, 1),
        )
        for second, rate in speeds
    ]
    drawn = " ".join(f"{x},{y}" for x, y in points)
    area = f"{points[0][0]},{_BOX} {drawn} {points[-1][0]},{_BOX}" if points else ""
    return SpeedLine(
        height=_LINE_HEIGHT,
        left=_LEFT,
        right=_RIGHT,
        top=_TOP,
        base=base,
        box=_BOX,
        points=drawn,
        area=area,
        most=f"{top:,.0f}",
        last=f"{last:,.0f} s",
        across=_across(top, _TOP, base),
        rows=tuple((f"{second:,.0f} s", f"{rate:,.1f}") for second, rate in speeds),
    )


def thinned(speeds: Sequence[tuple[float, float]], *, most: int) -> list[tuple[float, float]]:
    """At most `most` of them, always including the last one."""
    if len(speeds) <= most:
        return list(speeds)
    step = (len(speeds) - 1) / (most - 1)
    return [speeds[round(place * step)] for place in range(most)]


def _across(top: float, high: float, base: float) -> tuple[Tick, ...]:
    return tuple(
        Tick(at=round(base - (base - high) * part / 2, 1), label=_short(top * part / 2)) for part in range(3)
    )


def _short(number: float) -> str:
    if number >= 10_000:  # noqa: PLR2004 - five digits do not fit beside the axis
        return f"{number / 1000:,.0f}k"
    return f"{number:,.0f}" if number == int(number) else f"{number:,.1f}"


def _ceiling(most: float) -> float:
    """The next round number, where the axis ends."""
    if most <= 1:
        return 2.0
    unit = 10 ** (len(str(int(most))) - 1)
    return float(next(unit * step for step in (1, 2, 4, 6, 8, 10) if unit * step >= most))


def _level(count: int, most: int) -> int:
    return -(-count * _LEVELS // most) if most else 0
