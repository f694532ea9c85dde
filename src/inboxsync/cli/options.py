"""Options that several commands have, and how their values are read."""

from collections.abc import Sequence
from datetime import datetime, tzinfo
from typing import Annotated

import typer

from inboxsync.cli.completion import complete_page
from inboxsync.engine import Engine
from inboxsync.errors import PageUnknown, SettingsInvalid
from inboxsync.model import Page, Platform
from inboxsync.reports import when
from inboxsync.settings import Settings
from inboxsync.store.state.pages import find_pages, list_pages

PageId = Annotated[
    str,
    typer.Argument(
        metavar="PAGE_ID", help="Meta's id of the Page, ours, or its name.", autocompletion=complete_page
    ),
]
PageIds = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="PAGE_ID",
        help="Meta's id of a Page, ours, or its name. Default: all Pages.",
        autocompletion=complete_page,
    ),
]
OnlyPages = Annotated[
    list[str] | None,
    typer.Option(
        "--page",
        metavar="PAGE_ID",
        help="Only this Page: an id or its name; may be repeated.",
        autocompletion=complete_page,
    ),
]
OnlyPlatform = Annotated[Platform | None, typer.Option(help="Only this platform of it.")]
Since = Annotated[
    str | None,
    typer.Option(metavar="WHEN", help="Only since then: 2026-01-31, 2026-01-31T12:00, or 24h, 30d, 4w ago."),
]
Zone = Annotated[
    str | None,
    typer.Option(
        "--zone",
        metavar="NAME",
        help="Time zone of times, days and hours. Default: INBOXSYNC_TIME_ZONE or this machine's.",
    ),
]
Wait = Annotated[
    bool, typer.Option("--wait", help="If another process works on the Page, wait until it has ended.")
]
AsJsonArray = Annotated[bool, typer.Option("--json", help="Print a JSON array.")]
AsJsonPerPage = Annotated[
    bool, typer.Option("--json", help="Print one JSON object for each Page, last on stdout.")
]


def parse_since(text: str | None, *, now: datetime, zone: tzinfo) -> datetime | None:
    """Since when, as `reports.when` reads it; None for None. Raises SettingsInvalid."""
    return None if text is None else when.parse_since(text, now=now, zone=zone)


def parse_zone(name: str | None, settings: Settings) -> tzinfo:
    """A time zone by its name; None: the settings' one. Raises SettingsInvalid."""
    return settings.zone if name is None else when.parse_zone(name)


def pages_named(engine: Engine, names: Sequence[str] | None) -> list[Page]:
    """These Pages, or all without names. Raises PageUnknown where one, or any, is missing."""
    pages = pages_or_none(engine, names)
    if not pages:
        raise PageUnknown("No Page has been added yet.", hint="Add one with `inboxsync pages add PAGE_ID`.")
    return pages


def pages_or_none(engine: Engine, names: Sequence[str] | None) -> list[Page]:
    """The same, but without names there may be none."""
    with engine.store.read() as connection:
        return find_pages(connection, names) if names else list_pages(connection)


def on_platform(pages: Sequence[Page], page_id: str, platform: Platform | None) -> list[Page]:
    """Those of the Pages with this id that are on `platform`. Raises SettingsInvalid where there is none."""
    found = [page for page in pages if platform in (None, page.platform)]
    if not found:
        raise SettingsInvalid(
            f"Page {page_id} was not added for {platform}.", hint="See `inboxsync pages list`."
        )
    return found
