"""`inboxsync pages`."""

import asyncio
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import tzinfo
from typing import Annotated

import typer
from sqlalchemy import Connection

from inboxsync.cli.exposed import warn_exposed
from inboxsync.cli.options import AsJsonArray, OnlyPlatform, PageId, on_platform
from inboxsync.cli.output import duration, local, one_line, print_json, some, stdout, table
from inboxsync.cli.page_detail import COMPLETENESS_WORDS, entry_as_json, page_detail
from inboxsync.cli.process import open_engine
from inboxsync.errors import SettingsInvalid
from inboxsync.model import Completeness, CompletenessState, History, Page, Platform, TokenState
from inboxsync.store.derived import has_notes
from inboxsync.store.reading import (
    PROBLEMS,
    PageEntry,
    PageOrder,
    PageState,
    count_states,
    entries_in,
    list_page_entries,
    sorted_entries,
)
from inboxsync.store.state.pages import count_page, find_pages, remove_page, set_history
from inboxsync.sync import completeness_of
from inboxsync.workers import LONGEST_SECONDS, SHORTEST_SECONDS, set_schedule

_LONGEST_ID = 32
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}

app = typer.Typer(help="The Pages whose inboxes are copied.", no_args_is_help=True)


@app.command()
def add(
    page_id: Annotated[str, typer.Argument(metavar="PAGE_ID", help="Meta's id of the Page.")],
    *,
    name: Annotated[str | None, typer.Option(help="What to call it. Default: the Page's own name.")] = None,
    platform: Annotated[Platform, typer.Option(help="Which platform.")] = Platform.MESSENGER,
    token_stdin: Annotated[
        bool, typer.Option("--token-stdin", help="Read the Page's access token from standard input.")
    ] = False,
) -> None:
    """Add a Page, or replace the token of a known one.

    The token is checked with Meta before anything is stored, and it is stored encrypted.
    Without --token-stdin you are asked for it, and it is not shown.
    """
    if not (page_id.isascii() and page_id.isdecimal() and len(page_id) <= _LONGEST_ID):
        raise SettingsInvalid(
            f"{page_id[:_LONGEST_ID]!r} is not a Page id.",
            hint="A Page id is a number, such as 104567890123456.",
        )
    token = _read_token(from_stdin=token_stdin)
    with open_engine() as engine:
        page, is_new = asyncio.run(engine.add_page(page_id, platform=platform, token=token, name=name))
        warn_exposed(engine)
    done = "Added" if is_new else "Updated"
    stdout().print(
        f"{done}: {page.name or page_id} ({page.platform}). Its token works, and is stored encrypted."
    )
    stdout().print(f"  Next: inboxsync sync {page_id}")


@app.command("list")
def list_(
    *,
    problem: Annotated[
        bool, typer.Option("--problem", help="Only Pages that need a person, or whose last run failed.")
    ] = False,
    state: Annotated[PageState | None, typer.Option(help="Only Pages in this state.")] = None,
    named: Annotated[
        str, typer.Option(metavar="TEXT", help="Only Pages with this in their name or Meta's id.")
    ] = "",
    sort: Annotated[
        PageOrder | None,
        typer.Option(help="Sort by this column: problems, the oldest sync or the greatest numbers first."),
    ] = None,
    reverse: Annotated[bool, typer.Option("--reverse", help="Sort the other way round.")] = False,
    as_json: AsJsonArray = False,
) -> None:
    """Show every Page with its token's state and how much of it is stored.

    Without --sort they come in the order in which they were added.
    """
    if reverse and sort is None:
        raise SettingsInvalid("--reverse needs a column to sort by.", hint="Name it: --sort messages.")
    with open_engine() as engine, engine.store.read() as connection:
        entries = list_page_entries(connection, now=engine.clock.now())
        complete = completeness_of(connection, [entry.page for entry in entries])
        if has_notes(connection):
            # A sync was killed, or goes on: what it has stored meanwhile is counted now.
            entries = [_counted(connection, entry) for entry in entries]
    states = frozenset({state} if state else PROBLEMS if problem else ())
    found = entries_in(entries, states=states, named=named)
    if problem and state:
        found = [entry for entry in found if PROBLEMS & entry.states]
    if sort is not None:
        found = sorted_entries(found, sort, is_reversed=reverse)
    if as_json:
        print_json([entry_as_json(entry, complete[entry.page.id]) for entry in found])
    elif not entries:
        stdout().print("No Page yet. Add one with `inboxsync pages add PAGE_ID`.")
    else:
        _print_list(entries, found, complete, zone=engine.clock.zone)


def _counted(connection: Connection, entry: PageEntry) -> PageEntry:
    counts = count_page(connection, entry.page)
    return replace(
        entry, conversations=counts.conversations, contacts=counts.contacts, messages=counts.messages
    )


def _print_list(
    entries: Sequence[PageEntry],
    found: Sequence[PageEntry],
    complete: Mapping[str, Completeness],
    *,
    zone: tzinfo,
) -> None:
    if found:
        rows = table("Page", "token", "last synced", "conversations", "contacts", "messages")
        for entry in found:
            page = entry.page
            name = f"{one_line(page.name)}\n" if page.name else ""
            rows.add_row(
                f"{name}{page.facebook_page_id}\n{page.platform}",
                "\n".join((_token(page, zone), *_marks(entry))),
                f"{local(page.last_synced_at, zone)}\n{_complete(complete[page.id])}",
                *(f"{number:,}" for number in (entry.conversations, entry.contacts, entry.messages)),
            )
        stdout().print(rows)
    counts = count_states(entries)
    said = [f"{len(found):,} of {some(len(entries), 'Page')}"] if len(found) < len(entries) else []
    if person := counts[PageState.PERSON]:
        said.append(f"{person:,} {'needs' if person == 1 else 'need'} a person")
    if failed := counts[PageState.FAILED]:
        said.append(f"the last run of {failed:,} failed")
    if said:
        stdout().print(f"{'. '.join(each[:1].upper() + each[1:] for each in said)}.")


