"""How a run is printed, for people and as JSON, and the exit code that it gives."""

from collections.abc import Iterable
from datetime import UTC
from typing import Any

from rich.console import Console
from rich.text import Text

from inboxsync.cli.output import (
    COMPLETE,
    FAILED,
    NEEDS_PERSON,
    PARTIAL,
    page_name,
    print_command,
    print_problem,
    some,
    stdout,
)
from inboxsync.errors import NeedsPerson, PageBusy
from inboxsync.model import Run, RunStatus
from inboxsync.sync import Outcome, describe_waiting

_NEEDS_PERSON_CODES = frozenset({kind.code for kind in NeedsPerson.__subclasses__()})
_TITLES = {
    RunStatus.QUEUED: ("Queued", "bold"),
    RunStatus.RUNNING: ("Running", "bold"),
    RunStatus.INTERRUPTED: ("Interrupted", "bold yellow"),
    RunStatus.COMPLETE: ("Complete", "bold green"),
    RunStatus.PARTIAL: ("Partial", "bold yellow"),
    RunStatus.FAILED: ("Failed", "bold red"),
    RunStatus.CANCELLED: ("Cancelled", "bold yellow"),
}


def exit_code_of_runs(runs: Iterable[Run]) -> int:
    """The code for several runs: a person must act, before a failure, before a partial run."""
    codes = {_exit_code_of_run(run) for run in runs}
    return next((code for code in (NEEDS_PERSON, FAILED, PARTIAL) if code in codes), COMPLETE)


def _exit_code_of_run(run: Run) -> int:
    if any(problem.code in _NEEDS_PERSON_CODES for problem in run.problems):
        return NEEDS_PERSON
    if any(problem.code == PageBusy.code for problem in run.problems):
        return COMPLETE  # another process works on the Page: the caller has nothing to do
    if run.status is RunStatus.COMPLETE:
        return COMPLETE
    is_failed = run.status in (RunStatus.FAILED, RunStatus.INTERRUPTED)
    return FAILED if is_failed else PARTIAL


def run_as_json(run: Run) -> dict[str, Any]:
    """A run for scripts: `inboxsync runs --json`, and most of `inboxsync sync --json`."""
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
    """A run that has just ended, with its backlog: `inboxsync sync --json`."""
    older, waiting = outcome.unfinished.older, outcome.waiting
    return run_as_json(outcome.run) | {
        "stopped": outcome.reason,
        "waiting": describe_waiting(waiting) if waiting else None,
        "waiting_until": waiting.until.astimezone(UTC) if waiting else None,
        "backlog": {kind.value: count for kind, count in outcome.unfinished.backlog.items()},
        "older_not_fetched": {
            "conversations": older.conversations if older else 0,
            "messages": older.messages if older else 0,
        },
    }


def print_run(run: Run) -> None:
    """A run as it is now."""
    console = stdout()
    _print_counts(console, run, run.facebook_page_id)
    _print_problems(console, run)


def print_outcome(outcome: Outcome) -> None:
    """The summary of a run that has just ended, or did not begin."""
    run = outcome.run
    console = stdout()
    if not run.id:
        why = f": stopped: {outcome.reason}" if outcome.reason else ""
        console.print(Text("Not synced", "bold yellow"), f": {page_name(outcome.page)}{why}.", sep="")
        _print_problems(console, run)
        return
    _print_counts(console, run, page_name(outcome.page))
    if outcome.reason:
        console.print(f"  Stopped: {outcome.reason}. Everything fetched is stored.")
    older = outcome.unfinished.older
    if run.status is RunStatus.COMPLETE and older and older.conversations:
        console.print(
            f"  About {some(older.messages, 'older message')} of {some(older.conversations, 'conversation')} "
            "not fetched. To fetch them too:"
        )
        print_command(console, f"inboxsync sync {run.facebook_page_id} --history all")
    _print_problems(console, run)


def _print_counts(console: Console, run: Run, name: str) -> None:
    counts = run.counts
    console.print(
        Text(*_TITLES[run.status]),
        f": {name}: {some(counts.fetched, 'conversation')} fetched ({counts.inserted:,} "
        f"new, {counts.updated:,} changed, {counts.unchanged:,} unchanged) and "
        f"{some(counts.events, 'new message')}.",
        sep="",
    )
    refused = f"{run.refused_calls:,} of them refused" if run.refused_calls else "none refused"
    console.print(
        f"  {run.duration_seconds:,.1f} s, {run.conversations_per_second:,.0f} conversations/s, "
        f"{some(run.calls, 'call')}, {refused}."
    )


def _print_problems(console: Console, run: Run) -> None:
    for problem in run.problems:
        print_problem(problem.message, problem.hint)
    if run.next:
        print_command(console, f"Next: {run.next}")
