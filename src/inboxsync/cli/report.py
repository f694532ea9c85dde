"""`inboxsync report`."""

from typing import Annotated

import typer

from inboxsync.cli.opening import open_engine
from inboxsync.cli.output import print_json
from inboxsync.cli.reporting import print_activity, print_response_times
from inboxsync.cli.times import parse_since, parse_zone
from inboxsync.engine import Engine
from inboxsync.model import Page
from inboxsync.reports import activity as activity_of
from inboxsync.reports import response_times as response_times_of
from inboxsync.settings import load_settings
from inboxsync.store.reading import Scope
from inboxsync.store.state.pages import find_pages, list_pages

app = typer.Typer(help="How soon people are answered, and when they write.", no_args_is_help=True)

Pages = Annotated[
    list[str] | None,
    typer.Option("--page", metavar="PAGE_ID", help="Only this Page, Meta's id or ours; may be repeated."),
]
Since = Annotated[
    str | None,
    typer.Option(metavar="WHEN", help="Only since then: 2026-01-31, 2026-01-31T12:00, or 24h, 30d, 4w ago."),
]
Zone = Annotated[
    str | None,
    typer.Option(
        "--zone",
        metavar="NAME",
        help="Time zone of days and hours; else INBOXSYNC_TIME_ZONE or this machine's.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.command("response-times")
def response_times(
    *, page: Pages = None, since: Since = None, zone: Zone = None, as_json: AsJson = False
) -> None:
    """Show how soon contacts are answered, by day and by hour, and who waits now.

    A response goes from the contact's first message after the Page's last one to the Page's next.
    """
    settings = load_settings()
    with open_engine(settings) as engine:
        chosen, now = parse_zone(zone, settings), engine.clock.now()
        began = parse_since(since, now=now, zone=chosen) if since is not None else None
        with engine.store.read() as connection:
            scope = Scope(pages=_pages(engine, page), since=began)
            told = response_times_of(connection, scope, chosen, now=now)
    if as_json:
        print_json(told)
    else:
        print_response_times(told, scope.pages, chosen)


@app.command()
def activity(*, page: Pages = None, since: Since = None, zone: Zone = None, as_json: AsJson = False) -> None:
    """Show when people write: messages a day, the week's hours, the busiest of them."""
    settings = load_settings()
    with open_engine(settings) as engine:
        chosen = parse_zone(zone, settings)
        began = parse_since(since, now=engine.clock.now(), zone=chosen) if since is not None else None
        with engine.store.read() as connection:
            scope = Scope(pages=_pages(engine, page), since=began)
            told = activity_of(connection, scope, chosen)
    if as_json:
        print_json(told)
    else:
        print_activity(told, scope.pages, chosen)


def _pages(engine: Engine, names: list[str] | None) -> tuple[Page, ...]:
    with engine.store.read() as connection:
        return tuple(find_pages(connection, names) if names else list_pages(connection))
