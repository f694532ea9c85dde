"""What commands print: answers on stdout, everything else on stderr."""

import os
import shutil
import sys
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

import msgspec
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from inboxsync.cli.console import SafeConsole, safe_json
from inboxsync.errors import InboxsyncError
from inboxsync.model import Page, Run, RunStatus
from inboxsync.sync import Outcome, describe_waiting
from inboxsync.workers import EVERY_SECONDS

_WIDTH_OF_A_PIPE = 200
_TITLES = {
    RunStatus.QUEUED: ("Queued", "bold"),
    RunStatus.RUNNING: ("Not ended", "bold"),
    RunStatus.INTERRUPTED: ("Interrupted", "bold yellow"),
    RunStatus.COMPLETE: ("Complete", "bold green"),
    RunStatus.PARTIAL: ("Partial", "bold yellow"),
    RunStatus.FAILED: ("Failed", "bold red"),
    RunStatus.CANCELLED: ("Cancelled", "bold yellow"),
}


def stdout() -> Console:
    """For the answer to the command."""
    # A pipe has no width: nothing that a script reads is cut to fit one.
    width = None if sys.stdout.isatty() else _WIDTH_OF_A_PIPE
    return _console(sys.stdout, width)


def stderr() -> Console:
    """For everything that is not the answer."""
    return _console(sys.stderr, None)


def _console(file: TextIO, width: int | None) -> Console:
    # What is printed holds names from outside: nothing in it is markup, and `:smile:` is no emoji.
    return SafeConsole(
        file=file, width=width, highlight=False, soft_wrap=not file.isatty(), markup=False, emoji=False
    )


def table(*columns: str) -> Table:
    """An empty table with these columns; all but the first are kept whole."""
    # As narrow as can be: at 80 columns a Page's id stays whole.
    made = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1, 0, 0))
    made.add_column(columns[0], overflow="fold")
    for column in columns[1:]:
        made.add_column(column, no_wrap=True)
    return made


def local(at: datetime | None) -> str:
    """A time for people, in their own zone; `never` for none."""
    return f"{at.astimezone():%Y-%m-%d %H:%M}" if at is not None else "never"


def duration(seconds: int | None) -> str:
    """`90 s`, `5 min`, `2 h`, `1 d`; the default interval for none."""
    seconds = seconds or EVERY_SECONDS
    for name, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds % length == 0:
            return f"{seconds // length} {name}"
    return f"{seconds} s"


def own_command() -> str:
    """How the reader can call this command again: by its name, or by the path it was called with."""
    called = Path(sys.argv[0])
    if called.name != "inboxsync" or shutil.which("inboxsync"):
        return "inboxsync"
    return os.path.relpath(called)


def print_json(value: object) -> None:
    """One line of JSON on stdout."""
    typer.echo(safe_json(msgspec.json.encode(value).decode()))


def print_error(error: InboxsyncError) -> None:
    """One sentence, and the next thing to do."""
    print_problem(error.message, error.hint)


def print_problem(message: str, hint: str) -> None:
    """Say on stderr what is wrong and what to do; never interpreted as markup."""
    console = stderr()
    console.print("inboxsync:", message, style="red")
    if hint:
        console.print("  ", hint, sep="")


def run_as_json(run: Run) -> dict[str, Any]:
    """A run as scripts see it: `inboxsync runs --json`, and the heart of `inboxsync sync --json`."""
    return {
        "run_id": run.id or None,
        "page_id": run.facebook_page_id,
        "platform": run.platform,
        "kind": run.kind.value,
        "status": run.status.value,
        "mode": run.mode.value,
        "fetched": run.counts.fetched,
        "inserted": run.counts.inserted,
        "updated": run.counts.updated,
        "unchanged": run.counts.unchanged,
        "events": run.counts.events,
        "batches": run.batches,
        "calls": run.calls,
        "refused_calls": run.refused_calls,
        "started_at": run.started_at,
        "finished_at": run.finished_at,
        "duration_seconds": round(run.duration_seconds, 3),
        "conversations_per_second": round(run.conversations_per_second, 1),
        "errors": [
            {"code": problem.code, "message": problem.message, "hint": problem.hint}
            for problem in run.problems
        ],
        "next": run.next,
    }


def outcome_as_json(outcome: Outcome) -> dict[str, Any]:
    """A run that has just ended, with what it leaves open: `inboxsync sync --json`."""
    older, waiting = outcome.unfinished.older, outcome.waiting
    return run_as_json(outcome.run) | {
        "stopped": outcome.reason,
        "waiting": describe_waiting(waiting) if waiting else None,
        "waiting_until": waiting.until if waiting else None,
        "backlog": {phase.value: count for phase, count in outcome.unfinished.backlog.items()},
        "older_not_fetched": {
            "conversations": older.conversations if older else 0,
            "messages": older.messages if older else 0,
        },
    }


def print_run(run: Run) -> None:
    """A run as it stands."""
    console = stdout()
    _print_counts(console, run, run.facebook_page_id)
    for problem in run.problems:
        print_problem(problem.message, problem.hint)
    if run.next:
        print_command(console, f"Next: {run.next}")


def _print_counts(console: Console, run: Run, name: str) -> None:
    counts = run.counts
    console.print(
        Text(*_TITLES[run.status]),
        f": {name}: {some(counts.fetched, 'conversation')} fetched ({counts.inserted:,} "
        f"new, {counts.updated:,} changed, {counts.unchanged:,} as before) and "
        f"{some(counts.events, 'new message')}.",
        sep="",
    )
    refused = f"{run.refused_calls:,} of them refused" if run.refused_calls else "none refused"
    console.print(
        f"  {run.duration_seconds:,.1f} s, {run.conversations_per_second:,.0f} conversations/s, "
        f"{some(run.calls, 'call')}, {refused}."
    )


def print_outcome(outcome: Outcome) -> None:
    """The summary of a run that has just ended, or did not begin."""
    run = outcome.run
    console = stdout()
    if not run.id:
        _print_not_run(console, outcome)
        return
    _print_counts(console, run, page_name(outcome.page))
    if outcome.reason:
        console.print(f"  Stopped: {outcome.reason}. Everything fetched is stored.")
    for problem in run.problems:
        print_problem(problem.message, problem.hint)
    older = outcome.unfinished.older
    if run.status is RunStatus.COMPLETE and older and older.conversations:
        console.print(
            f"  About {some(older.messages, 'older message')} of {some(older.conversations, 'conversation')} "
            "not fetched. To fetch them too:"
        )
        print_command(console, f"inboxsync sync {run.facebook_page_id} --history all")
    if run.next:
        print_command(console, f"Next: {run.next}")


def _print_not_run(console: Console, outcome: Outcome) -> None:
    why = f": stopped: {outcome.reason}" if outcome.reason else ""
    console.print(Text("Not synced", "bold yellow"), f": {page_name(outcome.page)}{why}.", sep="")
    for problem in outcome.run.problems:
        print_problem(problem.message, problem.hint)
    if outcome.run.next:
        print_command(console, f"Next: {outcome.run.next}")


def print_command(console: Console, text: str) -> None:
    """A line to be copied: no line breaks of ours."""
    console.print(f"  {text}", soft_wrap=True)


def some(count: int, what: str) -> str:
    """`1 conversation`, `2 conversations`."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def page_name(page: Page) -> str:
    """What people call a Page."""
    return page.name or page.facebook_page_id
