"""`inboxsync report`."""

from collections.abc import Sequence
from datetime import datetime, tzinfo
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from inboxsync.cli.options import OnlyPages, Since, Zone, pages_or_none, parse_since, parse_zone
from inboxsync.cli.output import page_name, print_json, some, stdout, table
from inboxsync.cli.process import open_engine
from inboxsync.model import Page
from inboxsync.reports import Activity, ResponseTimes
from inboxsync.reports import activity as activity_of
from inboxsync.reports import response_times as response_times_of
from inboxsync.reports.response_times import Speed
from inboxsync.settings import load_settings
from inboxsync.store.reading import Scope

_DAYS_SHOWN = 14
_TEXT_SHOWN = 60
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_SHADES = "\u00b7\u2591\u2592\u2593\u2588"
_UNITS = ((86_400, "d"), (3600, "h"), (60, "min"))

app = typer.Typer(help="How soon people are answered, and when they write.", no_args_is_help=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


CountAutomatic = Annotated[
    bool, typer.Option("--count-automatic", help="Count the Page's automatic greetings as answers.")
]


@app.command("response-times")
def response_times(
    *,
    page: OnlyPages = None,
    since: Since = None,
    zone: Zone = None,
    count_automatic: CountAutomatic = False,
    as_json: AsJson = False,
) -> None:
    """Show how soon contacts are answered, by day and by hour, and who waits now.

    A response time is counted from the contact's first unanswered message to the Page's next message.
    Automatic greetings are no answers: texts that a Page sends within seconds in many conversations.
    """
    settings = load_settings()
    with open_engine(settings) as engine:
        chosen, now = parse_zone(zone, settings), engine.clock.now()
        began = parse_since(since, now=now, zone=chosen)
        scope = Scope(pages=tuple(pages_or_none(engine, page)), since=began)
        with engine.store.read() as connection:
            report = response_times_of(connection, scope, chosen, now=now, count_automatic=count_automatic)
    if as_json:
        print_json(report)
    else:
        _print_response_times(report, scope.pages, chosen)


@app.command()
def activity(
    *, page: OnlyPages = None, since: Since = None, zone: Zone = None, as_json: AsJson = False
) -> None:
    """Show when people write: messages a day, the week's hours, the busiest of them."""
    settings = load_settings()
    with open_engine(settings) as engine:
        chosen = parse_zone(zone, settings)
        began = parse_since(since, now=engine.clock.now(), zone=chosen)
        scope = Scope(pages=tuple(pages_or_none(engine, page)), since=began)
        with engine.store.read() as connection:
            report = activity_of(connection, scope, chosen)
    if as_json:
        print_json(report)
    else:
        _print_activity(report, scope.pages, chosen)


def _print_response_times(report: ResponseTimes, pages: Sequence[Page], zone: tzinfo) -> None:
    """The report in sentences and two tables."""
    console = stdout()
    _print_heading(console, "Response times", pages, report.since, zone=zone)
    overall, waiting = report.overall, report.unanswered
    if overall.responses:
        console.print(
            f"{some(overall.responses, 'response')}: half within {span(overall.median_seconds)}, "
            f"nine in ten within {span(overall.p90_seconds)}."
        )
    else:
        console.print("No response yet.")
    if waiting.oldest_since is None:
        console.print("No one waits for an answer.")
    else:
        console.print(
            f"{some(waiting.conversations, 'conversation')} unanswered now, the oldest since "
            f"{waiting.oldest_since.astimezone(zone):%Y-%m-%d %H:%M}; {waiting.in_window:,} of them within "
            "24 hours of the contact's last message."
        )
    if report.incomplete:
        console.print(
            f"In {some(report.incomplete, 'conversation')} older messages are not stored: questions before "
            "the Page's first stored message are not counted there."
        )
    _print_automatic(console, report)
    if overall.responses:
        days = [(f"{each.day:%Y-%m-%d}", each.speed) for each in report.by_day[-_DAYS_SHOWN:]]
        _print_speeds(console, "Asked on", days)
        if len(report.by_day) > _DAYS_SHOWN:
            console.print(f"The last {_DAYS_SHOWN} of {len(report.by_day):,} days; --json has all.")
        hours = [(f"{hour:02}:00", speed) for hour, speed in enumerate(report.by_hour) if speed.responses]
        _print_speeds(console, "Asked at", hours)


def _print_automatic(console: Console, report: ResponseTimes) -> None:
    if not report.automatic:
        return
    treated = "counted as answers" if report.automatic_counted else "not counted as answers"
    console.print(f"Automatic greetings, {treated}:")
    for each in report.automatic:
        text = " ".join(each.text.split())
        shown = text if len(text) <= _TEXT_SHOWN else f"{text[: _TEXT_SHOWN - 1]}\u2026"
        console.print(Text(f"  in {some(each.conversations, 'conversation')}: {shown}"))
    if not report.automatic_counted:
        console.print("  --count-automatic counts them.")


def _print_activity(report: Activity, pages: Sequence[Page], zone: tzinfo) -> None:
    """The report in sentences, a table, and a map of the week."""
    console = stdout()
    _print_heading(console, "Activity", pages, report.since, zone=zone)
    console.print(
        f"{some(report.messages_in, 'message')} from contacts, {report.messages_out:,} from the Page."
        + (f" {report.undated:,} without a time are left out." if report.undated else "")
    )
    if not report.by_day:
        return
    if report.busiest:
        busy = ", ".join(
            f"{_WEEKDAYS[each.weekday]} {each.hour:02}:00 ({each.messages_in:,})" for each in report.busiest
        )
        console.print(f"Busiest hours: {busy}.")
    rows = table("Day", "from contacts", "from the Page")
    for each in report.by_day[-_DAYS_SHOWN:]:
        rows.add_row(f"{each.day:%Y-%m-%d}", f"{each.messages_in:,}", f"{each.messages_out:,}")
    console.print()
    console.print(rows)
    if len(report.by_day) > _DAYS_SHOWN:
        console.print(f"The last {_DAYS_SHOWN} of {len(report.by_day):,} days; --json has all.")
    _print_week(console, report.week_in)


def span(seconds: float | None) -> str:
    """`45 s`, `12 min`, `3 h 5 min`, `2 d 4 h`; a dash for none."""
    if seconds is None:
        return "-"
    left = round(seconds)
    for place, (size, unit) in enumerate(_UNITS):
        if left >= size:
            count, rest = divmod(left, size)
            if place + 1 == len(_UNITS):
                return f"{count} {unit}"
            smaller, name = _UNITS[place + 1]
            return f"{count} {unit}" + (f" {rest // smaller} {name}" if rest >= smaller else "")
    return f"{left} s"


def _print_heading(
    console: Console, title: str, pages: Sequence[Page], since: datetime | None, *, zone: tzinfo
) -> None:
    names = ", ".join(f"{page_name(page)} ({page.platform})" for page in pages) or "no Page yet"
    began = f", since {since.astimezone(zone):%Y-%m-%d %H:%M}" if since is not None else ""
    console.print(Text(title, "bold"), f" of {names}{began}. Times are in {zone}.", sep="")


def _print_speeds(console: Console, title: str, speeds: Sequence[tuple[str, Speed]]) -> None:
    rows = table(title, "responses", "half within", "nine in ten within")
    for name, speed in speeds:
        rows.add_row(name, f"{speed.responses:,}", span(speed.median_seconds), span(speed.p90_seconds))
    console.print()
    console.print(rows)


def _print_week(console: Console, week: Sequence[Sequence[int]]) -> None:
    most = max(max(day) for day in week)
    console.print()
    console.print("From contacts, by weekday and hour:")
    console.print("    " + "".join(f"{hour:02} " for hour in range(24)).rstrip())
    for name, day in zip(_WEEKDAYS, week, strict=True):
        console.print(f"{name} " + " ".join(_shade(count, most) * 2 for count in day))
    console.print(f"{_SHADES[0]} none, {_SHADES[-1]} near {most:,}.")


def _shade(count: int, most: int) -> str:
    if count == 0:
        return _SHADES[0]
    return _SHADES[1 + (count - 1) * (len(_SHADES) - 1) // most]