def _complete(found: Completeness) -> str:
    """`complete`, `12 new`, `not complete`: short, for a column."""
    is_new = found.state is CompletenessState.NEW
    return f"{found.new:,} new" if is_new else COMPLETENESS_WORDS[found.state]


def _token(page: Page, zone: tzinfo) -> str:
    """`valid`, `valid until 2026-12-08`, `invalid: expired`."""
    if page.token_state is TokenState.VALID:
        ends_at = page.token_expires_at
        return f"valid until {ends_at.astimezone(zone):%Y-%m-%d}" if ends_at is not None else "valid"
    return f"{page.token_state}: {page.token_reason}" if page.token_reason else page.token_state


def _marks(entry: PageEntry) -> list[str]:
    """What else there is to say of a Page, a line each."""
    words = {PageState.FAILED: "last run failed", PageState.RUNNING: "running", PageState.PAUSED: "paused"}
    return [word for state, word in words.items() if state in entry.states]


@app.command()
def show(
    page_id: PageId,
    *,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a JSON array, one object for each platform.")
    ] = False,
) -> None:
    """Show one Page: what is stored, how far each folder was read, its backlog, and its schedule."""
    with open_engine() as engine, engine.store.read() as connection:
        found = [page_detail(connection, page) for page in find_pages(connection, [page_id])]
    if as_json:
        print_json([detail.as_json() for detail in found])
        return
    for detail in found:
        detail.print(stdout(), engine.clock.zone)


@app.command("set")
def set_(
    page_id: PageId,
    *,
    every: Annotated[
        str | None, typer.Option(metavar="TIME", help="How often workers sync it: 90s, 5m, 2h or 1d.")
    ] = None,
    history: Annotated[
        History | None,
        typer.Option(help="all: keep every message; newest: the newest ones and all that come later."),
    ] = None,
    pause: Annotated[
        bool | None, typer.Option("--pause/--resume", help="Stop or restart the automatic syncs of the Page.")
    ] = None,
) -> None:
    """Set how workers treat a Page: how often they sync it, how much history they keep, whether they sync it.

    They also verify each Page once a night. A Page whose token is invalid waits for a new one automatically.
    """
    if every is None and history is None and pause is None:
        raise SettingsInvalid(
            "There is nothing to set.", hint="Give --every, --history, --pause or --resume."
        )
    seconds = _seconds(every) if every is not None else None
    with open_engine() as engine, engine.store.write() as connection:
        for page in find_pages(connection, [page_id]):
            now = engine.clock.now()
            if history is not None:
                set_history(connection, page, history, now=now)
            schedule = set_schedule(connection, page, every_seconds=seconds, is_paused=pause, now=now)
            state = "paused" if schedule.is_paused else f"every {duration(schedule.every_seconds)}"
            stdout().print(f"Set: {page.name or page.facebook_page_id} ({page.platform}): {state}.")


@app.command()
def remove(
    page_id: PageId,
    *,
    platform: OnlyPlatform = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete a Page here: its token, conversations and messages. Nothing changes at Meta."""
    with open_engine() as engine:
        with engine.store.read() as connection:
            pages = on_platform(find_pages(connection, [page_id]), page_id, platform)
            stored = sum(count_page(connection, page).conversations for page in pages)
        if not yes:
            _confirm(f"Remove Page {page_id} and its {stored:,} stored conversations?")
        with engine.store.write() as connection:
            for page in pages:
                remove_page(connection, page)
    stdout().print(f"Removed: Page {page_id} and its {stored:,} stored conversations.")


def _seconds(text: str) -> int:
    match = re.fullmatch(r"(\d{1,6})([smhd])", text.strip().lower())
    seconds = int(match[1]) * _UNITS[match[2]] if match else 0
    if not SHORTEST_SECONDS <= seconds <= LONGEST_SECONDS:
        raise SettingsInvalid(
            f"{text!r} is not an interval between 30 seconds and 30 days.",
            hint="Write it as 90s, 5m, 2h or 1d.",
        )
    return seconds


def _read_token(*, from_stdin: bool) -> str:
    if not from_stdin and not sys.stdin.isatty():
        raise SettingsInvalid(
            "There is no terminal to ask for the token.",
            hint="Pipe it in: `inboxsync pages add PAGE_ID --token-stdin`.",
        )
    text = (
        sys.stdin.readline() if from_stdin else typer.prompt("Page access token", hide_input=True, err=True)
    )
    token = str(text).strip()
    # Other characters cannot be sent in a header. The message does not repeat the text.
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise SettingsInvalid(
            "That is not an access token.", hint="Copy it whole, without quotes or line breaks."
        )
    return token


def _confirm(question: str) -> None:
    if not sys.stdin.isatty():
        raise SettingsInvalid(f"{question} There is no terminal to ask.", hint="Confirm with --yes.")
    typer.confirm(question, abort=True, err=True)
